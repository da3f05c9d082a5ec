//! One round of a network of two, a transmitter and a receiver, without a network between them.
//!
//! ```sh
//! cargo run --release --example one_round
//! ```
//!
//! The compute half of a node is a state machine: one input in, some outputs out, and neither sockets nor clocks.
//! Processes put gRPC between the machines; here they are called one after the other, and what they say to each other
//! is printed. It is Algorithm 1 of the paper, step by step.

use std::{io::Write, sync::Arc};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use candle_core::Device;
use data::Dataset;
use dib::{ChoiceGrid, Network, Phase, grants};
use node::{Context, Machine};
use proto::{
    Payload, Secret, decode_ticks,
    v1::{Features, SaveState, Train, order::Order, report::Report},
};
use randomness::Seed;
use receiver::{ReceiverMachine, TaskData};
use scenario::Scenario;
use transmitter::TransmitterMachine;

/// One transmitter that observes three modalities, one of them noise, and may send two at a tick; one receiver that is
/// to tell odd digits from even ones. A round has five ticks of sixteen samples each.
const SCENARIO: &str = r#"
name = "one-round"
seed = 1
data.source = "digits"
network = { feature_dim = 4, receiver_limit = 1, transmitter_limit = 2 }
transmitter = [{ modalities = ["fft", "mel", "noise-1"] }]
receiver = [{ task = "parity" }]
train = { rounds = 1, ticks_per_round = 5, samples_per_tick = 16 }
"#;

fn main() -> Result<()> {
    play(&mut std::io::stdout().lock())
}

fn play(out: &mut dyn Write) -> Result<()> {
    // All that nodes must agree on follows from the scenario and the seed: samples, embeddings, common randomness.
    let scenario = Arc::new(Scenario::parse(SCENARIO, "one_round.rs", &[])?);
    let seed = Seed::from_number(scenario.seed);
    let modalities = scenario.transmitter[0].modalities.clone();
    let dataset = open(&scenario, seed)?;
    let context = || Context {
        scenario: scenario.clone(),
        seed,
        run: Bytes::from_static(b"one round"),
        incarnation: 0,
        index: 0,
        weights: node::WeightFiles::default(),
        device: Device::Cpu,
        verify: false,
        secret: Secret::new([0; 32]),
    };

    // Each node builds its own networks: a selector and encoders here, a selector and decoders there.
    let task = TaskData::new(dataset.as_ref(), "parity")?;
    let entropy = task.label_entropy();
    let mut transmitter = TransmitterMachine::new(context(), dataset, None)?;
    let mut receiver = ReceiverMachine::new(context(), task, None)?;
    writeln!(out, "1. The networks, from their initial weights")?;
    for network in transmitter.networks().chain(receiver.networks()) {
        let values: usize = network.parameters().map(|parameter| parameter.value.elem_count()).sum();
        let (name, inputs, outputs) = (network.name(), network.inputs(), network.outputs());
        writeln!(out, "   {name}: {inputs} -> {outputs}, {values} parameters")?;
    }
    feed(&mut transmitter, transmitter::Input::LabelEntropies(vec![entropy]))?;

    // The coordinator lets everybody train up to version 1, that is round 0. The receiver begins: it draws whom it
    // requests.
    let train = Order::Train(Train { to: 1 });
    feed(&mut transmitter, transmitter::Input::Order(train.clone()))?;
    let Some(receiver::Output::Turn(0, turn)) = feed(&mut receiver, receiver::Input::Order(train))?.pop()
    else {
        bail!("a receiver opens a round with a turn")
    };
    let ticks = turn.requests.as_ref().map_or(Ok(Vec::new()), |requests| decode_ticks(&requests.ticks, 5))?;
    writeln!(out, "\n2. Receiver 0 requests transmitter 0 at every tick that is true: {ticks:?}")?;

    // The transmitter has heard from all receivers: it chooses entries, caps them, and encodes what it grants.
    let answers = feed(&mut transmitter, transmitter::Input::Turn(0, turn))?;
    let Some(transmitter::Output::Features(0, features)) = answers.into_iter().next() else {
        bail!("a transmitter answers a turn with features")
    };
    print_features(out, &features, &modalities, seed)?;

    // The receiver decodes jointly and entry by entry, computes its losses, and steps its selector and its decoders.
    let reports = feed(&mut receiver, receiver::Input::Features(0, features))?;
    let Some(receiver::Output::Report(Report::ReceiverRound(round))) = reports.into_iter().next() else {
        bail!("a receiver reports a round")
    };
    writeln!(out, "\n4. Receiver 0 decodes and computes its losses, in nats, mean over ticks and samples")?;
    writeln!(
        out,
        "   cross entropy {:.3} (guessing costs {entropy:.3}), rate {:.3}, objective {:.3}",
        round.cross_entropy, round.rate, round.objective
    )?;

    // Gradients travel with the next turn. There is no next round, so a closing turn carries them.
    let save = Order::Save(SaveState { version: 1 });
    feed(&mut transmitter, transmitter::Input::Order(save.clone()))?;
    let mut outputs = feed(&mut receiver, receiver::Input::Order(save))?.into_iter();
    let Some(receiver::Output::Turn(0, closing)) = outputs.next() else {
        bail!("a receiver closes a stretch of rounds with a turn")
    };
    let gradients = closing.gradients.as_ref().context("a closing turn has gradients")?;
    let z = gradients.z.as_ref().context("gradients have a tensor")?;
    let shape: Vec<usize> = z.shape.iter().map(|&size| size as usize).collect();
    let gradient = Payload::check("gradient of z", Some(z), &shape)?;
    let norm = gradient.values(0..gradient.len()).map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    writeln!(out, "\n5. The gradient of every z that was sent goes back: {shape:?}, norm {norm:.4}")?;
    let costs: Vec<String> = gradients.costs.iter().map(|cost| format!("{cost:.3}")).collect();
    writeln!(out, "   and the cost of every tick, which selections are learned from: {}", costs.join(" "))?;

    // The transmitter goes backward through its encoders, adds the gradient of the rate, and steps. Now all are at
    // version 1.
    let outputs = feed(&mut transmitter, transmitter::Input::Turn(0, closing))?;
    if !outputs.iter().any(|output| matches!(output, transmitter::Output::State(1, _))) {
        bail!("a transmitter saves its state at version 1")
    }
    writeln!(out, "\n6. Every network that took part has taken a step")?;
    for network in transmitter.networks().chain(receiver.networks()) {
        writeln!(out, "   {}: {}", network.name(), steps(network))?;
    }
    Ok(())
}

/// The built-in digits, as a node opens them.
fn open(scenario: &Scenario, seed: Seed) -> Result<Arc<dyn Dataset>> {
    let modalities = &scenario.transmitter[0].modalities;
    let tasks = [scenario.receiver[0].task.clone()];
    let source = node::data_source(scenario, None)?;
    Ok(source.open(seed, &data::Needs { modalities, tasks: &tasks })?.into())
}

/// One input in, its outputs out.
fn feed<M: Machine>(machine: &mut M, input: M::Input) -> Result<Vec<M::Output>> {
    let mut outputs = Vec::new();
    machine.handle(input, &mut |output| outputs.push(output))?;
    Ok(outputs)
}

/// What the transmitter chose before its cap, what it grants, and what it sends.
fn print_features(out: &mut dyn Write, features: &Features, modalities: &[String], seed: Seed) -> Result<()> {
    writeln!(out, "\n3. Transmitter 0 chooses modalities, and its cap grants at most 2 a tick")?;
    let chosen = ChoiceGrid::from_bytes(5, 1, modalities.len(), &features.choices)?;
    // The cap's draw is common randomness: a receiver computes it again, and refuses a transmitter that grants anything
    // else.
    let granted = grants(seed, 0, Phase::Train, 0, &chosen, 2);
    let names = |entries: &[(usize, usize)]| -> String {
        entries.iter().map(|&(_, m)| modalities[m].as_str()).collect::<Vec<_>>().join(", ")
    };
    for tick in 0..5 {
        let (chosen, granted) = (names(&chosen.choices_at(tick)), names(granted.at(tick)));
        writeln!(out, "   tick {tick}: chosen {chosen}; granted {granted}")?;
    }
    let z = features.z.as_ref().context("features have a tensor")?;
    writeln!(out, "   z [entries, samples, feature_dim] = {:?}, {} bytes", z.shape, z.data.len())?;
    let rates: Vec<String> = features.rates.iter().map(|rate| format!("{rate:.3}")).collect();
    writeln!(out, "   rates in nats, an entry each: {}", rates.join(" "))?;
    Ok(())
}

fn steps(network: &Network) -> &'static str {
    if network.steps() == 0 { "no step, for nothing of it was needed" } else { "one step" }
}

#[cfg(test)]
mod tests {
    /// Whoever reads the example sees a whole round: requests, choices, features, gradients and steps.
    #[test]
    fn it_prints_a_whole_round() {
        let mut printed = Vec::new();
        super::play(&mut printed).unwrap();
        let printed = String::from_utf8(printed).unwrap();
        let line = |start: &str| {
            let found = printed.lines().find(|line| line.trim_start().starts_with(start));
            found.unwrap_or_else(|| panic!("no line \"{start}\" in\n{printed}")).to_owned()
        };
        // With one transmitter, there is one to request.
        assert!(line("2. ").ends_with("[true, true, true, true, true]"));
        let entries: usize = (0..5)
            .map(|tick| line(&format!("tick {tick}")).split_once("granted ").unwrap().1.split(", ").count())
            .sum();
        assert!((5..=10).contains(&entries), "{entries} entries");
        assert!(line("z [").contains(&format!("[{entries}, 16, 4], {} bytes", entries * 16 * 4 * 4)));
        assert!(line("5. ").contains(&format!("[{entries}, 16, 4], norm ")));
        assert!(
            line("receiver0/joint: one").ends_with("step")
                && line("transmitter0/selector: one").ends_with("step")
        );
        assert!(printed.matches(": one step").count() >= 5, "{printed}");
    }
}
