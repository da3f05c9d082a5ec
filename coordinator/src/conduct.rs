mod ending;
mod joining;
mod serving;
mod validating;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use link::{Listener, Name};
use node::Probe;
use proto::v1::{
    Abort, Action, SaveState, Train, coordinator_server::CoordinatorServer, order::Order, report::Report,
};
use scenario::Scenario;
use tokio::{sync::mpsc, time::Instant};

use self::serving::Sizes;
use crate::{
    CoordinatorError, Mode, Options, Outcome,
    interruption::Interruption,
    lock,
    manifest::state_name,
    members::{Member, Members, Origin},
    options::Deadlines,
    ordered::Ordered,
    page::{self, Feed, Page},
    progress::Progress,
    rounds::Rounds,
    screen::Screen,
    service::{Current, Event, Service},
    setup::Setup,
    shared_status::SharedStatus,
    stall,
    stream::{Apart, Newer, Stream, StreamService},
    summary::{ClassCounts, hex},
    validation::Best,
};

/// Rounds for which sync ticks are granted ahead of the slowest receiver: enough that no node waits for the grant.
const AHEAD: u64 = 8;

/// Time for queued orders to leave.
const FLUSH: Duration = Duration::from_millis(10);

/// Time limit for sending the last orders to the nodes.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The largest message that a node sends, in bytes: a report of an evaluation pass over some ten thousand recordings,
/// or a piece of a state.
const LARGEST_MESSAGE: usize = 4 << 20;

/// Interval between checks for silent nodes.
const LOOK: Duration = Duration::from_millis(500);

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

    // ------------------------------------------------------------------------------------------------- training

    /// Trains stretch by stretch; each ends with an evaluation on validation rows, a checkpoint, or both. Returns the
    /// version reached.
    async fn train(&mut self, rounds: &mut Rounds, first: u64) -> Result<u64, Interruption> {
        let last = self.scenario.train.rounds;
        let every = self.scenario.checkpoint.every;
        let mut progress = self.progress("rounds", last, first);
        let mut version = first;
        while version < last && !self.is_out_of_patience() {
            self.shared_status.phase("training");
            let boundary =
                next_multiple(version, every).min(next_multiple(version, self.scenario.evaluation.every));
            let boundary = boundary.min(last).min(self.stop_after.unwrap_or(last).max(version));
            let reached = self.train_to(rounds, version, boundary, &mut progress).await?;
            if self.stop_after.is_some_and(|stop| reached >= stop) {
                // Transmitters step and report when the next order lets them: a checkpoint does.
                self.save(rounds, reached, &mut progress).await?;
                progress.end();
                self.dismiss().await;
                return Err(Interruption::Stopped(reached));
            }
            let mut is_best = false;
            if reached > version && self.scenario.validates_at(reached) {
                is_best = self.validate(rounds, reached, &mut progress).await?;
            }
            // A checkpoint that is neither due nor the best may be skipped.
            let is_due = reached == next_multiple(version, every) || reached == last;
            let ends = self.stopping || self.leaving.is_some() || self.is_out_of_patience();
            if (is_due || is_best || ends) && self.setup.saved != Some(reached) {
                self.save(rounds, reached, &mut progress).await?;
            }
            version = reached;
            if self.stopping {
                self.dismiss().await;
                return Err(Interruption::Stopped(version));
            }
            if let Some(member) = self.leaving {
                return Err(Interruption::left(member, "it was told to end"));
            }
        }
        progress.end();
        if version < last
            && let Some(best) = self.best
        {
            eprintln!(
                "training ends early, after round {version} of {last}: {} evaluations on validation rows were no better than that \
                 of round {}",
                best.since, best.round
            );
        }
        Ok(version)
    }

    /// Grants rounds a few ahead of the slowest receiver until `boundary`, or until the run or a node must stop.
    /// Returns the version reached.
    async fn train_to(
        &mut self,
        rounds: &mut Rounds,
        first: u64,
        boundary: u64,
        progress: &mut Progress,
    ) -> Result<u64, Interruption> {
        let mut granted = first;
        loop {
            let finished = rounds.finished_by_receivers();
            // Granted rounds are always computed: the next version lies at their end.
            let ends = self.stopping || self.leaving.is_some();
            let boundary = if ends { granted } else { boundary };
            if finished >= boundary {
                return Ok(boundary);
            }
            let horizon = (finished + AHEAD).min(boundary);
            if horizon > granted && !self.paused {
                granted = horizon;
                self.order(Order::Train(Train { to: granted }))?;
            }
            let event = self.next_event().await?;
            self.take_round(rounds, event, progress)?;
        }
    }

    /// Orders a checkpoint, waits for every state and commits it.
    async fn save(
        &mut self,
        rounds: &mut Rounds,
        version: u64,
        progress: &mut Progress,
    ) -> Result<(), Interruption> {
        self.shared_status.phase("saving a checkpoint");
        self.ordered.begin(self.setup.incarnation, version, self.members.all());
        self.order(Order::Save(SaveState { version }))?;
        let mut files = BTreeMap::new();
        while files.len() < self.members.total() || rounds.whole() < version {
            match self.next_event().await? {
                Event::Saved { member, version: saved, sha256, .. } if saved == version => {
                    files.insert(state_name(member, self.setup.incarnation), hex(&sha256));
                }
                event => self.take_round(rounds, event, progress)?,
            }
        }
        self.ordered.end();
        self.setup.commit(version, files, rounds.commit()?, self.best).await?;
        self.shared_status.checkpoint(version);
        self.note("checkpoint", &format!("checkpoint of round {version}"));
        tracing::info!(version, "checkpoint committed");
        Ok(())
    }

    fn take_round(
        &mut self,
        rounds: &mut Rounds,
        event: Event,
        progress: &mut Progress,
    ) -> Result<(), Interruption> {
        let whole = match rounds.take(event)? {
            Ok(whole) => whole,
            Err(Event::Told(_) | Event::Tick) => None,
            Err(event) => return Err(self.out_of_turn(&event)),
        };
        if let Some(metrics) = whole {
            self.failing_since = None;
            self.shared_status.rounds_done(rounds.whole());
            progress.round(&metrics);
        }
        Ok(())
    }

    // ------------------------------------------------------------------------------------------------- events

    /// Sends an order to all nodes.
    fn order(&self, order: Order) -> Result<(), Interruption> {
        Conductor::all_read(&self.members.order(order))
    }

    /// A node that does not read its orders is lost.
    fn all_read(deaf: &[Member]) -> Result<(), Interruption> {
        match deaf.first() {
            None => Ok(()),
            Some(deaf) => Err(Interruption::left(*deaf, "it does not read its orders")),
        }
    }

    /// A member that speaks out of turn is broken: it is refused and counts as lost. If another node in its place does
    /// the same from the same checkpoint on, that ends the run; so does what comes in its turn but does not fit: a retry
    /// would give the same.
    fn out_of_turn(&mut self, event: &Event) -> Interruption {
        let (member, what) = match event {
            Event::Report(_, member, report) => (*member, name_of(report)),
            Event::Saved { member, version, .. } => (*member, format!("a state of version {version}")),
            Event::Gone(_, member, reason) => return Interruption::left(*member, reason),
            Event::Told(_) | Event::Fault(_) | Event::Damaged(..) | Event::Tick => {
                return CoordinatorError::Run("nothing is out of turn".into()).into();
            }
        };
        let reason = self.refuse(member, &what);
        let version = self.setup.version();
        if self.refused.replace((member, version)) == Some((member, version)) {
            let line = format!("{member}: {reason}, and has before since the checkpoint of round {version}");
            return CoordinatorError::Run(line).into();
        }
        Interruption::left(member, &reason)
    }

    /// Closes a member's stream because of what it sent; returns the reason, which it is told.
    fn refuse(&self, member: Member, what: &str) -> String {
        let reason = format!("it sent {what} out of turn");
        link::log_refusal("a node", member, &reason);
        self.members.refuse(member, &reason);
        reason
    }

    /// The next event of a run under way; a node that fails, leaves or stalls counts as lost.
    async fn next_event(&mut self) -> Result<Event, Interruption> {
        match self.next().await? {
            Event::Report(_, member, Report::Failed(failed)) if failed.lost => {
                Err(Interruption::Lost(format!("{member}: {}", failed.message)))
            }
            Event::Report(_, member, Report::Failed(failed)) => {
                Err(CoordinatorError::Run(format!("{member}: {}", failed.message)).into())
            }
            Event::Gone(_, member, reason) => Err(Interruption::left(member, &reason)),
            Event::Report(_, member, Report::Leaving(_)) => {
                self.leaving = Some(member);
                Ok(Event::Tick)
            }
            Event::Tick if !self.paused && self.moved.elapsed() > self.deadlines.stall => {
                let line = stall::blame(&self.members.status(), self.moved.elapsed());
                self.moved = Instant::now();
                Err(Interruption::Lost(line))
            }
            event => Ok(event),
        }
    }

    /// The next event of this incarnation, or a tick if nothing happens.
    async fn next(&mut self) -> Result<Event, Interruption> {
        loop {
            if let Some((member, silence)) = self.members.silent(self.deadlines.silence) {
                self.members.release(member);
                let reason = format!("it has said nothing for {} s", silence.as_secs());
                let origin = Origin { incarnation: self.setup.incarnation, admission: None };
                return Ok(Event::Gone(origin, member, reason));
            }
            // Ready events are taken in this fixed order, not at random.
            let event = tokio::select! {
                biased;
                () = self.terminate.announced(), if !self.stopping => Event::Told(Action::Stop),
                event = self.inbox.recv() => match event {
                    Some(event) => event,
                    None => return Err(CoordinatorError::Run("the server has ended".into()).into()),
                },
                () = tokio::time::sleep(LOOK) => return Ok(Event::Tick),
            };
            match &event {
                Event::Told(action) => self.heed(*action),
                Event::Fault(line) => {
                    return Err(CoordinatorError::Run(format!("{line}; {}", self.advice())).into());
                }
                // Messages of an earlier incarnation are dropped.
                event if event.incarnation() != Some(self.setup.incarnation) => continue,
                // So are those of a node that has lost its place: another one may hold it.
                Event::Report(origin, member, _) | Event::Gone(origin, member, _)
                    if !self.members.is_of_holder(*origin, *member) =>
                {
                    continue;
                }
                // The service has excluded these nodes: ignore their losses and failures until they report ready again.
                Event::Gone(_, member, _)
                | Event::Report(_, member, Report::Failed(_) | Report::Leaving(_))
                    if self.gone.contains(member) =>
                {
                    self.members.release(*member);
                    continue;
                }
                // An earlier checkpoint exists.
                Event::Damaged(_, line) => return Err(Interruption::Lost(line.clone())),
                Event::Gone(_, member, _) => self.members.release(*member),
                _ => self.moved = Instant::now(),
            }
            return Ok(event);
        }
    }

    fn heed(&mut self, action: Action) {
        match action {
            Action::Pause => {
                self.note("paused", "paused");
                self.paused = true;
            }
            Action::Resume => {
                self.note("resumed", "resumed");
                (self.paused, self.moved) = (false, Instant::now());
            }
            Action::Stop => {
                self.note("stop", "told to stop");
                self.stopping = true;
                lock::announce_end(self.setup.folder.path());
            }
            Action::Status => {}
        }
        self.shared_status.paused(self.paused);
        tracing::info!(?action, "told");
    }
}

/// The next multiple of a number of rounds after `version`; the largest number if `every` is 0.
fn next_multiple(version: u64, every: u64) -> u64 {
    version.checked_div(every).map_or(u64::MAX, |whole| (whole + 1).saturating_mul(every))
}

fn blame(member: Member, message: &str, input: bool) -> CoordinatorError {
    let line = format!("{member}: {message}");
    if input { CoordinatorError::Input(line) } else { CoordinatorError::Run(line) }
}

/// What a report is, without its content.
fn name_of(report: &Report) -> String {
    let whole = format!("{report:?}");
    whole.split('(').next().unwrap_or_default().to_owned()
}
