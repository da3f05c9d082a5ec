//! The draws of a round in the form of `draws.jsonl`: requests by receiver, choices and grants by transmitter.

use std::path::Path;

use dib::{ChoiceGrid, Grants, Phase, SelectorNode};
use randomness::Seed;
use scenario::{CommonRandomness, Scenario};
use serde::{Deserialize, Serialize};

use crate::{CoordinatorError, RunFolder};

/// The log of draws, a line of JSON for each round, where `record.draws` is set.
pub(crate) const DRAWS: &str = "draws.jsonl";

/// The draws of a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundDraws {
    /// The round.
    pub round: u64,
    /// SHA-256 over the samples of all its ticks, as all nodes drew them.
    pub samples: String,
    /// Its ticks, in order.
    pub ticks: Vec<TickDraws>,
}

/// The draws of a tick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TickDraws {
    /// The tick, counted over the whole run.
    pub tick: u64,
    /// The randomness u that all nodes share; empty where every node draws its own.
    pub u: Vec<f32>,
    /// What every node draws, where that is its own (`train.common_randomness = "private"`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_u: Option<OwnU>,
    /// By receiver: the transmitters that it requested.
    pub requests: Vec<Vec<usize>>,
    /// By transmitter: the (receiver, modality) pairs that it chose for those who requested, before the cap.
    pub choices: Vec<Vec<(usize, usize)>>,
    /// By transmitter: those that the cap left.
    pub grants: Vec<Vec<(usize, usize)>>,
}

/// The u of every node at a tick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnU {
    /// By receiver.
    pub receivers: Vec<Vec<f32>>,
    /// By transmitter.
    pub transmitters: Vec<Vec<f32>>,
}

/// u at a tick of training: the shared one; or an empty one, with each node's own.
pub(crate) fn u_at(scenario: &Scenario, tick: u64) -> (Vec<f32>, Option<OwnU>) {
    let (seed, dim) = (Seed::from_number(scenario.seed), scenario.network.feature_dim);
    let kind = node::common_randomness(scenario.train.common_randomness);
    let of = |node| kind.draw(seed, Phase::Train, node, tick, dim);
    if scenario.train.common_randomness != CommonRandomness::Private {
        // All nodes draw the same.
        return (of(SelectorNode::Receiver(0)), None);
    }
    let receivers = (0..scenario.receivers()).map(|t| of(SelectorNode::Receiver(t))).collect();
    let transmitters = (0..scenario.transmitters()).map(|k| of(SelectorNode::Transmitter(k))).collect();
    (Vec::new(), Some(OwnU { receivers, transmitters }))
}

impl TickDraws {
    /// By transmitter: the choices that the cap took away.
    pub fn capped(&self) -> Vec<Vec<(usize, usize)>> {
        let both = self.choices.iter().zip(&self.grants);
        let capped = both.map(|(choices, grants)| choices.iter().filter(|entry| !grants.contains(entry)));
        capped.map(|entries| entries.copied().collect()).collect()
    }
}

impl RoundDraws {
    /// The draws of a round, from requests by receiver, transmitter and tick, and from the choices and grants of each
    /// transmitter, part by part.
    pub(crate) fn of(
        scenario: &Scenario,
        round: u64,
        samples: String,
        requests: &[Vec<Vec<bool>>],
        chosen: &[(Vec<ChoiceGrid>, Vec<Grants>)],
    ) -> Self {
        let ticks = scenario.train.ticks_per_round;
        let requested = |tick: usize| {
            let of = |requests: &Vec<Vec<bool>>| (0..requests.len()).filter(|k| requests[*k][tick]).collect();
            requests.iter().map(of).collect()
        };
        // A part's grid has a row for each of its ticks, and so have its grants.
        let choices: Vec<Vec<Vec<(usize, usize)>>> =
            chosen.iter().map(|(grids, grants)| rows(grids, grants)).collect();
        let grants: Vec<Vec<&[(usize, usize)]>> =
            chosen.iter().map(|(_, grants)| grants.iter().flat_map(Grants::ticks).collect()).collect();
        let draws = |place: usize| {
            let tick = round * ticks as u64 + place as u64;
            let (u, own_u) = u_at(scenario, tick);
            TickDraws {
                tick,
                u,
                own_u,
                requests: requested(place),
                choices: choices.iter().map(|of| of[place].clone()).collect(),
                grants: grants.iter().map(|of| of[place].to_vec()).collect(),
            }
        };
        RoundDraws { round, samples, ticks: (0..ticks).map(draws).collect() }
    }

    /// The recorded draws of a round of the run in a folder; none if they were not recorded.
    ///
    /// # Errors
    ///
    /// If the log cannot be read, or the round's line is damaged.
    pub fn recorded(folder: &Path, round: u64) -> Result<Option<Self>, CoordinatorError> {
        let path = RunFolder::at(folder).file(DRAWS);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(CoordinatorError::file(&path))?,
        };
        let start = format!("{{\"round\":{round},");
        let line = text.lines().find(|line| line.starts_with(&start));
        let read = |line: &str| {
            serde_json::from_str(line).map_err(|error| {
                CoordinatorError::Input(format!("{}: the line of round {round}: {error}", path.display()))
            })
        };
        line.map(read).transpose()
    }
}

fn rows(grids: &[ChoiceGrid], grants: &[Grants]) -> Vec<Vec<(usize, usize)>> {
    let of = |(grid, grants): (&ChoiceGrid, &Grants)| {
        (0..grants.ticks().len()).map(|row| grid.choices_at(row)).collect::<Vec<_>>()
    };
    grids.iter().zip(grants).flat_map(of).collect()
}
