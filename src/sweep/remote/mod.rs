//! Points that run elsewhere: started by a launcher, and watched by their folders.
//!
//! A launcher only starts points and tells what it knows of them. How a point ends stands in its folder: the claim of
//! the process that runs it, the done file, and the run's summary. So this process may be killed and started again, or
//! the launcher may not answer for a while, and nothing is lost.

mod command;
mod jobs;
mod kubernetes;
mod slurm;
mod watched;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    command::CommandLauncher,
    kubernetes::KubernetesLauncher,
    slurm::SlurmLauncher,
    watched::{Look, Watched},
};
use super::{
    halving::Race,
    job::Job,
    plan::{Found, Planned},
    pool::End,
    progress::{Progress, rounds_done},
};
use crate::{
    launch::{Engine, EngineOptions, Needs},
    run::LaunchOptions,
};

/// Interval between looks at the folders.
const LOOK: Duration = Duration::from_secs(1);

/// How long a shared file system may take to show what a job wrote at its end.
const GRACE: Duration = Duration::from_secs(5);

/// The reason to start a point of which nothing is known.
const NOT_STARTED: &str = "it was not started";

/// Pause after the launcher refused to start points.
const PAUSE: Duration = Duration::from_secs(30);

/// A way to start points. What it starts is `pom2dib point FOLDER` (see [`super::worker`]), which claims the folder and
/// leaves a done file there: a launcher that starts a point twice, or forgets one, does no harm.
pub(crate) trait Launcher {
    /// Finds what an earlier process started with the same folder.
    fn recover(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// How many points may be started now.
    fn room(&self) -> usize;

    /// Starts points, given by number.
    fn start(&mut self, points: &[usize]) -> anyhow::Result<()>;

    /// What is known of the points that were started.
    fn look(&mut self) -> anyhow::Result<BTreeMap<usize, Known>>;

    /// This process ends before the points. Returns whether they go on.
    fn leave(&mut self) -> bool {
        true
    }

    /// A point has ended, or is to be started again.
    fn forget(&mut self, _point: usize) {}

    /// What would be started, as text.
    fn print(&mut self, points: &[usize]) -> anyhow::Result<String>;
}

/// What a launcher knows of a point.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Known {
    /// It waits or runs, in words.
    Alive(String),
    /// It was handed over to a queue that tells nothing.
    HandedOver,
    /// Its job has ended, in words; whether another job may do better.
    Ended { how: String, again: bool },
    /// A person ended its job, in words: this watch starts no other one.
    Cancelled(String),
}

/// What starts the points, and with what.
pub(crate) struct Remote<'a> {
    pub(crate) planned: &'a [Planned],
    /// The sweep's folder.
    pub(crate) out: &'a Path,
    pub(crate) options: &'a EngineOptions,
    pub(crate) place: LaunchOptions,
    pub(crate) needs: Needs,
    /// The number of points that run at a time.
    pub(crate) parallel: Option<usize>,
    /// The command that finds its points again.
    pub(crate) come_back: String,
    /// With --halving.
    pub(crate) race: Option<Race>,
    /// After so many hours no point begins.
    pub(crate) hours: Option<f64>,
}

impl Remote<'_> {
    /// Runs unfinished points on an engine and returns the end of every point, in order. Interrupted, it leaves them
    /// running and returns.
    pub(crate) fn run(mut self, engine: &Engine) -> anyhow::Result<Vec<End>> {
        let race = self.race.take();
        let mut launcher = self.prepared(engine, race.as_ref())?;
        let mut said = false;
        while let Err(error) = launcher.recover() {
            if !std::mem::replace(&mut said, true) {
                eprintln!("note: {error:#}; waiting for it, to find the jobs of this sweep");
            }
            std::thread::sleep(LOOK);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.watch(launcher.as_mut(), race))
    }

    /// What would be started for the unfinished points, as text.
    pub(crate) fn print(&self, engine: &Engine) -> anyhow::Result<String> {
        let mut launcher = self.prepared(engine, self.race.as_ref())?;
        let open = |(at, planned): (usize, &Planned)| (!is_finished(planned)).then_some(at);
        let points: Vec<usize> = self.planned.iter().enumerate().filter_map(open).collect();
        if points.is_empty() { Ok(String::new()) } else { launcher.print(&points) }
    }

    /// The launcher, after all unfinished points have their jobs in their folders.
    fn prepared<'a>(
        &'a self,
        engine: &'a Engine,
        race: Option<&Race>,
    ) -> anyhow::Result<Box<dyn Launcher + 'a>> {
        let launcher: Box<dyn Launcher + 'a> = match engine {
            Engine::Slurm => Box::new(SlurmLauncher::new(self)?),
            Engine::Kubernetes => Box::new(KubernetesLauncher::new(self)?),
            Engine::Here => Box::new(CommandLauncher::here(self)?),
            Engine::Command(template) => Box::new(CommandLauncher::new(self, template)?),
        };
        for (at, planned) in self.planned.iter().enumerate().filter(|(_, planned)| !is_finished(planned)) {
            Job::write(planned, &self.place, race.and_then(|race| race.pause(at)))?;
        }
        Ok(launcher)
    }

    async fn watch(&self, launcher: &mut dyn Launcher, race: Option<Race>) -> anyhow::Result<Vec<End>> {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut watch = Watch::new(self, race);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        watch.promote()?;
        while watch.is_under_way() {
            tokio::select! {
                _ = look.tick() => watch.look(launcher)?,
                _ = interrupt.recv() => return Ok(watch.left(launcher)),
                _ = terminate.recv() => return Ok(watch.left(launcher)),
            }
        }
        watch.progress.finish();
        Ok(watch.ends)
    }
}

fn is_finished(planned: &Planned) -> bool {
    matches!(planned.found, Found::Finished(_))
}

/// The state of the watch.
struct Watch<'a> {
    remote: &'a Remote<'a>,
    planned: &'a [Planned],
    race: Option<Race>,
    points: Vec<Watched<'a>>,
    ends: Vec<End>,
    progress: Progress<'a>,
    attempts: u32,
    /// Whether the launcher's silence has been said.
    is_silent: bool,
    not_before: Instant,
    begun: Instant,
    /// Whether no further point begins.
    is_spent: bool,
}

impl<'a> Watch<'a> {
    fn new(remote: &'a Remote<'a>, race: Option<Race>) -> Self {
        let planned = remote.planned;
        let end = |planned: &Planned| match &planned.found {
            Found::Finished(summary) => End::Done(summary.clone()),
            _ => End::Open,
        };
        let mut ends: Vec<End> = planned.iter().map(end).collect();
        for (at, end) in ends.iter_mut().enumerate().filter(|(_, end)| **end == End::Open) {
            let paused = race.as_ref().filter(|race| race.has_reached(at));
            *end = paused.map_or(End::Open, |_| End::Paused(rounds_done(&planned[at].folder)));
        }
        let progress = Progress::new(planned, &ends);
        let points = planned.iter().map(Watched::new).collect();
        let attempts = remote.options.attempts();
        let (not_before, begun) = (Instant::now(), Instant::now());
        let (is_silent, is_spent) = (false, false);
        Watch {
            remote,
            planned,
            race,
            points,
            ends,
            progress,
            attempts,
            is_silent,
            not_before,
            begun,
            is_spent,
        }
    }

    /// Whether a point runs, or will be started.
    fn is_under_way(&self) -> bool {
        let open = |at: &usize| self.ends[*at] == End::Open;
        (0..self.ends.len()).filter(open).any(|at| !self.is_spent || self.points[at].is_started)
    }

    /// Lets the best points of a race go on.
    fn promote(&mut self) -> anyhow::Result<()> {
        let quiet = !self.ends.contains(&End::Open);
        let promoted = self.race.as_mut().map(|race| race.promote(quiet)).unwrap_or_default();
        for at in promoted {
            let Some(race) = &self.race else { continue };
            let rounds = race.rounds(at);
            Job::write(&self.planned[at], &self.remote.place, race.pause(at))?;
            self.points[at].reopen();
            self.ends[at] = End::Open;
            self.progress.reopen();
            self.progress.say(&format!("{}: goes on to {rounds} rounds", self.planned[at].point.name));
        }
        Ok(())
    }

    /// Looks at everything once, and starts what is to be started.
    fn look(&mut self, launcher: &mut dyn Launcher) -> anyhow::Result<()> {
        let known = match launcher.look() {
            Ok(known) => {
                self.is_silent = false;
                Some(known)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_silent, true) {
                    self.progress.say(&format!("note: {error:#}; waiting for it"));
                }
                None
            }
        };
        let mut states = Vec::new();
        let mut ready = Vec::new();
        for at in 0..self.planned.len() {
            if self.ends[at] != End::Open {
                continue;
            }
            match self.state(at, known.as_ref())? {
                State::Is(state) => states.push((at, state)),
                State::Ended(end) => {
                    launcher.forget(at);
                    self.progress.end(at, &end);
                    match (&mut self.race, &end) {
                        (Some(race), End::Done(_) | End::Paused(_)) => {
                            race.reached(at, &self.planned[at].folder)?
                        }
                        (Some(race), _) => race.failed(at),
                        (None, _) => {}
                    }
                    self.ends[at] = end;
                }
                State::Ready => {
                    launcher.forget(at);
                    ready.push(at);
                }
            }
        }
        self.promote()?;
        if let Some(race) = &self.race {
            // Those that are further come first.
            ready.sort_by_key(|at| std::cmp::Reverse(race.rung(*at)));
        }
        let hours = self.begun.elapsed().as_secs_f64() / 3600.0;
        if self.remote.hours.is_some_and(|most| hours >= most) {
            if !std::mem::replace(&mut self.is_spent, true) {
                self.progress.say("the hours are spent: no further point begins");
            }
            ready.retain(|at| self.points[*at].is_started);
        }
        self.start(launcher, ready, &mut states)?;
        self.progress.states(states);
        Ok(())
    }

    /// The state of a point. `known` is what the launcher knows, if it answers.
    fn state(&mut self, at: usize, known: Option<&BTreeMap<usize, Known>>) -> anyhow::Result<State> {
        let point = &mut self.points[at];
        let seen = point.look()?;
        let stopped = match seen {
            Look::Done(summary) => return Ok(State::Ended(End::Done(summary))),
            Look::Failed(error) => return Ok(State::Ended(End::Failed(error))),
            Look::Paused(rounds) => return Ok(State::Ended(End::Paused(rounds))),
            Look::Working(owner) => {
                point.lives();
                self.progress.begin(at);
                return Ok(State::Is(owner.to_string()));
            }
            Look::Stopped => Some("it was told to end"),
            Look::Dead => Some("it was killed"),
            Look::Unclaimed => None,
        };
        let Some(known) = known else { return Ok(State::Is("unknown".into())) };
        let how = match (known.get(&at), stopped) {
            (Some(Known::Alive(what)), _) => {
                point.lives();
                return Ok(State::Is(what.clone()));
            }
            (Some(Known::HandedOver), None) => return Ok(State::Is("handed over".into())),
            (Some(Known::Ended { how, again: true }), _) => how.clone(),
            (Some(Known::Ended { how, again: false }), _) => {
                return Ok(point.ends(End::Failed(how.clone())));
            }
            (Some(Known::Cancelled(how)), _) => {
                let line = format!("{how}; `pom2dib {}` submits it again", self.remote.come_back);
                return Ok(point.ends(End::Cancelled(line)));
            }
            (Some(Known::HandedOver), Some(stopped)) => stopped.into(),
            // It waits for its turn, and the launcher has forgotten it.
            (None, _) if !point.why.is_empty() => point.why.clone(),
            (None, stopped) => stopped.unwrap_or(NOT_STARTED).into(),
        };
        if point.is_started && point.after_grace().is_none() {
            return Ok(State::Is("ended".into()));
        }
        if let Some(line) = point.is_hopeless(self.attempts, &how) {
            return Ok(State::Ended(End::Failed(line)));
        }
        point.why = how;
        Ok(State::Ready)
    }

    fn start(
        &mut self,
        launcher: &mut dyn Launcher,
        mut ready: Vec<usize>,
        states: &mut Vec<(usize, String)>,
    ) -> anyhow::Result<()> {
        let waits = ready.split_off(launcher.room().min(ready.len()));
        states.extend(waits.into_iter().map(|at| (at, "waits".into())));
        if ready.is_empty() || Instant::now() < self.not_before {
            states.extend(ready.into_iter().map(|at| (at, "waits".into())));
            return Ok(());
        }
        for &at in &ready {
            // Also after an end of what an earlier watch has started.
            let again = self.points[at].is_started || self.points[at].why != NOT_STARTED;
            self.points[at].begin();
            if again {
                let (name, point) = (&self.planned[at].point.name, &self.points[at]);
                let (rounds, why) = (point.checkpoint, &point.why);
                self.progress.say(&format!("{name}: starting it again, from round {rounds}: {why}"));
            }
        }
        match launcher.start(&ready) {
            Ok(()) => states.extend(ready.into_iter().map(|at| (at, "starting".into()))),
            // With others under way, it may do better later: after a controller's restart, or below a limit of jobs.
            Err(error) if !states.is_empty() => {
                self.progress.say(&format!("note: {error:#}; trying again in {} s", PAUSE.as_secs()));
                self.not_before = Instant::now() + PAUSE;
                ready.iter().for_each(|&at| self.points[at].take_back());
            }
            Err(error) => return Err(error).context("no point can be started"),
        }
        Ok(())
    }

    /// Leaves everything running, or stops what runs here.
    fn left(self, launcher: &mut dyn Launcher) -> Vec<End> {
        self.progress.finish();
        if launcher.leave() {
            let come_back = &self.remote.come_back;
            eprintln!("the jobs go on without this command; come back with: pom2dib {come_back}");
        }
        self.ends
    }
}

impl Watched<'_> {
    /// An end that a launcher tells, once the folder has had time to show another one.
    fn ends(&mut self, end: End) -> State {
        self.after_grace().map_or_else(|| State::Is("ended".into()), |()| State::Ended(end))
    }
}

/// What is to be done about a point.
enum State {
    /// Nothing: it waits or runs.
    Is(String),
    Ended(End),
    /// It is to be started.
    Ready,
}
