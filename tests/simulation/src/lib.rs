//! The real coordinator, nodes and links, in a simulated network and in simulated time.
//!
//! Three things are replaced: the sockets, by turmoil's; the stores, by one in memory; and the machines' computation,
//! by simple arithmetic without a thread. A number determines a schedule of faults and all events of its run. See
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
mod serving;
mod transmitter_machine;
mod trial;
mod world;

pub use plan::{SERVICES, WIDE};
pub use trial::{Trial, try_schedule};
