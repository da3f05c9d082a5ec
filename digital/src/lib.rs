//! The digital chain: what a link with bits does where analogue features would go over the air as they are.
//!
//! A transport block is a sequence of bytes. It gets a CRC, is cut into code blocks, each of which is coded by an LDPC
//! code of 5G NR, and goes over the air by BPSK, QPSK, 16-QAM or 64-QAM with Gray mapping. The receiver turns every
//! symbol into log-likelihood ratios of its bits, decodes by belief propagation, and checks the CRC. CRC, segmentation,
//! choice of the base graph, rate matching, bit interleaving and constellations are those of 3GPP TS 38.211 and 38.212,
//! without scrambling and retransmissions; BPSK has real symbols.
//!
//! The decoder computes with integers of 8 bits, and what leads to them comes from `libm`: the outcome is the same on
//! every machine.
//!
//! ```
//! use pom2dib_digital::{Chain, Format, Heard};
//!
//! let payload = b"what a feature says";
//! // The target is 120 symbols; modulation and code rate follow from it.
//! let format = Format::new(payload.len(), 120, None, None);
//! assert_eq!(format.uses(), 120);
//! // A channel without fading, and with next to no noise.
//! let heard = Chain::default().transmit(payload, &format, |symbol| Heard { value: symbol, gain: [1.0, 0.0], noise: 1e-3 });
//! assert_eq!(heard.as_deref(), Some(&payload[..]));
//! ```

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "the references of tests use the standard library's functions"
    )
)]

mod chain;
mod crc;
mod format;
mod ldpc;
mod modulation;
mod rate_matching;
mod segments;

pub use chain::Chain;
pub use format::Format;
pub use modulation::{Heard, Modulation};
