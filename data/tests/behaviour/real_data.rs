//! The real HandWritten data, where present; tests within the crate use it too.

use std::path::{Path, PathBuf};

/// The folder of the real data; prints a line if there is none.
pub(crate) fn real_data() -> Option<PathBuf> {
    let given = std::env::var_os("POM2DIB_DATA").map(PathBuf::from);
    let beside = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"));
    let folders = given.iter().flat_map(|given| [given.clone(), given.join("handwritten")]);
    let found = folders.chain([beside.join("handwritten")]).find(|folder| folder.join("mnist").is_dir());
    if found.is_none() {
        println!("skipped: no HandWritten data in POM2DIB_DATA or ../shared/data");
    }
    found
}
