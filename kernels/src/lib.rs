//! The hot loops, as operations on candle tensors, with one implementation for each kind of device.
//!
//! Operands are contiguous, row-major tensors of f32 or f64; others are refused with an error. This crate knows nothing
//! of networks, ticks or nodes.
//!
//! On the CPU every operation gives the same bits for any instruction set, load of the machine, number of threads, and
//! number of other rows: sums run over a fixed number of lanes in a fixed order, the compiler never reassociates or
//! contracts them, and the bits of a matrix product are specified ([`product`](product/index.html)). Operations run on
//! the calling thread; products, and most operations of single layers, on all threads of its pool. Fused multiply-add
//! is assumed (every x86-64 with AVX2, every AArch64).
//!
//! With the feature `cuda` every operation also runs on NVIDIA GPUs, in the order of the calls: the same formulas, to
//! within rounding. Only [`with_numbers`] waits for the device, and so do the operations of layers without a kernel
//! (activations, transposes, convolutions, pools, group normalisation, recurrence, attention, groups of rows): they
//! copy their operands to the CPU and the result back.

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
mod numbers;
mod operation;
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
mod sight;
mod threads;
pub mod transpose;
mod upload;

pub use access::{with_numbers, with_values};
#[cfg(feature = "cuda")]
pub use cuda::{CudaReal, name as gpu_name, open as open_cuda};
pub use numbers::Numbers;
pub use real::Real;
pub use threads::threads;
pub use upload::Upload;
