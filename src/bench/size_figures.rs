//! The cost of a network of one size, for each granted entry.

use data::Info;
use scenario::Scenario;
use serde::Serialize;

use crate::{
    bench::{
        flops::{self, Operations},
        logged::{Logged, quantile},
        node_watch::{Roles, Seen},
    },
    records::run_log::Bytes,
};

/// The figures of one size. A granted entry is one modality of one transmitter for one receiver at one tick.
#[derive(Serialize)]
pub(crate) struct SizeFigures {
    pub(crate) transmitters: usize,
    pub(crate) receivers: usize,
    /// Number of counted rounds.
    pub(crate) rounds: usize,
    /// Granted (tick, entry) pairs of a round, all receivers together: mean over rounds.
    pub(crate) entries_per_round: f64,
    /// Seconds of a round: median over rounds, first and last decile.
    pub(crate) round_seconds: f64,
    pub(crate) spread: [f64; 2],
    pub(crate) seconds_per_entry: f64,
    /// Processor seconds an entry, all processes of a role together.
    pub(crate) processor_per_entry: Option<Roles<f64>>,
    /// Bytes an entry on the links between transmitters and receivers.
    pub(crate) bytes_per_entry: Wire,
    /// Peak memory of the largest process of each role in bytes.
    pub(crate) peak_memory: Option<Roles<u64>>,
    /// Floating-point operations an entry, counted from the scenario and the grants.
    pub(crate) operations_per_entry: Operations,
}

/// Bytes by purpose.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Wire {
    /// Features and their gradients.
    pub(crate) payload: f64,
    /// The requests of all receivers, which every receiver gets from every transmitter.
    pub(crate) requests: f64,
    /// The receiver's costs, which it sends to every transmitter.
    pub(crate) costs: f64,
    /// All else: stamps, requests, rates, framing of protobuf, gRPC and HTTP/2.
    pub(crate) rest: f64,
}

impl SizeFigures {
    pub(crate) fn new(scenario: &Scenario, info: &Info, logged: &Logged, seen: Seen) -> anyhow::Result<Self> {
        let chosen = logged.chosen();
        let entries: f64 = chosen.granted.iter().sum();
        let seconds = |share| quantile(logged.rounds.iter().map(|round| round.seconds).collect(), share);
        Ok(SizeFigures {
            transmitters: scenario.transmitters(),
            receivers: scenario.receivers(),
            rounds: logged.rounds.len(),
            entries_per_round: entries,
            round_seconds: seconds(0.5),
            spread: [seconds(0.1), seconds(0.9)],
            seconds_per_entry: seconds(0.5) / entries,
            processor_per_entry: seen.processor.map(|seconds| seconds.over(entries)),
            bytes_per_entry: Wire::of(scenario, logged, entries),
            peak_memory: seen.peak_memory,
            operations_per_entry: flops::round(scenario, info, &chosen)?.over(entries),
        })
    }

    /// "4x4".
    pub(crate) fn name(&self) -> String {
        format!("{}x{}", self.transmitters, self.receivers)
    }
}

impl Wire {
    fn of(scenario: &Scenario, logged: &Logged, entries: f64) -> Self {
        let rounds = logged.rounds.len() as f64;
        let mean = |bytes: &dyn Fn(&Bytes) -> u64| {
            logged.rounds.iter().map(|round| bytes(&round.bytes) as f64).sum::<f64>() / rounds
        };
        let payload = mean(&|bytes| bytes.feature + bytes.gradient);
        let (requests, costs) = (requests(scenario), costs(scenario));
        let rest = mean(&|bytes| bytes.total) - payload - requests - costs;
        Wire { payload, requests, costs, rest }.over(entries)
    }

    pub(crate) fn total(&self) -> f64 {
        self.payload + self.requests + self.costs + self.rest
    }

    fn over(self, parts: f64) -> Self {
        let Wire { payload, requests, costs, rest } = self;
        let [payload, requests, costs, rest] = [payload, requests, costs, rest].map(|bytes| bytes / parts);
        Wire { payload, requests, costs, rest }
    }
}

/// Bytes of a round's requests: a bit for every (tick, receiver, modality), from every transmitter to every receiver.
fn requests(scenario: &Scenario) -> f64 {
    let (ticks, receivers) = (scenario.train.ticks_per_round, scenario.receivers());
    let bytes = |k: usize| (ticks * receivers * scenario.modalities(k)).div_ceil(8);
    (receivers * (0..scenario.transmitters()).map(bytes).sum::<usize>()) as f64
}

/// Bytes of a round's costs: eight for every tick, from every receiver to every transmitter.
fn costs(scenario: &Scenario) -> f64 {
    (8 * scenario.train.ticks_per_round * scenario.receivers() * scenario.transmitters()) as f64
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Made-up figures.
    pub(crate) fn figures(size: usize, known: bool) -> SizeFigures {
        let operations = Operations {
            encoders: 1.0,
            local_decoders: 2.0,
            joint_decoders: 3.0,
            receiver_selectors: 4.0,
            transmitter_selectors: 5.0,
        };
        SizeFigures {
            transmitters: size,
            receivers: size,
            rounds: 50,
            entries_per_round: 200.5,
            round_seconds: 0.25,
            spread: [0.2, 0.3],
            seconds_per_entry: 0.00125,
            processor_per_entry: known.then_some(Roles {
                transmitter: 0.001,
                receiver: 0.001,
                coordinator: 0.0,
            }),
            bytes_per_entry: Wire { payload: 3840.0, requests: 2.0, costs: 13.0, rest: 25.0 },
            peak_memory: known.then_some(Roles {
                transmitter: 1 << 28,
                receiver: 1 << 27,
                coordinator: 1 << 20,
            }),
            operations_per_entry: operations,
        }
    }

    fn scenario(size: usize) -> Scenario {
        let set = ["transmitters", "receivers"].map(|nodes| format!("network.{nodes}={size}"));
        Scenario::parse(include_str!("../../scenarios/digits.toml"), "digits", &set).unwrap()
    }

    /// 20 ticks, 3 modalities: 60 bits, 8 bytes, for each receiver in a message.
    #[test]
    fn requests_grow_as_transmitters_times_the_square_of_receivers() {
        assert_eq!(requests(&scenario(2)), (2 * 2 * 15) as f64);
        assert_eq!(requests(&scenario(16)), (16 * 16 * 120) as f64);
        assert_eq!(requests(&scenario(1000)), 1e6 * 7500.0);
    }

    #[test]
    fn costs_grow_as_the_number_of_links() {
        assert_eq!([2, 16].map(|size| costs(&scenario(size))), [4.0 * 160.0, 256.0 * 160.0]);
    }
}
