//! The operations on NVIDIA GPUs: the same formulas as on the CPU, to within rounding.
//!
//! The kernels are in `kernels/cuda`, compiled to PTX by the build script; matrix products use cuBLAS in full f32. All
//! work of a device goes to one stream, in order. Only [`staging`], where numbers come back, and [`host`], for
//! operations without a kernel, wait for it.

pub(crate) mod adamw;
pub(crate) mod elementwise;
pub(crate) mod gaussian;
mod launch;
pub(crate) mod layer_norm;
pub(crate) mod loss;
mod open;
pub(crate) mod product;
pub(crate) mod quantise;
pub(crate) mod rate;
pub(crate) mod segments;
pub(crate) mod staging;

pub use launch::CudaReal;
pub use open::{name, open};
