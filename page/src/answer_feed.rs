use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::broadcast::{
    self,
    error::{RecvError, TryRecvError},
};

/// How many answers a reader may be behind before it misses some.
const BEHIND: usize = 1024;

/// The answers of a service, for everybody who follows them.
///
/// Publishing never waits for a reader: a reader that does not keep up misses answers, and is told how many.
#[derive(Debug)]
pub struct AnswerFeed {
    messages: broadcast::Sender<Message>,
    ended: AtomicBool,
}

/// One who follows.
#[derive(Debug)]
pub struct AnswerReader {
    messages: broadcast::Receiver<Message>,
    ended: bool,
}

/// What a reader is given next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextAnswer {
    /// An answer, or a sample that is skipped.
    Answer {
        /// The receiver that answered it; none: a sample that no receiver answers.
        receiver: Option<usize>,
        /// An object, on one line.
        json: Arc<str>,
    },
    /// So many answers were not kept for this reader.
    Missed(u64),
    /// The service has ended.
    End,
}

#[derive(Clone, Debug)]
enum Message {
    Answer(Option<usize>, Arc<str>),
    End,
}

impl Default for AnswerFeed {
    fn default() -> Self {
        AnswerFeed { messages: broadcast::channel(BEHIND).0, ended: AtomicBool::new(false) }
    }
}

impl AnswerFeed {
    /// Whether anybody follows.
    pub fn has_readers(&self) -> bool {
        self.messages.receiver_count() > 0
    }

    /// Gives an object, on one line, to all who follow.
    pub fn publish(&self, receiver: Option<usize>, json: &str) {
        // Usually there is no follower.
        let _ = self.messages.send(Message::Answer(receiver, json.into()));
    }

    /// Nothing follows.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let _ = self.messages.send(Message::End);
    }

    /// The answers from now on.
    pub fn follow(&self) -> AnswerReader {
        let messages = self.messages.subscribe();
        // Read behind that: an end in between is either seen here or comes as a message.
        AnswerReader { messages, ended: self.ended.load(Ordering::Acquire) }
    }
}

impl AnswerReader {
    /// What comes next. Cancelling it loses nothing.
    pub async fn next(&mut self) -> NextAnswer {
        if self.ended {
            return NextAnswer::End;
        }
        let message = self.messages.recv().await;
        self.take(message.map_err(|error| match error {
            RecvError::Lagged(missed) => Some(missed),
            RecvError::Closed => None,
        }))
    }

    /// The same, if it is there already.
    pub fn now(&mut self) -> Option<NextAnswer> {
        if self.ended {
            return Some(NextAnswer::End);
        }
        match self.messages.try_recv() {
            Ok(message) => Some(self.take(Ok(message))),
            Err(TryRecvError::Lagged(missed)) => Some(self.take(Err(Some(missed)))),
            Err(TryRecvError::Closed) => Some(self.take(Err(None))),
            Err(TryRecvError::Empty) => None,
        }
    }

    /// A message, or how many were missed, or none if there are no more.
    fn take(&mut self, message: Result<Message, Option<u64>>) -> NextAnswer {
        match message {
            Ok(Message::Answer(receiver, json)) => NextAnswer::Answer { receiver, json },
            Err(Some(missed)) => NextAnswer::Missed(missed),
            Ok(Message::End) | Err(None) => {
                self.ended = true;
                NextAnswer::End
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_gets_what_comes_from_now_on_and_the_end() {
        let feed = AnswerFeed::default();
        assert!(!feed.has_readers());
        feed.publish(Some(0), "before");
        let mut reader = feed.follow();
        assert!(feed.has_readers() && reader.now().is_none());
        feed.publish(Some(1), "{\"seq\":1}");
        feed.publish(None, "{\"seq\":2}");
        feed.end();
        let answer = |receiver, json: &str| NextAnswer::Answer { receiver, json: json.into() };
        assert_eq!(reader.next().await, answer(Some(1), "{\"seq\":1}"));
        assert_eq!(reader.now(), Some(answer(None, "{\"seq\":2}")));
        assert_eq!((reader.next().await, reader.now()), (NextAnswer::End, Some(NextAnswer::End)));
        assert_eq!(feed.follow().next().await, NextAnswer::End, "it has ended before");
    }

    #[tokio::test]
    async fn one_that_does_not_keep_up_is_told_how_many_it_missed_and_delays_nobody() {
        let feed = AnswerFeed::default();
        let (mut slow, mut swift) = (feed.follow(), feed.follow());
        let all = 3 * BEHIND;
        for seq in 0..all {
            feed.publish(None, &seq.to_string());
            assert_ne!(swift.now(), None);
        }
        let NextAnswer::Missed(missed) = slow.next().await else { panic!("it has missed some") };
        let mut read = 0;
        while let Some(answer) = slow.now() {
            assert!(matches!(answer, NextAnswer::Answer { .. }), "{answer:?}");
            read += 1;
        }
        assert_eq!(missed as usize + read, all);
    }
}
