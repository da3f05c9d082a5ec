use std::process::ExitCode;

/// Ends a command with an error line on standard error, and an exit status.
pub(crate) fn complain(error: &anyhow::Error, status: u8) -> ExitCode {
    eprintln!("error: {}", link::printable(&format!("{error:#}")));
    ExitCode::from(status)
}
