//! Verification of the draws: the nodes' reports of a round are compared, and draws that follow from the seed are
//! recomputed.
//!
//! A selector's own draw depends on logits that only its owner knows. So this verifies that all nodes saw the same
//! choices, that only receivers that requested were served, that limits and caps hold, and that all nodes used the same
//! samples; not that a node follows its policy.

use bytes::Bytes;
use dib::{ChoiceGrid, Grants, Phase};
use proto::{
    decode_ticks,
    v1::{ReceiverRound, TransmitterRound},
};
use randomness::Seed;
use scenario::Scenario;

use crate::{draws::RoundDraws, summary::hex};

/// Verifies the reports of complete rounds. An error is one line that names the node at fault, or two nodes of which
/// one is at fault.
pub(crate) struct Verifier {
    scenario: Scenario,
    seed: Seed,
}

impl Verifier {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Verifier { scenario: scenario.clone(), seed: Seed::from_number(scenario.seed) }
    }

    /// Verifies a round from all its reports, in index order, and returns its draws.
    pub(crate) fn verify(
        &self,
        receivers: &[&ReceiverRound],
        transmitters: &[&TransmitterRound],
    ) -> Result<RoundDraws, String> {
        let round = transmitters.first().map_or(0, |report| report.round);
        let at = |line: String| format!("{line} in round {round}");
        let requests = self.verify_requests(receivers).map_err(at)?;
        let mut chosen = Vec::with_capacity(transmitters.len());
        for (k, transmitter) in transmitters.iter().enumerate() {
            let choices = self.verify_views(k, receivers, transmitter).map_err(at)?;
            let requested: Vec<&[bool]> = requests.iter().map(|requests| requests[k].as_slice()).collect();
            let granted = self.verify_choices(k, round, &choices, &requested).map_err(at)?;
            self.verify_counts(k, &granted, receivers, transmitter).map_err(at)?;
            chosen.push((choices, granted));
        }
        self.verify_gains(round, receivers).map_err(at)?;
        self.verify_batches(receivers, transmitters).map_err(at)?;
        let samples = transmitters.first().map_or(String::new(), |report| hex(&report.batch));
        Ok(RoundDraws::of(&self.scenario, round, samples, &requests, &chosen))
    }

    /// Every receiver's channel draws follow from the seed.
    fn verify_gains(&self, round: u64, receivers: &[&ReceiverRound]) -> Result<(), String> {
        for (t, report) in receivers.iter().enumerate() {
            let expected = match self.scenario.channels().any(|(_, to, _)| to == t) {
                true => node::air_digest(&self.scenario, self.seed, t, round)
                    .map_err(|error| format!("what receiver {t} heard cannot be verified: {error}"))?
                    .to_vec(),
                false => Vec::new(),
            };
            if report.gains != expected {
                return Err(format!("receiver {t} drew other gains or noise than the seed says"));
            }
        }
        Ok(())
    }

    /// All nodes use the same samples.
    fn verify_batches(
        &self,
        receivers: &[&ReceiverRound],
        transmitters: &[&TransmitterRound],
    ) -> Result<(), String> {
        let transmitters =
            transmitters.iter().enumerate().map(|(k, report)| (format!("transmitter {k}"), &report.batch));
        let receivers =
            receivers.iter().enumerate().map(|(t, report)| (format!("receiver {t}"), &report.batch));
        let batches: Vec<_> = transmitters.chain(receivers).collect();
        let odd = odd_ones(&batches.iter().map(|(_, batch)| *batch).collect::<Vec<_>>());
        match odd.is_empty() {
            true => Ok(()),
            false => Err(format!("{} used other samples than the others", names(&batches, &odd))),
        }
    }

    /// Every receiver requests within its limit, (9). Returns the requests by receiver, transmitter, tick.
    fn verify_requests(&self, receivers: &[&ReceiverRound]) -> Result<Vec<Vec<Vec<bool>>>, String> {
        let (ticks, limit) = (self.scenario.train.ticks_per_round, self.scenario.receiver_limit());
        let mut all = Vec::with_capacity(receivers.len());
        for (t, report) in receivers.iter().enumerate() {
            if report.views.len() != self.scenario.transmitters() {
                return Err(format!("receiver {t} does not say what it saw of every transmitter"));
            }
            let requests = report.views.iter().map(|view| decode_ticks(&view.requests, ticks));
            let requests: Vec<Vec<bool>> =
                requests.collect::<Result<_, _>>().map_err(|error| format!("receiver {t}: {error}"))?;
            for tick in 0..ticks {
                let count = requests.iter().filter(|requests| requests[tick]).count();
                if count == 0 || count > limit {
                    return Err(format!(
                        "receiver {t} requested {count} transmitters (1 to {limit} are allowed)"
                    ));
                }
            }
            all.push(requests);
        }
        Ok(all)
    }

    /// The audit records of all receivers have the same choices of transmitter k. Returns them, part by part.
    fn verify_views(
        &self,
        k: usize,
        receivers: &[&ReceiverRound],
        transmitter: &TransmitterRound,
    ) -> Result<Vec<ChoiceGrid>, String> {
        let own = transmitter.view.as_ref().map(|view| &view.choices);
        let own = own.ok_or_else(|| format!("transmitter {k} does not say what it chose"))?;
        let heard = receivers
            .iter()
            .enumerate()
            .map(|(t, report)| (format!("receiver {t}"), self.heard(&report.views[k].choices, own)));
        let views: Vec<_> = std::iter::once((format!("transmitter {k}"), own.clone())).chain(heard).collect();
        let odd = odd_ones(&views.iter().map(|(_, view)| view).collect::<Vec<_>>());
        if odd == [0] {
            return Err(format!("transmitter {k} reports other choices than it sent to all receivers"));
        }
        if !odd.is_empty() {
            let odd = names(&views, &odd);
            return Err(format!(
                "transmitter {k} told {odd} other choices than the others, unless {odd} reports them falsely"
            ));
        }
        let modalities = self.scenario.modalities(k);
        let grid = |(part, bytes): (usize, &bytes::Bytes)| {
            ChoiceGrid::from_bytes(self.part(part).len(), receivers.len(), modalities, bytes)
                .map_err(|error| format!("transmitter {k}: {error}"))
        };
        let parts = self.scenario.train.ticks_per_round.div_ceil(self.scenario.ticks_per_part());
        if own.len() != parts {
            return Err(format!(
                "transmitter {k} reports the choices of {} parts, not of {parts}",
                own.len()
            ));
        }
        own.iter().enumerate().map(grid).collect()
    }

    /// The choices in the audit record of a receiver, part by part. It knows none of a message that it went without.
    fn heard(&self, recorded: &[Bytes], own: &[Bytes]) -> Vec<Bytes> {
        let unheard = |part: usize| self.scenario.skips() && recorded[part].is_empty() && part < own.len();
        (0..recorded.len())
            .map(|part| if unheard(part) { own[part].clone() } else { recorded[part].clone() })
            .collect()
    }

    /// Choices are made only for receivers that requested. Returns those that the cap leaves, (10).
    fn verify_choices(
        &self,
        k: usize,
        round: u64,
        choices: &[ChoiceGrid],
        requested: &[&[bool]],
    ) -> Result<Vec<Grants>, String> {
        let mut granted = Vec::with_capacity(choices.len());
        for (part, grid) in choices.iter().enumerate() {
            let ticks = self.part(part);
            for (row, tick) in ticks.clone().enumerate() {
                let chosen = grid.choices_at(row);
                for (t, requested) in requested.iter().enumerate() {
                    let got = chosen.iter().any(|(receiver, _)| *receiver == t);
                    if got != requested[tick] {
                        let did = if got { "chosen for" } else { "passed over" };
                        let why = if got { "had not requested it" } else { "had requested it" };
                        return Err(format!("transmitter {k} {did} receiver {t}, which {why}"));
                    }
                }
            }
            let first = round * self.scenario.train.ticks_per_round as u64 + ticks.start as u64;
            granted.push(node::capped(&self.scenario, self.seed, k, Phase::Train, first, grid));
        }
        Ok(granted)
    }

    /// The reported grants and encodings are what the cap leaves.
    fn verify_counts(
        &self,
        k: usize,
        granted: &[Grants],
        receivers: &[&ReceiverRound],
        transmitter: &TransmitterRound,
    ) -> Result<(), String> {
        let first: usize = (0..k).map(|earlier| self.scenario.modalities(earlier)).sum();
        for m in 0..self.scenario.modalities(k) {
            for (t, report) in receivers.iter().enumerate() {
                let ticks = granted.iter().flat_map(|part| part.for_receiver(t));
                let count = ticks.filter(|(_, modality)| *modality == m).count();
                let reported = granted_to(report, first + m);
                // Under "skip", a receiver that went without a message does not know its grants.
                let heard = report.views[k].choices.iter().all(|part| !part.is_empty());
                if reported > count || (heard && reported < count) {
                    return Err(format!(
                        "receiver {t} reports {reported} grants of modality {m} of transmitter {k}, where the cap leaves \
                         {count}"
                    ));
                }
            }
            let ticks = granted.iter().flat_map(Grants::ticks);
            let count = ticks.filter(|granted| granted.iter().any(|(_, modality)| *modality == m)).count();
            let reported = transmitter.encoded[m] as usize;
            if reported != count {
                return Err(format!(
                    "transmitter {k} reports that it encoded modality {m} at {reported} ticks, where the cap leaves {count}"
                ));
            }
        }
        Ok(())
    }

    /// The ticks of a part, within their round.
    fn part(&self, part: usize) -> std::ops::Range<usize> {
        let (ticks, size) = (self.scenario.train.ticks_per_round, self.scenario.ticks_per_part());
        (part * size).min(ticks)..((part + 1).saturating_mul(size)).min(ticks)
    }
}

/// At how many ticks an entry was granted: used, lost or late.
fn granted_to(report: &ReceiverRound, entry: usize) -> usize {
    let missing = report.missing.as_ref().map_or(0, |missing| missing.lost[entry] + missing.late[entry]);
    (report.granted[entry] + missing) as usize
}

/// The values that differ from the majority; without a majority, all that differ from the first.
fn odd_ones<V: PartialEq>(values: &[&V]) -> Vec<usize> {
    let agree = |value: &V| values.iter().filter(|other| ***other == *value).count();
    let most = values.iter().find(|value| 2 * agree(value) > values.len()).or(values.first());
    let Some(most) = most else { return Vec::new() };
    (0..values.len()).filter(|&at| values[at] != *most).collect()
}

fn names<V>(of: &[(String, V)], chosen: &[usize]) -> String {
    chosen.iter().map(|&at| of[at].0.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use dib::grants;
    use proto::{encode_ticks, v1::View};

    use super::*;

    const SCENARIO: &str = r#"
[network]
receiver_limit = 1
transmitter_limit = 1
[train]
ticks_per_round = 20
ticks_per_part = 10
[[transmitter]]
modalities = ["fft", "mel"]
[[transmitter]]
modalities = ["fft"]
[[receiver]]
task = "digit"
[[receiver]]
task = "parity"
"#;

    const ROUND: u64 = 3;

    /// The reports of an honest round: receiver 0 requests transmitter 0 at every tick, receiver 1 at every other one
    /// and transmitter 1 at the rest. Where both request, the cap takes one entry away.
    fn honest() -> (Verifier, Vec<ReceiverRound>, Vec<TransmitterRound>) {
        let scenario = Scenario::parse(SCENARIO, "test", &[]).unwrap();
        let requests = |t: usize, k: usize, tick: usize| {
            [(t == 0 || tick.is_multiple_of(2)), (t == 1 && !tick.is_multiple_of(2))][k]
        };
        let grid = |k: usize, part: usize| {
            let mut grid = ChoiceGrid::new(10, 2, scenario.modalities(k));
            for row in 0..10 {
                (0..2).filter(|&t| requests(t, k, 10 * part + row)).for_each(|t| grid.set(row, t, 0));
            }
            grid
        };
        let seed = Seed::from_number(scenario.seed);
        let granted = |k: usize, part: usize| {
            grants(seed, k, Phase::Train, ROUND * 20 + 10 * part as u64, &grid(k, part), 1)
        };
        let choices = |k| -> Vec<Bytes> { (0..2).map(|part| grid(k, part).to_bytes().into()).collect() };
        let batch = Bytes::from_static(b"batch");
        let receivers = (0..2).map(|t| {
            let count = |k| (0..2).map(|part| granted(k, part).for_receiver(t).len() as u32).sum();
            let requests_of = |k| (0..20).map(|tick| requests(t, k, tick)).collect::<Vec<_>>();
            let view = |k| View { requests: encode_ticks(&requests_of(k)), choices: choices(k) };
            ReceiverRound {
                round: ROUND,
                granted: vec![count(0), 0, count(1)],
                views: (0..2).map(view).collect(),
                batch: batch.clone(),
                ..ReceiverRound::default()
            }
        });
        let transmitters = (0..2).map(|k| {
            let ticks = |part| granted(k, part).ticks().filter(|granted| !granted.is_empty()).count() as u32;
            let mut encoded = vec![ticks(0) + ticks(1)];
            encoded.resize(scenario.modalities(k), 0);
            let view = Some(View { requests: Bytes::new(), choices: choices(k) });
            TransmitterRound { round: ROUND, encoded, view, batch: batch.clone(), ..Default::default() }
        });
        (Verifier::new(&scenario), receivers.collect(), transmitters.collect())
    }

    fn verdict(change: impl FnOnce(&mut [ReceiverRound], &mut [TransmitterRound])) -> Result<(), String> {
        let (verifier, mut receivers, mut transmitters) = honest();
        change(&mut receivers, &mut transmitters);
        let receivers: Vec<_> = receivers.iter().collect();
        verifier.verify(&receivers, &transmitters.iter().collect::<Vec<_>>()).map(drop)
    }

    /// Flips a choice of the first tick of a round.
    fn flip(choices: &mut [Bytes], bit: u8) {
        let mut bytes = choices[0].to_vec();
        bytes[0] ^= 1 << bit;
        choices[0] = bytes.into();
    }

    #[test]
    fn an_honest_round_passes() {
        assert_eq!(verdict(|_, _| ()), Ok(()));
    }

    #[test]
    fn the_draws_of_a_round_say_who_requested_what_was_chosen_and_what_the_cap_took_away() {
        let (verifier, receivers, transmitters) = honest();
        let receivers: Vec<_> = receivers.iter().collect();
        let draws = verifier.verify(&receivers, &transmitters.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!((draws.round, draws.ticks.len(), draws.samples.as_str()), (ROUND, 20, "6261746368"));
        let first = &draws.ticks[0];
        assert_eq!((first.tick, &first.requests), (60, &vec![vec![0], vec![0]]));
        assert_eq!(first.choices, [vec![(0, 0), (1, 0)], vec![]]);
        assert_eq!((first.grants[0].len(), first.capped()[0].len()), (1, 1), "E_k = 1");
        let second = &draws.ticks[11];
        assert_eq!((second.tick, &second.requests), (71, &vec![vec![0], vec![1]]));
        assert_eq!(
            (&second.grants, second.capped()),
            (&vec![vec![(0, 0)], vec![(1, 0)]], vec![vec![], vec![]])
        );
    }

    #[test]
    fn a_node_with_other_gains_than_the_seeds_is_named() {
        let (_, mut receivers, transmitters) = honest();
        let set = ["channel=[{receiver=1,kind=\"rayleigh\",snr_db=5}]".to_owned()];
        let scenario = Scenario::parse(SCENARIO, "test", &set).unwrap();
        let seed = Seed::from_number(scenario.seed);
        let verifier = Verifier::new(&scenario);
        let verdict = |receivers: &[ReceiverRound]| {
            let receivers: Vec<_> = receivers.iter().collect();
            verifier.verify(&receivers, &transmitters.iter().collect::<Vec<_>>()).map(drop)
        };
        let line = "receiver 1 drew other gains or noise than the seed says in round 3";
        assert_eq!(verdict(&receivers), Err(line.into()), "it says nothing");
        receivers[1].gains = node::air_digest(&scenario, seed, 1, ROUND).unwrap().to_vec().into();
        assert_eq!(verdict(&receivers), Ok(()));
        receivers[1].gains = node::air_digest(&scenario, seed, 1, ROUND + 1).unwrap().to_vec().into();
        assert_eq!(verdict(&receivers), Err(line.into()));
    }

    #[test]
    fn a_transmitter_that_tells_receivers_different_choices_is_named() {
        let line = verdict(|receivers, _| flip(&mut receivers[1].views[0].choices, 1)).unwrap_err();
        assert_eq!(
            line,
            "transmitter 0 told receiver 1 other choices than the others, unless receiver 1 reports them falsely in round 3"
        );
        let own = |_: &mut [ReceiverRound], transmitters: &mut [TransmitterRound]| {
            flip(&mut transmitters[0].view.as_mut().unwrap().choices, 1);
        };
        let line = verdict(own).unwrap_err();
        assert_eq!(line, "transmitter 0 reports other choices than it sent to all receivers in round 3");
    }

    #[test]
    fn a_transmitter_that_chooses_without_a_request_or_ignores_one_is_named() {
        // At tick 1 receiver 1 did not request transmitter 0, at tick 0 it did. (Tick, receiver, modality) in order.
        for (bit, line) in
            [(6, "chosen for receiver 1, which had not requested it"), (2, "passed over receiver 1")]
        {
            let everywhere = |receivers: &mut [ReceiverRound], transmitters: &mut [TransmitterRound]| {
                receivers.iter_mut().for_each(|receiver| flip(&mut receiver.views[0].choices, bit));
                flip(&mut transmitters[0].view.as_mut().unwrap().choices, bit);
            };
            let found = verdict(everywhere).unwrap_err();
            assert!(found.starts_with("transmitter 0 ") && found.contains(line), "{found}");
        }
    }

    #[test]
    fn a_receiver_with_too_many_requests_is_named() {
        let line =
            verdict(|receivers, _| receivers[0].views[1].requests = encode_ticks(&[true; 20])).unwrap_err();
        assert_eq!(line, "receiver 0 requested 2 transmitters (1 to 1 are allowed) in round 3");
    }

    #[test]
    fn a_node_that_claims_other_grants_than_the_caps_is_named() {
        let line = verdict(|receivers, _| receivers[1].granted[0] += 1).unwrap_err();
        assert!(line.starts_with("receiver 1 reports") && line.contains("where the cap leaves"), "{line}");
        let line = verdict(|_, transmitters| transmitters[1].encoded[0] -= 1).unwrap_err();
        assert!(line.starts_with("transmitter 1 reports that it encoded modality 0 at 9 ticks"), "{line}");
    }

    /// Where E_k counts features, the cap takes nothing from two receivers that are sent the same one.
    #[test]
    fn multicast_grants_are_verified_against_the_cap_on_features() {
        let (_, mut receivers, transmitters) = honest();
        let multicast = ["network.multicast=true".to_owned()];
        let verifier = Verifier::new(&Scenario::parse(SCENARIO, "test", &multicast).unwrap());
        let transmitters: Vec<_> = transmitters.iter().collect();
        let line = verifier.verify(&receivers.iter().collect::<Vec<_>>(), &transmitters).unwrap_err();
        assert!(line.starts_with("receiver 0 reports") && line.contains("where the cap leaves 20"), "{line}");
        (receivers[0].granted[0], receivers[1].granted[0]) = (20, 10);
        verifier.verify(&receivers.iter().collect::<Vec<_>>(), &transmitters).unwrap();
    }

    #[test]
    fn a_node_with_other_samples_is_named() {
        let line = verdict(|receivers, _| receivers[0].batch = Bytes::from_static(b"other")).unwrap_err();
        assert_eq!(line, "receiver 0 used other samples than the others in round 3");
    }
}
