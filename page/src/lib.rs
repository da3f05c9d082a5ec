//! The page of a run: what a browser shows of it while it trains and after, and the small server behind it.
//!
//! A [`Watch`] is what is known of one run. A coordinator feeds it as rounds end; for a folder of runs, [`Runs`] feeds
//! one from each run's files. A [`Site`] answers requests: the page itself, the state as JSON, server-sent events. The
//! answers of a service go through an [`AnswerFeed`].

mod about;
mod answer_feed;
mod assets;
mod door;
mod history;
mod logs;
mod moments;
mod replays;
mod runs;
mod site;
mod stream;
mod watch;

pub use about::about;
pub use answer_feed::{AnswerFeed, AnswerReader, NextAnswer};
pub use assets::{file_of, report};
pub use door::Door;
pub use moments::{MOMENTS, Moment};
pub use runs::Runs;
pub use site::Site;
pub use watch::{Command, Watch};
