//! Networks: [`Network`] owns parameters, gradients and moments; its [`Module`] defines the computation.
//!
//! Configurable modules are described by an [`Architecture`]: the paper's network, or a list of layers.
//!
//! To add another architecture, implement [`Module`] as [`ResidualMlp`] does. The trait's documentation states the
//! contract of every module: gradients are summed in the order of their blocks, and draws are addressed.

mod architecture;
mod attention;
mod buffers;
mod builder;
mod chain;
mod encoder_block;
mod film;
mod gradient;
mod input;
mod kinds;
mod layer;
mod layers;
mod misfit;
mod module;
mod network;
mod optimizer;
mod ordered;
mod parameter;
mod points;
mod recurrent;
mod residual_mlp;
mod shape;
mod stage;
mod state;
mod windows;

pub use architecture::{Architecture, Layer, LayerSummary};
pub use buffers::Buffers;
pub use gradient::{Blocks, add_bias_gradient, add_weight_gradient};
pub use input::{Block, Input, Segment};
pub use layer::Linear;
pub use misfit::Misfit;
pub use module::{Draws, Kept, Module, Product, RowAddresses, kept};
pub use network::{Network, Trace};
pub use optimizer::{AdamW, OwnOptimizer};
pub use ordered::Ordered;
pub use parameter::{Layout, Parameter, draw_uniform, draw_xavier};
pub use residual_mlp::ResidualMlp;
