//! Conducts a run: the server and its conductor, incarnation by incarnation, from the first join to the summary.

mod ending;
mod events;
mod joining;
mod serving;
mod training;
mod validating;
mod watch;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use link::{Listener, Name};
use node::Probe;
use proto::v1::{Abort, coordinator_server::CoordinatorServer, order::Order};
use scenario::Scenario;
use tokio::{sync::mpsc, time::Instant};

use self::{serving::Sizes, watch::Watch};
use crate::{
    CoordinatorError, Mode, Options, Outcome,
    interruption::Interruption,
    lock,
    members::{Member, Members},
    options::Deadlines,
    ordered::Ordered,
    page::{self, Feed, Page},
    progress::Progress,
    rounds::Rounds,
    screen::Screen,
    service::{Current, Event, Service},
    setup::Setup,
    shared_status::SharedStatus,
    stream::{Apart, Newer, Stream, StreamService},
    summary::ClassCounts,
    validation::Best,
};

/// Time for queued orders to leave.
const FLUSH: Duration = Duration::from_millis(10);

/// Time limit for sending the last orders to the nodes.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The largest message that a node sends, in bytes: a report of an evaluation pass over some ten thousand recordings,
/// or a piece of a state.
const LARGEST_MESSAGE: usize = 4 << 20;

/// Conducts a run from the first join to the summary, or until it is stopped.
///
/// # Errors
///
/// A [`CoordinatorError`] that says why the run ended early.
pub async fn run(options: Options) -> Result<Outcome, CoordinatorError> {
    node::check_data_names(&options.scenario)?;
    node::check_kinds(&options.scenario)?;
    node::check_channels(&options.scenario)?;
    let listener = Listener::bind(options.listen, &options.security, options.insecure).await?;
    let page_listener = page::listen(&options).await?;
    let _token = options.security.publish(listener.address().port());
    let setup = Setup::set(&options, listener.address()).await?;
    let options = Options { scenario: setup.scenario.clone(), ..options };
    let (events, inbox) = mpsc::channel(1024);
    let (transmitters, receivers) = (options.scenario.transmitters(), options.scenario.receivers());
    let service = Service {
        run: setup.run.clone(),
        current: Arc::new(Mutex::new(setup.current())),
        scenario: options.scenario.to_toml().into(),
        seed: setup.seed.to_bytes(),
        verify: options.verify || options.scenario.record.draws,
        checkpoints: setup.checkpoints.clone(),
        members: Members::new(transmitters, receivers, setup.incarnation).into(),
        ordered: Arc::default(),
        shared_status: SharedStatus::new(&options.scenario).into(),
        events,
    };
    let feed = page::feed(&options, &setup.folder, &service, page_listener.is_some())?;
    let stream = match &options.serve {
        Some(serve) => Some(Stream::open(serve, &options.scenario, (options.json, options.insecure))?),
        None => None,
    };
    let answers = stream.as_ref().map(Stream::answers);
    let stream_service = stream.as_ref().map(Stream::service);
    let apart = match &stream_service {
        Some(service) => Apart::serve(&options, service).await?,
        None => None,
    };
    let page = match page_listener {
        Some(listener) => Some(Page::serve(listener, &options, &setup.folder, (&feed, answers.clone()))?),
        None => None,
    };
    let newer = options.serve.as_ref().filter(|serve| serve.stream.reload).map(Newer::of).transpose()?;
    let patience = options.serve.as_ref().map(|serve| serve.stream.patience());
    if options.tui {
        let page = page.as_ref().map(Page::shown);
        if let Some(screen) = Screen::open(&options.scenario, feed.watch().clone(), page) {
            feed.show_on(screen);
        }
    }
    let mut conductor = Conductor {
        stream,
        newer,
        patience,
        ..Conductor::new(options, setup, &service, feed.clone(), inbox)
    };
    let (close, closed) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let router = listener
            .server()
            .add_service(CoordinatorServer::new(service).max_decoding_message_size(LARGEST_MESSAGE))
            .add_service(Probe::of(Name::Coordinator))
            .add_optional_service(stream_service.map(StreamService::server));
        listener.serve(router, async { drop(closed.await) }).await
    });
    let outcome = conductor.conduct().await.map_err(|error| match error {
        CoordinatorError::File { .. } | CoordinatorError::Store(_) => {
            CoordinatorError::Run(format!("{error}; {}", conductor.advice()))
        }
        error => error,
    });
    feed.close_screen();
    lock::announce_end(conductor.setup.folder.path());
    conductor.announce(&outcome);
    // Callers see the end of the stream: the service takes no more samples and sends no more answers.
    conductor.stream = None;
    if let Some(answers) = &answers {
        answers.end();
    }
    if let Err(error) = &outcome {
        conductor.members.order(Order::Abort(Abort { reason: error.to_string() }));
    }
    conductor.members.close();
    // Order streams end after their queued orders have been sent. The server is told to end last, so that its behaviour
    // does not depend on which of the two it sees first.
    tokio::time::sleep(FLUSH).await;
    drop(close);
    let mut server = server;
    if tokio::time::timeout(LAST_WORDS, &mut server).await.is_err() {
        server.abort();
    }
    if let Some(apart) = apart {
        apart.close().await;
    }
    if let Some(page) = page {
        page.close(&feed).await;
    }
    feed.flush().await;
    outcome
}

struct Conductor {
    scenario: Scenario,
    mode: Mode,
    verify: bool,
    stop_after: Option<u64>,
    print_only: bool,
    deadlines: Deadlines,
    terminate: node::Shutdown,
    setup: Setup,
    current: Arc<Mutex<Current>>,
    members: Arc<Members>,
    ordered: Arc<Ordered>,
    shared_status: Arc<SharedStatus>,
    feed: Arc<Feed>,
    inbox: mpsc::Receiver<Event>,
    /// When the last event other than a heartbeat arrived.
    moved: Instant,
    /// Whether this process stood still while it waited for an event.
    watch: Watch,
    /// Time of the first loss since the last finished round.
    failing_since: Option<Instant>,
    /// Whether granting of rounds is paused.
    paused: bool,
    /// Whether the run ends at the next version.
    stopping: bool,
    /// A node that wants to leave, after a checkpoint.
    leaving: Option<Member>,
    /// Class counts of the receivers that classify.
    classes: Vec<ClassCounts>,
    /// A node has networks that give the same bits in the same build alone.
    same_build: bool,
    /// Libraries with which nodes' networks compute beside this program, in order.
    libraries: BTreeSet<String>,
    /// The version that has scored best on validation rows, where there are any.
    best: Option<Best>,
    /// How large what the nodes have is.
    sizes: Sizes,
    /// What is served, if that is what this coordinator does.
    stream: Option<Stream>,
    /// Where newer checkpoints than the one that is served are looked for.
    newer: Option<Newer>,
    /// How long a service waits for lost transmitters before it goes on without them.
    patience: Option<Duration>,
    /// The transmitters without which it does.
    gone: BTreeSet<Member>,
    /// Who was refused last for speaking out of turn, and the version from which the incarnation had begun.
    refused: Option<(Member, u64)>,
}

impl Conductor {
    fn new(
        options: Options,
        setup: Setup,
        service: &Service,
        feed: Arc<Feed>,
        inbox: mpsc::Receiver<Event>,
    ) -> Self {
        let conductor = Conductor {
            scenario: options.scenario,
            mode: options.mode,
            verify: options.verify,
            stop_after: options.stop_after,
            print_only: options.print_only,
            deadlines: options.deadlines,
            terminate: options.terminate,
            setup,
            current: service.current.clone(),
            members: service.members.clone(),
            ordered: service.ordered.clone(),
            shared_status: service.shared_status.clone(),
            feed,
            inbox,
            moved: Instant::now(),
            watch: Watch::default(),
            failing_since: None,
            paused: false,
            stopping: false,
            leaving: None,
            classes: Vec::new(),
            same_build: false,
            libraries: BTreeSet::new(),
            best: None,
            sizes: Sizes::default(),
            stream: None,
            newer: None,
            patience: None,
            gone: BTreeSet::new(),
            refused: None,
        };
        conductor.shared_status.incarnation(conductor.setup.incarnation, conductor.setup.version(), None);
        if let Some(version) = conductor.setup.saved {
            conductor.shared_status.checkpoint(version);
        }
        conductor
    }

    /// Runs incarnations until one reaches the end.
    async fn conduct(&mut self) -> Result<Outcome, CoordinatorError> {
        loop {
            match self.incarnation().await {
                Ok(outcome) => return Ok(outcome),
                Err(Interruption::Stopped(version)) => {
                    let served = self.end_stream().await;
                    return Ok(served.unwrap_or(Outcome::Stopped(version)));
                }
                Err(Interruption::Fatal(error)) => return Err(error),
                // A lost node need not come back for the end, as when all nodes are stopped at the same time.
                Err(Interruption::Lost(line)) if self.stopping => {
                    if let Some(stream) = &mut self.stream {
                        stream.lose(&line).await;
                        self.members.order(Order::Abort(Abort { reason: "the service has ended".into() }));
                        return Ok(self.end_stream().await.unwrap_or(Outcome::Stopped(0)));
                    }
                    eprintln!("{line}: ending without a further checkpoint");
                    self.members.order(Order::Abort(Abort { reason: "the run was told to stop".into() }));
                    return Ok(Outcome::Stopped(self.setup.saved.unwrap_or(0)));
                }
                Err(Interruption::Lost(line)) => {
                    if let Some(stream) = &mut self.stream {
                        stream.lose(&line).await;
                    }
                    self.roll_back(line).await?;
                }
            }
        }
    }

    /// Runs from the first join to the summary without a loss.
    async fn incarnation(&mut self) -> Result<Outcome, Interruption> {
        self.best = self.setup.committed.as_ref().and_then(|run| run.best);
        let devices = self.gather().await?;
        self.note("ready", "all nodes are ready");
        if self.stream.is_some() {
            return self.serve().await;
        }
        let mut rounds = match self.mode {
            Mode::Evaluate => None,
            _ => {
                let (folder, committed) = (&self.setup.folder, self.setup.committed.as_ref());
                let (version, feed) = (self.setup.version(), self.feed.clone());
                Some(Rounds::new(&self.scenario, folder, version, committed, self.verify, feed)?)
            }
        };
        self.feed.restart(self.setup.version(), self.setup.incarnation);
        let start = Instant::now();
        let mut version = self.setup.version();
        if let Some(rounds) = &mut rounds {
            version = self.train(rounds, version).await?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let judge = self.evaluate(version).await?;
        let fingerprint = self.setup.checkpoints.fingerprint(version).await.map_err(|error| match error {
            // The checkpoint was damaged after it was checked; an earlier one may exist.
            CoordinatorError::Input(line) => Interruption::Lost(line),
            error => error.into(),
        })?;
        let summary = self.sum_up(devices, version, seconds, rounds.as_ref(), &judge, fingerprint)?;
        self.dismiss().await;
        Ok(Outcome::Done(Box::new(summary)))
    }

    /// Goes back to the last checkpoint: increments the incarnation, writes it down, and lets all nodes join again.
    async fn roll_back(&mut self, line: String) -> Result<(), CoordinatorError> {
        let patience = self.deadlines.rejoin;
        if patience.is_zero() {
            return Err(CoordinatorError::Run(line));
        }
        if self.failing_since.get_or_insert_with(Instant::now).elapsed() > patience {
            let seconds = patience.as_secs();
            let message = format!("{line}; no round was finished within {seconds} s of the first such loss");
            return Err(CoordinatorError::Run(message));
        }
        self.members.close_door();
        self.ordered.end();
        self.setup.go_back().await?;
        *self.current.lock().expect("no code panics while it holds this lock") = self.setup.current();
        self.members.roll_back(self.setup.incarnation, &line);
        self.leaving = None;
        let (incarnation, version) = (self.setup.incarnation, self.setup.version());
        self.shared_status.incarnation(incarnation, version, Some(&line));
        match self.stream {
            Some(_) => eprintln!("{line}: waiting for it to come back (incarnation {incarnation})"),
            None => eprintln!("{line}: going back to round {version} (incarnation {incarnation})"),
        }
        self.note("lost", &format!("{line}: going back to round {version}"));
        Ok(())
    }

    /// What to do after the folder or the store failed. The advice must work: without a checkpoint the run cannot
    /// continue.
    fn advice(&self) -> String {
        let folder = self.setup.folder.path().display();
        let then = match (self.mode, self.setup.saved) {
            (Mode::Evaluate, _) => format!("judge it again with: pom2dib evaluate {folder}"),
            (_, Some(_)) => format!("go on with: pom2dib run --resume {folder}"),
            (_, None) => "start it again, with --force".into(),
        };
        format!("see that there is room and a way to it, then {then}")
    }

    /// Progress over `total` units, of which `done` are done.
    fn progress(&self, unit: &'static str, total: u64, done: u64) -> Progress {
        if self.feed.has_screen() { Progress::hidden() } else { Progress::new(unit, total, done) }
    }

    /// Writes down that something happened, for the page.
    fn note(&self, kind: &str, text: &str) {
        self.feed.moment(kind, self.shared_status.round(), text);
    }

    /// Tells the page how the run ended.
    fn announce(&self, outcome: &Result<Outcome, CoordinatorError>) {
        let (phase, text) = match outcome {
            Ok(Outcome::Done(_) | Outcome::Served(_)) => ("done", "done".into()),
            Ok(Outcome::Stopped(version)) => ("stopped", format!("stopped after round {version}")),
            Err(error) => ("failed", error.to_string()),
        };
        self.shared_status.phase(phase);
        self.note(phase, &text);
    }
}
