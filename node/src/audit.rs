use dib::SampleAt;
use sha2::{Digest, Sha256};

/// The digest of a round's samples, for comparing nodes: all must have drawn the same ones.
pub fn batch_digest(samples: impl Iterator<Item = SampleAt>) -> [u8; 32] {
    let mut digest = Sha256::new();
    for SampleAt { sample, epoch } in samples {
        digest.update((sample as u64).to_le_bytes());
        digest.update(epoch.to_le_bytes());
    }
    digest.finalize().into()
}
