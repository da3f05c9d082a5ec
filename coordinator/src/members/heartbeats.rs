//! Signs of life: when each member was last heard, and what it said of itself.

use std::time::Duration;

use proto::v1::{Heartbeat, NodeStatus};
use tokio::time::Instant;

use super::{Member, Members};

impl Members {
    /// Records a report from a member of an incarnation.
    pub(crate) fn heard(&self, member: Member, incarnation: u64, heartbeat: Option<Heartbeat>) {
        let mut table = self.table();
        if table.incarnation != incarnation {
            return;
        }
        if let Some(seat) = table.seats.get_mut(&member) {
            seat.heard = Instant::now();
            seat.heartbeat = heartbeat.or(seat.heartbeat.take());
        }
    }

    /// Whether a member holds its place and has reported since `moment`.
    pub(crate) fn spoke_since(&self, member: Member, moment: Instant) -> bool {
        self.table().seats.get(&member).is_some_and(|seat| seat.heard > moment)
    }

    /// The admission of the node that holds a member's place, if it has not reported since `moment`.
    pub(crate) fn mute_since(&self, member: Member, moment: Instant) -> Option<u64> {
        let table = self.table();
        table.seats.get(&member).filter(|seat| seat.heard <= moment).map(|seat| seat.admission)
    }

    /// Shortens every silence by a time in which this process could not hear the nodes.
    pub(crate) fn forgive(&self, gap: Duration) {
        let now = Instant::now();
        for seat in self.table().seats.values_mut() {
            seat.heard = (seat.heard + gap).min(now);
        }
    }

    /// The member that has been silent longest, if longer than `limit`.
    pub(crate) fn silent(&self, limit: Duration) -> Option<(Member, Duration)> {
        let table = self.table();
        let present = table.seats.iter().filter(|(member, _)| !table.apart.contains(member));
        let silences = present.map(|(member, seat)| (*member, seat.heard.elapsed()));
        silences.filter(|(_, silence)| *silence > limit).max_by_key(|(_, silence)| *silence)
    }

    /// The status of all places.
    pub(crate) fn status(&self) -> Vec<NodeStatus> {
        let table = self.table();
        let status = |member: Member| {
            let seat = table.seats.get(&member);
            NodeStatus {
                role: proto::v1::Role::from(member.role).into(),
                index: member.index as u32,
                joined: seat.is_some(),
                silent: seat.map_or(0.0, |seat| seat.heard.elapsed().as_secs_f64()),
                heartbeat: seat.and_then(|seat| seat.heartbeat.clone()),
            }
        };
        self.all().map(status).collect()
    }
}
