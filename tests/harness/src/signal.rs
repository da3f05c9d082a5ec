use std::process::{Command, Stdio};

/// A signal to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// What Ctrl-C sends.
    Interrupt = 2,
    /// What cannot be caught.
    Kill = 9,
    /// What a supervisor sends first.
    Terminate = 15,
    /// What freezes a process.
    Stop = 19,
    /// What thaws it.
    Continue = 18,
}

impl Signal {
    /// Sends it, by the shell's own `kill`. Who has ended just now does not hear it.
    pub(crate) fn send(self, pid: u32) {
        let command = format!("kill -{} {pid}", self as i32);
        let status = Command::new("sh").args(["-c", &command]).stderr(Stdio::null()).status();
        status.expect("there is a shell");
    }
}
