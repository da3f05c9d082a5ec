use std::{
    fs::File,
    os::unix::{fs::FileExt, process::ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{PATIENCE, Signal, wait_for};

/// A process under test. Dropping it kills it.
pub struct Process {
    words: String,
    child: Child,
    stdout: File,
    stderr: File,
}

/// How a process ended, and its output.
#[derive(Debug)]
pub struct Outcome {
    /// Its command line.
    pub words: String,
    /// Its exit status.
    pub status: ExitStatus,
    /// Everything on standard output.
    pub stdout: String,
    /// Everything on standard error.
    pub stderr: String,
}

impl Process {
    /// Starts a command. Its output goes to files, so that it never waits for a reader.
    pub(crate) fn start(words: &str, command: &mut Command) -> Self {
        let file = || tempfile::tempfile().expect("a temporary file can be made");
        let (stdout, stderr) = (file(), file());
        let handle = |file: &File| Stdio::from(file.try_clone().expect("a handle can be doubled"));
        let child = command.stdin(Stdio::null()).stdout(handle(&stdout)).stderr(handle(&stderr)).spawn();
        let child = child.unwrap_or_else(|error| panic!("{words}: {error}"));
        Process { words: words.into(), child, stdout, stderr }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        signal.send(self.child.id());
    }

    /// Its standard error so far.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Its standard output so far.
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it can be waited for").is_some()
    }

    /// Waits for its end.
    pub fn finish(self) -> Outcome {
        self.finish_within(PATIENCE)
    }

    /// Waits for its end, which must come in time.
    pub fn finish_within(mut self, limit: Duration) -> Outcome {
        let what = format!("the end of `{}`", self.words);
        let status = wait_for(&what, limit, || self.child.try_wait().expect("it can be waited for"));
        let (stdout, stderr) = (text(&self.stdout), text(&self.stderr));
        Outcome { words: self.words.clone(), status, stdout, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended; a process left by a failing test must not outlive it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The content of a file, without moving the position at which the process writes.
fn text(file: &File) -> String {
    let size = file.metadata().expect("an open file has metadata").len();
    let mut bytes = vec![0; size as usize];
    file.read_exact_at(&mut bytes, 0).expect("a file only grows");
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Outcome {
    /// Asserts that it succeeded.
    pub fn done(self) -> Self {
        assert_eq!(self.status.code(), Some(0), "{self}");
        self
    }

    /// Asserts that it failed with this exit status and exactly one line of error, which contains all of `words`, and
    /// that standard output is empty. Progress may come before the error, nothing after it.
    pub fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.status.code(), Some(code), "{self}");
        assert_eq!(self.stdout, "", "{self}");
        let complaints = self.stderr.lines().filter(|line| !is_progress(line)).collect::<Vec<_>>();
        let [complaint] = complaints[..] else { panic!("one line of complaint was promised: {self}") };
        assert!(complaint.starts_with("error: "), "{self}");
        for word in words {
            assert!(complaint.contains(word), "\"{word}\" does not stand in the complaint: {self}");
        }
    }

    /// Asserts that a signal ended it.
    pub fn killed_by(&self, signal: Signal) {
        assert_eq!(self.status.signal(), Some(signal as i32), "{self}");
    }

    /// The one JSON object on standard output.
    pub fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

/// Whether a line shows progress: of a run, or of what takes a while on a busy machine.
fn is_progress(line: &str) -> bool {
    let of_runs = ["page ", "rounds ", "evaluation passes ", "waiting for ", "note: "];
    let of_others = [
        "answering ",
        "checking ",
        "computing ",
        "indexing ",
        "looking at ",
        "making ",
        "reading ",
        "writing ",
    ];
    of_runs.iter().chain(&of_others).any(|start| line.starts_with(start))
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Outcome { words, status, stdout, stderr } = self;
        write!(
            formatter,
            "`{words}` ended with {status}\nstandard output:\n{stdout}\nstandard error:\n{stderr}"
        )
    }
}
