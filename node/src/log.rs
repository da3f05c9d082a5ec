use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Logs to standard error what `POM2DIB_LOG` asks for (`info`, `debug`, `pom2dib_node=trace`, ...); warnings without it.
pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("POM2DIB_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let colours = std::io::stderr().is_terminal();
    // A second call (several roles in one process) keeps the first subscriber.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .try_init();
}
