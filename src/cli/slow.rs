//! A progress message for operations that take more than a moment.

use std::{
    io::IsTerminal,
    sync::OnceLock,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Time after which the message appears.
const SILENCE: Duration = Duration::from_secs(2);

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

impl Drop for Slow {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}
