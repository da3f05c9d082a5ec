use std::{collections::VecDeque, time::Duration};

use tokio::{sync::mpsc, time::Instant};
use tonic::Streaming;

use crate::NodeError;

/// Passes on the messages of a peer's stream and at last its end. Each message is delayed by the time that it would
/// take over an emulated link, in seconds.
pub async fn pass_on<M>(
    (peer, name): (usize, String),
    first: Option<M>,
    mut stream: Streaming<M>,
    mut arrives: impl FnMut(&mut M) -> f64,
    arrived: &mpsc::Sender<(usize, Result<M, NodeError>)>,
) {
    let mut queue = DelayQueue::default();
    if let Some(mut first) = first {
        queue.push(arrives(&mut first), Ok(first));
    }
    let mut open = true;
    loop {
        tokio::select! {
            message = queue.next() => {
                let last = message.is_err();
                if arrived.send((peer, message)).await.is_err() || last {
                    return;
                }
            }
            message = stream.message(), if open => match message {
                Ok(Some(mut message)) => queue.push(arrives(&mut message), Ok(message)),
                end => {
                    open = false;
                    let reason = match end {
                        Err(status) => link::printable(status.message()),
                        _ => "it closed the stream".to_owned(),
                    };
                    queue.push(0.0, Err(NodeError::Lost { peer: name.clone(), reason }));
                }
            },
        }
    }
}

/// The messages of a stream, each delayed until it is due. The order is kept.
#[derive(Debug)]
struct DelayQueue<T> {
    waiting: VecDeque<(Instant, T)>,
}

impl<T> Default for DelayQueue<T> {
    fn default() -> Self {
        DelayQueue { waiting: VecDeque::new() }
    }
}

impl<T> DelayQueue<T> {
    /// Delays a message by `seconds` from now.
    fn push(&mut self, seconds: f64, message: T) {
        let due = Instant::now() + Duration::from_secs_f64(seconds);
        let due = self.waiting.back().map_or(due, |(before, _)| due.max(*before));
        self.waiting.push_back((due, message));
    }

    /// The next due message; pending while the queue is empty. Cancelling the wait loses nothing.
    async fn next(&mut self) -> T {
        let Some((due, _)) = self.waiting.front() else { return std::future::pending().await };
        // A timer is too coarse for messages that are due at once.
        if *due > Instant::now() {
            tokio::time::sleep_until(*due).await;
        }
        self.waiting.pop_front().expect("looked at just now").1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_message_comes_before_it_is_due_and_none_overtakes_another() {
        let mut queue = DelayQueue::default();
        let start = Instant::now();
        let messages = [(0.0, 'a'), (0.08, 'b'), (0.01, 'c'), (0.12, 'd')];
        for (seconds, message) in messages {
            queue.push(seconds, message);
        }
        let mut came = String::new();
        for (seconds, _) in messages {
            came.push(queue.next().await);
            assert!(start.elapsed() >= Duration::from_secs_f64(seconds), "{came}");
        }
        assert_eq!(came, "abcd");
        assert!(tokio::time::timeout(Duration::from_millis(20), queue.next()).await.is_err());
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_loses_nothing() {
        let mut queue = DelayQueue::default();
        // Long enough that a busy machine is not late by as much.
        queue.push(1.0, 'a');
        assert!(tokio::time::timeout(Duration::from_millis(5), queue.next()).await.is_err());
        assert_eq!(queue.next().await, 'a');
    }
}
