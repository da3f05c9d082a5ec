//! A progress message for operations that take more than a moment.

use std::{
    io::IsTerminal,
    sync::{
        OnceLock,
        mpsc::{RecvTimeoutError, channel},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Time after which the message appears.
const SILENCE: Duration = Duration::from_secs(2);

/// Interval between two pictures of something that turns.
const TURN: Duration = Duration::from_millis(120);

/// Progress of an operation that may take a while: a bar on a terminal, a line elsewhere, on standard error; nothing if
/// it was quick.
pub(crate) struct Slow {
    what: String,
    since: Instant,
    bar: OnceLock<ProgressBar>,
}

impl Slow {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Slow { what: what.into(), since: Instant::now(), bar: OnceLock::new() }
    }

    /// Does something that has no parts to count, and says what it is if that takes a while.
    pub(crate) fn during<T>(what: &str, work: impl FnOnce() -> T) -> T {
        let (done, end) = channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                if end.recv_timeout(SILENCE) == Err(RecvTimeoutError::Timeout) {
                    let bar = turning(what);
                    let _ = end.recv();
                    bar.finish_and_clear();
                }
            });
            // Dropped at the end of the work, however that ends.
            let _done = done;
            work()
        })
    }

    /// Shows that `done` of `of` units are done.
    pub(crate) fn show(&self, done: usize, of: usize) {
        if self.since.elapsed() > SILENCE {
            self.bar.get_or_init(|| self.begin(of)).set_position(done as u64);
        }
    }

    fn begin(&self, of: usize) -> ProgressBar {
        if !std::io::stderr().is_terminal() {
            eprintln!("{}", self.what);
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {eta} left");
        let style = style.expect("the template is well-formed");
        ProgressBar::new(of as u64).with_style(style).with_message(self.what.clone())
    }
}

/// What is shown of something whose end is not known.
fn turning(what: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        eprintln!("{what}");
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    bar.enable_steady_tick(TURN);
    bar
}

impl Drop for Slow {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}
