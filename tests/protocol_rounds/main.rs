//! The messages of the nodes in a round, and which messages they refuse.

mod ahead;
mod books;
mod coded_features;
mod gradients;
mod learning_rates;
mod own_coding;
mod parts;
mod priors;
mod refusals;
mod rounds;
mod stragglers;
#[path = "../support/mod.rs"]
mod support;
mod worst;

/// Three transmitters, two receivers, and a cap that binds.
const SCENARIO: &str = r#"
    seed = 11
    [network]
    feature_dim = 4
    receiver_limit = 2
    transmitter_limit = 2
    [[transmitter]]
    modalities = ["narrow", "wide"]
    [[transmitter]]
    modalities = ["wide", "narrow", "narrow"]
    [[transmitter]]
    modalities = ["wide"]
    [[receiver]]
    task = "colour"
    [[receiver]]
    task = "place"
    [train]
    ticks_per_round = 5
    samples_per_tick = 3
    coding_lr = 1e-3
    selection_lr = 1e-3
    "#;

fn setup() -> support::local_network::Setup {
    setup_with(&[])
}

fn setup_with(assignments: &[&str]) -> support::local_network::Setup {
    support::toy_data::toy_setup(SCENARIO, assignments)
}
