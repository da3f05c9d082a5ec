//! Ticks of runs that are computed again, for whoever may give orders.

use std::{convert::Infallible, fmt::Display, io, path::Path, process::Stdio, sync::Arc};

use axum::{body::Body, http::StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    sync::{Semaphore, mpsc},
};
use tokio_stream::wrappers::ReceiverStream;

use crate::door::Refusal;

/// The command that computes a tick of the run in a folder: it prints an object of JSON, and on standard error how far
/// it has come.
type Program = dyn Fn(&Path, u64) -> Command + Send + Sync;

/// Where events go.
type Events = mpsc::Sender<Result<Bytes, Infallible>>;

/// Computes ticks again, one at a time.
#[derive(Clone)]
pub(crate) struct Replays {
    program: Arc<Program>,
    turn: Arc<Semaphore>,
}

impl Replays {
    pub(crate) fn new(program: impl Fn(&Path, u64) -> Command + Send + Sync + 'static) -> Self {
        Replays { program: Arc::new(program), turn: Arc::new(Semaphore::new(1)) }
    }

    /// The body of a response with events: `progress` for every line that the program says, then `tick`, or `failed`,
    /// and `end`. A reader that leaves ends the program.
    pub(crate) fn begin(&self, folder: &Path, tick: u64) -> Result<Body, Refusal> {
        let turn = self.turn.clone().try_acquire_owned().map_err(|_| {
            (StatusCode::CONFLICT, "another tick is computed just now: ask again when it is done".to_owned())
        })?;
        let failed = |error: io::Error| {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the tick cannot be computed: {error}"))
        };
        // Removed with what the program leaves there when it is ended.
        let room = tempfile::tempdir().map_err(failed)?;
        let mut child = (self.program)(folder, tick)
            .env("TMPDIR", room.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (events, body) = mpsc::channel(16);
        tokio::spawn(async move {
            tokio::select! {
                () = events.closed() => {}
                () = tell(&mut child, &events) => {}
            }
            // It may have ended by itself.
            let _ = child.kill().await;
            drop((room, turn));
        });
        Ok(Body::from_stream(ReceiverStream::new(body)))
    }
}

/// Tells what a program says and prints, until it ends.
async fn tell(child: &mut Child, events: &Events) {
    let (Some(mut output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else { return };
    let printed = async {
        let mut text = String::new();
        let _ = output.read_to_string(&mut text).await;
        text
    };
    let said = async {
        let mut lines = BufReader::new(errors).lines();
        let mut last = String::new();
        while let Ok(Some(line)) = lines.next_line().await {
            event(events, "progress", &json!({ "line": line })).await;
            last = line;
        }
        last
    };
    let (printed, last) = tokio::join!(printed, said);
    let is_done = child.wait().await.is_ok_and(|status| status.success());
    match serde_json::from_str::<Value>(&printed).ok().filter(|_| is_done) {
        Some(tick) => event(events, "tick", &tick).await,
        None => event(events, "failed", &json!({ "line": last })).await,
    }
    event(events, "end", &json!({})).await;
}

async fn event(events: &Events, name: &str, object: &impl Display) {
    // A reader that has left is noticed elsewhere.
    let _ = events.send(Ok(format!("event: {name}\ndata: {object}\n\n").into())).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Never ends for tick 0, fails for tick 1, and prints all others.
    const SCRIPT: &str =
        "echo begins >&2; test $1 = 0 && exec sleep 60; test $1 = 1 && exit 1; echo \"{\\\"tick\\\": $1}\"";

    #[tokio::test]
    async fn one_tick_at_a_time_is_computed_and_a_reader_that_leaves_ends_it() {
        let replays = Replays::new(|_, tick| {
            let mut command = Command::new("sh");
            command.args(["-c", SCRIPT, "sh", &tick.to_string()]);
            command
        });
        let begin = |tick| replays.begin(Path::new("."), tick);
        let endless = begin(0).unwrap();
        assert_eq!(begin(2).unwrap_err().0, StatusCode::CONFLICT);
        drop(endless);
        for (tick, last) in
            [(2, "event: tick\ndata: {\"tick\":2}"), (1, "event: failed\ndata: {\"line\":\"begins\"}")]
        {
            let body = loop {
                match begin(tick) {
                    Ok(body) => break body,
                    Err((status, _)) => assert_eq!(status, StatusCode::CONFLICT),
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            };
            let told = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let expected = format!(
                "event: progress\ndata: {{\"line\":\"begins\"}}\n\n{last}\n\nevent: end\ndata: {{}}\n\n"
            );
            assert_eq!(String::from_utf8_lossy(&told), expected);
        }
    }
}
