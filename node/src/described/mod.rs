//! Converts the scenario's descriptions into values of the crates that compute. (`scenario`, `dib` and `data` are
//! leaves and do not depend on each other.)

pub(crate) mod channel;
pub(crate) mod convert;
pub(crate) mod fetch;
pub(crate) mod model;
pub(crate) mod own_channel;
pub(crate) mod own_coding;
pub(crate) mod own_kind;
pub(crate) mod own_policy;
pub(crate) mod source;
pub(crate) mod trace;
pub(crate) mod weights;

pub use channel::{air, air_digest};
pub use convert::{
    adamw, advantages, code_shape, common_randomness, encoder_kind, files, gradient_element, log_probability,
    rate_estimator, rounding, sparse_term,
};
pub use fetch::data_nearby;
pub use model::{
    EncoderModules, check_kinds, encoder, layers, libraries, module, network, seen, task_inputs,
};
pub use own_channel::{BuildChannel, WantedChannel, register_channel, try_channels};
pub use own_coding::{
    BuildCoding, OwnCoding, OwnEntry, WantedCoding, added_coding, register_coding, try_coding,
};
pub use own_kind::{Build, Wanted, register_kind};
pub use own_policy::{BuildPolicy, WantedPolicy, register_policy, try_policies};
pub use source::{check_data_names, data_source, open_data};
pub use trace::{check_channels, digest_with_traces};
pub use weights::{WeightFiles, bind_weights};
