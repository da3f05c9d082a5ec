//! Emulated links with loss, delay, jitter and bandwidth.

pub(crate) mod delay_queue;
pub(crate) mod link_outcome;

pub use delay_queue::pass_on;
pub use link_outcome::{LinkOutcome, Packet, PacketOutcome};
