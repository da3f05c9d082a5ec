//! The hot loops, as operations on candle tensors: each has one implementation per device.
//!
//! Values are contiguous, row-major tensors of f32 or f64; anything else is refused by name. Nothing here knows about
//! networks, ticks or nodes.
//!
//! On the CPU every operation gives the same bits whatever the instruction set, the machine's load, the number of threads or
//! of rows beside a row: sums run over a fixed number of lanes in a fixed order, the compiler never reassociates or contracts
//! them, and a matrix product is specified down to its bits ([`product`](product/index.html)). It runs on the calling thread;
//! products, and most operations of single layers, on all threads of the pool that this thread belongs to. Fused multiply-add is
//! assumed (every x86-64 with AVX2, every AArch64).
//!
//! With the feature `cuda` every operation also runs on NVIDIA GPUs, in the order in which they are called: the same
//! formulas, to within rounding. Only [`with_numbers`] waits for the device, and so do the operations of layers that have no
//! kernel there yet (activations, transposes, convolutions, pools, group normalisation, recurrence, attention, groups of rows): they
//! take their operands to the CPU and bring the result back.

mod access;
pub mod activation;
pub mod adamw;
pub mod attention;
pub mod convolution;
#[cfg(feature = "cuda")]
mod cuda;
pub mod elementwise;
pub mod gaussian;
mod gemm_call;
pub mod group_norm;
pub mod groups;
mod lanes;
pub mod layer_norm;
pub mod loss;
mod patches;
pub mod pool;
pub mod prior;
pub mod product;
pub mod quantise;
pub mod rate;
mod rate_joint;
mod rate_per_dimension;
mod real;
pub mod recurrent;
mod seen;
pub mod segments;
mod threads;
pub mod transpose;
mod upload;

pub use access::{Numbers, with_numbers, with_values};
#[cfg(feature = "cuda")]
pub use cuda::{CudaReal, name as gpu_name, open as open_cuda};
pub use real::Real;
pub use upload::Upload;
