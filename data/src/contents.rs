//! A digest of all that a run reads: whether two runs were made of the same data.

use sha2::{Digest, Sha256};

use crate::{
    Needs, Source, Split,
    arrays::Arrays,
    check,
    content::{Content, Part, Wants},
    digits,
    error::DataError,
    handwritten, mmfi,
    paired::digest,
};
use randomness::Seed;

/// SHA-256 over everything that is read for these modalities and tasks, values included; of MM-Fi, whose files are many and
/// large, over their frames, sizes and ground truth. Digits are made by code, and another build is what may change them.
/// It takes as long as reading all of it once.
///
/// # Errors
/// As [`open`](crate::open).
pub fn contents(source: &Source, needs: &Needs) -> Result<[u8; 32], DataError> {
    Ok(match source {
        Source::Digits => digest(&digits::make(Wants::default())),
        Source::HandWritten(source) => of_content(&handwritten::load(source, check(needs)?)?),
        Source::Arrays(source) => of_arrays(&Arrays::open(source, Seed::from_number(0), needs)?),
        Source::MmFi(source) => {
            let info = mmfi::info(source)?;
            Sha256::digest(format!("pom2dib mmfi contents v1\n{}\n{}\n", info.digest, info.bytes)).into()
        }
    })
}

fn of_content(content: &Content) -> [u8; 32] {
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

/// The same array may lie in files of different kinds.
fn of_arrays(arrays: &Arrays) -> [u8; 32] {
    use crate::Dataset;
    let line = |file: &crate::DataFile| {
        let stem = file.name.rsplit_once('.').map_or(file.name.as_str(), |(stem, _)| stem);
        let split = if file.split == Split::Train { "train" } else { "test" };
        format!("{stem} {split} {} {}\n", file.rows, crate::catalogue::hex(&file.sha256))
    };
    let mut lines: Vec<String> = arrays.files().iter().map(line).collect();
    lines.sort();
    lines.dedup();
    Sha256::digest(format!("pom2dib arrays contents v1\n{}", lines.concat())).into()
}
