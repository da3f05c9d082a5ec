use bytes::Bytes;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::WireError;

/// Prefix of the hash that derives a pair's secret, so that no other use of SHA-256 gives the same value.
const PAIR: &[u8] = b"pom2dib pair";

/// Bytes of a secret.
const SIZE: usize = 32;

/// A member's proof of identity: random bytes that the coordinator drew for it and gave to no other node. A member gets
/// a new one whenever it is admitted. It never appears in a log.
#[derive(Clone)]
pub struct Secret([u8; SIZE]);

impl Secret {
    /// The secret of these bytes, which must be random.
    pub fn new(bytes: [u8; SIZE]) -> Self {
        Secret(bytes)
    }

    /// Reads a secret from a message; it must have 32 bytes.
    ///
    /// # Errors
    ///
    /// [`WireError::Length`] if it has not.
    pub fn read(what: &'static str, bytes: &[u8]) -> Result<Self, WireError> {
        let wrong = |_| WireError::Length { what, unit: "bytes", got: bytes.len(), expected: SIZE };
        Ok(Secret(bytes.try_into().map_err(wrong)?))
    }

    /// The secret's bytes for a message.
    pub fn to_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }

    /// Whether these bytes are the secret. The time taken depends on their number only.
    pub fn is(&self, shown: &[u8]) -> bool {
        shown.ct_eq(&self.0).into()
    }

    /// The secret of a pair, derived from the transmitter's own secret (this one): the receiver shows it to the
    /// transmitter. It reveals nothing about other pairs.
    pub fn of_pair(&self, receiver: u32) -> Secret {
        let hash = Sha256::new().chain_update(PAIR).chain_update(self.0).chain_update(receiver.to_le_bytes());
        Secret(hash.finalize().into())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_bytes_are_the_secret() {
        let secret = Secret::new([7; 32]);
        assert!(secret.is(&[7; 32]) && Secret::read("a secret", &secret.to_bytes()).unwrap().is(&[7; 32]));
        let mut other = [7; 32];
        other[31] ^= 1;
        for shown in [&other[..], &[7; 31], &[7; 33], &[]] {
            assert!(!secret.is(shown), "{shown:?}");
        }
        let error = Secret::read("a secret", &[7; 31]).unwrap_err().to_string();
        assert_eq!(error, "a secret has 31 bytes, expected 32");
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn every_pair_has_a_secret_of_its_own() {
        let pairs =
            [(1, 0), (1, 1), (2, 0), (2, 256)].map(|(own, t)| Secret::new([own; 32]).of_pair(t).to_bytes());
        let all: std::collections::BTreeSet<_> = pairs.iter().collect();
        assert_eq!(all.len(), 4);
        assert!(!Secret::new([1; 32]).is(&pairs[0]));
    }
}
