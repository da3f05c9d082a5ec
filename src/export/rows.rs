//! Test rows and the outputs of this program's networks for them, to check other implementations against.

use std::path::PathBuf;

use anyhow::{Context, bail};
use candle_core::{Device, Tensor};
use coordinator::Trained;
use data::{NewArray, Split};
use dib::{EncoderKind, Phase, entry_embedding, reparameterisation};
use randomness::Seed;

use super::{entries, floats};
use crate::predict;

/// For each encoder `x`, and for each receiver `noise` and `z`, `mu`, `std`; for each decoder its output for these
/// features.
pub(super) fn rows(trained: &Trained, data: Option<PathBuf>, count: usize) -> anyhow::Result<Vec<NewArray>> {
    let (scenario, d) = (&trained.scenario, trained.scenario.network.feature_dim);
    let seed = Seed::from_number(scenario.seed);
    let dataset = predict::rows(trained, data, Split::Test)?;
    let count = count.min(dataset.samples(Split::Test));
    let machines = predict::Machines::new(trained, dataset.clone(), 1, Some(scenario::Device::Cpu))?;
    let infer = |name: &str, x: &Tensor| {
        let network = machines.networks().find(|network| network.name() == name);
        Ok::<_, anyhow::Error>(network.with_context(|| format!("there is no network {name}"))?.infer(x)?)
    };
    let behind = |rows: &Tensor, embedding: Vec<f32>| {
        let embedding = Tensor::from_vec(embedding, (1, d), &Device::Cpu)?.broadcast_as((count, d))?;
        Tensor::cat(&[rows, &embedding.contiguous()?], 1)
    };
    // Values in receiver t's place, and zeros in the others: see `Scenario::places`.
    let placed = |x: &Tensor, t: usize| {
        let places = scenario.places();
        let zeros = x.zeros_like()?;
        let all: Vec<&Tensor> =
            (0..places).map(|place| if places == 1 || place == t { x } else { &zeros }).collect();
        Tensor::cat(&all, 1)
    };
    let (task_inputs, kind) = (node::task_inputs(scenario, seed), node::encoder_kind(scenario)?);
    let mut arrays = Vec::new();
    let mut add = |name: String, tensor: &Tensor| {
        arrays.push(floats(&name, tensor.dims().to_vec(), tensor.flatten_all()?.to_vec1()?));
        anyhow::Ok(())
    };
    let has = |name: &str| machines.networks().any(|network| network.name() == name);
    let mut features: Vec<Vec<Tensor>> = vec![Vec::new(); scenario.receivers()];
    for (k, m) in entries(trained) {
        let modality = &scenario.transmitter[k].modalities[m];
        let Some(width) = dataset.width(modality) else { bail!("the data has no modality \"{modality}\"") };
        let mut x = vec![0.0; count * width];
        for (sample, row) in x.chunks_exact_mut(width).enumerate() {
            dataset.read(modality, Split::Test, sample, 0, row)?;
        }
        let x = Tensor::from_vec(x, (count, width), &Device::Cpu)?;
        let stem = format!("transmitter{k}-encoder{m}");
        add(format!("{stem}.x"), &x)?;
        let trunk = format!("transmitter{k}/trunk{m}");
        let x = if has(&trunk) { infer(&trunk, &x)? } else { x };
        for (t, features) in features.iter_mut().enumerate() {
            let output = infer(
                &format!("transmitter{k}/encoder{m}"),
                &behind(&placed(&x, t)?, task_inputs[t].clone())?,
            )?;
            let name = |what: &str| format!("{stem}.receiver{t}.{what}");
            let z = match kind {
                EncoderKind::Gaussian => {
                    let noise = reparameterisation(seed, Phase::Evaluate, k, t, m, 0, count * d);
                    let noise = Tensor::from_vec(noise, (count, d), &Device::Cpu)?;
                    let drawn = kernels::gaussian::sample(&output, &noise)?;
                    add(name("noise"), &noise)?;
                    add(name("mu"), &drawn.get(1)?)?;
                    add(name("std"), &drawn.get(2)?)?;
                    drawn.get(0)?
                }
                EncoderKind::Quantised { bits } => kernels::quantise::quantise(&output, bits)?,
                EncoderKind::Deterministic | EncoderKind::Outputs { .. } => output,
            };
            add(name("z"), &z)?;
            features.push(z);
        }
    }
    for (t, features) in features.iter().enumerate() {
        let together = Tensor::cat(features, 1)?;
        add(format!("receiver{t}-joint.output"), &infer(&format!("receiver{t}/joint"), &together)?)?;
        for ((k, m), z) in entries(trained).into_iter().zip(features) {
            let output = infer(&format!("receiver{t}/local"), &behind(z, entry_embedding(seed, k, m, d))?)?;
            add(format!("receiver{t}-local.transmitter{k}-encoder{m}.output"), &output)?;
        }
    }
    Ok(arrays)
}
