use std::{collections::BTreeMap, ops::Range};

use candle_core::{DType, Tensor};
use data::Targets;
use dib::{AdamW, Block, Input, Network, Segment, entry_embedding, initial_weights};
use node::{Context, Meter, NodeError, Work};
use proto::Packer;

use crate::{
    received::{Received, ReceivedEntry},
    task::TaskData,
};

/// A granted entry of this receiver, and where its features are.
#[derive(Clone, Copy)]
struct GrantedEntry {
    tick: usize,
    k: usize,
    /// Its position among all (k, m).
    entry: usize,
    /// Its position among what has come of transmitter k.
    number: usize,
}

/// All granted entries of a part of a round (or of a piece), ordered by tick, then k, then m.
pub(crate) struct Granted<'a> {
    received: &'a [Received],
    entries: Vec<GrantedEntry>,
    /// The positions of the entries of each (k, m) that was granted at all, in (k, m) order, by tick.
    by_entry: BTreeMap<usize, Vec<usize>>,
    ticks: usize,
    per_transmitter: Vec<usize>,
}

impl<'a> Granted<'a> {
    pub(crate) fn new(context: &Context, received: &'a [Received]) -> Self {
        let mut entries = Vec::new();
        for (k, received) in received.iter().enumerate() {
            for (number, of) in received.entries.iter().enumerate() {
                let entry = context.entry(k, of.modality);
                entries.push(GrantedEntry { tick: of.tick, k, entry, number });
            }
        }
        entries.sort_by_key(|granted| (granted.tick, granted.entry));
        let mut by_entry: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (position, granted) in entries.iter().enumerate() {
            by_entry.entry(granted.entry).or_default().push(position);
        }
        let per_transmitter = received.iter().map(|received| received.entries.len()).collect();
        Granted { received, entries, by_entry, ticks: received[0].all_granted.len(), per_transmitter }
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
            sums[granted.tick] += self.received(granted).rate;
        }
        sums
    }

    /// (position among all (k, m), rate) of every entry.
    pub(crate) fn rates(&self) -> impl Iterator<Item = (usize, f64)> {
        self.entries.iter().map(|granted| (granted.entry, self.received(granted).rate))
    }

    fn received(&self, granted: &GrantedEntry) -> &ReceivedEntry {
        &self.received[granted.k].entries[granted.number]
    }

    /// Some samples of an entry's features, of `width` values each.
    fn features(
        &self,
        granted: &GrantedEntry,
        samples: usize,
        run: &Range<usize>,
        width: usize,
    ) -> impl Iterator<Item = f32> {
        let first = self.received(granted).source * samples;
        self.received[granted.k].z.values((first + run.start) * width..(first + run.end) * width)
    }

    /// Adds the ticks at which each (k, m) was granted.
    pub(crate) fn count(&self, counts: &mut [u32]) {
        for granted in &self.entries {
            counts[granted.entry] += 1;
        }
    }

    /// Bytes of the gradient of the entries' z in training.
    pub(crate) fn gradient_bytes(&self, context: &Context) -> u64 {
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
    /// Of all (k, m), [entries, feature_dim].
    embeddings: Tensor,
}

impl Decoders {
    pub(crate) fn new(context: &Context, outputs: usize) -> Result<Self, NodeError> {
        let d = context.feature_dim();
        let embeddings = entry_embeddings(context);
        let embeddings = Tensor::from_vec(embeddings.concat(), (embeddings.len(), d), &context.device)?;
        let build = |name: &str, inputs| {
            let name = format!("receiver{}/{name}", context.index);
            let weights = initial_weights(context.seed, &name);
            Network::new(&name, inputs, outputs, weights, DType::F32, &context.device)
        };
        Ok(Decoders {
            joint: build("joint", context.scenario.entries_per_receiver() * d)?,
            local: build("local", 2 * d)?,
            embeddings,
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
        let (output, _) = self.joint.forward_from(joint_input(context, granted, samples)?)?;
        Ok(output)
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
            objectives[entry.tick] += beta * (weight * sum(losses) + granted.received(entry).rate);
        }
        let gradients = z_gradients(context, granted, &joint.input_gradients, &local.input_gradients)?;
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
        let input = joint_input(context, granted, context.samples())?;
        let blocks = context.gradient_blocks(&vec![context.samples(); granted.ticks]);
        backward(&mut self.joint, input, targets, weight, &blocks, meter)
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
            return Ok(Backward { losses: Vec::new(), input_gradients: Vec::new() });
        }
        let (samples, d) = (context.samples(), context.feature_dim());
        let rows = granted.entries.len() * samples;
        let mut z = Vec::with_capacity(rows * d);
        granted.entries.iter().for_each(|entry| z.extend(granted.features(entry, samples, &(0..samples), d)));
        let z = Block::whole(Tensor::from_vec(z, (rows, d), &context.device)?, 0, true)?;
        let of_entry = |(position, entry): (usize, &GrantedEntry)| Segment {
            source: entry.entry,
            target: position * samples,
            rows: samples,
            repeat: true,
        };
        let embeddings = Block {
            values: self.embeddings.clone(),
            column: d,
            segments: granted.entries.iter().enumerate().map(of_entry).collect(),
            learns: false,
        };
        let input = Input::Blocks { rows, blocks: vec![z, embeddings] };
        let rows_of_ticks: Vec<usize> =
            granted.entries_of_ticks().iter().map(|entries| entries * samples).collect();
        backward(&mut self.local, input, targets, weight, &context.gradient_blocks(&rows_of_ticks), meter)
    }
}

/// All features side by side in (k, m) order, zeros where not granted: a block of each (k, m) that was granted at any
/// tick.
fn joint_input(context: &Context, granted: &Granted<'_>, samples: usize) -> Result<Input, NodeError> {
    let d = context.feature_dim();
    let blocks = granted.by_entry.iter().map(|(&entry, positions)| {
        let mut z = Vec::with_capacity(positions.len() * samples * d);
        let mut segments = Vec::with_capacity(positions.len());
        for granted_entry in positions.iter().map(|&position| &granted.entries[position]) {
            for run in &granted.received(granted_entry).samples {
                let (source, target) = (z.len() / d, granted_entry.tick * samples + run.start);
                segments.push(Segment { source, target, rows: run.len(), repeat: false });
                z.extend(granted.features(granted_entry, samples, run, d));
            }
        }
        let rows = z.len() / d;
        let values = Tensor::from_vec(z, (rows, d), &context.device)?;
        Ok(Block { values, column: entry * d, segments, learns: true })
    });
    Ok(Input::Blocks {
        rows: granted.ticks * samples,
        blocks: blocks.collect::<Result<_, candle_core::Error>>()?,
    })
}

/// Adds up what both decoders want of every z, in the order in which its transmitter sent it, straight into the
/// messages. `joint` has a gradient of each (k, m) that was granted, `local` one of all entries if there are any.
fn z_gradients(
    context: &Context,
    granted: &Granted<'_>,
    joint: &[Tensor],
    local: &[Tensor],
) -> Result<Vec<proto::v1::Tensor>, NodeError> {
    let (samples, d) = (context.samples(), context.feature_dim());
    let sent = &granted.per_transmitter;
    let mut packers: Vec<Packer> = sent.iter().map(|entries| Packer::new(entries * samples * d)).collect();
    let mut place_of = vec![(0, 0); granted.entries.len()];
    for (block, positions) in granted.by_entry.values().enumerate() {
        for (number, &position) in positions.iter().enumerate() {
            place_of[position] = (block, number);
        }
    }
    // By tick, then k, then m: so each transmitter's come in the order in which it sent them.
    for (position, entry) in granted.entries.iter().enumerate() {
        let (block, number) = place_of[position];
        let joint = joint[block].narrow(0, number * samples, samples)?;
        let local = local[0].narrow(0, position * samples, samples)?;
        dib::with_values(&joint, |joint| {
            dib::with_values(&local, |local| {
                packers[entry.k].extend(joint.iter().zip(local).map(|(joint, local)| joint + local));
            })
        })??;
    }
    let packed = packers.into_iter().zip(sent).map(|(packer, entries)| packer.pack(&[*entries, samples, d]));
    Ok(packed.collect())
}

/// Losses of all rows, and the gradients with respect to what the network was given of z.
struct Backward {
    losses: Vec<f64>,
    input_gradients: Vec<Tensor>,
}

/// Forward, loss and backward of a decoder; every row's loss counts `weight` times.
fn backward(
    network: &mut Network,
    input: Input,
    targets: &Targets,
    weight: f64,
    blocks: &[usize],
    meter: &mut Meter,
) -> Result<Backward, NodeError> {
    meter.turn_to(Work::Decode);
    let (output, trace) = network.forward_from(input)?;
    let (losses, upstream) = match targets {
        Targets::Classes { labels, .. } => {
            (dib::cross_entropy(&output, labels)?, dib::cross_entropy_gradient(&output, labels, weight)?)
        }
        Targets::Values { width, values } => {
            let targets = Tensor::from_slice(values, (values.len() / width, *width), output.device())?;
            (
                dib::mean_squared_error(&output, &targets)?,
                dib::mean_squared_error_gradient(&output, &targets, weight)?,
            )
        }
    };
    meter.turn_to(Work::Backward);
    let input_gradients = network.backward_to_input(&trace, &upstream, blocks)?;
    meter.turn_to(Work::Pack);
    Ok(Backward { losses, input_gradients })
}

/// The embeddings of all (k, m), in order: 0.1 x standard normal, never trained.
fn entry_embeddings(context: &Context) -> Vec<Vec<f32>> {
    (0..context.scenario.transmitters())
        .flat_map(|k| (0..context.scenario.modalities(k)).map(move |m| (k, m)))
        .map(|(k, m)| entry_embedding(context.seed, k, m, context.feature_dim()))
        .collect()
}

fn sum(values: &[f64]) -> f64 {
    values.iter().sum()
}
