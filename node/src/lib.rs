//! A process's life: joining the coordinator, its control stream, the compute thread, state, the end.
//!
//! A node is two halves. The async half owns links and never computes; the compute half is a plain state machine on a
//! thread of its own: message in, messages out, no sockets and no clock. So the same machine runs in processes, in one
//! process and in tests.

mod activity;
mod address;
mod air;
mod compute;
mod context;
mod control;
mod convert;
mod departure;
mod device;
mod error;
mod fetch;
mod fixed_selection;
mod health;
mod held;
mod kept;
mod life;
mod log;
mod meter;
mod model;
mod options;
mod own_kind;
mod parent;
mod parse;
mod passage;
mod probe;
mod say;
mod schedule;
mod security;
mod selector;
mod source;
mod state;
mod switch;
mod validation;
mod witness;

pub use activity::{Activity, Awaited};
pub use address::own_address;
pub use air::{air, air_digest};
pub use compute::{Compute, Employ, Machine, in_parallel, join_machines, on_threads};
pub use context::Context;
pub use control::{Control, Joined};
pub use convert::{adamw, baseline, coding, files, log_mass, rate_estimator, sparse_term};
pub use departure::Departure;
pub use device::{device_name, resolve_device};
pub use error::NodeError;
pub use fetch::data_nearby;
pub use fixed_selection::FixedSelection;
pub use health::{Health, HealthArguments, health};
pub use held::pass_on;
pub use kept::{all_kept, restore_data};
pub use life::live;
pub use log::log_to_stderr;
pub use meter::{Meter, Work};
pub use model::{EncoderModules, check_kinds, encoder, layers, module};
pub use options::Options;
pub use own_kind::{Build, Wanted, register_kind};
pub use parent::{end_with_parent, main};
pub use parse::{parse, parse_from};
pub use passage::{Fate, Packet, Passage};
pub use probe::Probe;
pub use say::{complain, say};
pub use schedule::{Next, Schedule};
pub use security::SecurityOptions;
pub use selector::{Choice, Selector};
pub use source::{check_data_names, data_source, open_data};
pub use state::{is_parameter, pack_state, restore, save, unpack_state};
pub use switch::{boolean, seed};
pub use validation::{first_pass, is_validation};
pub use witness::batch_digest;

use std::time::Duration;

/// How long a node that lost a peer waits for the coordinator's word on why, before it ends by itself.
pub const GRACE: Duration = Duration::from_secs(3);

/// Between two signs of life to the coordinator.
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
