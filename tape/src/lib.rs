//! Networks that are written with candle-nn: a [`Tape`] makes any function of a `VarBuilder` and a batch a
//! [`Module`](dib::Module), which trains, is saved and is sent like the built-in ones.
//!
//! A crate of its own, so that a program that needs no candle-nn does not build it.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::{Module as _, VarBuilder};
//! use dib::{AdamW, Input, Network, initial_weights};
//! use randomness::Seed;
//!
//! // 784 numbers, an image of 28 x 28, to 10.
//! fn graph(variables: VarBuilder<'_>, rows: &Tensor) -> candle_core::Result<Tensor> {
//!     let images = rows.reshape(((), 1, 28, 28))?;
//!     let kernel = candle_nn::Conv2dConfig { stride: 2, ..Default::default() };
//!     let convolved = candle_nn::conv2d(1, 8, 4, kernel, variables.pp("conv"))?.forward(&images)?.relu()?;
//!     candle_nn::linear(8 * 13 * 13, 10, variables.pp("last"))?.forward(&convolved.flatten_from(1)?)
//! }
//!
//! let tape = pom2dib_tape::Tape::new(784, graph)?;
//! let name = "encoder-0-image";
//! let stream = initial_weights(Seed::from_number(1), name);
//! let mut network = Network::new(name, Box::new(tape), stream, DType::F32, &Device::Cpu)?;
//! let names: Vec<&str> = network.parameters().map(|parameter| parameter.name.as_str()).collect();
//! assert_eq!(names[..2], ["encoder-0-image/conv.weight", "encoder-0-image/conv.bias"]);
//!
//! // A step down the sum of all outputs, of two gradient blocks.
//! let x = Tensor::ones((6, 784), DType::F32, &Device::Cpu)?;
//! let before = network.infer(&x)?.sum_all()?.to_scalar::<f32>()?;
//! let (output, trace) = network.forward(Input::Dense(x.clone()), &[4, 2], None)?;
//! network.backward(&trace, &output.ones_like()?)?;
//! network.step(&AdamW::new(1e-3))?;
//! assert!(network.infer(&x)?.sum_all()?.to_scalar::<f32>()? < before);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod initial;
mod rehearsal;
mod tape;
mod variables;

pub use rehearsal::Refusal;
pub use tape::Tape;
