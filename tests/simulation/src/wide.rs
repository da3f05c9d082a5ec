//! Wider schedules: larger networks, more kinds of faults, and blows that wait for a moment.

use std::time::Duration;

use randomness::{Purpose, Seed, Stream};

use crate::{
    ledger::Host,
    plan::{Fault, Kind, Plan, Prank, Shape, Trigger, between},
};

/// Schedules with this number and higher ones are wide.
pub const WIDE: u64 = 1 << 32;

/// Different networks and runs that wide schedules have.
const SHAPES: u64 = 32;

/// By when a blow that waits for a moment has come, or does not come any more.
const LATEST: Duration = Duration::from_secs(12);

impl Shape {
    fn draw_wide(number: u64) -> Self {
        let mut draws = Seed::from_number(number).stream(Purpose::Test, &[6], 0);
        // Small ones, since most faults need no more, and some as large as any test's.
        let most = if number.is_multiple_of(4) { 6 } else { 3 };
        let transmitters = between(&mut draws, most / 2, most) as usize;
        let receivers = between(&mut draws, most / 2, most) as usize;
        let longest = if most == 6 { 12 } else { 30 };
        Shape {
            transmitters,
            receivers,
            rounds: between(&mut draws, 3, longest),
            every: between(&mut draws, 0, 6),
            parts: between(&mut draws, 1, 2) as usize,
        }
    }
}

impl Plan {
    /// The wide schedule of that number.
    pub(crate) fn draw_wide(seed: u64) -> Self {
        let mut draws = Seed::from_number(seed).stream(Purpose::Test, &[7], 0);
        let shape = Shape::draw_wide(seed % SHAPES);
        let mut plan = Plan {
            seed,
            shape,
            named: draws.below(4) > 0,
            latency: [2, 10, 60][draws.below(3) as usize],
            silence: [3, 10][draws.below(2) as usize],
            stall: [8, 30][draws.below(2) as usize],
            patience: [5, 60][draws.below(2) as usize],
            verify: draws.below(2) == 0,
            faults: Vec::new(),
        };
        let mut time = Duration::ZERO;
        for _ in 0..between(&mut draws, 1, 12) {
            let pause = [0, 30, 300, 1_000, 3_000][draws.below(5) as usize];
            time += Duration::from_millis(draws.below(pause + 1));
            let trigger = plan.moment(time, &mut draws);
            let longest = [100, 500, 3_000, 10_000][draws.below(4) as usize];
            let lasts = Duration::from_millis(draws.below(longest));
            plan.faults.push((trigger, Fault { kind: Kind::draw_wide(&shape, &mut draws), lasts }));
        }
        plan
    }

    fn moment(&self, time: Duration, draws: &mut Stream) -> Trigger {
        let nodes = (self.shape.transmitters + self.shape.receivers) as u64;
        match draws.below(8) {
            0 => Trigger::AtStoreCall(between(draws, 1, 200)),
            // Before the first checkpoint.
            1 => Trigger::AtStep(between(draws, 1, nodes * self.shape.every.max(2))),
            2 => Trigger::AtStep(between(draws, 1, nodes * self.shape.rounds)),
            // In evaluation.
            3 | 4 => Trigger::AtPass(between(draws, 1, 2 * nodes)),
            _ => Trigger::At(time),
        }
    }

    /// When the last blow that waits for a moment may come, and is over.
    pub(crate) fn latest(&self) -> Duration {
        let waits = |(trigger, fault): &(Trigger, Fault)| match trigger {
            Trigger::At(_) => None,
            _ => Some(LATEST + fault.lasts),
        };
        match self.seed < WIDE {
            true => Duration::ZERO,
            false => self.faults.iter().filter_map(waits).max().unwrap_or_default(),
        }
    }
}

impl Kind {
    fn draw_wide(shape: &Shape, draws: &mut Stream) -> Self {
        let hosts = shape.hosts();
        let any = |draws: &mut Stream| hosts[draws.below(hosts.len() as u64) as usize];
        let link = |draws: &mut Stream| {
            let (k, t) = (draws.below(shape.transmitters as u64), draws.below(shape.receivers as u64));
            let ends = [Host::Transmitter(k as usize), Host::Receiver(t as usize), Host::Coordinator];
            match draws.below(4) {
                0 => (ends[0], ends[1]),
                1 => (ends[1], ends[0]),
                2 => (ends[draws.below(2) as usize], ends[2]),
                _ => (ends[2], ends[draws.below(2) as usize]),
            }
        };
        match draws.below(16) {
            0 => Kind::Pause,
            1 => Kind::Stop,
            2 => {
                let (from, to) = link(draws);
                Kind::Double(from, to)
            }
            3 => {
                let (from, to) = link(draws);
                Kind::Garble(from, to)
            }
            4 => Kind::StoreTears(between(draws, 1, 3)),
            5 | 6 => Kind::FolderLoses,
            7..10 => {
                let prank = Prank::ALL[draws.below(Prank::ALL.len() as u64) as usize];
                let at = match prank {
                    Prank::Impostor | Prank::OtherRun => {
                        Host::Transmitter(draws.below(shape.transmitters as u64) as usize)
                    }
                    Prank::Garbage | Prank::Flood => match any(draws) {
                        // Nobody listens there.
                        Host::Receiver(_) => Host::Coordinator,
                        other => other,
                    },
                    _ => Host::Coordinator,
                };
                Kind::Stranger(prank, at)
            }
            10 => Kind::Kill(vec![any(draws)]),
            11 => Kind::Kill(vec![Host::Coordinator]),
            _ => Kind::draw(shape, draws),
        }
    }
}
