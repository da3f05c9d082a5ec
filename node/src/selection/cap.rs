use dib::{ChoiceGrid, Grants, Phase};
use randomness::Seed;
use scenario::Scenario;

/// The grants of transmitter k, given its choices at some ticks, under constraint (10): the kernel P(A | A') of section
/// VII-A on entries or, under `network.multicast`, on features. `first_tick` is the tick of the grid's first row.
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
