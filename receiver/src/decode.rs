use candle_core::Tensor;
use data::{IGNORED, Targets};
use dib::{
    AdamW, Block, Input, Labels, Network, Numbers, RowAddresses, Segment, Upload,
    coding::{ErrorFeedback, Owing},
    entry_embedding, initial_weights,
};
use node::{Context, NodeError, Profiler, ProfilerPhase};
use scenario::Described;

use crate::{
    granted::{Granted, GrantedEntry},
    returned::Returned,
    task::TaskData,
};

/// What the decoding of a part of a round found.
pub(crate) struct Decoded {
    /// Cross entropy of the joint decoder at every tick: mean over samples, nats.
    pub(crate) cross_entropies: Vec<f64>,
    /// The receiver's objective at every tick.
    pub(crate) objectives: Vec<f64>,
    /// What each granted entry adds to it, divided by beta: the local decoder's cross entropy and the rate.
    pub(crate) extras: Vec<f64>,
    /// For every transmitter the gradient of the objectives' sum with respect to the z that it sent.
    pub(crate) gradients: Vec<proto::v1::Tensor>,
}

/// The joint decoder g_t and the local decoder that serves all entries of receiver t.
pub(crate) struct Decoders {
    joint: Network,
    local: Network,
    /// Of all (k, m), [entries, feature_dim].
    embeddings: Tensor,
    /// Where the gradients of features are rounded.
    feedback: Option<ErrorFeedback>,
}

/// Numbers of what is uploaded for the local decoder.
struct LocalUpload {
    features: usize,
    /// The gain of every entry's link, if the receiver sees any.
    gains: Option<usize>,
}

impl Decoders {
    pub(crate) fn new(context: &Context, outputs: usize) -> Result<Self, NodeError> {
        let d = context.feature_dim();
        let embeddings = entry_embeddings(context);
        let embeddings = Tensor::from_vec(embeddings.concat(), (embeddings.len(), d), &context.device)?;
        let scenario = &context.scenario;
        let task = &scenario.receiver[context.index].task;
        let gains = scenario.gains_at_receiver(context.index);
        let build = |name: &str, described: &Described, inputs| {
            let name = format!("receiver{}/{name}", context.index);
            node::network(context, described, &name, node::module(described, &[inputs], outputs)?)
        };
        Ok(Decoders {
            joint: build("joint", &scenario.joint(task), scenario.joint_inputs(context.index))?,
            local: build("local", &scenario.local(task), 2 * d + gains.min(1))?,
            embeddings,
            feedback: feedback(context)?,
        })
    }

    pub(crate) fn networks(&self) -> impl Iterator<Item = &Network> {
        let feedback = self.feedback.iter().map(ErrorFeedback::network);
        [&self.joint, &self.local].into_iter().chain(feedback)
    }

    pub(crate) fn networks_mut(&mut self) -> impl Iterator<Item = &mut Network> {
        let feedback = self.feedback.iter_mut().map(ErrorFeedback::network_mut);
        [&mut self.joint, &mut self.local].into_iter().chain(feedback)
    }

    pub(crate) fn step(&mut self, optimizer: &AdamW) -> Result<(), NodeError> {
        self.joint.step(optimizer)?;
        Ok(self.local.step(optimizer)?)
    }

    /// The joint decoder's outputs for features of which all rows belong to one selection, without a trace.
    /// `samples` rows an entry, which share gains in these groups.
    pub(crate) fn infer(
        &self,
        context: &Context,
        granted: &Granted<'_>,
        samples: usize,
        groups: &[usize],
    ) -> Result<Tensor, NodeError> {
        let mut upload = Upload::new();
        let planned = JointInput::plan(context, granted, (samples, groups), &mut upload);
        let input = planned.input(&upload.send(&context.device)?, &self.embeddings)?;
        Ok(self.joint.infer_from(input)?)
    }

    /// The joint decoder's cross entropy at every tick of what is granted: mean over its samples, whose labels stand in
    /// these `rows`. Nothing is learnt, and nothing drawn: layers that drop values in training drop none.
    pub(crate) fn cross_entropies(
        &self,
        context: &Context,
        task: &TaskData,
        rows: &[usize],
        granted: &Granted<'_>,
    ) -> Result<Vec<f64>, NodeError> {
        let samples = context.samples();
        let output = self.infer(context, granted, samples, &context.groups(samples))?;
        let losses = losses(&output, &task.train_targets(rows))?.to_vec1::<f64>()?;
        let weight = 1.0 / samples as f64;
        Ok(losses.chunks(samples).map(|tick| weight * sum(tick)).collect())
    }

    /// Decodes all ticks of a part of a training round at once, computes the losses, and adds to the decoders'
    /// gradients.
    ///
    /// The objective of a tick is the mean over its samples of CE(joint) + beta * sum over its entries of (CE(local) +
    /// rate); what is differentiated is the sum over ticks, times a factor: how much this receiver counts.
    pub(crate) fn learn(
        &mut self,
        context: &Context,
        task: &TaskData,
        rows: &[usize],
        granted: &Granted<'_>,
        (beta, factor): (f64, f64),
        profiler: &mut Profiler,
    ) -> Result<Decoded, NodeError> {
        let samples = context.samples();
        let weight = factor / samples as f64;
        profiler.turn_to(ProfilerPhase::Pack);
        let mut upload = Upload::new();
        let joint = JointInput::plan(context, granted, (samples, &context.groups(samples)), &mut upload);
        let local = LocalUpload::new(context, granted, &mut upload);
        let uploaded = upload.send(&context.device)?;
        let input = joint.input(&uploaded, &self.embeddings)?;
        let joint = self.learn_joint(context, input, &task.train_targets(rows), granted, weight, profiler)?;
        let local_rows: Vec<usize> = granted
            .entries
            .iter()
            .flat_map(|entry| &rows[entry.tick * samples..(entry.tick + 1) * samples])
            .copied()
            .collect();
        let targets = task.train_targets(&local_rows);
        let inputs = (uploaded[local.features].clone(), local.gains.map(|gains| uploaded[gains].clone()));
        let local = self.learn_local(context, inputs, &targets, granted, beta * weight, profiler)?;
        profiler.turn_to(ProfilerPhase::Pack);
        let of_joint = joint.tensors().count();
        let tensors: Vec<&Tensor> = joint.tensors().chain(local.iter().flat_map(Backward::tensors)).collect();
        let mut owing = self.feedback.as_ref().map(ErrorFeedback::begin).transpose()?;
        let decoded = dib::with_numbers(&tensors, |numbers| {
            let (joint, local) = numbers.split_at(of_joint);
            found(context, granted, beta, (joint, local), owing.as_mut())
        })??;
        if let Some((feedback, owing)) = self.feedback.as_mut().zip(owing) {
            feedback.end(owing)?;
        }
        Ok(decoded)
    }

    fn learn_joint(
        &mut self,
        context: &Context,
        input: Input,
        targets: &Targets,
        granted: &Granted<'_>,
        weight: f64,
        profiler: &mut Profiler,
    ) -> Result<Backward, NodeError> {
        let samples = context.samples();
        let blocks = context.gradient_blocks(&vec![samples; granted.ticks]);
        let of_row = |row: usize| granted.address(row / samples, row % samples);
        let rows = RowAddresses { seed: context.seed, of_row: &of_row };
        backward(&mut self.joint, (input, &blocks, rows), targets, weight, profiler)
    }

    /// Over all granted entries; none if there are none.
    fn learn_local(
        &mut self,
        context: &Context,
        (z, gains): (Tensor, Option<Tensor>),
        targets: &Targets,
        granted: &Granted<'_>,
        weight: f64,
        profiler: &mut Profiler,
    ) -> Result<Option<Backward>, NodeError> {
        if granted.entries.is_empty() {
            return Ok(None);
        }
        let (samples, d) = (context.samples(), context.feature_dim());
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
        let mut blocks = vec![Block::whole(z, 0, true)?, embeddings];
        let of_gain =
            |position| Segment { source: position, target: position * samples, rows: samples, repeat: true };
        blocks.extend(gains.map(|values| Block {
            values,
            column: 2 * d,
            segments: (0..granted.entries.len()).map(of_gain).collect(),
            learns: false,
        }));
        let input = Input::Blocks { rows: granted.rows(samples), blocks };
        let rows_of_ticks: Vec<usize> =
            granted.entries_of_ticks().iter().map(|entries| entries * samples).collect();
        let blocks = context.gradient_blocks(&rows_of_ticks);
        let of_row = |row: usize| granted.address(granted.entries[row / samples].tick, row % samples);
        let rows = RowAddresses { seed: context.seed, of_row: &of_row };
        backward(&mut self.local, (input, &blocks, rows), targets, weight, profiler).map(Some)
    }
}

/// All features side by side in (k, m) order, zeros where not granted: a block of each (k, m) that was granted at any
/// tick. Where entries of a kind share a map, their blocks lie on top of each other, which adds them up, and beside
/// each lies the embedding of who sent it.
struct JointInput {
    rows: usize,
    d: usize,
    /// Of each block: which (k, m), its number among what is uploaded, and where its rows stand.
    blocks: Vec<(usize, usize, Vec<Segment>)>,
    /// Of every (k, m) its kind, if those of a kind share a map.
    kinds: Option<Vec<usize>>,
    /// Of the gains of all links, if the receiver sees any: likewise, and their column.
    gains: Option<(usize, usize, Vec<Segment>)>,
    /// The same of which entries have come, if the decoder is told.
    mask: Option<(usize, usize, Vec<Segment>)>,
}

impl JointInput {
    fn plan(
        context: &Context,
        granted: &Granted<'_>,
        (samples, groups): (usize, &[usize]),
        upload: &mut Upload,
    ) -> Self {
        let d = context.feature_dim();
        let blocks = granted.by_entry.iter().map(|(&entry, positions)| {
            let mut z = Vec::with_capacity(positions.len() * samples * d);
            let mut segments = Vec::with_capacity(positions.len());
            for granted_entry in positions.iter().map(|&position| &granted.entries[position]) {
                let mut source = z.len() / d;
                for run in &granted.received(granted_entry).samples {
                    let target = granted_entry.tick * samples + run.start;
                    segments.push(Segment { source, target, rows: run.len(), repeat: false });
                    source += run.len();
                }
                z.extend_from_slice(granted.features(granted_entry, d));
            }
            let rows = z.len() / d;
            (entry, upload.add(z, (rows, d)), segments)
        });
        let blocks = blocks.collect();
        let gains = JointInput::plan_gains(context, granted, groups, upload);
        let mask = JointInput::plan_mask(context, granted, samples, upload);
        let kinds = context.scenario.shared_kinds();
        JointInput { rows: granted.ticks * samples, d, blocks, kinds, gains, mask }
    }

    /// The gains of all links at every tick, behind all features; in evaluation, at every group of samples.
    fn plan_gains(
        context: &Context,
        granted: &Granted<'_>,
        groups: &[usize],
        upload: &mut Upload,
    ) -> Option<(usize, usize, Vec<Segment>)> {
        let width = context.scenario.gains_at_receiver(context.index);
        if width == 0 {
            return None;
        }
        let (mut values, mut segments, mut target) = (Vec::new(), Vec::new(), 0);
        for tick in 0..granted.ticks {
            for (group, &rows) in groups.iter().enumerate() {
                segments.push(Segment { source: values.len() / width, target, rows, repeat: true });
                values.extend(context.gains_at_receiver(context.index, granted.time(tick, group)));
                target += rows;
            }
        }
        let rows = values.len() / width;
        let column = context.scenario.joint_features();
        Some((upload.add(values, (rows, width)), column, segments))
    }

    /// Which entries have come, behind features and gains: 1 for each that has. Rows of a tick that lie side by side and
    /// have the same entries are one row, repeated.
    fn plan_mask(
        context: &Context,
        granted: &Granted<'_>,
        samples: usize,
        upload: &mut Upload,
    ) -> Option<(usize, usize, Vec<Segment>)> {
        let width = context.scenario.mask_inputs();
        if width == 0 {
            return None;
        }
        let mut come = vec![false; granted.ticks * samples * width];
        for entry in &granted.entries {
            for row in granted.received(entry).samples.iter().flat_map(|run| run.clone()) {
                come[(entry.tick * samples + row) * width + entry.entry] = true;
            }
        }
        let (mut values, mut segments, mut target) = (Vec::new(), Vec::new(), 0);
        for tick in come.chunks((samples * width).max(1)) {
            let rows: Vec<&[bool]> = tick.chunks(width).collect();
            for same in rows.chunk_by(|one, next| one == next) {
                segments.push(Segment {
                    source: values.len() / width,
                    target,
                    rows: same.len(),
                    repeat: true,
                });
                values.extend(same[0].iter().map(|&come| if come { 1.0 } else { 0.0 }));
                target += same.len();
            }
        }
        let rows = values.len() / width;
        let column = context.scenario.joint_inputs(context.index) - width;
        Some((upload.add(values, (rows, width)), column, segments))
    }

    /// `embeddings` are those of all (k, m).
    fn input(self, uploaded: &[Tensor], embeddings: &Tensor) -> Result<Input, NodeError> {
        let mut blocks = Vec::with_capacity(2 * self.blocks.len() + 2);
        let mut senders = Vec::new();
        for (entry, number, segments) in self.blocks {
            let mut column = entry * self.d;
            if let Some(kinds) = &self.kinds {
                column = 2 * self.d * kinds[entry];
                let same = |segment: &Segment| Segment { source: 0, repeat: true, ..*segment };
                senders.push(Block {
                    values: embeddings.narrow(0, entry, 1)?,
                    column: column + self.d,
                    segments: segments.iter().map(same).collect(),
                    learns: false,
                });
            }
            blocks.push(Block { values: uploaded[number].clone(), column, segments, learns: true });
        }
        let beside = |(number, column, segments): (usize, usize, Vec<Segment>)| Block {
            values: uploaded[number].clone(),
            column,
            segments,
            learns: false,
        };
        blocks.extend(senders);
        blocks.extend(self.gains.map(beside));
        blocks.extend(self.mask.map(beside));
        Ok(Input::Blocks { rows: self.rows, blocks })
    }
}

impl LocalUpload {
    fn new(context: &Context, granted: &Granted<'_>, upload: &mut Upload) -> Self {
        let rows = granted.rows(context.samples());
        let features = upload.add(local_features(context, granted), (rows, context.feature_dim()));
        let sees = context.scenario.gains_at_receiver(context.index) > 0;
        let of_entry = |entry: &GrantedEntry| {
            context.gains_at_receiver(context.index, granted.time(entry.tick, 0))[entry.k]
        };
        let gains = sees.then(|| {
            let values = granted.entries.iter().map(of_entry).collect();
            upload.add(values, (granted.entries.len(), 1))
        });
        LocalUpload { features, gains }
    }
}

/// The features of all granted entries of a part of a training round, one after the other: of an entry, a tick's come
/// together.
fn local_features(context: &Context, granted: &Granted<'_>) -> Vec<f32> {
    let d = context.feature_dim();
    let mut z = Vec::with_capacity(granted.rows(context.samples()) * d);
    granted.entries.iter().for_each(|entry| z.extend_from_slice(granted.features(entry, d)));
    z
}

/// What both decoders found, as [`Backward::tensors`] lists it; of the local one nothing if it had nothing to do.
fn found(
    context: &Context,
    granted: &Granted<'_>,
    beta: f64,
    (joint, local): (&[Numbers<'_>], &[Numbers<'_>]),
    owing: Option<&mut Owing>,
) -> dib::Result<Decoded> {
    let samples = context.samples();
    let weight = 1.0 / samples as f64;
    let (joint_losses, joint_gradients) = joint.split_first().expect("a decoder has losses");
    let cross_entropies: Vec<f64> =
        joint_losses.f64s().chunks(samples).map(|tick| weight * sum(tick)).collect();
    let mut objectives = cross_entropies.clone();
    let mut extras = Vec::with_capacity(granted.entries.len());
    if let Some((local_losses, _)) = local.split_first() {
        for (entry, losses) in granted.entries.iter().zip(local_losses.f64s().chunks(samples)) {
            let paid = granted.received(entry).paid(context.scenario.train.rate_at);
            let extra = weight * sum(losses) + paid;
            objectives[entry.tick] += beta * extra;
            extras.push(extra);
        }
    }
    let of_local = local.get(1..).unwrap_or_default();
    let gradients = z_gradients(context, granted, (joint_gradients, of_local), owing)?;
    Ok(Decoded { cross_entropies, objectives, extras, gradients })
}

/// Adds up what both decoders want of every z and pulls that back through its channel, in the order in which its
/// transmitter sent it, straight into the messages. `joint` has a gradient of each (k, m) that was granted, `local` one
/// of all entries if there are any.
fn z_gradients(
    context: &Context,
    granted: &Granted<'_>,
    (joint, local): (&[Numbers<'_>], &[Numbers<'_>]),
    mut owing: Option<&mut Owing>,
) -> dib::Result<Vec<proto::v1::Tensor>> {
    let (samples, d) = (context.samples(), context.feature_dim());
    let mut returned: Vec<Returned> =
        granted.per_transmitter.iter().map(|&entries| Returned::new(context, entries)).collect();
    let mut place_of = vec![(0, 0); granted.entries.len()];
    for (block, positions) in granted.by_entry.values().enumerate() {
        for (number, &position) in positions.iter().enumerate() {
            place_of[position] = (block, number);
        }
    }
    let size = samples * d;
    let wanted = |position: usize, gradient: &mut Vec<f32>| {
        let (block, number) = place_of[position];
        let joint = &joint[block].f32s()[number * size..(number + 1) * size];
        let local = &local[0].f32s()[position * size..(position + 1) * size];
        gradient.clear();
        gradient.extend(joint.iter().zip(local).map(|(joint, local)| joint + local));
    };
    let mut gradient = Vec::with_capacity(size);
    let mut together = Vec::new();
    if let Some(mac) = context.mac(context.index) {
        together = vec![Vec::new(); granted.entries.len()];
        together.iter_mut().enumerate().for_each(|(position, gradient)| wanted(position, gradient));
        granted.pull_back_together(context, &mac, &mut together);
    }
    // By tick, then k, then m: so each transmitter's come in the order in which it sent them.
    for (position, entry) in granted.entries.iter().enumerate() {
        match together.get_mut(position) {
            Some(of_all) => std::mem::swap(&mut gradient, of_all),
            None => wanted(position, &mut gradient),
        }
        granted.pull_back(entry, &mut gradient)?;
        let tick = granted.address(entry.tick, 0).0;
        returned[entry.k].add(context, (entry, tick), &mut gradient, owing.as_deref_mut());
    }
    Ok(returned.into_iter().map(Returned::pack).collect())
}

/// What a decoder's passes found, where it was computed.
struct Backward {
    /// Of all rows, f64.
    losses: Tensor,
    /// With respect to what the network was given of z.
    input_gradients: Vec<Tensor>,
}

impl Backward {
    /// The losses, then the gradients.
    fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        std::iter::once(&self.losses).chain(&self.input_gradients)
    }
}

/// Forward, loss and backward of a decoder on an input with its gradient blocks; every row's loss counts `weight`
/// times.
fn backward(
    network: &mut Network,
    (input, blocks, rows): (Input, &[usize], RowAddresses<'_>),
    targets: &Targets,
    weight: f64,
    profiler: &mut Profiler,
) -> Result<Backward, NodeError> {
    profiler.turn_to(ProfilerPhase::Decode);
    let (output, trace) = network.forward(input, blocks, Some(rows))?;
    let (losses, upstream) = match targets {
        Targets::Classes { labels, classes } => losses_of_classes(&output, labels, *classes, weight)?,
        Targets::Values { width, values } => {
            let targets = Tensor::from_slice(values, (values.len() / width, *width), output.device())?;
            (
                dib::mean_squared_error(&output, &targets)?,
                dib::mean_squared_error_gradient(&output, &targets, weight)?,
            )
        }
    };
    profiler.turn_to(ProfilerPhase::Backward);
    let input_gradients = network.backward_to_input(&trace, &upstream)?;
    Ok(Backward { losses, input_gradients })
}

/// The loss of every row and its gradient. A row without a label costs nothing and teaches nothing; it counts as a row
/// of its tick.
fn losses_of_classes(
    output: &Tensor,
    labels: &[u32],
    classes: usize,
    weight: f64,
) -> Result<(Tensor, Tensor), NodeError> {
    let (labels, counts) = counted(labels, classes, output)?;
    let losses = dib::cross_entropy(output, &labels)?;
    let gradient = dib::cross_entropy_gradient(output, &labels, weight)?;
    let Some(counts) = counts else { return Ok((losses, gradient)) };
    let of_rows = counts.to_dtype(gradient.dtype())?.unsqueeze(1)?;
    Ok(((losses * counts)?, gradient.broadcast_mul(&of_rows)?))
}

/// The loss of every row alone.
fn losses(output: &Tensor, targets: &Targets) -> Result<Tensor, NodeError> {
    match targets {
        Targets::Classes { labels, classes } => {
            let (labels, counts) = counted(labels, *classes, output)?;
            let losses = dib::cross_entropy(output, &labels)?;
            Ok(match counts {
                Some(counts) => (losses * counts)?,
                None => losses,
            })
        }
        Targets::Values { width, values } => {
            let targets = Tensor::from_slice(values, (values.len() / width, *width), output.device())?;
            Ok(dib::mean_squared_error(output, &targets)?)
        }
    }
}

/// The labels of an output's rows and, if some rows have none, how often each row counts: once or not at all.
fn counted(labels: &[u32], classes: usize, output: &Tensor) -> Result<(Labels, Option<Tensor>), NodeError> {
    // Any class will do for what is left out afterwards.
    let stand_ins: Vec<u32> = labels.iter().map(|&label| if label == IGNORED { 0 } else { label }).collect();
    let stand_ins = Labels::new(&stand_ins, classes, output.device())?;
    if !labels.contains(&IGNORED) {
        return Ok((stand_ins, None));
    }
    let counts: Vec<f64> = labels.iter().map(|&label| f64::from(u8::from(label != IGNORED))).collect();
    Ok((stand_ins, Some(Tensor::from_slice(&counts, labels.len(), output.device())?)))
}

/// What the receiver owes of its gradients, where they are rounded.
fn feedback(context: &Context) -> Result<Option<ErrorFeedback>, NodeError> {
    let Some(rounding) = node::rounding(context.scenario.train.gradient_coding) else { return Ok(None) };
    let name = format!("receiver{}/gradients", context.index);
    let sizes = [context.scenario.entries_per_receiver(), context.feature_dim()];
    Ok(Some(ErrorFeedback::new(&name, rounding, sizes, initial_weights(context.seed, &name))?))
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
