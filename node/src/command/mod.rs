//! Shared by all programs of the project: flags, environment variables, quoting for a shell, standard output, log,
//! credentials.

pub(crate) mod address;
pub(crate) mod log;
pub(crate) mod options;
pub(crate) mod parse;
pub(crate) mod say;
pub(crate) mod security;
pub(crate) mod shell;
pub(crate) mod switch;

pub use address::own_address;
pub use log::log_to_stderr;
pub use options::Options;
pub use parse::{parse, parse_from};
pub use say::{complain, say};
pub use security::SecurityOptions;
pub use shell::{shell_path, shell_word};
pub use switch::{boolean, listening, seed};
