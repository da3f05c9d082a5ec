//! The simulation: hosts that run the program, and the faults that hit them.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, SystemTime},
};

use coordinator::{Outcome, Summary};
use proto::v1::Action;
use randomness::{Purpose, Seed, Stream as Draws};
use serde_json::Value;
use turmoil::Sim;

use crate::{
    callers::{Errand, Errands, run_errands},
    disk::{Disk, LOGS},
    hosts::{coordinator_options, live, node_options, service_options},
    kinds::Kind,
    ledger::{Host, Ledger},
    network::{Connections, Trick},
    plan::{Fault, Plan, Trigger},
    rival::{RIVAL, Rival, Work},
    serving::{SENSOR, sense},
};

/// Length of a step of simulated time, in which every host does all that it can.
const STEP: Duration = Duration::from_millis(5);

/// Time after which an ended process is restarted, as by a supervisor, until the coordinator has finished.
const RESTART: Duration = Duration::from_secs(1);

/// Simulated time within which a run must end after the last fault.
pub(crate) const LIVELY: Duration = Duration::from_secs(60);

/// The longest delay of half a store call without faults, in milliseconds.
const BRISK: u64 = 4;

/// The result of a run.
pub(crate) struct Ended {
    pub(crate) summary: Option<Summary>,
    /// The summary of its service, if it was served.
    pub(crate) served: Option<Value>,
    /// The run's logs, line by line.
    pub(crate) metrics: Vec<String>,
    pub(crate) selection: Vec<String>,
    /// Faults that have happened, by name.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// Its duration in simulated time.
    pub(crate) simulated: Duration,
    /// The part of it after the last fault.
    pub(crate) recovery: Duration,
}

/// A run under way.
struct World<'a> {
    plan: &'a Plan,
    ledger: Ledger,
    sim: Sim<'a>,
    disk: Disk,
    connections: Connections,
    folder: PathBuf,
    /// Faults that have not happened yet.
    due: Vec<(Trigger, Fault)>,
    /// Faults to end, and when.
    ailing: Vec<(Duration, Kind)>,
    /// Draws of how much is lost.
    draws: Draws,
    /// When stopped processes are restarted.
    down: BTreeMap<Host, Duration>,
    faults: BTreeMap<&'static str, u64>,
    administrator: Errands,
    stranger: Errands,
    rival: Rival,
    outcome: Rc<RefCell<Option<Outcome>>>,
}

/// Carries out a plan; the ledger records what happens.
pub(crate) fn run(plan: &Plan, ledger: &Ledger, folder: &Path) -> Ended {
    let mut world = World::new(plan, ledger, folder);
    let end = plan.calm() + LIVELY;
    let mut calm = false;
    while world.outcome.borrow().is_none() {
        let now = world.sim.elapsed();
        ledger.record().now = now;
        if now >= end {
            let seconds = LIVELY.as_secs();
            ledger.violation(format_args!("the run has not ended {seconds} s after the last fault"));
            break;
        }
        world.bury();
        world.mend(now);
        world.strike(now);
        if now >= plan.calm() && !calm {
            calm = true;
            world.calm_down();
        }
        world.start(now);
        if let Err(error) = world.sim.step() {
            ledger.violation(format_args!("the simulation broke: {error}"));
            break;
        }
    }
    let simulated = world.sim.elapsed();
    let (summary, served) = match world.outcome.borrow_mut().take() {
        Some(Outcome::Done(summary)) => (Some(*summary), None),
        Some(Outcome::Served(served)) => (None, Some(served)),
        _ => (None, None),
    };
    let lines = |name: &str| {
        let text = fs::read_to_string(world.folder.join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    let (metrics, selection) = (lines("metrics.jsonl"), lines("selection.jsonl"));
    let recovery = simulated.saturating_sub(plan.calm());
    Ended { summary, served, metrics, selection, faults: world.faults, simulated, recovery }
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan, ledger: &Ledger, folder: &Path) -> Self {
        let mut sim = turmoil::Builder::new()
            .rng_seed(plan.seed)
            .epoch(SystemTime::UNIX_EPOCH)
            .tick_duration(STEP)
            .simulation_duration(Duration::MAX)
            .max_message_latency(Duration::ZERO)
            .tcp_capacity(4096)
            .build();
        let draws = Seed::from_number(plan.seed).stream(Purpose::Test, &[3], 0);
        let folder = folder.join("run");
        let disk = Disk::new(ledger.clone(), plan.shape.nodes(), folder.clone(), draws);
        let connections = Connections::new(plan.seed, plan.latency);
        let outcome = Rc::new(RefCell::new(None));
        let host = Host::Coordinator.to_string();
        let coordinator = coordinator_options(plan, &host, &folder, &disk, &connections);
        let (its_ledger, its_outcome, service) = (ledger.clone(), outcome.clone(), plan.service.clone());
        sim.host(host, move || {
            let (options, ledger, outcome) = (coordinator.clone(), its_ledger.clone(), its_outcome.clone());
            let service = service.clone();
            async move {
                let is_served = ledger.record().is_served;
                let options = match &service {
                    Some(service) if is_served => service_options(options, service, ledger.clone()),
                    _ => options,
                };
                let ended = match Work::begin(options.folder.clone(), &ledger) {
                    Ok(_work) => coordinator::run(options).await.map_err(|error| error.to_string()),
                    Err(error) => Err(error),
                };
                match ended {
                    Ok(Outcome::Stopped(version)) => ledger.stopped(version),
                    Ok(Outcome::Done(_)) if service.is_some() => {
                        ledger.note("the run has been trained; its service is the next process");
                        ledger.record().is_served = true;
                        ledger.ended(Host::Coordinator, Ok(()));
                    }
                    Ok(done) => {
                        ledger.note("the coordinator has done its work");
                        *outcome.borrow_mut() = Some(done);
                    }
                    Err(error) => ledger.ended(Host::Coordinator, Err(error)),
                }
                // The driver ends the process.
                std::future::pending().await
            }
        });
        // The plan decides the order of hosts within a step.
        for host in plan.order() {
            let options = node_options(plan, host, &connections);
            let ledger = ledger.clone();
            sim.host(host.to_string(), move || live(host, options.clone(), ledger.clone()));
        }
        if plan.service.is_some() {
            let (plan, connections, ledger) = (plan.clone(), connections.clone(), ledger.clone());
            sim.host(SENSOR, move || sense(plan.clone(), connections.clone(), ledger.clone()));
        }
        let (administrator, stranger, rival) = (Errands::default(), Errands::default(), Rival::default());
        if plan.is_wide() {
            let options = coordinator_options(plan, RIVAL, &folder, &disk, &connections);
            let (its_orders, ledger) = (rival.clone(), ledger.clone());
            sim.host(RIVAL, move || its_orders.clone().live(options.clone(), ledger.clone()));
        }
        if plan.is_wide() {
            for (name, errands) in [("administrator", &administrator), ("stranger", &stranger)] {
                let (errands, connections, ledger) = (errands.clone(), connections.clone(), ledger.clone());
                sim.host(name, move || {
                    run_errands(name, errands.clone(), connections.clone(), ledger.clone())
                });
            }
        }
        World {
            plan,
            administrator,
            stranger,
            rival,
            ledger: ledger.clone(),
            sim,
            disk,
            connections,
            folder,
            due: plan.faults.clone(),
            ailing: Vec::new(),
            draws: Seed::from_number(plan.seed).stream(Purpose::Test, &[8], 0),
            down: BTreeMap::new(),
            faults: BTreeMap::new(),
            outcome,
        }
    }

    // ------------------------------------------------------------------------------------------------- processes

    /// Ends the processes that have reported their end.
    fn bury(&mut self) {
        let ended = std::mem::take(&mut self.ledger.record().ended);
        for (host, how) in ended {
            // Killed since.
            if self.down.contains_key(&host) {
                continue;
            }
            match how {
                Ok(()) => self.ledger.note(format_args!("{host} ends")),
                Err(error) => {
                    self.ledger.note(format_args!("{host} ends: {error}"));
                    let (spoilt, rivals, refused) = {
                        let mut record = self.ledger.record();
                        let is_node = host != Host::Coordinator;
                        let refused =
                            is_node && record.spoke_out_of_turn > 0 && error.contains("out of turn");
                        record.spoke_out_of_turn -= usize::from(refused);
                        (record.spoilt, record.rivals > 0, refused)
                    };
                    let is_excused = is_excusable(host, &error) || rivals && is_a_rivals_doing(&error);
                    if !is_excused && !refused && !spoilt {
                        self.ledger.violation(format_args!("{host} gave up: {error}"));
                    }
                }
            }
            self.sim.crash(host.to_string());
            self.down.insert(host, self.sim.elapsed() + RESTART);
        }
    }

    /// Starts the processes that are due.
    fn start(&mut self, now: Duration) {
        let ready: Vec<Host> =
            self.down.iter().filter(|(_, at)| **at <= now).map(|(host, _)| *host).collect();
        for host in ready {
            self.down.remove(&host);
            self.ledger.note(format_args!("{host} starts"));
            self.sim.bounce(host.to_string());
        }
    }

    fn kill(&mut self, host: Host, until: Duration) {
        self.sim.crash(host.to_string());
        let at = self.down.entry(host).or_insert(until);
        *at = until.max(*at);
    }

    // ------------------------------------------------------------------------------------------------- faults

    /// Causes all faults that are due.
    fn strike(&mut self, now: Duration) {
        let (calls, steps, passes) = {
            let record = self.ledger.record();
            (record.store_calls, record.steps, record.passes)
        };
        let is_due = |trigger: &Trigger| match trigger {
            Trigger::At(time) => *time <= now,
            Trigger::AtStoreCall(call) => *call <= calls,
            Trigger::AtStep(step) => *step <= steps,
            Trigger::AtPass(pass) => *pass <= passes,
        };
        let (due, later) =
            std::mem::take(&mut self.due).into_iter().partition(|(trigger, _)| is_due(trigger));
        self.due = later;
        let due: Vec<(Trigger, Fault)> = due;
        for (_, fault) in due {
            self.ledger.note(format_args!("FAULT {fault}"));
            *self.faults.entry(fault.kind.name()).or_default() += 1;
            let until = now + fault.lasts;
            self.inflict(&fault.kind, until);
            self.ailing.push((until, fault.kind));
        }
    }

    fn inflict(&mut self, kind: &Kind, until: Duration) {
        match kind {
            Kind::Kill(hosts) => hosts.iter().for_each(|host| self.kill(*host, until)),
            Kind::PowerLoss(hosts) => {
                for host in hosts {
                    self.others(*host)
                        .iter()
                        .for_each(|other| self.sim.partition(host.to_string(), other.as_str()));
                    self.kill(*host, until);
                }
            }
            Kind::LoseFolder => {
                self.kill(Host::Coordinator, until);
                self.end_rival();
                // The folder may not exist.
                let _ = fs::remove_dir_all(&self.folder);
            }
            Kind::Partition(one, other) => self.sim.partition(one.to_string(), other.to_string()),
            Kind::OneWay(one, other) => self.sim.partition_oneway(one.to_string(), other.to_string()),
            Kind::Hold(one, other) => self.sim.hold(one.to_string(), other.to_string()),
            Kind::Freeze(host) => {
                self.others(*host).iter().for_each(|other| self.sim.hold(host.to_string(), other.as_str()));
            }
            Kind::Slow(one, other, latency) => {
                self.connections.slow(&one.to_string(), &other.to_string(), Some(*latency));
            }
            Kind::Cut(one, other) => {
                self.connections.cut(&one.to_string(), &other.to_string());
            }
            Kind::StoreFails(share) => self.disk.behave(BRISK, *share),
            Kind::StoreSlow(slowness) => self.disk.behave(*slowness, 0.0),
            Kind::StoreTears(writes) => self.disk.tear(*writes),
            Kind::FolderLoses => self.lose_unsynced(until),
            Kind::Pause => self.administrator.add(Errand::Manage(Action::Pause)),
            Kind::Stop => self.administrator.add(Errand::Manage(Action::Stop)),
            Kind::Double(from, to) => self.spoil(*from, *to, Trick::Double),
            Kind::Garble(from, to) => self.spoil(*from, *to, Trick::Garble),
            Kind::Stranger(prank, at) => self.stranger.add(Errand::Prank(*prank, *at)),
            Kind::OutOfTurn(member) => {
                self.ledger.record().out_of_turn.insert(*member);
            }
            Kind::SecondRun => self.start_rival(self.folder.clone()),
            Kind::SecondCoordinator => self.start_rival(self.folder.with_file_name(RIVAL)),
            Kind::StoreFlips => self.disk.flip(&mut self.draws),
            Kind::LogFlips => self.flip_log(),
        }
    }

    fn start_rival(&mut self, folder: PathBuf) {
        self.end_rival();
        self.ledger.record().rivals += 1;
        self.rival.start(folder);
    }

    /// Kills its process, if there is one.
    fn end_rival(&mut self) {
        self.rival.forget();
        if self.plan.is_wide() {
            self.sim.crash(RIVAL);
            self.sim.bounce(RIVAL);
        }
    }

    fn flip_log(&mut self) {
        let path = self.folder.join(LOGS[self.draws.below(2) as usize]);
        let Ok(mut content) = fs::read(&path) else { return };
        if content.is_empty() {
            return;
        }
        let at = self.draws.below(content.len() as u64) as usize;
        content[at] ^= 1 << self.draws.below(8);
        // Its writer continues at the end of the same file.
        fs::write(&path, content).expect("the folder is there");
        self.ledger.note(format_args!("a bit of byte {at} of {} flips", path.display()));
        self.ledger.record().logs_damaged = true;
    }

    /// Ends the faults whose time is over.
    fn mend(&mut self, now: Duration) {
        let (over, still) =
            std::mem::take(&mut self.ailing).into_iter().partition(|(until, _)| *until <= now);
        self.ailing = still;
        let over: Vec<(Duration, Kind)> = over;
        over.iter().for_each(|(_, kind)| self.heal(kind));
    }

    fn heal(&mut self, kind: &Kind) {
        match kind {
            Kind::Kill(_) | Kind::LoseFolder | Kind::Cut(..) | Kind::FolderLoses => {}
            Kind::Stop | Kind::Double(..) | Kind::Garble(..) | Kind::Stranger(..) => {}
            Kind::StoreFlips | Kind::LogFlips | Kind::OutOfTurn(_) => {}
            Kind::SecondRun | Kind::SecondCoordinator => self.end_rival(),
            Kind::StoreTears(_) => self.disk.tear(0),
            Kind::Pause => self.administrator.add(Errand::Manage(Action::Resume)),
            Kind::PowerLoss(hosts) => hosts.iter().for_each(|host| self.reconnect(*host)),
            Kind::Freeze(host) => self.reconnect(*host),
            Kind::Partition(one, other) | Kind::OneWay(one, other) | Kind::Hold(one, other) => {
                self.sim.release(one.to_string(), other.to_string());
            }
            Kind::Slow(one, other, _) => self.connections.slow(&one.to_string(), &other.to_string(), None),
            Kind::StoreFails(_) | Kind::StoreSlow(_) => self.disk.behave(BRISK, 0.0),
        }
    }

    /// Ends all faults; no more will happen.
    fn calm_down(&mut self) {
        self.ledger.note("all is calm");
        self.due.clear();
        self.ledger.record().out_of_turn.clear();
        let over = std::mem::take(&mut self.ailing);
        over.iter().for_each(|(_, kind)| self.heal(kind));
        let now = self.sim.elapsed();
        self.down.values_mut().for_each(|at| *at = now + RESTART.min(at.saturating_sub(now)));
    }

    /// Corrupts the next bytes from one host to another: the receiving process may report it and end.
    fn spoil(&mut self, from: Host, to: Host, trick: Trick) {
        self.ledger.record().spoilt = true;
        self.connections.play(from, to, trick);
    }

    /// The coordinator's machine loses power. Its logs keep the part synced at the last commit and some of the rest,
    /// perhaps followed by a block of zeros.
    fn lose_unsynced(&mut self, until: Duration) {
        self.kill(Host::Coordinator, until);
        self.end_rival();
        let synced = self.ledger.record().synced;
        for (name, synced) in LOGS.into_iter().zip(synced) {
            let Ok(mut content) = fs::read(self.folder.join(name)) else { continue };
            let unsynced = (content.len() as u64).saturating_sub(synced);
            let kept = synced + self.draws.below(unsynced + 1);
            let zeros = self.draws.below(2) * self.draws.below(100);
            content.truncate(kept as usize);
            content.extend(std::iter::repeat_n(0, zeros as usize));
            fs::write(self.folder.join(name), content).expect("the folder is there");
            self.ledger.note(format_args!(
                "{name} keeps {kept} bytes, {synced} of them synced, and has {zeros} zeros more"
            ));
        }
    }

    /// The names of all other hosts.
    fn others(&self, host: Host) -> Vec<String> {
        let hosts = self.plan.shape.hosts();
        hosts.into_iter().filter(|other| *other != host).map(|other| other.to_string()).collect()
    }

    fn reconnect(&self, host: Host) {
        self.others(host).iter().for_each(|other| self.sim.release(host.to_string(), other.as_str()));
    }
}

/// Whether a coordinator may end with that error because of a second one.
fn is_a_rivals_doing(error: &str) -> bool {
    ["is taken", "another coordinator"].iter().any(|excuse| error.contains(excuse))
}

/// Whether a process may end with that error. A supervisor restarts it; but the error must be due to the faults.
fn is_excusable(host: Host, error: &str) -> bool {
    match host {
        Host::Coordinator => error.contains("input/output error"),
        _ => [
            "the coordinator ended the run",
            "lost the coordinator",
            "nobody answers at coordinator",
            "joined",
        ]
        .iter()
        .any(|excuse| error.contains(excuse)),
    }
}
