//! The cost of a network of one size, for each granted entry.

use data::Info;
use scenario::Scenario;
use serde::Serialize;

use crate::{
    bench::{
        flops::{self, Operations},
        logged::{Chosen, Logged, quantile},
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
    /// Processor seconds an entry, all processes of a role together; of one with all nodes as a whole.
    pub(crate) processor_per_entry: Option<Roles<f64>>,
    /// Bytes an entry on the links between transmitters and receivers.
    pub(crate) bytes_per_entry: Wire,
    /// Peak memory of the largest process of each role in bytes, or of the one process with all nodes.
    pub(crate) peak_memory: Option<Roles<u64>>,
    /// Floating-point operations an entry, counted from the scenario and the grants.
    pub(crate) operations_per_entry: Operations,
}

/// Bytes by purpose.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Wire {
    /// Features and their gradients.
    pub(crate) payload: f64,
    /// Choices that transmitters report to receivers.
    pub(crate) requests: f64,
    /// Costs that receivers send to transmitters, and that these pass on.
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
            bytes_per_entry: Wire::of(scenario, logged, &chosen).over(entries),
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
    /// That of a round.
    fn of(scenario: &Scenario, logged: &Logged, chosen: &Chosen) -> Self {
        let rounds = logged.rounds.len() as f64;
        let mean = |bytes: &dyn Fn(&Bytes) -> u64| {
            logged.rounds.iter().map(|round| bytes(&round.bytes) as f64).sum::<f64>() / rounds
        };
        let payload = mean(&|bytes| bytes.feature + bytes.gradient);
        let (requests, costs) = (requests(scenario, chosen), costs(scenario, chosen));
        let rest = mean(&|bytes| bytes.total) - payload - requests - costs;
        Wire { payload, requests, costs, rest }
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

/// Bytes of what receivers are told of a round's choices: a bit for every receiver and modality at every tick at which
/// one requested the transmitter, or at all ticks; what fills up the last byte of a message is not counted.
fn requests(scenario: &Scenario, chosen: &Chosen) -> f64 {
    let (ticks, receivers) = (scenario.train.ticks_per_round, scenario.receivers());
    let all = scenario.record.draws || scenario.train.counts_all_grants();
    let told = |requested: f64| if all { (ticks * receivers) as f64 } else { requested };
    let bits = |(k, &requested): (usize, &f64)| told(requested) * (receivers * scenario.modalities(k)) as f64;
    chosen.requested.iter().enumerate().map(bits).sum::<f64>() / 8.0
}

/// Bytes of a round's costs: eight for every tick at which a receiver requested a transmitter; or of all ticks, and
/// back to every receiver those of all.
fn costs(scenario: &Scenario, chosen: &Chosen) -> f64 {
    let (transmitters, receivers) = (scenario.transmitters(), scenario.receivers());
    let told = match scenario.train.tells_costs() {
        true => (scenario.train.ticks_per_round * transmitters * receivers * (1 + receivers)) as f64,
        false => chosen.requested.iter().sum(),
    };
    8.0 * told
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
                ..Roles::default()
            }),
            bytes_per_entry: Wire { payload: 3840.0, requests: 2.0, costs: 13.0, rest: 25.0 },
            peak_memory: known.then_some(Roles {
                transmitter: 1 << 28,
                receiver: 1 << 27,
                coordinator: 1 << 20,
                together: 0,
            }),
            operations_per_entry: operations,
        }
    }

    fn scenario(size: usize, set: &[&str]) -> Scenario {
        let nodes = ["transmitters", "receivers"].map(|nodes| format!("network.{nodes}={size}"));
        let set: Vec<String> = nodes.into_iter().chain(set.iter().map(|&set| set.into())).collect();
        Scenario::parse(include_str!("../../scenarios/digits.toml"), "digits", &set).unwrap()
    }

    /// Every transmitter is requested by 1.5 receivers a tick, at any size.
    fn chosen(size: usize) -> Chosen {
        Chosen { granted: Vec::new(), encoded: Vec::new(), requested: vec![30.0; size] }
    }

    /// 3 modalities: 3 bits for each receiver at each tick that one of them is told of.
    #[test]
    fn what_is_told_of_choices_grows_as_transmitters_times_receivers() {
        let of = |size: usize, set: &[&str]| requests(&scenario(size, set), &chosen(size));
        assert_eq!(of(2, &[]), 2.0 * 30.0 * 6.0 / 8.0);
        assert_eq!(of(16, &[]), 16.0 * 30.0 * 48.0 / 8.0);
        assert_eq!(of(1000, &[]), 1000.0 * 30.0 * 3000.0 / 8.0);
        // At all ticks it grows as transmitters times the square of receivers.
        assert_eq!(of(1000, &["train.gamma=0.1", "train.sparse_term=global"]), 1e6 * 7500.0);
        assert_eq!(of(1000, &["record.draws=true"]), 1e6 * 7500.0);
    }

    #[test]
    fn costs_grow_as_the_number_of_requests() {
        let of = |size: usize| costs(&scenario(size, &[]), &chosen(size));
        assert_eq!([of(2), of(16)], [2.0 * 240.0, 16.0 * 240.0]);
    }
}
