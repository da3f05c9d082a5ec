//! Coordinator, nodes and links as they are, in a simulated network and in simulated time.
//!
//! Three things are replaced: the sockets, by turmoil's; the stores, by one in memory; and what the machines compute, by a
//! little arithmetic, without a thread. A number gives a schedule of faults, and the same number always the same events. See
//! docs/reliability.md.

mod arithmetic;
mod callers;
mod connection;
mod disk;
mod draws;
mod hosts;
mod kinds;
mod ledger;
mod network;
mod plan;
mod receiver_machine;
mod rival;
mod transmitter_machine;
mod trial;
mod world;

pub use plan::WIDE;
pub use trial::{Trial, try_schedule};
