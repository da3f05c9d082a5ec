//! Kinds of faults, and how they are drawn.

use randomness::Stream;

use crate::{
    ledger::Host,
    plan::{Shape, between},
};

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
    /// Somebody who does not belong to the run, or a member of it, does something there that nobody may do.
    Stranger(Prank, Host),
    /// A second run is started in the run's own folder.
    SecondRun,
    /// A coordinator with a folder of its own goes on with the run from the store.
    SecondCoordinator,
    /// A bit of a committed checkpoint flips in the store, where another one is whole.
    StoreFlips,
    /// A bit flips in one of the run's logs.
    LogFlips,
}

/// What a stranger does, or a member out of turn.
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
    /// Opens streams to a transmitter, and says nothing.
    Silence,
    /// A member sends a state that nobody has ordered.
    UnorderedSave,
    /// A member asks for its state of an earlier incarnation.
    OldLoad,
    /// A member sends and asks for the state of another one.
    OtherMember,
    /// A receiver calls a transmitter with the secret that another receiver shares with that.
    OtherPair,
}

impl Prank {
    const ALL: [Prank; 13] = [
        Prank::Garbage,
        Prank::Flood,
        Prank::BadJoin,
        Prank::BadAction,
        Prank::Save,
        Prank::Load,
        Prank::Impostor,
        Prank::OtherRun,
        Prank::Silence,
        Prank::UnorderedSave,
        Prank::OldLoad,
        Prank::OtherMember,
        Prank::OtherPair,
    ];

    /// Whether it takes a member's secret.
    fn is_members(self) -> bool {
        matches!(self, Prank::UnorderedSave | Prank::OldLoad | Prank::OtherMember | Prank::OtherPair)
    }

    /// One of them, and where, or for those of members, by whom.
    fn draw(shape: &Shape, draws: &mut Stream) -> (Self, Host) {
        let prank = Prank::ALL[draws.below(Prank::ALL.len() as u64) as usize];
        let transmitter = Host::Transmitter(draws.below(shape.transmitters as u64) as usize);
        let nodes = shape.nodes();
        let node = nodes[draws.below(nodes.len() as u64) as usize];
        let at = match prank {
            Prank::Impostor | Prank::OtherRun | Prank::Silence | Prank::OtherPair => transmitter,
            // Nobody listens at a receiver.
            Prank::Garbage | Prank::Flood if draws.below(2) == 0 => transmitter,
            Prank::UnorderedSave | Prank::OldLoad | Prank::OtherMember => node,
            _ => Host::Coordinator,
        };
        (prank, at)
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

    /// One of those that only wide schedules have, or any other.
    pub(crate) fn draw_wide(shape: &Shape, draws: &mut Stream) -> Self {
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
        match draws.below(22) {
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
            7..11 => {
                let (prank, at) = Prank::draw(shape, draws);
                Kind::Stranger(prank, at)
            }
            11 => Kind::Kill(vec![any(draws)]),
            12 => Kind::Kill(vec![Host::Coordinator]),
            // Which of two coordinators computes what would decide what comes of the clock.
            13 | 14 if !shape.skips => Kind::SecondCoordinator,
            15 => Kind::SecondRun,
            16 | 17 if !shape.skips => Kind::StoreFlips,
            18 => Kind::LogFlips,
            _ => Kind::draw(shape, draws),
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
            Kind::Stranger(prank, _) if prank.is_members() => "member out of turn",
            Kind::Stranger(..) => "stranger",
            Kind::SecondRun => "second run in the folder",
            Kind::SecondCoordinator => "second coordinator at the store",
            Kind::StoreFlips => "flipped bit in the store",
            Kind::LogFlips => "flipped bit in a log",
        }
    }
}
