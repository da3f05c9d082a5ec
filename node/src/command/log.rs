use std::io::IsTerminal;

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    prelude::*,
};

/// Logs to standard error at the level that `POM2DIB_LOG` sets (`info`, `debug`, `pom2dib_node=trace`, ...); by default
/// warnings.
pub fn log_to_stderr() {
    let asked = std::env::var("POM2DIB_LOG").ok().filter(|asked| !asked.is_empty());
    let warnings = || Targets::new().with_default(LevelFilter::WARN);
    let wanted = asked.and_then(|asked| asked.parse().ok()).unwrap_or_else(warnings);
    let colours = std::io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    // A second call (several roles in one process) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(lines).with(wanted).try_init();
}
