//! Arrays in an object store: copies those of a node to this machine.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use randomness::hex;
use scenario::Scenario;
use sha2::{Digest, Sha256};
use store::Store;
use tokio_stream::StreamExt;

use crate::NodeError;

/// Folder of the copies, beside fetched data sets.
const CACHE: &str = "data-cache/arrays";

const ENDINGS: [&str; 3] = ["npy", "npz", "safetensors"];

/// The folder with this node's data: the given one, or else the scenario's. If that is the URL of an object store,
/// these arrays are first copied to a folder under `data-cache/arrays`; copies that have not changed in the store are
/// reused.
///
/// # Errors
/// If an object cannot be read or copied; the error names it.
pub async fn data_nearby(
    scenario: &Scenario,
    folder: Option<PathBuf>,
    arrays: &[String],
) -> Result<Option<PathBuf>, NodeError> {
    let place = folder.or_else(|| scenario.data.path.clone());
    let url = place.as_ref().and_then(|place| place.to_str()).filter(|place| place.contains("://"));
    match url {
        Some(url) if scenario.data.source == "arrays" => {
            let store = Store::open(url).map_err(input)?;
            let sum = Sha256::digest(url);
            let short = hex(&sum[..8]);
            let cache = Path::new(CACHE).join(short);
            let groups = scenario.data.groups.as_ref().filter(|_| scenario.data.hold_out > 0.0);
            let wanted: Vec<String> = arrays.iter().chain(groups).cloned().collect();
            copy_arrays(&store, &cache, &wanted).await?;
            Ok(Some(cache))
        }
        _ => Ok(place),
    }
}

/// Copies the files of these arrays, and removes copies of files that are no longer in the store.
async fn copy_arrays(store: &Store, cache: &Path, arrays: &[String]) -> Result<(), NodeError> {
    std::fs::create_dir_all(cache).map_err(|error| cannot(cache, &error))?;
    for name in arrays.iter().filter(|name| !data::is_noise(name)) {
        data::check_array_name(name).map_err(NodeError::Input)?;
        for split in ["train", "test", "validation"] {
            for ending in ENDINGS {
                copy(store, cache, &format!("{name}.{split}.{ending}")).await?;
            }
        }
    }
    Ok(())
}

/// Copies an object unless an unchanged copy exists; a note beside the copy identifies the original.
async fn copy(store: &Store, cache: &Path, name: &str) -> Result<(), NodeError> {
    let (path, note) = (cache.join(name), cache.join(format!("{name}.copied")));
    let Some(object) = store.stat(name).await.map_err(input)? else {
        // The file may not exist.
        let _ = std::fs::remove_file(&path);
        return Ok(());
    };
    let told = format!("{} {}\n", object.size, object.tag);
    let size = path.metadata().map_or(0, |metadata| metadata.len());
    if size == object.size && std::fs::read_to_string(&note).is_ok_and(|known| known == told) {
        return Ok(());
    }
    tracing::info!(object = store.name_of(name), bytes = object.size, "copying");
    // Another node of this machine may be copying the same object: each writes its own copy, and the last complete one
    // stays.
    let fail = |error: std::io::Error| cannot(&path, &error);
    let mut copied = tempfile::NamedTempFile::new_in(cache).map_err(fail)?;
    let mut pieces = store.read(name).await.map_err(input)?;
    while let Some(piece) = pieces.next().await {
        copied.write_all(&piece.map_err(input)?).map_err(fail)?;
    }
    let length = copied.as_file().metadata().map_err(fail)?.len();
    if length != object.size {
        let (whole, name) = (object.size, store.name_of(name));
        return Err(NodeError::Input(format!(
            "{name}: got {length} of {whole} bytes; start this node again"
        )));
    }
    copied.persist(&path).map_err(|error| fail(error.error))?;
    std::fs::write(&note, told).map_err(fail)
}

fn input(error: store::StoreError) -> NodeError {
    NodeError::Input(error.to_string())
}

fn cannot(path: &Path, error: &std::io::Error) -> NodeError {
    NodeError::Input(format!("{}: {error}; start this node in a folder that it may write to", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(store: &Store, cache: &Path) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(copy_arrays(store, cache, &["left".into(), "noise-1".into()])).unwrap();
    }

    fn put(store: &Store, name: &str, content: &'static str) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(store.put(name, content)).unwrap();
    }

    #[test]
    fn a_nodes_own_files_are_copied_and_follow_the_store() {
        let (folder, store) = (tempfile::tempdir().unwrap(), Store::in_memory());
        let path = |name: &str| folder.path().join(name);
        for name in ["left.train.npy", "left.test.npz", "right.train.npy"] {
            put(&store, name, "first");
        }
        copied(&store, folder.path());
        assert_eq!(std::fs::read_to_string(path("left.train.npy")).unwrap(), "first");
        assert!(path("left.test.npz").exists() && !path("right.train.npy").exists());

        // An unchanged object is not copied again.
        std::fs::write(path("left.train.npy"), "FIRST").unwrap();
        copied(&store, folder.path());
        assert_eq!(std::fs::read_to_string(path("left.train.npy")).unwrap(), "FIRST");

        put(&store, "left.train.npy", "second");
        put(&store, "left.test.npz", "third");
        copied(&store, folder.path());
        assert_eq!(std::fs::read_to_string(path("left.train.npy")).unwrap(), "second");
        assert_eq!(std::fs::read_to_string(path("left.test.npz")).unwrap(), "third");
    }
}
