//! Services: the tiny machines answer a stream of samples, whose nodes fail, and whose sensor repeats itself, is slow
//! and loses its connection.

mod judge;
mod plan;
mod receiver;
mod sensor;
mod stream_record;
mod transmitter;

pub(crate) use judge::judge;
pub(crate) use plan::ServicePlan;
pub(crate) use receiver::{Serving, ServingReceiver};
pub(crate) use sensor::{SENSOR, sense};
pub(crate) use stream_record::StreamRecord;
pub(crate) use transmitter::ServingTransmitter;

/// Rows of the test set, by which samples are numbered: some batches end with them.
pub(crate) const ROWS: usize = 37;

/// What is observed of a sample, the same by every transmitter: a small whole number, so that sums are exact.
pub(crate) fn observed(seq: u64) -> f32 {
    (crate::arithmetic::mix(seq, 7) % 4096) as f32
}
