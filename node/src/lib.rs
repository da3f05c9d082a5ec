//! A process's life: joining the coordinator, its control stream, the compute thread, state, shutdown.
//!
//! A node is two halves. The async half owns links and never computes; the compute half is a plain state machine on a
//! thread of its own: message in, messages out, no sockets and no clock. So the same machine runs in processes, in one
//! process and in tests.

mod audit;
mod command;
mod compute;
mod control;
mod described;
mod digital;
mod emulation;
mod error;
mod exposition;
mod selection;
mod traces;

pub use audit::batch_digest;
pub use command::{
    Options, SecurityOptions, boolean, complain, listening, log_to_stderr, own_address, parse, parse_from,
    say, seed, shell_path, shell_word,
};
pub use compute::{
    BATCHES_UNDER_WAY, Compute, Context, Employ, Machine, Profiler, ProfilerPhase, Stopwatch, Surroundings,
    Weighting, all_kept, compute_within, device_name, first_pass, in_parallel, is_parameter, is_validation,
    join_machines, on_threads, pack_state, reloaded, resolve_device, restore, restore_data, save,
    unpack_state,
};
pub use control::{
    Activity, Awaited, Control, Health, HealthArguments, Joined, Next, Probe, Reloading, Schedule, Shutdown,
    Vitals, end_with_parent, health, live, main,
};
pub use described::{
    Build, BuildChannel, BuildCoding, BuildPolicy, EncoderModules, OwnCoding, OwnEntry, Wanted,
    WantedChannel, WantedCoding, WantedPolicy, WeightFiles, adamw, added_coding, advantages, air, air_digest,
    bind_weights, check_channels, check_data_names, check_kinds, code_shape, common_randomness, data_nearby,
    data_source, digest_with_traces, encoder, encoder_kind, files, gradient_element, layers, libraries,
    log_probability, module, network, open_data, rate_estimator, register_channel, register_coding,
    register_kind, register_policy, rounding, seen, sparse_term, task_inputs, try_channels, try_coding,
    try_policies,
};
pub use digital::{DigitalLink, SentBlock};
pub use emulation::{LinkOutcome, Packet, PacketOutcome, pass_on};
pub use error::NodeError;
pub use exposition::{Exposition, Samples};
pub use selection::{
    AirTime, CLEAR_DB, Choice, FIRST_STRENGTH_DB, FixedSelection, OwnPolicy, STRENGTH_STEP_DB,
    STRENGTH_STEPS, Selector, capped, strength_step,
};
pub use traces::{Collector, NodeSpans, Span, SpanOf, TraceOf, Traced, Traces};

use std::time::Duration;

/// How long a node that lost a peer waits for the coordinator to tell why, before it ends by itself.
pub const GRACE: Duration = Duration::from_secs(3);

/// Interval between two heartbeats to the coordinator.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// The two kinds of node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Observes modalities and encodes them.
    Transmitter,
    /// Solves a task.
    Receiver,
}

impl Role {
    /// The name in commands, logs and tables.
    pub fn name(self) -> &'static str {
        match self {
            Role::Transmitter => "transmitter",
            Role::Receiver => "receiver",
        }
    }
}

impl From<Role> for proto::v1::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Transmitter => proto::v1::Role::Transmitter,
            Role::Receiver => proto::v1::Role::Receiver,
        }
    }
}
