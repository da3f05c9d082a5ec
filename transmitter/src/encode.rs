use std::{ops::Range, sync::Arc};

use candle_core::{DType, Tensor};
use data::{Dataset, Split};
use dib::{
    Block, Coding, Encoded, Encoder, Features, Grants, Input, Network, Phase, RateRows, RateTerm, SampleAt,
    Segment, initial_weights, reparameterisation,
};
use node::{Context, Meter, NodeError, Work};
use proto::Packer;

use crate::{learned::Learned, rates::group_rates, round_groups::RoundGroups};

/// The encoders f_k^m of a transmitter, one a modality.
pub(crate) struct Encoders {
    encoders: Vec<Encoder>,
    coding: Coding,
    widths: Vec<usize>,
    dataset: Arc<dyn Dataset>,
    /// The embeddings of the receivers, [T, feature_dim]: an encoder's input says for whom it encodes.
    embeddings: Tensor,
}

/// All granted entries of a part of a round (or of a piece), encoded: one batched pass a modality.
pub(crate) struct Coded {
    /// For every modality, what its encoder was given and gave; none where nobody was granted it.
    pub(crate) modalities: Vec<Option<CodedModality>>,
}

/// What one modality's encoder made of its granted entries.
pub(crate) struct CodedModality {
    /// The entries (tick, receiver), in the order of the encoder's rows.
    pub(crate) entries: Vec<(usize, usize)>,
    pub(crate) features: Features,
    /// What the backward pass needs; none in evaluation.
    encoded: Option<Encoded>,
    /// Nats, one an entry.
    rates: Vec<f64>,
}

/// What to encode: where draws are addressed, and which samples belong to which tick.
struct Batch<'a> {
    phase: Phase,
    split: Split,
    first_moment: u64,
    samples: &'a [Vec<SampleAt>],
}

impl Encoders {
    pub(crate) fn new(
        context: &Context,
        dataset: Arc<dyn Dataset>,
        embeddings: &[Vec<f32>],
    ) -> Result<Self, NodeError> {
        let (k, d) = (context.index, context.feature_dim());
        let modalities = &context.scenario.transmitter[k].modalities;
        let widths = modalities
            .iter()
            .map(|modality| {
                let unknown =
                    || NodeError::Input(format!("the data set provides no modality \"{modality}\""));
                dataset.width(modality).ok_or_else(unknown)
            })
            .collect::<Result<Vec<usize>, NodeError>>()?;
        let coding = node::coding(&context.scenario.train);
        let encoders = widths
            .iter()
            .enumerate()
            .map(|(m, width)| {
                let name = format!("transmitter{k}/encoder{m}");
                let weights = initial_weights(context.seed, &name);
                Encoder::new(&name, width + d, (d, coding), weights, DType::F32, &context.device)
            })
            .collect::<Result<Vec<Encoder>, _>>()?;
        let embeddings = Tensor::from_vec(embeddings.concat(), (embeddings.len(), d), &context.device)?;
        Ok(Encoders { encoders, coding, widths, dataset, embeddings })
    }

    pub(crate) fn networks(&self) -> impl Iterator<Item = &Network> {
        self.encoders.iter().map(Encoder::network)
    }

    pub(crate) fn networks_mut(&mut self) -> impl Iterator<Item = &mut Network> {
        self.encoders.iter_mut().map(Encoder::network_mut)
    }

    /// Encodes all granted entries of a part of a training round, with what the backward pass needs.
    pub(crate) fn encode(
        &self,
        context: &Context,
        first_tick: u64,
        samples: &[Vec<SampleAt>],
        grants: &Grants,
        meter: &mut Meter,
    ) -> Result<Coded, NodeError> {
        let batch = Batch { phase: Phase::Train, split: Split::Train, first_moment: first_tick, samples };
        self.encode_all(context, &batch, grants, meter)
    }

    /// Encodes a piece of the test set under the one selection of a pass, tape-free.
    pub(crate) fn encode_piece(
        &self,
        context: &Context,
        moment: u64,
        samples: Range<usize>,
        grants: &Grants,
        meter: &mut Meter,
    ) -> Result<Coded, NodeError> {
        let samples = [samples.map(|sample| SampleAt { sample, epoch: 0 }).collect()];
        let batch =
            Batch { phase: Phase::Evaluate, split: Split::Test, first_moment: moment, samples: &samples };
        self.encode_all(context, &batch, grants, meter)
    }

    fn encode_all(
        &self,
        context: &Context,
        batch: &Batch<'_>,
        grants: &Grants,
        meter: &mut Meter,
    ) -> Result<Coded, NodeError> {
        let modalities = (0..self.encoders.len())
            .map(|m| {
                let entries = entries_of(grants, m);
                if entries.is_empty() {
                    return Ok(None);
                }
                self.encode_modality(context, batch, m, entries, meter).map(Some)
            })
            .collect::<Result<Vec<_>, NodeError>>()?;
        Ok(Coded { modalities })
    }

    fn encode_modality(
        &self,
        context: &Context,
        batch: &Batch<'_>,
        m: usize,
        entries: Vec<(usize, usize)>,
        meter: &mut Meter,
    ) -> Result<CodedModality, NodeError> {
        meter.turn_to(Work::Read);
        let input = self.input(context, batch, m, &entries)?;
        let draws = self.coding == Coding::Gaussian;
        let noise = draws.then(|| noise(context, batch, m, &entries)).transpose()?;
        meter.turn_to(Work::Encode);
        let encoder = &self.encoders[m];
        let (features, encoded) = match batch.phase {
            Phase::Train => {
                let encoded = encoder.encode(input, noise.as_ref())?;
                (encoded.features.clone(), Some(encoded))
            }
            Phase::Evaluate => (encoder.infer(input, noise.as_ref())?, None),
        };
        meter.turn_to(Work::Rate);
        let rates = entry_rates(context, batch, &entries, &features)?;
        Ok(CodedModality { entries, features, encoded, rates })
    }

    /// Rows (x, embedding of t) of all entries' samples: what several receivers get of a tick is read once, and goes
    /// through the first linear maps once.
    fn input(
        &self,
        context: &Context,
        batch: &Batch<'_>,
        m: usize,
        entries: &[(usize, usize)],
    ) -> Result<Input, NodeError> {
        let width = self.widths[m];
        let name = &context.scenario.transmitter[context.index].modalities[m];
        let (mut x, mut last) = (Vec::new(), None);
        let (mut samples, mut receivers) = (Vec::new(), Vec::new());
        let (mut source, mut target) = (0, 0);
        // Entries come tick by tick.
        for &(tick, t) in entries {
            let rows = batch.samples[tick].len();
            if last != Some(tick) {
                last = Some(tick);
                source = x.len() / width;
                read_tick(self.dataset.as_ref(), name, width, batch, tick, &mut x)?;
            }
            samples.push(Segment { source, target, rows, repeat: false });
            receivers.push(Segment { source: t, target, rows, repeat: true });
            target += rows;
        }
        let read = x.len() / width;
        let x = Tensor::from_vec(x, (read, width), &context.device)?;
        let block = |values, column, segments| Block { values, column, segments, learns: false };
        let blocks = vec![block(x, 0, samples), block(self.embeddings.clone(), width, receivers)];
        Ok(Input::Blocks { rows: target, blocks })
    }

    /// Backward pass of a part of a round.
    pub(crate) fn backward(
        &mut self,
        context: &Context,
        coded: &Coded,
        grants: &Grants,
        learned: &[Learned],
        beta: f64,
        meter: &mut Meter,
    ) -> Result<(), NodeError> {
        let train = &context.scenario.train;
        let estimator = node::rate_estimator(train.rate_estimator);
        let sent: Vec<Vec<(usize, usize)>> = (0..learned.len()).map(|t| grants.for_receiver(t)).collect();
        for (m, coded) in coded.modalities.iter().enumerate() {
            let Some(coded) = coded else { continue };
            let encoded =
                coded.encoded.as_ref().expect("a training round keeps what its backward pass needs");
            meter.turn_to(Work::Pack);
            let places = places(&sent, learned, m, &coded.entries);
            if places.iter().all(Option::is_none) {
                continue;
            }
            let gradient = z_gradient(context, learned, &places, &coded.entries)?;
            let blocks = blocks(context, grants.ticks().len(), &coded.entries);
            // Nobody pays for what nobody used.
            let is_used = |entry: usize| places[entry].is_some();
            meter.turn_to(Work::Backward);
            let encoder = &mut self.encoders[m];
            if context.scenario.rates_over_rounds() {
                let groups = RoundGroups::new(&coded.entries);
                let (weights, paid) = groups.weights(is_used, beta);
                let rows = Some(RateRows { order: &groups.order, paid: paid.as_deref() });
                let rate = RateTerm { estimator, groups: &groups.sizes, weights: &weights, rows };
                encoder.backward(encoded, &gradient, Some(rate), &blocks)?;
                continue;
            }
            let groups = vec![context.samples(); coded.entries.len()];
            let weights: Vec<f64> =
                (0..places.len()).map(|entry| if is_used(entry) { beta } else { 0.0 }).collect();
            let rate = RateTerm { estimator, groups: &groups, weights: &weights, rows: None };
            encoder.backward(encoded, &gradient, Some(rate), &blocks)?;
        }
        Ok(())
    }

    /// The step of the encoders that took part in a round.
    pub(crate) fn step(&mut self, context: &Context) -> Result<(), NodeError> {
        let train = &context.scenario.train;
        let optimizer = node::adamw(train.coding_rate, train.weight_decay);
        for encoder in &mut self.encoders {
            encoder.network_mut().step(&optimizer)?;
        }
        Ok(())
    }
}

impl Coded {
    /// z and rates of a receiver's entries (tick, modality), in their order; `shape` is that of all its z.
    pub(crate) fn for_receiver(
        &self,
        t: usize,
        entries: &[(usize, usize)],
        shape: [usize; 3],
    ) -> Result<(proto::v1::Tensor, Vec<f64>), NodeError> {
        let [_, samples, d] = shape;
        let mut packer = Packer::new(shape.iter().product());
        let mut rates = Vec::with_capacity(entries.len());
        for &(tick, m) in entries {
            let coded = self.modalities[m].as_ref().expect("a granted entry is encoded");
            let position = coded.entries.binary_search(&(tick, t)).expect("a granted entry is encoded");
            let z = coded.features.z.narrow(0, position * samples, samples)?;
            debug_assert_eq!(z.dims(), [samples, d]);
            dib::with_values(&z, |z| packer.extend(z.iter().copied()))?;
            rates.push(coded.rates[position]);
        }
        Ok((packer.pack(&shape), rates))
    }
}

/// The (tick, receiver) pairs that are granted modality m, in order.
fn entries_of(grants: &Grants, m: usize) -> Vec<(usize, usize)> {
    grants
        .ticks()
        .enumerate()
        .flat_map(|(tick, granted)| granted.iter().map(move |&(t, modality)| (tick, t, modality)))
        .filter(|&(_, _, modality)| modality == m)
        .map(|(tick, t, _)| (tick, t))
        .collect()
}

/// Adds one tick's samples of a modality, row after row.
fn read_tick(
    dataset: &dyn Dataset,
    name: &str,
    width: usize,
    batch: &Batch<'_>,
    tick: usize,
    values: &mut Vec<f32>,
) -> Result<(), NodeError> {
    let (samples, start) = (&batch.samples[tick], values.len());
    values.resize(start + samples.len() * width, 0.0);
    for (out, at) in values[start..].chunks_exact_mut(width).zip(samples) {
        dataset.read(name, batch.split, at.sample, at.epoch, out)?;
    }
    Ok(())
}

/// The noise of the reparameterisation trick, addressed by entry and tick.
fn noise(
    context: &Context,
    batch: &Batch<'_>,
    m: usize,
    entries: &[(usize, usize)],
) -> Result<Tensor, NodeError> {
    let d = context.feature_dim();
    let rows: usize = entries.iter().map(|(tick, _)| batch.samples[*tick].len()).sum();
    let mut noise = Vec::with_capacity(rows * d);
    for &(tick, t) in entries {
        let (moment, count) = (batch.first_moment + tick as u64, batch.samples[tick].len() * d);
        noise.extend(reparameterisation(context.seed, batch.phase, context.index, t, m, moment, count));
    }
    Ok(Tensor::from_vec(noise, (rows, d), &context.device)?)
}

/// The rate of every entry: over the tick in training, or where that has one sample only, what it adds to the round's; in
/// evaluation the mean over the piece's groups, by samples.
fn entry_rates(
    context: &Context,
    batch: &Batch<'_>,
    entries: &[(usize, usize)],
    features: &Features,
) -> Result<Vec<f64>, NodeError> {
    if batch.phase == Phase::Train && context.scenario.rates_over_rounds() {
        return RoundGroups::new(entries).rates(context, features);
    }
    let groups: Vec<Vec<usize>> =
        entries.iter().map(|(tick, _)| context.rate_groups(batch.samples[*tick].len())).collect();
    let estimator = node::rate_estimator(context.scenario.train.rate_estimator);
    let rates = group_rates(context, estimator, features, &groups.concat())?;
    let mut rates = rates.into_iter();
    let mean = |groups: &Vec<usize>| {
        let weighted: f64 = groups.iter().zip(rates.by_ref()).map(|(&size, rate)| size as f64 * rate).sum();
        weighted / groups.iter().sum::<usize>() as f64
    };
    Ok(groups.iter().map(mean).collect())
}

/// Where the gradient of each of modality m's entries stands in what its receiver sent back; none if it was not used.
fn places(
    sent: &[Vec<(usize, usize)>],
    learned: &[Learned],
    m: usize,
    entries: &[(usize, usize)],
) -> Vec<Option<usize>> {
    let place = |&(tick, t): &(usize, usize)| {
        let position = sent[t].binary_search(&(tick, m)).expect("what was encoded was granted");
        learned[t].places[position]
    };
    entries.iter().map(place).collect()
}

/// What the receivers want of the z of some entries, in the order of the encoder's rows: nothing of what they did not use.
fn z_gradient(
    context: &Context,
    learned: &[Learned],
    places: &[Option<usize>],
    entries: &[(usize, usize)],
) -> Result<Tensor, NodeError> {
    let size = context.samples() * context.feature_dim();
    let mut gradient = Vec::with_capacity(entries.len() * size);
    for (&(_, t), place) in entries.iter().zip(places) {
        match place {
            Some(place) => gradient.extend(learned[t].z.values(place * size..(place + 1) * size)),
            None => gradient.resize(gradient.len() + size, 0.0),
        }
    }
    Ok(Tensor::from_vec(
        gradient,
        (entries.len() * context.samples(), context.feature_dim()),
        &context.device,
    )?)
}

/// The gradient blocks of an encoder's rows.
fn blocks(context: &Context, ticks: usize, entries: &[(usize, usize)]) -> Vec<usize> {
    let mut rows_of_tick = vec![0; ticks];
    for &(tick, _) in entries {
        rows_of_tick[tick] += context.samples();
    }
    context.gradient_blocks(&rows_of_tick)
}
