//! The layers that networks by configuration are made of, a family a file.

pub(super) mod activation;
pub(super) mod dense;
pub(super) mod dropout;
pub(super) mod order;
