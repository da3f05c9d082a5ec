use std::sync::{Arc, Mutex, MutexGuard};

use proto::v1::report::Report;

use crate::{Exposition, ProfilerPhase, Role};

/// What a node reported of its rounds, for scrapers of its health port. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures(Arc<Mutex<Sums>>);

#[derive(Debug, Default)]
struct Sums {
    node: String,
    /// The round after the last one that was reported.
    round: u64,
    /// Seconds by profiler phase, since the process began.
    work: [f64; ProfilerPhase::ALL.len()],
    features: u64,
    gradients: u64,
    /// Bytes through the sockets, of a transmitter.
    wire: Option<u64>,
    /// The last round's cross entropy and rate in nats, of a receiver.
    last: Option<(f64, f64)>,
}

impl Figures {
    /// Sets whose figures these are.
    pub(crate) fn of(&self, role: Role, index: u32) {
        self.sums().node = format!("{} {index}", role.name());
    }

    /// Takes note of a report.
    pub(crate) fn note(&self, report: &Report) {
        let mut sums = self.sums();
        match report {
            Report::ReceiverRound(report) => {
                sums.add(report.round, &report.work);
                sums.features += report.feature_bytes;
                sums.gradients += report.gradient_bytes;
                sums.last = Some((report.cross_entropy, report.rate));
            }
            Report::TransmitterRound(report) => {
                sums.add(report.round, &report.work);
                sums.wire = Some(report.wire_bytes);
            }
            _ => {}
        }
    }

    /// The text for a scraper.
    pub(crate) fn text(&self) -> String {
        let sums = self.sums();
        let node = vec![("node", sums.node.as_str())];
        let with = |name, value| [node.clone(), vec![(name, value)]].concat();
        let one = |value: Option<f64>| value.map(|value| (node.clone(), value)).into_iter().collect();
        let names = ProfilerPhase::ALL.map(ProfilerPhase::name);
        let work =
            names.into_iter().zip(sums.work).map(|(kind, seconds)| (with("kind", kind), seconds)).collect();
        let bytes = [("feature", sums.features), ("gradient", sums.gradients)];
        let bytes = bytes.into_iter().filter(|(_, count)| *count > 0);
        let bytes = bytes.chain(sums.wire.map(|count| ("all", count)));
        let bytes = bytes.map(|(kind, count)| (with("kind", kind), count as f64)).collect();
        Exposition::default()
            .gauge("pom2dib_node_round", "Rounds that the node has reported.", &one(Some(sums.round as f64)))
            .counter("pom2dib_node_work_seconds_total", "Time of the node's compute thread.", &work)
            .counter("pom2dib_node_bytes_total", "Bytes between the node and its peers.", &bytes)
            .gauge(
                "pom2dib_node_cross_entropy_nats",
                "Cross entropy of the last round.",
                &one(sums.last.map(|(ce, _)| ce)),
            )
            .gauge("pom2dib_node_rate_nats", "Rate of the last round.", &one(sums.last.map(|(_, rate)| rate)))
            .text()
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}

impl Sums {
    fn add(&mut self, round: u64, work: &[f64]) {
        self.round = round + 1;
        self.work.iter_mut().zip(work).for_each(|(sum, seconds)| *sum += seconds);
    }
}

#[cfg(test)]
mod tests {
    use proto::v1::{ReceiverRound, TransmitterRound};

    use super::*;

    #[test]
    fn rounds_are_summed_and_the_last_one_is_shown() {
        let figures = Figures::default();
        figures.of(Role::Receiver, 1);
        for round in 0..2 {
            let work = vec![0.5; ProfilerPhase::ALL.len()];
            let report =
                ReceiverRound { round, work, cross_entropy: 0.25, feature_bytes: 10, ..Default::default() };
            figures.note(&Report::ReceiverRound(report));
        }
        let text = figures.text();
        for line in [
            "pom2dib_node_round{node=\"receiver 1\"} 2",
            "pom2dib_node_work_seconds_total{node=\"receiver 1\",kind=\"decode\"} 1",
            "pom2dib_node_bytes_total{node=\"receiver 1\",kind=\"feature\"} 20",
            "pom2dib_node_cross_entropy_nats{node=\"receiver 1\"} 0.25",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}: {text}");
        }
        let figures = Figures::default();
        figures.note(&Report::TransmitterRound(TransmitterRound { wire_bytes: 7, ..Default::default() }));
        assert!(figures.text().contains("kind=\"all\"} 7"));
    }
}
