//! The page of a run under way: its server, and what it is fed.

mod address;
mod feed;
mod figures;
mod pass_clock;

use std::{io::IsTerminal, sync::Arc};

use ::page::{AnswerFeed, Door, Site};
use link::{LinkError, Listener, Token};
use node::Traces;
use proto::v1::Action;
use tokio::{sync::oneshot, task::JoinHandle};

pub use address::PageAddress;
pub(crate) use feed::{Feed, Readers, RoundLines};
pub(crate) use pass_clock::PassClock;

use crate::{
    CoordinatorError, Drawn, Mode, Options, RunFolder,
    manage::to_json,
    service::{Event, Service},
    tensorboard::TensorBoard,
};

/// The file of a run's folder with the page's address.
pub(crate) const PAGE: &str = "page";

/// The file of a run's folder with a token for the page alone, where the run itself has none.
const PAGE_TOKEN: &str = "page-token";

/// Where readers find the token.
const TOKEN_PLACE: &str = "in the run's folder, in the file \"token\" or \"page-token\"";

/// How long a page stays for its readers to hear how the run ended.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(300);

/// Listens for readers of the page, unless there is to be none.
pub(crate) async fn listen(options: &Options) -> Result<Option<Listener>, CoordinatorError> {
    let address = match options.page {
        PageAddress::Off => return Ok(None),
        PageAddress::At(address) => address,
        PageAddress::Free => PageAddress::free(options.listen),
    };
    match Listener::bind_for_page(address).await {
        Ok(listener) => Ok(Some(listener)),
        // The user did not choose this address, or the run restarts after a fault: it continues without a page.
        Err(error) if options.page == PageAddress::Free || options.mode == Mode::ResumeOrStart => {
            tracing::warn!(%error, "this run has no page");
            Ok(None)
        }
        Err(LinkError::Listen { address, error }) => Err(CoordinatorError::Input(format!(
            "cannot listen on {address} for the page: {error}; choose another with --page (port 0 takes a free one), or --page off"
        ))),
        Err(error) => Err(error.into()),
    }
}

/// What a page is fed, whether there is one or not.
///
/// # Errors
///
/// If no event file can be begun where one is wanted.
pub(crate) fn feed(
    options: &Options,
    folder: &RunFolder,
    service: &Service,
    is_served: bool,
) -> Result<Arc<Feed>, CoordinatorError> {
    let about = ::page::about(&options.scenario, &folder.path().display().to_string());
    let (shared_status, members) = (service.shared_status.clone(), service.members.clone());
    let status = move || {
        let mut status = to_json(&shared_status.status(members.status()));
        shared_status.add_devices(&mut status);
        status
    };
    let events = service.events.clone();
    let obey = move |command| {
        let action = match command {
            ::page::Command::Pause => Action::Pause,
            ::page::Command::Resume => Action::Resume,
            ::page::Command::Stop => Action::Stop,
        };
        events.try_send(Event::Told(action)).map_err(|_| "the run is over, or too busy just now".into())
    };
    let watch = ::page::Watch::new(about, folder.path(), status, Some(obey));
    let readers = Readers {
        is_served,
        is_scraped: is_served || options.health.is_served(),
        traces: Traces::begin(options.otlp.as_ref(), "coordinator"),
        writes: options.mode != Mode::Evaluate,
    };
    let feed = Arc::new(Feed::new(&options.scenario, service.run.clone(), watch, readers));
    let metrics = feed.clone();
    options.health.publish(move || metrics.metrics());
    if let Some(folder) = options.tensorboard.as_ref().filter(|_| options.mode != Mode::Evaluate) {
        feed.write_to(TensorBoard::begin(folder, &options.scenario)?);
    }
    Ok(feed)
}

/// A page that is served.
pub(crate) struct Page {
    /// Its address, with the token where standard error may show that.
    shown: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    answers: Option<Arc<AnswerFeed>>,
}

impl Page {
    /// Serves the page, says where, and writes that to the run's folder.
    pub(crate) fn serve(
        listener: Listener,
        options: &Options,
        folder: &RunFolder,
        (feed, answers): (&Arc<Feed>, Option<Arc<AnswerFeed>>),
    ) -> Result<Self, CoordinatorError> {
        let address = listener.address();
        let token = match options.security.token() {
            Some(token) => token,
            None => {
                let is_fresh = matches!(options.mode, Mode::Train { .. });
                Token::keep(&folder.file(PAGE_TOKEN), is_fresh)?
            }
        };
        let url = format!("http://{address}/");
        folder.write_whole(PAGE, url.as_bytes())?;
        // Other users may be able to read a log, so only a terminal gets the token.
        let fragment = if std::io::stderr().is_terminal() { token.fragment() } else { String::new() };
        let shown = format!("{url}{fragment}");
        eprintln!("page {shown}");
        let metrics = feed.clone();
        let site = Site::of_run(feed.watch().clone(), Door::new(address, Some(token), TOKEN_PLACE));
        let drawn = Drawn::default();
        let site = site
            .with_metrics(move || metrics.metrics())
            .with_answers(answers.clone())
            .with_ticks(move |folder, tick| drawn.tick(folder, tick));
        let router = site.router();
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(listener.serve_http(router, async { drop(stopped.await) }));
        Ok(Page { shown, stop, server, answers })
    }

    /// Its address, as it was shown.
    pub(crate) fn shown(&self) -> String {
        self.shown.clone()
    }

    /// Tells readers that the run has ended, and closes the page.
    pub(crate) async fn close(self, feed: &Feed) {
        let is_followed = self.answers.is_some_and(|answers| answers.has_readers());
        if feed.watch().end() || is_followed {
            tokio::time::sleep(LAST_WORDS).await;
        }
        drop(self.stop);
        let _ = self.server.await;
    }
}
