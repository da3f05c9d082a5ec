use std::process::{Command, Stdio};

/// A signal to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The signal of Ctrl-C.
    Interrupt = 2,
    /// Cannot be caught.
    Kill = 9,
    /// A supervisor's first signal.
    Terminate = 15,
    /// Suspends a process.
    Stop = 19,
    /// Continues it.
    Continue = 18,
}

impl Signal {
    /// Sends it with the shell's own `kill`. A process that has just ended does not receive it.
    pub(crate) fn send(self, pid: u32) {
        let command = format!("kill -{} {pid}", self as i32);
        let status = Command::new("sh").args(["-c", &command]).stderr(Stdio::null()).status();
        status.expect("there is a shell");
    }
}
