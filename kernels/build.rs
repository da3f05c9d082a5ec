//! Compiles the CUDA kernels to PTX, which the driver compiles for the GPU it finds.
//!
//! Only with the feature `cuda`. The compiler is `NVCC` if set, else that in `CUDA_HOME`, else the `nvcc` on the path.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest GPUs that the kernels support: Turing, the oldest that CUDA 13 supports.
const ARCHITECTURE: &str = "compute_75";

const MODULES: [&str; 7] = ["adamw", "elementwise", "gaussian", "layer_norm", "loss", "rate", "segments"];

fn main() {
    println!("cargo::rerun-if-changed=cuda");
    if std::env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for variable in ["NVCC", "CUDA_HOME"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for module in MODULES {
        compile(&Path::new("cuda").join(format!("{module}.cu")), &out.join(format!("{module}.ptx")));
    }
}

fn compile(source: &Path, target: &Path) {
    let nvcc = nvcc();
    let arguments = ["--ptx", "-O3", "-arch", ARCHITECTURE, "-o"];
    let status = Command::new(&nvcc).args(arguments).arg(target).arg(source).status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("{} could not compile {}: {status}", nvcc.display(), source.display()),
        Err(error) => panic!(
            "the feature cuda needs NVIDIA's compiler, but {} does not start: {error}; set NVCC or CUDA_HOME, or see \
             docs/cuda.md",
            nvcc.display()
        ),
    }
}

fn nvcc() -> PathBuf {
    let of_toolkit = || std::env::var_os("CUDA_HOME").map(|home| Path::new(&home).join("bin").join("nvcc"));
    let given = std::env::var_os("NVCC").map(PathBuf::from);
    given.or_else(|| of_toolkit().filter(|nvcc| nvcc.exists())).unwrap_or_else(|| "nvcc".into())
}
