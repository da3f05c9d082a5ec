use std::ops::Range;

use candle_core::{DType, Tensor};
use data::Targets;
use dib::{AdamW, Network, initial_weights};
use node::{Context, Meter, NodeError, Work};
use proto::Packer;

use crate::{machine::entry_embeddings, received::Received, task::TaskData};

/// A granted entry of this receiver, and where its features are.
#[derive(Clone, Copy)]
struct GrantedEntry {
    tick: usize,
    k: usize,
    /// Its position among all (k, m).
    entry: usize,
    /// Its position in transmitter k's message.
    source: usize,
    rate: f64,
}

/// All granted entries of a part of a round (or of a piece), ordered by tick, then k, then m.
pub(crate) struct Granted<'a> {
    received: &'a [Received],
    entries: Vec<GrantedEntry>,
    ticks: usize,
    per_transmitter: Vec<usize>,
}

impl<'a> Granted<'a> {
    pub(crate) fn new(context: &Context, received: &'a [Received]) -> Self {
        let mut entries = Vec::new();
        for (k, received) in received.iter().enumerate() {
            for (source, &(tick, m)) in received.entries.iter().enumerate() {
                let rate = received.rates[source];
                entries.push(GrantedEntry { tick, k, entry: context.entry(k, m), source, rate });
            }
        }
        entries.sort_by_key(|granted| (granted.tick, granted.entry));
        let per_transmitter = received.iter().map(|received| received.entries.len()).collect();
        Granted { received, entries, ticks: received[0].all_granted.len(), per_transmitter }
    }

    pub(crate) fn entries_at(&self, tick: usize) -> usize {
        self.entries.iter().filter(|granted| granted.tick == tick).count()
    }

    fn entries_of_ticks(&self) -> Vec<usize> {
        let mut counts = vec![0; self.ticks];
        for granted in &self.entries {
            counts[granted.tick] += 1;
        }
        counts
    }

    /// The sum of the rates of every tick in nats, in entry order.
    pub(crate) fn rates_of_ticks(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.ticks];
        for granted in &self.entries {
            sums[granted.tick] += granted.rate;
        }
        sums
    }

    /// (position among all (k, m), rate) of every entry.
    pub(crate) fn rates(&self) -> impl Iterator<Item = (usize, f64)> {
        self.entries.iter().map(|granted| (granted.entry, granted.rate))
    }

    /// Adds the ticks at which each (k, m) was granted.
    pub(crate) fn count(&self, counts: &mut [u32]) {
        for granted in &self.entries {
            counts[granted.entry] += 1;
        }
    }

    /// Bytes of z that the entries need in training.
    pub(crate) fn payload_bytes(&self, context: &Context) -> u64 {
        (self.entries.len() * context.samples() * context.feature_dim() * 4) as u64
    }
}

/// What the decoding of a part of a round found.
pub(crate) struct Judged {
    /// Cross entropy of the joint decoder at every tick: mean over samples, nats.
    pub(crate) cross_entropies: Vec<f64>,
    /// The receiver's objective at every tick.
    pub(crate) objectives: Vec<f64>,
    /// For every transmitter the gradient of the objectives' sum with respect to the z that it sent.
    pub(crate) gradients: Vec<proto::v1::Tensor>,
}

/// The joint decoder g_t and the local decoder that serves all entries of receiver t.
pub(crate) struct Decoders {
    joint: Network,
    local: Network,
    embeddings: Vec<Vec<f32>>,
}

impl Decoders {
    pub(crate) fn new(context: &Context, outputs: usize) -> Result<Self, NodeError> {
        let d = context.feature_dim();
        let build = |name: &str, inputs| {
            let name = format!("receiver{}/{name}", context.index);
            let weights = initial_weights(context.seed, &name);
            Network::new(&name, inputs, outputs, weights, DType::F32, &context.device)
        };
        Ok(Decoders {
            joint: build("joint", context.scenario.entries_per_receiver() * d)?,
            local: build("local", 2 * d)?,
            embeddings: entry_embeddings(context),
        })
    }

    pub(crate) fn networks(&self) -> [&Network; 2] {
        [&self.joint, &self.local]
    }

    pub(crate) fn networks_mut(&mut self) -> [&mut Network; 2] {
        [&mut self.joint, &mut self.local]
    }

    pub(crate) fn step(&mut self, optimizer: &AdamW) -> Result<(), NodeError> {
        self.joint.step(optimizer)?;
        Ok(self.local.step(optimizer)?)
    }

    /// The joint decoder's outputs for features of which all rows belong to one selection, without a trace.
    /// `samples` rows an entry.
    pub(crate) fn infer(
        &self,
        context: &Context,
        granted: &Granted<'_>,
        samples: usize,
    ) -> Result<Tensor, NodeError> {
        Ok(self.joint.infer(&self.joint_input(context, granted, samples)?)?)
    }

    /// Decodes all ticks of a part of a training round at once, judges, and adds to the decoders' gradients.
    ///
    /// The objective of a tick is the mean over its samples of CE(joint) + beta * sum over its entries of (CE(local) +
    /// rate); what is differentiated is the sum over ticks.
    pub(crate) fn learn(
        &mut self,
        context: &Context,
        task: &TaskData,
        rows: &[usize],
        granted: &Granted<'_>,
        beta: f64,
        meter: &mut Meter,
    ) -> Result<Judged, NodeError> {
        let samples = context.samples();
        let weight = 1.0 / samples as f64;
        let joint = self.learn_joint(context, &task.train_targets(rows), granted, weight, meter)?;
        let local_rows: Vec<usize> = granted
            .entries
            .iter()
            .flat_map(|entry| &rows[entry.tick * samples..(entry.tick + 1) * samples])
            .copied()
            .collect();
        let targets = task.train_targets(&local_rows);
        let local = self.learn_local(context, &targets, granted, beta * weight, meter)?;
        meter.turn_to(Work::Pack);

        let cross_entropies: Vec<f64> = joint.losses.chunks(samples).map(|tick| weight * sum(tick)).collect();
        let mut objectives = cross_entropies.clone();
        for (entry, losses) in granted.entries.iter().zip(local.losses.chunks(samples)) {
            objectives[entry.tick] += beta * (weight * sum(losses) + entry.rate);
        }
        let gradients = dib::with_values(&joint.input_gradient, |joint| {
            dib::with_values(&local.input_gradient, |local| self.z_gradients(context, granted, joint, local))
        })??;
        Ok(Judged { cross_entropies, objectives, gradients })
    }

    fn learn_joint(
        &mut self,
        context: &Context,
        targets: &Targets,
        granted: &Granted<'_>,
        weight: f64,
        meter: &mut Meter,
    ) -> Result<Backward, NodeError> {
        let input = self.joint_input(context, granted, context.samples())?;
        let blocks = context.gradient_blocks(&vec![context.samples(); granted.ticks]);
        backward(&mut self.joint, &input, targets, weight, &blocks, meter)
    }

    fn learn_local(
        &mut self,
        context: &Context,
        targets: &Targets,
        granted: &Granted<'_>,
        weight: f64,
        meter: &mut Meter,
    ) -> Result<Backward, NodeError> {
        if granted.entries.is_empty() {
            let nothing = Tensor::zeros((0, 2 * context.feature_dim()), DType::F32, &context.device)?;
            return Ok(Backward { losses: Vec::new(), input_gradient: nothing });
        }
        let (samples, d) = (context.samples(), context.feature_dim());
        let rows = granted.entries.len() * samples;
        let mut input = Vec::with_capacity(rows * 2 * d);
        for entry in &granted.entries {
            for sample in 0..samples {
                input.extend(features(entry, granted.received, samples * d, sample * d..(sample + 1) * d));
                input.extend_from_slice(&self.embeddings[entry.entry]);
            }
        }
        let input = Tensor::from_vec(input, (rows, 2 * d), &context.device)?;
        let rows_of_ticks: Vec<usize> =
            granted.entries_of_ticks().iter().map(|entries| entries * samples).collect();
        backward(&mut self.local, &input, targets, weight, &context.gradient_blocks(&rows_of_ticks), meter)
    }

    /// All features side by side in (k, m) order, zeros where not granted.
    fn joint_input(
        &self,
        context: &Context,
        granted: &Granted<'_>,
        samples: usize,
    ) -> Result<Tensor, NodeError> {
        let d = context.feature_dim();
        let width = self.embeddings.len() * d;
        let rows = granted.ticks * samples;
        let mut input = vec![0f32; rows * width];
        for entry in &granted.entries {
            for sample in 0..samples {
                let z = features(entry, granted.received, samples * d, sample * d..(sample + 1) * d);
                let start = (entry.tick * samples + sample) * width + entry.entry * d;
                for (value, z) in input[start..start + d].iter_mut().zip(z) {
                    *value = z;
                }
            }
        }
        Ok(Tensor::from_vec(input, (rows, width), &context.device)?)
    }

    /// Adds up what both decoders want of every z, in the order in which its transmitter sent it.
    fn z_gradients(
        &self,
        context: &Context,
        granted: &Granted<'_>,
        joint: &[f32],
        local: &[f32],
    ) -> Vec<proto::v1::Tensor> {
        let (samples, d) = (context.samples(), context.feature_dim());
        let width = self.embeddings.len() * d;
        let sent = &granted.per_transmitter;
        let mut packers: Vec<Packer> =
            sent.iter().map(|entries| Packer::new(entries * samples * d)).collect();
        // By tick, then k, then m: so each transmitter's come in the order in which it sent them.
        for (position, entry) in granted.entries.iter().enumerate() {
            for sample in 0..samples {
                let joint_start = (entry.tick * samples + sample) * width + entry.entry * d;
                let local_start = (position * samples + sample) * 2 * d;
                let (joint, local) = (&joint[joint_start..][..d], &local[local_start..][..d]);
                packers[entry.k].extend(joint.iter().zip(local).map(|(joint, local)| joint + local));
            }
        }
        packers.into_iter().zip(sent).map(|(packer, entries)| packer.pack(&[*entries, samples, d])).collect()
    }
}

/// Losses of all rows, and the gradient with respect to the network's input.
struct Backward {
    losses: Vec<f64>,
    input_gradient: Tensor,
}

/// Forward, loss and backward of a decoder; every row's loss counts `weight` times.
fn backward(
    network: &mut Network,
    input: &Tensor,
    targets: &Targets,
    weight: f64,
    blocks: &[usize],
    meter: &mut Meter,
) -> Result<Backward, NodeError> {
    meter.turn_to(Work::Decode);
    let (output, trace) = network.forward(input)?;
    let (losses, upstream) = match targets {
        Targets::Classes { labels, .. } => {
            (dib::cross_entropy(&output, labels)?, dib::cross_entropy_gradient(&output, labels, weight)?)
        }
        Targets::Values { width, values } => {
            let targets = Tensor::from_slice(values, (values.len() / width, *width), input.device())?;
            (
                dib::mean_squared_error(&output, &targets)?,
                dib::mean_squared_error_gradient(&output, &targets, weight)?,
            )
        }
    };
    meter.turn_to(Work::Backward);
    let input_gradient = network.backward_to_input(&trace, &upstream, blocks)?;
    meter.turn_to(Work::Pack);
    Ok(Backward { losses, input_gradient })
}

/// Some of the features of an entry, `[samples, feature_dim]`, which are `size` values in all.
fn features(
    entry: &GrantedEntry,
    received: &[Received],
    size: usize,
    range: Range<usize>,
) -> impl Iterator<Item = f32> {
    let start = entry.source * size;
    received[entry.k].z.values(start + range.start..start + range.end)
}

fn sum(values: &[f64]) -> f64 {
    values.iter().sum()
}
