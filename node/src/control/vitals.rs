use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use link::Channel;
use proto::v1::{Heartbeat, LookRequest, probe_client::ProbeClient};
use tokio::time::Instant;

/// Pause between two probes of a link. Each takes some 200 bytes.
const PAUSE: Duration = Duration::from_secs(5);

/// The largest answer to a probe, in bytes.
const LARGEST_ANSWER: usize = 1 << 12;

/// Memory of this process and round-trip times of its links, for the heartbeats. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Vitals(Arc<Mutex<RoundTrips>>);

/// Seconds of the last probe of each link.
#[derive(Debug, Default)]
struct RoundTrips {
    coordinator: Option<f64>,
    /// By transmitter; 0 where nothing was measured.
    transmitters: Vec<f64>,
}

impl Vitals {
    /// Measures the round trip to the coordinator again and again.
    pub(crate) async fn probe_coordinator(self, channel: Channel) {
        probe(channel, |seconds| self.round_trips().coordinator = Some(seconds)).await;
    }

    /// Measures the round trip to one of `count` transmitters again and again, over the link that its features take.
    pub async fn probe_transmitter(self, k: usize, count: usize, channel: Channel) {
        probe(channel, |seconds| {
            let mut round_trips = self.round_trips();
            round_trips.transmitters.resize(count, 0.0);
            round_trips.transmitters[k] = seconds;
        })
        .await;
    }

    /// Adds what is known to a heartbeat.
    pub(crate) fn complete(&self, heartbeat: Heartbeat) -> Heartbeat {
        let round_trips = self.round_trips();
        Heartbeat {
            memory: resident_bytes(),
            round_trip: round_trips.coordinator,
            transmitter_round_trips: round_trips.transmitters.clone(),
            ..heartbeat
        }
    }

    fn round_trips(&self) -> MutexGuard<'_, RoundTrips> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}

/// Probes a link until the task ends. The node that works over a link notices its loss.
async fn probe(channel: Channel, note: impl Fn(f64)) {
    let mut client = ProbeClient::new(channel).max_decoding_message_size(LARGEST_ANSWER);
    loop {
        let begun = Instant::now();
        if client.look(LookRequest::default()).await.is_ok() {
            note(begun.elapsed().as_secs_f64());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// How much of this process lies in memory, where the system says so as Linux does.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = resident.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_has_the_memory_and_the_last_round_trips() {
        let vitals = Vitals::default();
        let fresh = vitals.complete(Heartbeat { version: 3, ..Heartbeat::default() });
        assert_eq!((fresh.version, fresh.round_trip, fresh.transmitter_round_trips.len()), (3, None, 0));
        if cfg!(target_os = "linux") {
            assert!(fresh.memory.is_some_and(|bytes| bytes > 1 << 20), "{:?}", fresh.memory);
        }
        vitals.round_trips().coordinator = Some(0.25);
        vitals.round_trips().transmitters = vec![0.0, 0.5];
        let later = vitals.complete(Heartbeat::default());
        assert_eq!((later.round_trip, later.transmitter_round_trips), (Some(0.25), vec![0.0, 0.5]));
    }
}
