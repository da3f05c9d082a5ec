use std::{
    io::{IsTerminal, Stderr, stderr},
    sync::{
        Arc, Mutex, MutexGuard,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use page::Watch;
use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::{Hide, Show},
        execute,
        terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen},
    },
};
use scenario::Scenario;

use super::{
    draw::{Names, Picture, draw},
    history::History,
};
use crate::rounds::Metrics;

/// Between two pictures.
const EVERY: Duration = Duration::from_millis(250);

/// How often the whole screen is drawn anew: other processes of the run may write lines onto it.
const ANEW: Duration = Duration::from_secs(5);

/// The live table on standard error. A thread of its own paints it, so that a terminal that is held delays nothing.
pub(crate) struct Screen {
    history: Arc<Mutex<History>>,
    /// Dropped at the end, which the painter notices.
    end: Option<Sender<()>>,
    painter: Option<JoinHandle<()>>,
}

impl Screen {
    /// Takes over the terminal; none where standard error is no terminal. `page` is the address of the run's page.
    pub(crate) fn open(scenario: &Scenario, watch: Arc<Watch>, page: Option<String>) -> Option<Self> {
        if !stderr().is_terminal() {
            return None;
        }
        let history = Arc::new(Mutex::new(History::default()));
        let (names, shown) = (Names::of(scenario, page), history.clone());
        let (end, ended) = channel();
        let painting = move || {
            // A terminal that has gone shows nothing, and the run goes on.
            let _ = paint(&names, &shown, &watch, &ended);
            let _ = execute!(stderr(), LeaveAlternateScreen, Show);
        };
        let painter = std::thread::Builder::new().name("screen".into()).spawn(painting).ok()?;
        Some(Screen { history, end: Some(end), painter: Some(painter) })
    }

    /// Adds a round, and the shares of its ticks at which each entry was granted to each receiver.
    pub(crate) fn round(&self, metrics: &Metrics, granted: &[Vec<f64>]) {
        let values = [metrics.n_ce, metrics.sum_rate, metrics.loss, metrics.seconds];
        lock(&self.history).round(values, granted);
    }
}

impl Drop for Screen {
    /// Gives the terminal back.
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(painter) = self.painter.take() {
            let _ = painter.join();
        }
    }
}

/// Paints until the other end is dropped.
fn paint(
    names: &Names,
    history: &Mutex<History>,
    watch: &Watch,
    ended: &Receiver<()>,
) -> std::io::Result<()> {
    execute!(stderr(), EnterAlternateScreen, Hide)?;
    let mut terminal = begin()?;
    let mut anew = Instant::now();
    loop {
        if anew.elapsed() > ANEW {
            anew = Instant::now();
            terminal = begin()?;
        }
        let status = watch.status();
        terminal.draw(|frame| draw(frame, &Picture { names, history: &lock(history), status: &status }))?;
        if ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Disconnected) {
            return Ok(());
        }
    }
}

/// A terminal of which nothing is known, so that everything is drawn. (`Terminal::clear` asks the terminal where its
/// cursor is, and this process does not hear the answer.)
fn begin() -> std::io::Result<Terminal<CrosstermBackend<Stderr>>> {
    execute!(stderr(), Clear(ClearType::All))?;
    Terminal::new(CrosstermBackend::new(stderr()))
}

fn lock(history: &Mutex<History>) -> MutexGuard<'_, History> {
    history.lock().expect("no code panics while it holds this lock")
}
