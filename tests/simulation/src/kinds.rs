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
    /// Machines lose power; connections are not closed.
    PowerLoss(Vec<Host>),
    /// The coordinator's machine is lost with its folder; the store is elsewhere.
    LoseFolder,
    /// All packets between two hosts are lost, including those under way.
    Partition(Host, Host),
    /// All packets from one to the other are lost.
    OneWay(Host, Host),
    /// Packets between two hosts are held, and arrive later.
    Hold(Host, Host),
    /// A host neither sends nor receives for a while, but loses nothing.
    Freeze(Host),
    /// Packets between two hosts take up to this many milliseconds.
    Slow(Host, Host, u64),
    /// The connections between two hosts are reset.
    Cut(Host, Host),
    /// A share of the store's calls fails.
    StoreFails(f64),
    /// Every call of the store takes up to so many milliseconds.
    StoreSlow(u64),
    /// The next writes of the store leave half of what was to be written.
    StoreTears(u64),
    /// The coordinator's machine loses power, and unsynced parts of the logs are lost or garbled.
    FolderLoses,
    /// The run is paused for a while.
    Pause,
    /// The run is stopped; a supervisor resumes it.
    Stop,
    /// The next bytes from one to the other arrive twice.
    Double(Host, Host),
    /// The next bytes from one to the other are corrupted.
    Garble(Host, Host),
    /// An outsider, or a member of the run, attempts a forbidden action there.
    Stranger(Prank, Host),
    /// A member sends a report on its control stream that is not due.
    OutOfTurn(Host),
    /// A second run is started in the run's own folder.
    SecondRun,
    /// A coordinator with its own folder continues the run from the store.
    SecondCoordinator,
    /// A bit of a committed checkpoint flips in the store, where another one is whole.
    StoreFlips,
    /// A bit flips in one of the run's logs.
    LogFlips,
}

/// A forbidden action by an outsider, or by a member out of turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prank {
    /// Sends bytes that are not HTTP/2, and waits.
    Garbage,
    /// Opens many connections, and sends next to nothing.
    Flood,
    /// Joins with another version or an impossible place, or begins with another report.
    BadJoin,
    /// Requests an unknown action from the coordinator.
    BadAction,
    /// Sends a state of a committed version in a node's name.
    Save,
    /// Requests a node's state.
    Load,
    /// Calls a transmitter as the receiver that it waits for, without the secret.
    Impostor,
    /// Calls a transmitter of another run.
    OtherRun,
    /// Opens streams to a transmitter, and sends nothing.
    Silence,
    /// A member sends a state that was not ordered.
    UnorderedSave,
    /// A member requests its state of an earlier incarnation.
    OldLoad,
    /// A member sends and requests the state of another one.
    OtherMember,
    /// A receiver calls a transmitter with the secret of another receiver's pair.
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

    /// Whether it needs a member's secret.
    fn is_members(self) -> bool {
        matches!(self, Prank::UnorderedSave | Prank::OldLoad | Prank::OtherMember | Prank::OtherPair)
    }

    /// One of them, and its target or, for those of members, the member.
    fn draw(shape: &Shape, draws: &mut Stream) -> (Self, Host) {
        let prank = Prank::ALL[draws.below(Prank::ALL.len() as u64) as usize];
        let transmitter = Host::Transmitter(draws.below(shape.transmitters as u64) as usize);
        let nodes = shape.nodes();
        let node = nodes[draws.below(nodes.len() as u64) as usize];
        let at = match prank {
            Prank::Impostor | Prank::OtherRun | Prank::Silence | Prank::OtherPair => transmitter,
            // Receivers do not listen.
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

    /// A kind that a service must survive: of nodes, and of ways between any hosts. It has its checkpoint in memory.
    pub(crate) fn draw_in_service(shape: &Shape, draws: &mut Stream) -> Self {
        loop {
            let kind = Kind::draw(shape, draws);
            let is_of_coordinator = match &kind {
                Kind::Kill(hosts) | Kind::PowerLoss(hosts) => hosts.contains(&Host::Coordinator),
                Kind::LoseFolder | Kind::StoreFails(_) | Kind::StoreSlow(_) => true,
                _ => false,
            };
            if !is_of_coordinator {
                return kind;
            }
        }
    }

    /// A kind that only wide schedules have, or any other.
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
            // With `skip` the result would depend on which of two coordinators computes.
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
            Kind::OutOfTurn(_) => "report out of turn",
            Kind::Stranger(..) => "stranger",
            Kind::SecondRun => "second run in the folder",
            Kind::SecondCoordinator => "second coordinator at the store",
            Kind::StoreFlips => "flipped bit in the store",
            Kind::LogFlips => "flipped bit in a log",
        }
    }
}
