use dib::{ChoiceGrid, Grants, Phase};
use randomness::Seed;
use scenario::Scenario;

/// What the cap of transmitter k leaves of its choices at some ticks, (10): the kernel P(A | A') of section VII-A, of
/// entries or, under `network.multicast`, of features. `first_tick` is the tick of the grid's first row.
pub fn capped(
    scenario: &Scenario,
    seed: Seed,
    k: usize,
    phase: Phase,
    first_tick: u64,
    choices: &ChoiceGrid,
) -> Grants {
    let grants = if scenario.network.multicast { dib::multicast_grants } else { dib::grants };
    grants(seed, k, phase, first_tick, choices, scenario.transmitter_limit(k))
}
