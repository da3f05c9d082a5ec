//! The mathematics of distributed, multi-modal, multi-task semantic communication, without any input or output.
//!
//! Numerics: networks ([`nn`]) with hand-written passes, their optimizer, the [`Encoder`], the [`rate`](mod@rate) (17)
//! and the losses use candle tensors, f32 in runs and f64 in tests; their hot loops are in the crate `kernels`.
//! Selection: requests, grants and costs.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests compare with functions that were written by others")
)]

pub mod baseline;
pub mod cap;
pub mod channel;
pub mod coding;
pub mod common;
pub mod credit;
pub mod encoder;
pub mod entropy;
mod error;
pub mod loss;
pub mod nn;
pub mod policy;
mod pose;
pub mod rate;
pub mod regression;
pub mod selection;
pub mod weights;

/// Incremented whenever the same scenario and seed give different bits than before: a run must not silently continue
/// from a checkpoint of another version.
///
/// 1: the first. 2: two frames for each transform in `mel`; block inputs, whose first linear maps are summed block by
/// block.
pub const NUMERICS: u32 = 2;

pub use baseline::{Baseline, SparseTerm, advantages, cost};
pub use cap::{ChoiceGrid, Grants, GridError, cap, grants, multicast_cap, multicast_grants};
pub use channel::{
    Air, Amplified, Block as FadingBlock, Channel, Crossing, Csi, Equaliser, Fading, GainTrace, Ideal, Mac,
    Measure, Observed, Power, PowerGroup, Snr, Symbols, channel_uses,
};
pub use coding::{CodedRows, Coding};
pub use common::{
    BatchOrder, CommonRandomness, Phase, SampleAt, SelectorNode, common, dithers, entry_embedding,
    gradient_rounding, initial_weights, multicast_reparameterisation_from, receiver_embedding,
    reparameterisation, reparameterisation_from, selection_stream, sensor_noise, simulation_keys,
};
pub use credit::{advantages_of_differences, advantages_of_terms};
pub use encoder::{Encoded, Encoder, EncoderKind, Features, Posterior, RateRows, RateTerm, Way};
pub use entropy::{entropy, row_entropies};
pub use error::{Error, Result};
pub use kernels::{Numbers, Upload, with_numbers, with_values};
pub use loss::{
    Labels, cross_entropy, cross_entropy_gradient, label_entropy, mean_squared_error,
    mean_squared_error_gradient,
};
pub use nn::{AdamW, Block, Input, Module, Network, Parameter, ResidualMlp, RowAddresses, Segment, Trace};
pub use policy::{Decision, Judged, Policy};
pub use pose::{aligned_joint_error, joint_error};
pub use rate::{RateEstimator, joint_rate, rate, rate_gradient, rates, row_rates};
pub use regression::advantages_over_gains;
pub use selection::{Draw, LogProbability, MAX_SET_COUNT, SelectorShape, ShapeError};
pub use weights::ReceiverWeights;
