//! Processes are killed at random moments, including their parent and those that evaluate: whichever are killed, and
//! however often, the run ends with the result of an undisturbed one, bit for bit.
//!
//! `POM2DIB_KILLS=1000 cargo test --release --test processes kills:: -- --nocapture` is a campaign: it prints its
//! progress every half minute and, at its end, which process was killed when. `POM2DIB_KILL_SEED` chooses other
//! moments, and so does `POM2DIB_BASE`, which every run of the gate draws; without either they are always the same. A
//! failure prints its seed.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use harness::{Place, RunFolder, Running, Signal};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::PROGRAM;

/// A checkpoint after every other round; a pass over the test set takes longer than all rounds.
const RUN: &str = "tiny.toml --rounds 40 --set checkpoint.every=2";

const ROUNDS: usize = 40;

/// Kills in the gate.
const KILLS: usize = 36;

/// Of a run whose nodes remember what they have coded and what they owe.
const CODED: &str = "--set train.coding=dithered --set train.rate_estimator=prior --set train.table_every=3 --set train.gradient_coding=int8";

/// Kills of it in the gate.
const KILLS_OF_CODED: usize = 12;

/// The seed where none is given.
const SEED: u64 = 17;

/// Between two lines on how far a campaign is.
const PROGRESS: Duration = Duration::from_secs(30);

#[test]
fn dozens_of_random_kills_change_no_bit() {
    let most = number("POM2DIB_KILLS").unwrap_or(KILLS as u64) as usize;
    campaign("dozens_of_random_kills_change_no_bit", RUN, most);
}

#[test]
fn nor_do_kills_where_features_and_gradients_are_coded() {
    let name = "nor_do_kills_where_features_and_gradients_are_coded";
    campaign(name, &format!("{RUN} {CODED}"), KILLS_OF_CODED);
}

/// Kills so many processes of runs by these words, each of which ends as one that nobody disturbed. `test` is the name
/// of the test.
fn campaign(test: &str, words: &str, most: usize) {
    let seed = number("POM2DIB_KILL_SEED").or(number("POM2DIB_BASE")).unwrap_or(SEED);
    let _repeat = Repeat { test, seed, most };
    let place = Place::for_longer_runs(PROGRAM);
    let quiet = place.run(&format!("run {words} --out quiet --json")).done().json();
    let mut campaign = Campaign { random: ChaCha8Rng::seed_from_u64(seed), killed: BTreeMap::new(), most };
    let (start, mut told, mut runs, mut resumes) = (Instant::now(), Instant::now(), 0, 0);
    while campaign.total() < most {
        runs += 1;
        let name = format!("run-{runs}");
        let mut run = place.start(&format!("run {words} --out {name} --restarts 1000 --json"));
        // Under kills that come faster than checkpoints no run would end. So each has its share, of which some are for
        // its evaluation.
        let first = campaign.total();
        let quota = (most - first).min(60);
        let outcome = loop {
            if campaign.total() >= first + quota || run.has_ended() {
                break run.finish();
            }
            let enough = campaign.total() >= first + quota * 5 / 6;
            std::thread::sleep(campaign.pause(&place.run_folder(&name), enough));
            let spared = match moment(&place.run_folder(&name)) {
                BEFORE => campaign.total() - first >= quota / 6,
                EVALUATION => false,
                _ => enough,
            };
            if !spared && campaign.strike(&place, &name) {
                let outcome = run.finish();
                // It may have finished just before.
                if outcome.status.success() {
                    break outcome;
                }
                outcome.killed_by(Signal::Kill);
                place.assert_all_gone();
                resumes += 1;
                run = place.start(&format!("run --resume {name} --restarts 1000 --json"));
            }
            if told.elapsed() > PROGRESS {
                told = Instant::now();
                println!("{} of {most} killed after {} s", campaign.total(), start.elapsed().as_secs());
            }
        };
        let summary = outcome.done().json();
        assert_eq!(summary["fingerprint"], quiet["fingerprint"], "seed {seed}, run {runs}");
        assert_eq!(summary["test"], quiet["test"], "seed {seed}, run {runs}");
        assert_eq!(summary["wire"]["table_bytes"], quiet["wire"]["table_bytes"], "seed {seed}, run {runs}");
        place.run_folder(&name).assert_nothing_partial_looks_whole();
        std::fs::remove_dir_all(place.path(&name)).expect("the run is over");
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{} processes killed in {runs} runs and {resumes} resumptions, {seconds:.0} s, seed {seed}",
        campaign.total()
    );
    campaign.killed.iter().for_each(|((who, when), count)| println!("{count:>6} {who} {when}"));
    let hit = campaign.killed.keys().any(|(_, when)| *when == EVALUATION);
    assert!(hit || most < KILLS, "an evaluation was to be hit");
}

/// Says, if the test fails, how the same kills are drawn again. (How far a run is by then is up to the machine.)
struct Repeat<'a> {
    test: &'a str,
    seed: u64,
    most: usize,
}

impl Drop for Repeat<'_> {
    fn drop(&mut self) {
        let Repeat { test, seed, most } = self;
        if std::thread::panicking() {
            println!(
                "seed {seed}; the same kills again:\nPOM2DIB_KILL_SEED={seed} POM2DIB_KILLS={most} \
                 cargo test --release -p pom2dib --test processes {test} -- --nocapture"
            );
        }
    }
}

const BEFORE: &str = "before the first checkpoint";
const TRAINING: &str = "in training";
const EVALUATION: &str = "in evaluation";

/// The kills so far, and the next one.
struct Campaign {
    random: ChaCha8Rng,
    killed: BTreeMap<(&'static str, &'static str), usize>,
    most: usize,
}

impl Campaign {
    fn total(&self) -> usize {
        self.killed.values().sum()
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.random.next_u32() % bound
    }

    /// Pause until the next kill. Evaluation is short: kills come during it, and wait for it once training has had
    /// enough.
    fn pause(&mut self, folder: &RunFolder, enough: bool) -> Duration {
        let longest = if enough || moment(folder) == EVALUATION { 60 } else { 600 };
        Duration::from_millis(self.below(longest).into())
    }

    /// Kills one, two or all of a run's processes, or their parent; returns whether it was the parent. The last kill of
    /// all is kept for an evaluation.
    fn strike(&mut self, place: &Place, name: &str) -> bool {
        let when = moment(&place.run_folder(name));
        let left = (self.most - self.total()).saturating_sub(usize::from(when != EVALUATION));
        let running = place.running();
        let (parents, mut children): (Vec<Running>, Vec<Running>) =
            running.into_iter().partition(|process| process.role == "run");
        if self.below(8) == 0 && !parents.is_empty() && when != BEFORE && left > 0 {
            parents.iter().for_each(|parent| parent.signal(Signal::Kill));
            self.count("the starter", when);
            return true;
        }
        let most = match self.below(8) {
            0 => children.len(),
            1 | 2 => 2,
            _ => 1,
        };
        for _ in 0..most.min(children.len()).min(left) {
            let chosen = self.below(children.len() as u32) as usize;
            let victim = children.swap_remove(chosen);
            victim.signal(Signal::Kill);
            self.count(kind(&victim.role), when);
        }
        false
    }

    fn count(&mut self, who: &'static str, when: &'static str) {
        *self.killed.entry((who, when)).or_default() += 1;
    }
}

fn moment(folder: &RunFolder) -> &'static str {
    match folder.checkpoints().is_empty() {
        true => BEFORE,
        false if folder.rounds() >= ROUNDS => EVALUATION,
        false => TRAINING,
    }
}

fn kind(role: &str) -> &'static str {
    match role.split_once(' ').map_or(role, |(kind, _)| kind) {
        "transmitter" => "a transmitter",
        "receiver" => "a receiver",
        _ => "the coordinator",
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}
