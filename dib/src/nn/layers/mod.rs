//! The layers of configurable networks, one family in each file.

pub(super) mod activation;
pub(super) mod convolution;
pub(super) mod dense;
pub(super) mod dropout;
pub(super) mod norm;
pub(super) mod order;
pub(super) mod pool;
pub(super) mod residual;
