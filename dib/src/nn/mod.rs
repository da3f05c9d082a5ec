//! Networks: [`Network`] owns parameters, gradients and moments; what it computes is its [`Module`]'s affair.
//!
//! What a module may be, by configuration, is an [`Architecture`]: the paper's network, or a list of layers.
//!
//! To bring an architecture of one's own is to implement [`Module`], as [`ResidualMlp`] does. Its trait says what every
//! module promises: gradients are summed in the order of their blocks, and draws are addressed.

mod architecture;
mod attention;
mod builder;
mod chain;
mod encoder_block;
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
pub use gradient::{Blocks, add_bias_gradient, add_weight_gradient};
pub use input::{Block, Input, Segment};
pub use layer::Linear;
pub use misfit::Misfit;
pub use module::{Draws, Kept, Module, Product, RowAddresses, kept};
pub use network::{Network, Trace};
pub use optimizer::AdamW;
pub use ordered::Ordered;
pub use parameter::{Layout, Parameter, draw_uniform, draw_xavier};
pub use residual_mlp::ResidualMlp;
