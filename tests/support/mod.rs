//! Shared code of tests that observe the machines of a whole network from outside.

pub(crate) mod local_network;
pub(crate) mod toy_data;
