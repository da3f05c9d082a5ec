//! A schedule of faults, drawn from a number.

use std::{fmt, time::Duration};

use randomness::{Purpose, Seed, Stream};
use scenario::Scenario;

use crate::{ledger::Host, wide::WIDE};

/// Different networks and runs that schedules have. Few, since each is also run undisturbed once.
const SHAPES: u64 = 24;

/// All that is decided of a run before it begins.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) shape: Shape,
    /// Whether nodes say which they are.
    pub(crate) named: bool,
    /// The longest time that a message takes, in milliseconds.
    pub(crate) latency: u64,
    /// Seconds, as on the command line.
    pub(crate) silence: u64,
    pub(crate) stall: u64,
    pub(crate) patience: u64,
    /// Whether the coordinator verifies the draws.
    pub(crate) verify: bool,
    pub(crate) faults: Vec<(Trigger, Fault)>,
}

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    pub(crate) transmitters: usize,
    pub(crate) receivers: usize,
    pub(crate) rounds: u64,
    pub(crate) every: u64,
    pub(crate) parts: usize,
}

/// When a fault happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trigger {
    /// At a time.
    At(Duration),
    /// When the store is called that often: in the middle of writing a checkpoint, or of reading one.
    AtStoreCall(u64),
    /// When the nodes have taken so many steps together.
    AtStep(u64),
    /// When the nodes have done so many evaluation passes together.
    AtPass(u64),
}

/// What happens, and for how long.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) lasts: Duration,
}

/// Kinds of faults.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Processes are killed; their system closes their connections.
    Kill(Vec<Host>),
    /// Machines lose power; nobody closes anything.
    PowerLoss(Vec<Host>),
    /// The coordinator's machine is lost with its folder; the store is elsewhere.
    LoseFolder,
    /// Nothing passes between two hosts, and what was under way is lost.
    Partition(Host, Host),
    /// Nothing passes from one to the other.
    OneWay(Host, Host),
    /// What passes between two hosts is held up, and comes later.
    Hold(Host, Host),
    /// A host neither hears nor is heard for a while, but loses nothing.
    Freeze(Host),
    /// A way takes up to so many milliseconds.
    Slow(Host, Host, u64),
    /// The connections between two hosts are reset.
    Cut(Host, Host),
    /// A share of the store's calls fails.
    StoreFails(f64),
    /// Every call of the store takes up to so many milliseconds.
    StoreSlow(u64),
    /// The next writes of the store leave half of what was to be written.
    StoreTears(u64),
    /// The coordinator's machine loses power, and what was not synced of the logs is lost, or nonsense.
    FolderLoses,
    /// The run is held for a while.
    Pause,
    /// The run is told to stop; a supervisor lets it go on.
    Stop,
    /// What passes next from one to the other passes twice.
    Double(Host, Host),
    /// What passes next from one to the other is spoilt.
    Garble(Host, Host),
    /// Somebody who does not belong to the run does something there.
    Stranger(Prank, Host),
}

/// What a stranger does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prank {
    /// Says what is no HTTP/2, and waits.
    Garbage,
    /// Opens many connections, and says next to nothing.
    Flood,
    /// Joins as a node of another version or a place that there is not, or begins with another report.
    BadJoin,
    /// Tells the coordinator to do what is no action.
    BadAction,
    /// Sends a state of a committed version in a node's name.
    Save,
    /// Asks for a node's state.
    Load,
    /// Calls a transmitter as the receiver that it waits for, but for what is secret.
    Impostor,
    /// Calls a transmitter of another run.
    OtherRun,
}

impl Prank {
    pub(crate) const ALL: [Prank; 8] = [
        Prank::Garbage,
        Prank::Flood,
        Prank::BadJoin,
        Prank::BadAction,
        Prank::Save,
        Prank::Load,
        Prank::Impostor,
        Prank::OtherRun,
    ];
}

impl Shape {
    fn draw(number: u64) -> Self {
        let mut draws = Seed::from_number(number).stream(Purpose::Test, &[1], 0);
        Shape {
            transmitters: between(&mut draws, 1, 3) as usize,
            receivers: between(&mut draws, 1, 3) as usize,
            rounds: between(&mut draws, 3, 40),
            every: between(&mut draws, 0, 6),
            parts: between(&mut draws, 1, 2) as usize,
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
        let part = 20 / self.parts;
        let transmitters = "[[transmitter]]\nmodalities = [\"fft\"]\n".repeat(self.transmitters);
        let receivers = "[[receiver]]\ntask = \"digit\"\n".repeat(self.receivers);
        let text = format!(
            "[network]\nreceiver_limit = 1\n[train]\nrounds = {rounds}\nticks_per_round = 20\n\
             ticks_per_part = {part}\n[evaluation]\npasses = 2\n\
             [checkpoint]\nevery = {every}\nstore = \"simulated\"\n{transmitters}{receivers}"
        );
        Scenario::parse(&text, "the simulation", &[]).expect("it is as it should be")
    }
}

impl Plan {
    /// A run of that shape that nothing disturbs.
    pub(crate) fn undisturbed(shape: Shape) -> Self {
        let (seed, named, latency) = (0, true, 5);
        let (silence, stall, patience, verify) = (10, 60, 60, true);
        Plan { seed, shape, named, latency, silence, stall, patience, verify, faults: Vec::new() }
    }

    /// The schedule of that number.
    pub(crate) fn draw(seed: u64) -> Self {
        if seed >= WIDE {
            return Plan::draw_wide(seed);
        }
        let mut draws = Seed::from_number(seed).stream(Purpose::Test, &[2], 0);
        let shape = Shape::draw(seed % SHAPES);
        let mut plan = Plan {
            seed,
            shape,
            named: draws.below(4) > 0,
            latency: [2, 10, 60][draws.below(3) as usize],
            silence: [3, 10][draws.below(2) as usize],
            stall: [8, 30][draws.below(2) as usize],
            patience: [5, 60][draws.below(2) as usize],
            verify: false,
            faults: Vec::new(),
        };
        let mut time = Duration::ZERO;
        for _ in 0..between(&mut draws, 1, 20) {
            // Some blows come at once, others when the network is about to recover or has done so.
            let pause = [0, 30, 300, 1_000, 3_000][draws.below(5) as usize];
            time += Duration::from_millis(draws.below(pause + 1));
            let trigger = match draws.below(4) {
                0 => Trigger::AtStoreCall(between(&mut draws, 1, 200)),
                _ => Trigger::At(time),
            };
            let longest = [100, 500, 3_000, 20_000][draws.below(4) as usize];
            let lasts = Duration::from_millis(draws.below(longest));
            plan.faults.push((trigger, Fault { kind: Kind::draw(&shape, &mut draws), lasts }));
        }
        plan
    }

    /// The nodes in an order that depends on the schedule.
    pub(crate) fn order(&self) -> Vec<Host> {
        let nodes = self.shape.nodes();
        let mut draws = Seed::from_number(self.seed).stream(Purpose::Test, &[5], 0);
        draws.permutation(nodes.len()).into_iter().map(|index| nodes[index as usize]).collect()
    }

    /// When there are no more faults to come, and none goes on.
    pub(crate) fn calm(&self) -> Duration {
        let ends = self.faults.iter().map(|(trigger, fault)| match trigger {
            Trigger::At(time) => *time + fault.lasts,
            // Those that have not happened by then do not happen.
            Trigger::AtStoreCall(_) | Trigger::AtStep(_) | Trigger::AtPass(_) => Duration::ZERO,
        });
        ends.max().unwrap_or_default().max(self.latest())
    }
}

impl Kind {
    pub(crate) fn draw(shape: &Shape, draws: &mut Stream) -> Self {
        let hosts = shape.hosts();
        let pair = |draws: &mut Stream| {
            let chosen = draws.subset(hosts.len(), 2);
            let (one, other) = (hosts[chosen[0]], hosts[chosen[1]]);
            if draws.below(2) == 0 { (one, other) } else { (other, one) }
        };
        let some = |draws: &mut Stream| {
            let most = if draws.below(3) == 0 { hosts.len() as u64 } else { 1 };
            let count = between(draws, 1, most) as usize;
            draws.subset(hosts.len(), count).into_iter().map(|index| hosts[index]).collect()
        };
        match draws.below(15) {
            0..3 => Kind::Kill(some(draws)),
            3..5 => Kind::PowerLoss(some(draws)),
            5 => Kind::LoseFolder,
            6 => Kind::Kill(vec![Host::Coordinator]),
            7 => {
                let (one, other) = pair(draws);
                Kind::Partition(one, other)
            }
            8 => {
                let (one, other) = pair(draws);
                Kind::OneWay(one, other)
            }
            9 => {
                let (one, other) = pair(draws);
                Kind::Hold(one, other)
            }
            10 => Kind::Freeze(hosts[draws.below(hosts.len() as u64) as usize]),
            11 => {
                let (one, other) = pair(draws);
                Kind::Slow(one, other, between(draws, 50, 2_000))
            }
            12 => {
                let (one, other) = pair(draws);
                Kind::Cut(one, other)
            }
            13 => Kind::StoreFails([0.02, 0.2, 1.0][draws.below(3) as usize]),
            _ => Kind::StoreSlow(between(draws, 20, 1_000)),
        }
    }

    /// Its name, in tables.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Kind::Kill(hosts) if hosts.len() > 1 => "several killed",
            Kind::Kill(hosts) if hosts[0] == Host::Coordinator => "coordinator killed",
            Kind::Kill(_) => "node killed",
            Kind::PowerLoss(_) => "power loss",
            Kind::LoseFolder => "folder lost",
            Kind::Partition(..) => "partition",
            Kind::OneWay(..) => "one-way partition",
            Kind::Hold(..) => "messages held up",
            Kind::Freeze(_) => "host frozen",
            Kind::Slow(..) => "slow way",
            Kind::Cut(..) => "connection reset",
            Kind::StoreFails(_) => "store fails",
            Kind::StoreSlow(_) => "store slow",
            Kind::StoreTears(_) => "torn write in the store",
            Kind::FolderLoses => "unsynced writes lost",
            Kind::Pause => "run paused",
            Kind::Stop => "run stopped",
            Kind::Double(..) => "bytes doubled",
            Kind::Garble(..) => "bytes garbled",
            Kind::Stranger(..) => "stranger",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} for {:.3} s", self.kind, self.lasts.as_secs_f64())
    }
}

/// A number from one to another, both included.
pub(crate) fn between(draws: &mut Stream, low: u64, high: u64) -> u64 {
    low + draws.below(high - low + 1)
}
