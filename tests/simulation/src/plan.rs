//! A schedule of faults, drawn from a number.

use std::{fmt, time::Duration};

use randomness::{Purpose, Seed, Stream};
use scenario::Scenario;

use crate::{kinds::Kind, ledger::Host, serving::ServicePlan};

/// Schedules with this number and higher ones are wide: they have larger networks, more kinds of faults, and faults
/// that wait for a moment.
pub const WIDE: u64 = 1 << 32;

/// Schedules with this number and higher ones are of services: the run is trained, and then answers a stream.
pub const SERVICES: u64 = 1 << 33;

/// Number of different networks and runs of schedules, and of wide ones. Few, since each is also run undisturbed once.
const SHAPES: u64 = 24;
const WIDE_SHAPES: u64 = 32;

/// Deadline of faults that wait for a moment in a wide schedule; later they do not happen.
const LATEST: Duration = Duration::from_secs(12);

/// Everything that is decided about a run before it begins.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) shape: Shape,
    /// Whether nodes give their index.
    pub(crate) named: bool,
    /// The longest latency of a message, in milliseconds.
    pub(crate) latency: u64,
    /// Seconds, as on the command line.
    pub(crate) silence: u64,
    pub(crate) stall: u64,
    pub(crate) patience: u64,
    /// Whether the coordinator verifies the draws.
    pub(crate) verify: bool,
    pub(crate) faults: Vec<(Trigger, Fault)>,
    /// How the run is served, if it is.
    pub(crate) service: Option<ServicePlan>,
}

/// The network and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    pub(crate) transmitters: usize,
    pub(crate) receivers: usize,
    pub(crate) rounds: u64,
    pub(crate) every: u64,
    pub(crate) parts: usize,
    /// Receivers continue without answers that do not arrive within half a second after the first.
    pub(crate) skips: bool,
}

/// When a fault happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trigger {
    /// At a time.
    At(Duration),
    /// At this call of the store: while a checkpoint is written or read.
    AtStoreCall(u64),
    /// When the nodes have taken this many steps together.
    AtStep(u64),
    /// When the nodes have done this many evaluation passes together.
    AtPass(u64),
}

/// A fault and its duration.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) lasts: Duration,
}

impl Shape {
    /// The shape of a schedule.
    fn of(seed: u64) -> Self {
        if !is_wide(seed) { Shape::draw(seed % SHAPES) } else { Shape::draw_wide(seed % WIDE_SHAPES) }
    }

    fn draw(number: u64) -> Self {
        let mut draws = Seed::from_number(number).stream(Purpose::Test, &[1], 0);
        Shape::between(&mut draws, (1, 3), 40, false)
    }

    fn draw_wide(number: u64) -> Self {
        let mut draws = Seed::from_number(number).stream(Purpose::Test, &[6], 0);
        // Mostly small ones, since most faults need no more, and some as large as those of other tests.
        let is_large = number.is_multiple_of(4);
        let (nodes, longest) = if is_large { ((3, 6), 12) } else { ((1, 3), 30) };
        Shape::between(&mut draws, nodes, longest, number % 8 == 3)
    }

    fn between(draws: &mut Stream, (fewest, most): (u64, u64), longest: u64, skips: bool) -> Self {
        Shape {
            transmitters: between(draws, fewest, most) as usize,
            receivers: between(draws, fewest, most) as usize,
            rounds: between(draws, 3, longest),
            every: between(draws, 0, 6),
            parts: between(draws, 1, 2) as usize,
            skips,
        }
    }

    pub(crate) fn nodes(&self) -> Vec<Host> {
        let transmitters = (0..self.transmitters).map(Host::Transmitter);
        transmitters.chain((0..self.receivers).map(Host::Receiver)).collect()
    }

    pub(crate) fn hosts(&self) -> Vec<Host> {
        std::iter::once(Host::Coordinator).chain(self.nodes()).collect()
    }

    pub(crate) fn scenario(&self) -> Scenario {
        let Shape { rounds, every, .. } = self;
        let policy = if self.skips { "skip" } else { "wait" };
        let part = 20 / self.parts;
        let transmitters = "[[transmitter]]\nmodalities = [\"fft\"]\n".repeat(self.transmitters);
        let receivers = "[[receiver]]\ntask = \"digit\"\n".repeat(self.receivers);
        let text = format!(
            "[network]\nreceiver_limit = 1\n[train]\nrounds = {rounds}\nticks_per_round = 20\n\
             ticks_per_part = {part}\n[evaluation]\npasses = 2\n\
             [straggler]\npolicy = \"{policy}\"\ndeadline = 0.4\npatience = 0.5\n\
             [checkpoint]\nevery = {every}\nstore = \"simulated\"\n{transmitters}{receivers}"
        );
        Scenario::parse(&text, "the simulation", &[]).expect("it is as it should be")
    }
}

impl Plan {
    /// A run of that shape without faults.
    pub(crate) fn undisturbed(shape: Shape) -> Self {
        let (seed, named, latency) = (0, true, 5);
        let (silence, stall, patience, verify) = (10, 60, 60, true);
        let (faults, service) = (Vec::new(), None);
        Plan { seed, shape, named, latency, silence, stall, patience, verify, faults, service }
    }

    /// The schedule of that number.
    pub(crate) fn draw(seed: u64) -> Self {
        let is_wide = is_wide(seed);
        let mut draws = Seed::from_number(seed).stream(Purpose::Test, &[if is_wide { 7 } else { 2 }], 0);
        let shape = Shape::of(seed);
        let mut plan = Plan {
            seed,
            shape,
            named: draws.below(4) > 0,
            latency: [2, 10, 60][draws.below(3) as usize],
            silence: [3, 10][draws.below(2) as usize],
            stall: [8, 30][draws.below(2) as usize],
            patience: [5, 60][draws.below(2) as usize],
            verify: is_wide && draws.below(2) == 0,
            faults: Vec::new(),
            service: None,
        };
        let mut time = Duration::ZERO;
        let (most, longest) = if is_wide { (12, 10_000) } else { (20, 20_000) };
        for _ in 0..between(&mut draws, 1, most) {
            // Some faults come at once, others when the network is about to recover or has done so.
            let pause = [0, 30, 300, 1_000, 3_000][draws.below(5) as usize];
            time += Duration::from_millis(draws.below(pause + 1));
            let trigger = Trigger::draw(&shape, is_wide, time, &mut draws);
            let longest = [100, 500, 3_000, longest][draws.below(4) as usize];
            let lasts = Duration::from_millis(draws.below(longest));
            let kind =
                if is_wide { Kind::draw_wide(&shape, &mut draws) } else { Kind::draw(&shape, &mut draws) };
            plan.faults.push((trigger, Fault { kind, lasts }));
        }
        if is_wide {
            plan.faults.extend(Plan::draw_out_of_turn(seed, &shape));
        }
        plan
    }

    /// In every fourth wide schedule, a member that reports out of turn. It is drawn apart: the other faults of a
    /// schedule are those that it had before.
    fn draw_out_of_turn(seed: u64, shape: &Shape) -> Option<(Trigger, Fault)> {
        let mut draws = Seed::from_number(seed).stream(Purpose::Test, &[11], 0);
        if draws.below(4) > 0 {
            return None;
        }
        let nodes = shape.nodes();
        let member = nodes[draws.below(nodes.len() as u64) as usize];
        let time = Duration::from_millis(draws.below(10_000));
        let trigger = Trigger::draw(shape, true, time, &mut draws);
        Some((trigger, Fault { kind: Kind::OutOfTurn(member), lasts: Duration::ZERO }))
    }

    /// The schedule of a service: a short training, and then faults of nodes and of ways. The stream is its
    /// coordinator's, which stays.
    pub(crate) fn draw_service(seed: u64) -> Self {
        let mut draws = Seed::from_number(seed).stream(Purpose::Test, &[9], 0);
        let (transmitters, receivers) =
            (between(&mut draws, 1, 3) as usize, between(&mut draws, 1, 3) as usize);
        let shape = Shape { transmitters, receivers, rounds: 3, every: 0, parts: 1, skips: false };
        let mut plan = Plan {
            seed,
            latency: [2, 10, 60][draws.below(3) as usize],
            silence: [3, 10][draws.below(2) as usize],
            stall: [8, 30][draws.below(2) as usize],
            patience: [5, 60][draws.below(2) as usize],
            verify: false,
            service: Some(ServicePlan::draw(&mut draws)),
            ..Plan::undisturbed(shape)
        };
        let mut time = Duration::ZERO;
        for _ in 0..between(&mut draws, 0, 12) {
            let pause = [30, 300, 1_000, 3_000][draws.below(4) as usize];
            time += Duration::from_millis(draws.below(pause + 1));
            let longest = [100, 500, 3_000, 10_000][draws.below(4) as usize];
            let lasts = Duration::from_millis(draws.below(longest));
            let kind = Kind::draw_in_service(&shape, &mut draws);
            plan.faults.push((Trigger::At(time), Fault { kind, lasts }));
        }
        plan
    }

    /// Whether it has an administrator, a stranger and a rival coordinator.
    pub(crate) fn is_wide(&self) -> bool {
        is_wide(self.seed)
    }

    /// The nodes in an order that depends on the schedule.
    pub(crate) fn order(&self) -> Vec<Host> {
        let nodes = self.shape.nodes();
        let mut draws = Seed::from_number(self.seed).stream(Purpose::Test, &[5], 0);
        draws.permutation(nodes.len()).into_iter().map(|index| nodes[index as usize]).collect()
    }

    /// The time after which there are no more faults.
    pub(crate) fn calm(&self) -> Duration {
        let is_wide = self.is_wide();
        let ends = self.faults.iter().map(|(trigger, fault)| match trigger {
            Trigger::At(time) => *time + fault.lasts,
            _ if is_wide => LATEST + fault.lasts,
            // Faults that have not happened by then never do.
            _ => Duration::ZERO,
        });
        ends.max().unwrap_or_default()
    }
}

impl Trigger {
    fn draw(shape: &Shape, is_wide: bool, time: Duration, draws: &mut Stream) -> Self {
        let nodes = (shape.transmitters + shape.receivers) as u64;
        let moment = draws.below(if is_wide { 8 } else { 4 });
        match moment {
            0 => Trigger::AtStoreCall(between(draws, 1, 200)),
            _ if !is_wide => Trigger::At(time),
            // Before the first checkpoint.
            1 => Trigger::AtStep(between(draws, 1, nodes * shape.every.max(2))),
            2 => Trigger::AtStep(between(draws, 1, nodes * shape.rounds)),
            // In evaluation.
            3 | 4 => Trigger::AtPass(between(draws, 1, 2 * nodes)),
            _ => Trigger::At(time),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} for {:.3} s", self.kind, self.lasts.as_secs_f64())
    }
}

fn is_wide(seed: u64) -> bool {
    (WIDE..SERVICES).contains(&seed)
}

/// A number between two others, both included.
pub(crate) fn between(draws: &mut Stream, low: u64, high: u64) -> u64 {
    low + draws.below(high - low + 1)
}
