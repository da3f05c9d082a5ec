//! The code in `generated/` is what the .proto file says. It is kept in the repository because the compiler of .proto files
//! would take as long to build as many of the crates that run.

use std::{error::Error, path::Path};

#[test]
fn the_generated_code_is_current() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fresh = tempfile::tempdir()?;
    let descriptors = protox::compile([root.join("proto/pom2dib.proto")], [root.join("proto")])?;
    tonic_prost_build::configure()
        .bytes(".")
        .emit_rerun_if_changed(false)
        .out_dir(fresh.path())
        .compile_fds(descriptors)?;
    let fresh = std::fs::read_to_string(fresh.path().join("pom2dib.v1.rs"))?;
    let kept = root.join("generated/pom2dib.v1.rs");
    if std::fs::read_to_string(&kept).ok().as_ref() != Some(&fresh) {
        std::fs::write(&kept, fresh)?;
        panic!(
            "{} was not what proto/pom2dib.proto says, and has been written anew: commit it",
            kept.display()
        );
    }
    Ok(())
}
