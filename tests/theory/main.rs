//! The mathematics on networks so small that all outcomes can be enumerated: the oracle that the machines are compared
//! with is itself right, and what the paper proves about its objectives holds.

mod coordination;
mod gradients;
#[path = "../support/oracle/mod.rs"]
mod oracle;
mod outcomes;
#[path = "../support/played_round.rs"]
mod played_round;
mod problem;
mod proposition;
#[path = "../support/reports.rs"]
mod reports;
#[path = "../support/mod.rs"]
mod support;
mod theorem;

/// Two transmitters, two receivers, two ticks.
pub(crate) const NETWORK: &str = r#"
    seed = 6
    [network]
    feature_dim = 3
    [[transmitter]]
    modalities = ["narrow", "wide"]
    [[transmitter]]
    modalities = ["wide", "narrow"]
    [[receiver]]
    task = "colour"
    [[receiver]]
    task = "place"
    [train]
    ticks_per_round = 2
    samples_per_tick = 3
    "#;

/// A tick of two transmitters and one receiver.
pub(crate) const ONE_RECEIVER: &str = r#"
    seed = 7
    [network]
    feature_dim = 2
    [[transmitter]]
    modalities = ["narrow", "wide"]
    [[transmitter]]
    modalities = ["wide", "narrow"]
    [[receiver]]
    task = "colour"
    [train]
    ticks_per_round = 1
    samples_per_tick = 3
    "#;

/// A tick of a receiver that requests one or two of three transmitters: what it draws first decides what is left.
pub(crate) const TWO_OF_THREE: &str = r#"
    seed = 9
    [network]
    feature_dim = 2
    receiver_limit = 2
    [[transmitter]]
    modalities = ["narrow", "wide"]
    [[transmitter]]
    modalities = ["wide"]
    [[transmitter]]
    modalities = ["narrow"]
    [[receiver]]
    task = "colour"
    [train]
    ticks_per_round = 1
    samples_per_tick = 3
    "#;

/// A tick of one transmitter and two receivers, which may request more than it can encode.
pub(crate) const COUPLED: &str = r#"
    seed = 8
    [network]
    feature_dim = 2
    receiver_limit = 1
    transmitter_limit = 2
    [[transmitter]]
    modalities = ["narrow", "wide"]
    [[receiver]]
    task = "colour"
    [[receiver]]
    task = "place"
    [train]
    ticks_per_round = 1
    samples_per_tick = 3
    "#;
