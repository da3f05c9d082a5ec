//! Server-sent events: an event of the default type for every round, others by name.

use std::{convert::Infallible, fmt::Write, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use tokio::{
    sync::{
        broadcast::{
            Receiver,
            error::{RecvError, TryRecvError},
        },
        mpsc,
    },
    time::MissedTickBehavior,
};
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    AnswerReader, NextAnswer, Watch,
    watch::{Message, Message::End},
};

/// Messages of this time are sent together: nobody sees more than some pictures a second.
const TOGETHER: Duration = Duration::from_millis(80);

/// Bytes of answers that are sent together at most, but for one answer.
const TOGETHER_BYTES: usize = 1 << 16;

/// Interval between two events of what the run does now.
const PULSE: Duration = Duration::from_secs(1);

/// The body of a response with all events from now on. A reader that does not keep up loses rounds, and is told by an
/// event `resync` to ask for the state again. `refresh` is called at every pulse.
pub(crate) fn events(watch: Arc<Watch>, refresh: impl Fn() + Send + 'static) -> Body {
    let (sender, body) = mpsc::channel::<Result<Bytes, Infallible>>(1);
    tokio::spawn(async move {
        let Some(mut inbox) = watch.follow() else {
            let _ = sender.send(Ok(last_words(&watch).into())).await;
            return;
        };
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut text = String::from("retry: 1000\n\n");
        let mut ended = false;
        while !ended {
            tokio::select! {
                biased;
                () = sender.closed() => return,
                message = inbox.recv() => {
                    ended = take(message, &mut text);
                    if !ended {
                        tokio::time::sleep(TOGETHER).await;
                    }
                    ended |= take_waiting(&mut inbox, &mut text);
                }
                _ = pulse.tick() => {
                    refresh();
                    event(&mut text, "status", &watch.status().to_string());
                }
            }
            if ended {
                text += &last_words(&watch);
            }
            // A reader that does not read keeps this task waiting, and no other.
            if sender.send(Ok(std::mem::take(&mut text).into())).await.is_err() {
                return;
            }
        }
    });
    Body::from_stream(ReceiverStream::new(body))
}

/// The body of a response with all answers from now on: an event of the default type for each, and `missed` with the
/// number of those that a reader lost since it did not keep up.
pub(crate) fn answers(mut reader: AnswerReader) -> Body {
    let (sender, body) = mpsc::channel::<Result<Bytes, Infallible>>(1);
    tokio::spawn(async move {
        // Sent at once, so that a reader knows from when on it has all.
        let mut text = String::from("retry: 1000\n\n");
        let mut ended = false;
        while sender.send(Ok(std::mem::take(&mut text).into())).await.is_ok() && !ended {
            let mut next = tokio::select! {
                () = sender.closed() => return,
                next = reader.next() => Some(next),
            };
            // What has come meanwhile goes out together.
            while let Some(found) = next {
                match found {
                    NextAnswer::Answer { json, .. } => drop(write!(text, "data: {json}\n\n")),
                    NextAnswer::Missed(missed) => {
                        event(&mut text, "missed", &format!("{{\"missed\":{missed}}}"))
                    }
                    NextAnswer::End => ended = true,
                }
                next = if ended || text.len() > TOGETHER_BYTES { None } else { reader.now() };
            }
            if ended {
                event(&mut text, "end", "{}");
            }
        }
    });
    Body::from_stream(ReceiverStream::new(body))
}

/// Writes all messages that have come, and that some were lost. Returns whether the last was among them.
fn take_waiting(inbox: &mut Receiver<Message>, text: &mut String) -> bool {
    let mut ended = false;
    loop {
        let message = match inbox.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Lagged(lost)) => Err(RecvError::Lagged(lost)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return ended,
        };
        ended |= take(message, text);
    }
}

/// Writes a message as an event. Returns whether it was the last.
fn take(message: Result<Message, RecvError>, text: &mut String) -> bool {
    match message {
        Ok(Message::Round(round, object)) => {
            let _ = write!(text, "id: {round}\ndata: {object}\n\n");
        }
        Ok(Message::Named(name, object)) => event(text, name, &object),
        Err(RecvError::Lagged(lost)) => event(text, "resync", &format!("{{\"lost\":{lost}}}")),
        Ok(End) | Err(RecvError::Closed) => return true,
    }
    false
}

fn event(text: &mut String, name: &str, object: &str) {
    let _ = write!(text, "event: {name}\ndata: {object}\n\n");
}

fn last_words(watch: &Watch) -> String {
    let mut text = String::new();
    event(&mut text, "status", &watch.status().to_string());
    event(&mut text, "end", "{}");
    text
}
