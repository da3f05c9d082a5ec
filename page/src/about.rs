use scenario::Scenario;
use serde_json::{Value, json};

/// What does not change in a run: names, sizes, limits.
pub fn about(scenario: &Scenario, folder: &str) -> Value {
    let transmitters: Vec<Value> = (scenario.transmitter.iter())
        .map(|transmitter| json!({ "modalities": transmitter.modalities }))
        .collect();
    let receivers: Vec<Value> =
        scenario.receiver.iter().map(|receiver| json!({ "task": receiver.task })).collect();
    json!({
        "folder": folder,
        "name": scenario.name,
        "seed": scenario.seed,
        "method": scenario.train.method.name(),
        "rounds": scenario.train.rounds,
        "ticks_per_round": scenario.train.ticks_per_round,
        "samples_per_tick": scenario.train.samples_per_tick,
        "beta": scenario.train.beta,
        "feature_dim": scenario.network.feature_dim,
        "receiver_limit": scenario.network.receiver_limit,
        "transmitter_limit": scenario.network.transmitter_limit,
        "draws": scenario.record.draws,
        "transmitters": transmitters,
        "receivers": receivers,
    })
}
