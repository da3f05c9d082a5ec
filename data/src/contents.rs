//! A digest of all that a run reads: whether two runs were made of the same data.

use sha2::{Digest, Sha256};

use crate::{
    Dataset, Needs, Split, Targets,
    content::{Content, Part},
    error::DataError,
    paired::digest,
};

/// Over labels, names, pixels and waveforms, as far as they were loaded.
pub(crate) fn of_content(content: &Content) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"pom2dib contents v1");
    hash.update(digest(content));
    for Part { images, clips, .. } in [&content.train, &content.test] {
        hash.update(images.as_deref().unwrap_or_default());
        for clip in clips.as_deref().unwrap_or_default() {
            hash.update((clip.samples.len() as u64).to_le_bytes());
            let bytes: Vec<u8> = clip.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            hash.update(bytes);
        }
    }
    hash.finalize().into()
}

/// Over everything that a data set gives of these modalities, in the first epoch, and of these tasks.
pub(crate) fn of_dataset(dataset: &dyn Dataset, needs: &Needs) -> Result<[u8; 32], DataError> {
    let mut hash = Sha256::new();
    hash.update(b"pom2dib data set contents v1");
    hash.update(dataset.digest());
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    for split in [Split::Train, Split::Test] {
        for name in needs.modalities {
            let known = needs.modalities.join(", ");
            let unknown = || DataError::UnknownModality { name: name.clone(), known };
            let mut values = vec![0.0; dataset.width(name).ok_or_else(unknown)?];
            for sample in 0..dataset.samples(split) {
                dataset.read(name, split, sample, 0, &mut values)?;
                hash.update(bytes(&values));
            }
        }
        for name in needs.tasks {
            let known = needs.tasks.join(", ");
            let unknown = || DataError::UnknownTask { name: name.clone(), known };
            match dataset.targets(name, split).ok_or_else(unknown)? {
                Targets::Classes { labels, .. } => {
                    hash.update(labels.iter().flat_map(|label| label.to_le_bytes()).collect::<Vec<u8>>());
                }
                Targets::Values { values, .. } => hash.update(bytes(&values)),
            }
        }
    }
    Ok(hash.finalize().into())
}
