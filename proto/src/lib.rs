//! The wire: generated messages and services, and their checked conversion.
//!
//! Everything from a socket is checked here before it is used: stamps, shapes, lengths, finiteness. No tensors.

mod bits;
mod secret;
mod stamp;
mod tensor;
/// Generated from `proto/pom2dib.proto`; `cargo test --release -p pom2dib-proto` regenerates it after a change.
#[allow(missing_docs, clippy::pedantic, reason = "generated code; the .proto file has the comments")]
pub mod v1 {
    include!("../generated/pom2dib.v1.rs");
}

pub use bits::{decode_bits, decode_ticks, encode_bits, encode_ticks, set_bits};
pub use secret::Secret;
pub use stamp::{Incoming, Link, Served, When, shorten};
pub use tensor::{Packer, Payload};

use prost::Message;
use sha2::{Digest, Sha256};

/// The version of this program, as nodes present it when they join.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Upper limit on the bytes of protobuf around a payload: fields of fixed size, tags and lengths.
pub const ENVELOPE_BYTES: usize = 4096;

/// SHA-256 of the protocol's text: nodes with different digests do not understand each other.
pub fn protocol_digest() -> [u8; 32] {
    Sha256::digest(include_str!("../proto/pom2dib.proto")).into()
}

/// Errors of a message. One line each; the caller adds the sender.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// A part is missing.
    #[error("the message has no {0}")]
    Missing(&'static str),
    /// It belongs to another run. The message does not reveal the expected run.
    #[error("the message is of another run")]
    AnotherRun,
    /// It belongs to another incarnation, link, phase, pass or round.
    #[error("the message is of {what} {got}, expected {expected}")]
    Stamp {
        /// The part of the stamp.
        what: &'static str,
        /// The value in the message.
        got: String,
        /// The expected value.
        expected: String,
    },
    /// A payload of another type.
    #[error("{what} has element type {got}, expected {expected}")]
    ElementType {
        /// The payload.
        what: &'static str,
        /// The number on the wire.
        got: i32,
        /// What was expected.
        expected: &'static str,
    },
    /// A payload of another shape.
    #[error("{what} has shape {got:?}, expected {expected:?}")]
    Shape {
        /// The payload.
        what: &'static str,
        /// The shape on the wire.
        got: Vec<u64>,
        /// The expected shape.
        expected: Vec<u64>,
    },
    /// A field of another length.
    #[error("{what} has {got} {unit}, expected {expected}")]
    Length {
        /// The field.
        what: &'static str,
        /// The unit of its length.
        unit: &'static str,
        /// The length on the wire.
        got: usize,
        /// The expected length.
        expected: usize,
    },
    /// A value that is not finite.
    #[error("{what} holds {value} at position {position}; only finite numbers may travel")]
    NotFinite {
        /// The field.
        what: &'static str,
        /// The value.
        value: f64,
        /// Its position.
        position: usize,
    },
    /// A table or a stream of dithered features that cannot be read.
    #[error("{what} {problem}")]
    Code {
        /// The table or stream.
        what: String,
        /// The problem.
        problem: String,
    },
    /// An index or a bit out of range.
    #[error("{what} names {got}, but there are only {bound}")]
    Index {
        /// The field.
        what: &'static str,
        /// The index.
        got: usize,
        /// The exclusive upper bound of the index.
        bound: usize,
    },
}

/// The bytes of a message of features as it travels, and those of its tables among them: with a short stamp, as all but
/// a stream's first have, so that what is reported does not tell how often a run was interrupted.
pub fn feature_message_bytes(features: &v1::Features) -> (u64, u64) {
    let stamp = |stamp: &Option<v1::Stamp>| stamp.as_ref().map_or(0, |stamp| stamp.encoded_len() as u64);
    let mut short = features.stamp.clone();
    shorten(&mut short);
    let whole = features.encoded_len() as u64 - stamp(&features.stamp) + stamp(&short);
    let tables = features.tables.as_ref().map_or(0, |tables| tables.encoded_len() as u64);
    (whole, tables)
}

/// The (tick, modality) of every entry that a message of features grants to its receiver, by tick, then modality, where
/// its transmitter has so many modalities. What bits there may be is not checked.
pub fn granted(features: &v1::Features, modalities: usize) -> Vec<(usize, usize)> {
    set_bits(&features.granted).map(|place| (place / modalities, place % modalities)).collect()
}

/// The bits of entries (tick, modality), all of them among the first `ticks`. Without entries, no bytes.
pub fn encode_granted(granted: &[(usize, usize)], ticks: usize, modalities: usize) -> bytes::Bytes {
    if granted.is_empty() {
        return bytes::Bytes::new();
    }
    let mut bits = vec![false; ticks * modalities];
    granted.iter().for_each(|(tick, modality)| bits[tick * modalities + modality] = true);
    encode_bits(&bits)
}

/// The entries of [`encode_granted`], by tick, then modality. The encoding is unique: bytes without an entry are an
/// error.
///
/// # Errors
///
/// [`WireError`] if the length does not match, a bit behind the last entry is set, or all bits are 0.
pub fn decode_granted(
    bytes: &[u8],
    ticks: usize,
    modalities: usize,
) -> Result<Vec<(usize, usize)>, WireError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    decode_bits("granted", bytes, ticks * modalities)?;
    let entries: Vec<_> = set_bits(bytes).map(|place| (place / modalities, place % modalities)).collect();
    if entries.is_empty() {
        check_length("granted", "bytes", bytes.len(), 0)?;
    }
    Ok(entries)
}

/// Rates in whole 1024ths of a nat, as those of dithered features travel.
pub fn encode_rate(nats: f64) -> i32 {
    // What is not finite or absurd becomes the nearest that can be said.
    (nats * RATES_PER_NAT).round() as i32
}

/// The same back, in nats.
pub fn decode_rate(rate: i32) -> f64 {
    f64::from(rate) / RATES_PER_NAT
}

/// In how many parts a nat of a rate is told.
const RATES_PER_NAT: f64 = 1024.0;

/// Checks that all numbers of a field are finite.
///
/// # Errors
///
/// [`WireError::NotFinite`] for the first number that is not.
pub fn check_finite(what: &'static str, values: &[f64]) -> Result<(), WireError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(position) => Err(WireError::NotFinite { what, value: values[position], position }),
    }
}

/// Checks the length of a field.
///
/// # Errors
///
/// [`WireError::Length`] if it differs.
pub fn check_length(
    what: &'static str,
    unit: &'static str,
    got: usize,
    expected: usize,
) -> Result<(), WireError> {
    if got == expected { Ok(()) } else { Err(WireError::Length { what, unit, got, expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_decoded_as_encoded_and_no_grants_have_no_bytes() {
        for granted in [vec![], vec![(0, 0)], vec![(0, 1), (2, 0), (2, 2)]] {
            let bytes = encode_granted(&granted, 3, 3);
            assert_eq!(bytes.len(), if granted.is_empty() { 0 } else { 2 });
            assert_eq!(decode_granted(&bytes, 3, 3).unwrap(), granted);
        }
    }

    #[test]
    fn grants_with_a_wrong_length_or_a_wrong_bit_are_refused() {
        let complaint = |bytes: &[u8]| decode_granted(bytes, 3, 3).unwrap_err().to_string();
        assert_eq!(complaint(&[0, 0]), "granted has 2 bytes, expected 0");
        assert_eq!(complaint(&[1]), "granted has 1 bytes, expected 2");
        assert_eq!(complaint(&[1, 0, 0]), "granted has 3 bytes, expected 2");
        assert_eq!(complaint(&[0, 2]), "granted names 9, but there are only 9");
    }
}
