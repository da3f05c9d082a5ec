//! Asks a program of an engine, which may be missing, fail, or not answer.

use std::{
    io::{Read, Seek, SeekFrom},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

/// Pause between two looks whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// What a program said.
pub(crate) struct Answer {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program to its end, with a text as its standard input, and ends it after a time limit.
///
/// # Errors
/// If it cannot be started, or does not answer in time.
pub(crate) fn ask(program: &str, words: &[&str], input: &str, limit: Duration) -> anyhow::Result<Answer> {
    use std::io::Write;
    // Files, which never make it wait for a reader.
    let [mut stdin, mut stdout, mut stderr] =
        [tempfile::tempfile(), tempfile::tempfile(), tempfile::tempfile()]
            .map(|file| file.context("a temporary file"));
    let (stdin, stdout, stderr) = (stdin.as_mut(), stdout.as_mut(), stderr.as_mut());
    let (Ok(stdin), Ok(stdout), Ok(stderr)) = (stdin, stdout, stderr) else {
        bail!("no temporary file can be made")
    };
    stdin.write_all(input.as_bytes())?;
    stdin.seek(SeekFrom::Start(0))?;
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::from(stdin.try_clone()?));
    command.stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let mut child = command.spawn().with_context(|| program.to_owned())?;
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > limit {
            // It may just have ended.
            let _ = child.kill();
            let _ = child.wait();
            bail!("{program} does not answer within {} s", limit.as_secs());
        }
        std::thread::sleep(PAUSE);
    };
    let text = |file: &mut std::fs::File| {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Answer { status, stdout: text(stdout)?, stderr: text(stderr)? })
}

/// The same for a program whose failure is an error: returns its standard output.
///
/// # Errors
/// Also if it fails, with what it said.
pub(crate) fn answer(program: &str, words: &[&str], input: &str, limit: Duration) -> anyhow::Result<String> {
    let Answer { status, stdout, stderr } = ask(program, words, input, limit)?;
    if !status.success() {
        let said = stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        bail!("{program}: {} ({status})", said.trim());
    }
    Ok(stdout)
}
