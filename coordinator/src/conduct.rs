use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use link::Listener;
use node::Role;
use proto::v1::{
    Abort, Evaluate, Ready, SaveState, Start, Stop, Train, coordinator_server::CoordinatorServer,
    order::Order, report::Report,
};
use randomness::Seed;
use scenario::Scenario;
use tokio::sync::mpsc;

use crate::{
    CoordinatorError, Mode, Options, RunFolder, Summary, Timing, Wire, check, check_names,
    folder::state_name,
    judge::Judge,
    members::{Member, Members},
    progress::Progress,
    rounds::Rounds,
    service::{Event, Service},
    summary::{fingerprint, hex},
};

/// Rounds for which sync ticks are granted ahead of the slowest receiver: enough that nobody waits for the grant.
const AHEAD: u64 = 8;

/// Names of the nodes still missing are said after this long.
const PATIENT: Duration = Duration::from_secs(5);

/// Conducts a run from the first join to the summary.
pub async fn run(options: Options) -> Result<Summary, CoordinatorError> {
    check_names(&options.scenario)?;
    let listener = Listener::bind(options.listen, options.insecure).await?;
    let stage = Stage::set(&options, &listener)?;
    let (events, inbox) = mpsc::channel(1024);
    let members = Arc::new(Members::new(options.scenario.transmitters(), options.scenario.receivers()));
    let service = Service {
        run: stage.run.clone(),
        incarnation: stage.incarnation,
        scenario: options.scenario.to_toml().into(),
        seed: stage.seed.to_bytes(),
        restore: stage.restore.as_ref().map(|(_, path)| path.clone()),
        folder: stage.folder.clone(),
        members: members.clone(),
        events,
    };
    let server = tokio::spawn(async move {
        let router = Listener::server().add_service(CoordinatorServer::new(service));
        listener.serve(router, std::future::pending()).await
    });
    let mut conductor =
        Conductor { scenario: options.scenario, stage, members, inbox, patience: options.patience };
    let outcome = conductor.conduct(options.mode).await;
    if let Err(error) = &outcome {
        conductor.abort(&error.to_string()).await;
    }
    conductor.members.close();
    // Order streams end after what is queued in them has gone out.
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.abort();
    outcome
}

/// What stands before the first node joins.
struct Stage {
    run: Bytes,
    incarnation: u64,
    seed: Seed,
    folder: RunFolder,
    /// The checkpoint from which the run goes on.
    restore: Option<(u64, std::path::PathBuf)>,
}

impl Stage {
    fn set(options: &Options, listener: &Listener) -> Result<Self, CoordinatorError> {
        let folder = match options.mode {
            Mode::Train { force } => RunFolder::create(&options.folder, &options.scenario, force)?,
            Mode::Resume | Mode::Evaluate => RunFolder::at(&options.folder),
        };
        let restore = match options.mode {
            Mode::Train { .. } => None,
            Mode::Resume | Mode::Evaluate => Some(folder.last_checkpoint()?),
        };
        if let (Mode::Resume, Some((_, checkpoint))) = (options.mode, &restore) {
            folder.check_numerics(checkpoint)?;
        }
        let mut run = [0; 16];
        getrandom::fill(&mut run)
            .map_err(|error| CoordinatorError::Run(format!("the system gives no random bytes: {error}")))?;
        let incarnation = folder.next_incarnation()?;
        folder.write_whole("address", listener.address().to_string().as_bytes())?;
        tracing::info!(address = %listener.address(), run = hex(&run), "listening");
        Ok(Stage {
            run: Bytes::copy_from_slice(&run),
            incarnation,
            seed: Seed::from_number(options.scenario.seed),
            folder,
            restore,
        })
    }

    /// Steps that all parameters have taken at the start.
    fn version(&self) -> u64 {
        self.restore.as_ref().map_or(0, |(round, _)| *round)
    }
}

struct Conductor {
    scenario: Scenario,
    stage: Stage,
    members: Arc<Members>,
    inbox: mpsc::Receiver<Event>,
    patience: Duration,
}

impl Conductor {
    async fn conduct(&mut self, mode: Mode) -> Result<Summary, CoordinatorError> {
        let devices = self.gather().await?;
        let mut rounds = match mode {
            Mode::Evaluate => None,
            _ => Some(Rounds::new(&self.scenario, &self.stage.folder, self.stage.version())?),
        };
        let start = Instant::now();
        let mut version = self.stage.version();
        if let Some(rounds) = &mut rounds {
            version = self.train(rounds, version).await?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let judge = self.evaluate().await?;
        self.stop().await?;
        self.sum_up(mode, devices, version, seconds, rounds.as_ref(), &judge)
    }

    // ------------------------------------------------------------------------------------------------- joining

    /// Waits until every node has joined and is ready, then starts them all.
    /// Gives where they compute.
    async fn gather(&mut self) -> Result<String, CoordinatorError> {
        let mut ready: BTreeMap<Member, Ready> = BTreeMap::new();
        let deadline = tokio::time::Instant::now() + self.patience;
        let mut reminder = Box::pin(tokio::time::sleep(PATIENT));
        let mut reminded = false;
        while ready.len() < self.members.total() {
            tokio::select! {
                event = self.inbox.recv() => match event {
                    Some(Event::Report(member, Report::Ready(report))) => {
                        check::ready(&report).map_err(CoordinatorError::blame(member.to_string()))?;
                        ready.insert(member, report);
                    }
                    Some(Event::Report(member, Report::Failed(failed))) => {
                        return Err(blame(member, &failed.message, failed.input));
                    }
                    // It may come back under its index as long as nothing has begun.
                    Some(Event::Gone(member, _)) => {
                        ready.remove(&member);
                        self.members.release(member);
                    }
                    Some(event) => return Err(out_of_place(&event)),
                    None => return Err(CoordinatorError::Run("the server has ended".into())),
                },
                () = &mut reminder, if !reminded => {
                    eprintln!("waiting for {}", self.missing(&ready));
                    reminded = true;
                }
                () = tokio::time::sleep_until(deadline) => {
                    let seconds = self.patience.as_secs();
                    return Err(CoordinatorError::Run(format!("{} not ready within {seconds} s", self.missing(&ready))));
                }
            }
        }
        compare_data(&ready)?;
        tracing::info!(nodes = ready.len(), "all nodes are ready");
        let of = |role| self.members.all().filter(move |member| member.role == role);
        self.members
            .order(Order::Start(Start {
                transmitters: of(Role::Transmitter).map(|member| ready[&member].address.clone()).collect(),
                label_entropies: of(Role::Receiver).map(|member| ready[&member].label_entropy).collect(),
                sockets: of(Role::Transmitter).map(|member| ready[&member].socket.clone()).collect(),
            }))
            .await;
        let devices: BTreeSet<String> = ready.into_values().map(|ready| ready.device).collect();
        Ok(devices.into_iter().collect::<Vec<_>>().join(", "))
    }

    fn missing(&self, ready: &BTreeMap<Member, Ready>) -> String {
        let names: Vec<String> = self
            .members
            .all()
            .filter(|member| !ready.contains_key(member))
            .map(|member| member.to_string())
            .collect();
        names.join(", ")
    }

    // ------------------------------------------------------------------------------------------------- training

    /// Trains stretch by stretch; each ends with a checkpoint. Gives the version reached.
    async fn train(&mut self, rounds: &mut Rounds, first: u64) -> Result<u64, CoordinatorError> {
        let last = self.scenario.train.rounds;
        let every = self.scenario.checkpoint.every;
        let mut progress = Progress::new("rounds", last, first);
        let mut version = first;
        while version < last {
            let whole = version.checked_div(every);
            let boundary = whole.map_or(last, |whole| (whole + 1).saturating_mul(every).min(last));
            self.train_to(rounds, version, boundary, &mut progress).await?;
            version = boundary;
            self.save(rounds, version, &mut progress).await?;
        }
        progress.end();
        Ok(version)
    }

    /// Grants rounds a few ahead of the slowest receiver until `boundary`.
    async fn train_to(
        &mut self,
        rounds: &mut Rounds,
        first: u64,
        boundary: u64,
        progress: &mut Progress,
    ) -> Result<(), CoordinatorError> {
        let mut granted = first;
        loop {
            let finished = rounds.finished_by_receivers();
            let horizon = (finished + AHEAD).min(boundary);
            if horizon > granted {
                granted = horizon;
                self.members.order(Order::Train(Train { to: granted })).await;
            }
            if finished >= boundary {
                return Ok(());
            }
            let event = self.next_event().await?;
            take_round(rounds, event, progress)?;
        }
    }

    /// Orders a checkpoint, waits for every state and commits it.
    async fn save(
        &mut self,
        rounds: &mut Rounds,
        version: u64,
        progress: &mut Progress,
    ) -> Result<(), CoordinatorError> {
        self.members.order(Order::Save(SaveState { version })).await;
        let mut files = BTreeMap::new();
        while files.len() < self.members.total() || rounds.whole() < version {
            match self.next_event().await? {
                Event::Saved { member, version: saved, sha256 } if saved == version => {
                    files.insert(state_name(member), hex(&sha256));
                }
                event => take_round(rounds, event, progress)?,
            }
        }
        self.stage.folder.commit(version, files)?;
        tracing::info!(version, "checkpoint committed");
        Ok(())
    }

    // ------------------------------------------------------------------------------------------------- the end

    async fn evaluate(&mut self) -> Result<Judge, CoordinatorError> {
        let passes = self.scenario.evaluation.passes;
        self.members.order(Order::Evaluate(Evaluate { passes })).await;
        let mut judge = Judge::new(&self.scenario);
        let mut progress = Progress::new("evaluation passes", passes, 0);
        while !judge.is_complete() {
            match self.next_event().await? {
                Event::Report(Member { role: Role::Receiver, index }, Report::ReceiverPass(report)) => {
                    judge.receiver(index, report)?
                }
                Event::Report(Member { role: Role::Transmitter, index }, Report::TransmitterPass(report)) => {
                    judge.transmitter(index, report)?
                }
                event => return Err(out_of_place(&event)),
            }
            progress.show(judge.finished(), "");
        }
        progress.end();
        Ok(judge)
    }

    async fn stop(&mut self) -> Result<(), CoordinatorError> {
        self.members.order(Order::Stop(Stop {})).await;
        let mut finished = BTreeSet::new();
        while finished.len() < self.members.total() {
            match self.next_event().await? {
                Event::Report(member, Report::Finished(_)) => drop(finished.insert(member)),
                event => return Err(out_of_place(&event)),
            }
        }
        Ok(())
    }

    fn sum_up(
        &self,
        mode: Mode,
        device: String,
        version: u64,
        seconds: f64,
        rounds: Option<&Rounds>,
        judge: &Judge,
    ) -> Result<Summary, CoordinatorError> {
        let (_, checkpoint) = self.stage.folder.last_checkpoint()?;
        let trained = version - self.stage.version();
        let bytes = rounds.map(|rounds| rounds.bytes).unwrap_or_default();
        let summary = Summary {
            method: self.scenario.train.method.name().into(),
            scenario: self.scenario.name.clone(),
            seed: self.scenario.seed,
            rounds: version,
            device,
            test: judge.test(&self.scenario, self.stage.seed),
            noise_share: rounds.and_then(|rounds| rounds.noise_share(&self.scenario)),
            most_asks: rounds.map_or(0, |rounds| rounds.most_asks),
            most_entries: rounds.map_or(0, |rounds| rounds.most_entries),
            wire: Wire {
                feature_bytes: bytes.feature,
                gradient_bytes: bytes.gradient,
                total_bytes: bytes.total,
            },
            timing: Timing {
                seconds,
                rounds_per_second: trained as f64 / seconds,
                median_round_seconds: rounds.map_or(0.0, |rounds| median(&rounds.seconds)),
            },
            fingerprint: fingerprint(&checkpoint)?,
        };
        let name = if mode == Mode::Evaluate { "evaluation.json" } else { "summary.json" };
        let text = serde_json::to_vec_pretty(&summary).expect("a summary has only strings and numbers");
        self.stage.folder.write_whole(name, &text)?;
        Ok(summary)
    }

    async fn abort(&self, reason: &str) {
        self.members.order(Order::Abort(Abort { reason: reason.into() })).await;
    }

    /// The next event; a node that fails or leaves ends the run.
    async fn next_event(&mut self) -> Result<Event, CoordinatorError> {
        match self.inbox.recv().await {
            Some(Event::Report(member, Report::Failed(failed))) => {
                Err(CoordinatorError::Run(format!("{member}: {}", failed.message)))
            }
            Some(Event::Gone(member, reason)) => {
                Err(CoordinatorError::Run(format!("{member} left the run: {reason}")))
            }
            Some(event) => Ok(event),
            None => Err(CoordinatorError::Run("the server has ended".into())),
        }
    }
}

fn take_round(rounds: &mut Rounds, event: Event, progress: &mut Progress) -> Result<(), CoordinatorError> {
    let whole = match event {
        Event::Report(Member { role: Role::Receiver, index }, Report::ReceiverRound(report)) => {
            rounds.receiver(index, report)?
        }
        Event::Report(Member { role: Role::Transmitter, index }, Report::TransmitterRound(report)) => {
            rounds.transmitter(index, report)?
        }
        event => return Err(out_of_place(&event)),
    };
    if let Some(metrics) = whole {
        progress.round(&metrics);
    }
    Ok(())
}

/// All nodes must read the same samples and labels.
fn compare_data(ready: &BTreeMap<Member, Ready>) -> Result<(), CoordinatorError> {
    let mut nodes = ready.iter();
    let Some((first, expected)) = nodes.next() else { return Ok(()) };
    match nodes.find(|(_, ready)| ready.data != expected.data) {
        None => Ok(()),
        Some((other, _)) => Err(CoordinatorError::Input(format!(
            "{other} reads other data than {first}: give both the same --data (sample counts, labels or shapes differ)"
        ))),
    }
}

fn blame(member: Member, message: &str, input: bool) -> CoordinatorError {
    let line = format!("{member}: {message}");
    if input { CoordinatorError::Input(line) } else { CoordinatorError::Run(line) }
}

fn out_of_place(event: &Event) -> CoordinatorError {
    let (member, what) = match event {
        Event::Report(member, report) => {
            let name = format!("{report:?}");
            (member, name.split('(').next().unwrap_or_default().to_owned())
        }
        Event::Saved { member, version, .. } => (member, format!("a state of version {version}")),
        Event::Gone(member, reason) => (member, reason.clone()),
    };
    CoordinatorError::Run(format!("{member} sent {what} out of place"))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
