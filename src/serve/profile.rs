//! What a sample would cost on other hardware: modelled from profiles of devices and links, beside what was measured
//! here.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use data::Info;
use dib::Module;
use scenario::{DeviceProfile, LinkProfile, Profile, Scenario};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bench::flops::{axes, outputs};

/// A file with a profile: the scenario's table, or with the devices of single nodes and the links beside it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    profile: Profile,
    #[serde(default)]
    node: BTreeMap<String, DeviceProfile>,
    link: Option<LinkProfile>,
}

/// What a node computes for a sample, and what its networks weigh.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Load {
    operations: f64,
    bytes: f64,
}

/// Reads and checks a file with a profile.
///
/// # Errors
/// If it cannot be read, or has unknown keys or numbers that cannot be.
pub(crate) fn read(file: &Path, scenario: &Scenario) -> anyhow::Result<Profile> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    parse(&text, scenario).with_context(|| file.display().to_string())
}

fn parse(text: &str, scenario: &Scenario) -> anyhow::Result<Profile> {
    let File { mut profile, node, link } = toml::from_str(text).map_err(|error| {
        let line = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
        anyhow::anyhow!("{line}; give [profile] with flops, and [profile.link] with bandwidth or symbol_time")
    })?;
    profile.node.extend(node);
    profile.link = link.unwrap_or(profile.link);
    profile.validate(scenario.transmitters(), scenario.receivers())?;
    Ok(profile)
}

/// What a sample costs under the selection of a service, given by receiver as "transmitter:modality".
///
/// # Errors
/// If a kind of network is not known here.
pub(crate) fn model(
    profile: &Profile,
    scenario: &Scenario,
    info: &Info,
    bytes_per_entry: f64,
    selection: &[Vec<String>],
) -> anyhow::Result<Value> {
    let transmitters: Vec<Load> = (0..scenario.transmitters())
        .map(|k| transmitter(scenario, info, k, selection))
        .collect::<anyhow::Result<_>>()?;
    let receivers: Vec<Load> = (0..scenario.receivers())
        .map(|t| receiver(scenario, info, t, selection.get(t).map_or(0, Vec::len)))
        .collect::<anyhow::Result<_>>()?;
    let mut nodes = Vec::new();
    let mut millijoules = 0.0;
    let mut add = |name: String, load: &Load| {
        let device = profile.device(&name);
        let (ms, mj) = (1e3 * load.operations / device.flops, 1e3 * load.operations * device.joules_per_flop);
        millijoules += mj;
        let has_room = device.memory.is_none_or(|memory| load.bytes <= memory);
        nodes.push(json!({
            "node": name, "operations": load.operations, "ms": ms, "mj": mj,
            "parameter_bytes": load.bytes, "has_room": has_room,
        }));
        ms
    };
    let encoding: Vec<f64> = names("transmitter", transmitters.len())
        .zip(&transmitters)
        .map(|(name, load)| add(name, load))
        .collect();
    let decoding: Vec<f64> =
        names("receiver", receivers.len()).zip(&receivers).map(|(name, load)| add(name, load)).collect();
    let (mut links, mut latencies) = (Vec::new(), Vec::new());
    for (t, decoding) in decoding.iter().enumerate() {
        let mut slowest: f64 = 0.0;
        for (k, encoding) in encoding.iter().enumerate() {
            let entries = entries_of(selection, t, k).count() as f64;
            if entries == 0.0 {
                continue;
            }
            let sending = seconds(&profile.link, entries, scenario.network.feature_dim, bytes_per_entry);
            let (ms, mj) =
                (1e3 * (profile.link.delay + sending), 1e3 * sending * profile.link.transmit_power);
            millijoules += mj;
            slowest = slowest.max(encoding + ms);
            links.push(json!({ "transmitter": k, "receiver": t, "entries": entries, "ms": ms, "mj": mj }));
        }
        latencies.push(slowest + decoding);
    }
    Ok(json!({
        "nodes": nodes,
        "links": links,
        "latency_ms": latencies,
        "slowest_ms": latencies.iter().copied().fold(0.0, f64::max),
        "millijoules": millijoules,
    }))
}

/// Seconds to send so many entries of a sample over a link: what takes longer, its bytes or its symbols.
fn seconds(link: &LinkProfile, entries: f64, feature_dim: usize, bytes_per_entry: f64) -> f64 {
    let symbols = link.symbol_time.map(|time| entries * dib::channel_uses(feature_dim) as f64 * time);
    let bytes = link.bandwidth.map(|bandwidth| entries * bytes_per_entry / bandwidth);
    symbols.into_iter().chain(bytes).fold(0.0, f64::max)
}

fn names(role: &'static str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |index| format!("{role} {index}"))
}

/// The modalities of transmitter k that a receiver is granted.
fn entries_of(selection: &[Vec<String>], t: usize, k: usize) -> impl Iterator<Item = &str> {
    let own = selection.get(t).into_iter().flatten();
    own.filter_map(move |entry| {
        let (transmitter, modality) = entry.split_once(':')?;
        (transmitter.parse() == Ok(k)).then_some(modality)
    })
}

/// What encoding takes: of each modality the trunk once, and the head once for each receiver.
fn transmitter(
    scenario: &Scenario,
    info: &Info,
    k: usize,
    selection: &[Vec<String>],
) -> anyhow::Result<Load> {
    let mut load = Load::default();
    for modality in &scenario.transmitter[k].modalities {
        let modules = node::encoder(scenario, k, modality, &axes(info, modality))?;
        let granted = (0..scenario.receivers())
            .filter(|&t| entries_of(selection, t, k).any(|entry| entry == modality))
            .count() as f64;
        load.operations += granted * forward(modules.head.as_ref(), 1.0);
        load.bytes += parameter_bytes(modules.head.as_ref());
        if let Some(trunk) = &modules.trunk {
            load.operations += granted.min(1.0) * forward(trunk.as_ref(), 1.0);
            load.bytes += parameter_bytes(trunk.as_ref());
        }
    }
    Ok(load)
}

/// What decoding so many entries takes.
fn receiver(scenario: &Scenario, info: &Info, t: usize, entries: usize) -> anyhow::Result<Load> {
    let (d, task) = (scenario.network.feature_dim, &scenario.receiver[t].task);
    let inputs = scenario.joint_inputs(t);
    let module = node::module(&scenario.joint(task), &[inputs], outputs(info, task))?;
    let of_entry = d + usize::from(scenario.network.mask);
    let share = match scenario.shared_kinds() {
        // Sums over entries fill the whole input.
        Some(_) => 1.0,
        None => (entries * of_entry + scenario.gains_at_receiver(t)) as f64 / inputs as f64,
    };
    Ok(Load { operations: forward(module.as_ref(), share), bytes: parameter_bytes(module.as_ref()) })
}

/// Operations of one row's forward pass, of whose input this share is not zero.
fn forward(module: &dyn Module, share: f64) -> f64 {
    let of = |product: &dib::nn::Product| {
        let operations = 2.0 * (product.rows * product.inner * product.columns) as f64;
        operations * if product.of_input { share } else { 1.0 }
    };
    module.products().iter().map(of).sum()
}

/// Bytes of a network's parameters, f32.
fn parameter_bytes(module: &dyn Module) -> f64 {
    4.0 * module.products().iter().map(|product| (product.inner * product.columns) as f64).sum::<f64>()
}

/// The model as lines of text.
pub(crate) fn table(modelled: &Value) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let mut text =
        String::from("\nmodelled, not measured: a sample on the devices and links of the profile\n");
    for node in modelled["nodes"].as_array().into_iter().flatten() {
        let name = node["node"].as_str().unwrap_or_default();
        text += &format!("{name:<16}{:>10.3} ms{:>12.4} mJ", number(&node["ms"]), number(&node["mj"]));
        text += if node["has_room"] == false { "  its networks have no room in its memory\n" } else { "\n" };
    }
    for link in modelled["links"].as_array().into_iter().flatten() {
        let name = format!("link {} to {}", link["transmitter"], link["receiver"]);
        text += &format!("{name:<16}{:>10.3} ms{:>12.4} mJ\n", number(&link["ms"]), number(&link["mj"]));
    }
    let (slowest, energy) = (number(&modelled["slowest_ms"]), number(&modelled["millijoules"]));
    text + &format!("{:<16}{slowest:>10.3} ms{energy:>12.4} mJ\n", "slowest, all")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario() -> Scenario {
        let text = "data.source = \"digits\"\nnetwork.feature_dim = 5\n[[transmitter]]\nmodalities = [\"fft\", \"mel\"]\n\
                    [[transmitter]]\nmodalities = [\"fft\"]\n[[receiver]]\ntask = \"digit\"\n";
        Scenario::parse(text, "test", &[]).unwrap()
    }

    fn modelled(text: &str, selection: &[&str]) -> Value {
        let scenario = scenario();
        let info = node::data_source(&scenario, None).unwrap().info().unwrap();
        let selection = vec![selection.iter().map(|entry| (*entry).to_owned()).collect()];
        model(&parse(text, &scenario).unwrap(), &scenario, &info, 20.0, &selection).unwrap()
    }

    #[test]
    fn time_and_energy_follow_from_operations_symbols_and_bytes() {
        let text = "profile = { flops = 1e9, joules_per_flop = 1e-9 }\n";
        let one = modelled(text, &["0:fft"]);
        let both = modelled(text, &["0:fft", "0:mel", "1:fft"]);
        let ms = |model: &Value, node: usize| model["nodes"][node]["ms"].as_f64().unwrap();
        assert!(ms(&one, 0) > 0.0 && ms(&one, 1) == 0.0);
        assert!(ms(&both, 0) > ms(&one, 0) && ms(&both, 2) > ms(&one, 2));
        assert!((ms(&both, 1) - ms(&one, 0)).abs() < 1e-12, "the same encoder on the same device");
        assert_eq!(one["nodes"][0]["mj"], one["nodes"][0]["ms"]);

        // Five values are three symbols; an entry has twenty bytes.
        let air = modelled(
            &format!("{text}link = {{ delay = 0.5, symbol_time = 0.1, transmit_power = 2 }}"),
            &["0:fft", "0:mel"],
        );
        let link = &air["links"][0];
        assert!(
            (link["ms"].as_f64().unwrap() - 1100.0).abs() < 1e-9
                && (link["mj"].as_f64().unwrap() - 1200.0).abs() < 1e-9
        );
        let bytes = modelled(&format!("{text}link = {{ bandwidth = 100 }}"), &["0:fft", "1:fft"]);
        assert!(
            bytes["links"]
                .as_array()
                .unwrap()
                .iter()
                .all(|link| (link["ms"].as_f64().unwrap() - 200.0).abs() < 1e-9)
        );
        let slowest = bytes["slowest_ms"].as_f64().unwrap();
        assert!((slowest - (ms(&bytes, 0) + 200.0 + ms(&bytes, 2))).abs() < 1e-9);
        assert!(table(&bytes).contains("modelled, not measured"));
    }

    #[test]
    fn a_decoder_multiplies_the_entries_it_has_or_with_a_shared_map_its_whole_input() {
        let own = scenario();
        let set = ["network.joint_map=shared".to_owned()];
        let shared = Scenario::parse(&own.to_toml(), "test", &set).unwrap();
        let info = node::data_source(&own, None).unwrap().info().unwrap();
        let load = |scenario: &Scenario, entries: usize| receiver(scenario, &info, 0, entries).unwrap();
        // Every weight once: an operation is a product or a sum, and a weight has four bytes.
        let of_all = |load: &Load| load.bytes / 2.0;
        let (one, all) = (load(&own, 1), load(&own, 3));
        assert!(one.operations < all.operations && all.operations == of_all(&all), "{one:?} {all:?}");
        for entries in [1, 3] {
            let load = load(&shared, entries);
            assert_eq!(load.operations, of_all(&load), "{entries} entries");
        }
    }

    #[test]
    fn a_node_may_have_a_device_of_its_own_and_too_little_memory() {
        let text = "[profile]\nflops = 1e9\n[node.\"transmitter 1\"]\nflops = 1e6\nmemory = 10\n";
        let model = modelled(text, &["0:fft", "1:fft"]);
        let node = |at: usize| model["nodes"][at].clone();
        assert!((node(1)["ms"].as_f64().unwrap() / node(0)["ms"].as_f64().unwrap() - 1000.0).abs() < 1e-6);
        assert_eq!((&node(0)["has_room"], &node(1)["has_room"]), (&json!(true), &json!(false)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, word) in [
            ("", "profile"),
            ("profile = { flops = 0 }", "above 0"),
            ("profile = { flops = 1, watts = 3 }", "watts"),
            ("profile = { flops = 1 }\nnode = { \"transmitter 7\" = { flops = 1 } }", "transmitter 7"),
            ("profile = { flops = 1 }\nlink = { delay = -1 }", "0 or more"),
        ] {
            let error = format!("{:#}", parse(text, &scenario()).unwrap_err());
            assert!(error.contains(word) && !error.contains('\n'), "{text}: {error}");
        }
    }
}
