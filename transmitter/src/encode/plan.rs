//! What encoders are to be given: the rows of all granted entries, read from the data set, and the noise of what is
//! drawn.

use candle_core::Tensor;
use data::{Dataset, Split};
use dib::{
    Block, EncoderKind, Grants, Phase, SampleAt, Segment, Upload, multicast_reparameterisation_from,
    reparameterisation_from, sensor_noise,
};
use node::{AirTime, Context, NodeError};
use proto::Served;

use super::Encoders;
use crate::{
    coded::owner,
    disturbed::{blur, lagging},
    observed::Observed,
};

/// What the encoder of a modality is to be given: numbers of what is uploaded, and where that stands.
pub(super) struct Planned {
    pub(super) m: usize,
    pub(super) entries: Vec<(usize, usize)>,
    /// The ticks whose samples are read.
    pub(super) ticks: Vec<usize>,
    pub(super) x: usize,
    pub(super) noise: Option<usize>,
    pub(super) samples: Vec<Segment>,
    pub(super) receivers: Vec<Segment>,
    /// Of the gains of the links to them, if the transmitter sees any.
    pub(super) gains: Option<(usize, Vec<Segment>)>,
    pub(super) rows: usize,
}

/// What to encode: where draws are addressed, and which samples belong to which tick.
pub(super) struct Batch<'a> {
    pub(super) phase: Phase,
    pub(super) dataset: &'a dyn Dataset,
    pub(super) split: Split,
    pub(super) first_moment: u64,
    /// The evaluation pass; 0 in training.
    pub(super) pass: u64,
    /// In training the first tick, in evaluation the first group of test samples; none of what is not sent.
    pub(super) first_tick: Option<u64>,
    pub(super) samples: &'a [Vec<SampleAt>],
    /// In service, where the batch lies.
    pub(super) served: Option<Served>,
    /// What is observed, if that is no rows of the data set.
    pub(super) given: Option<&'a Observed>,
}

impl Batch<'_> {
    /// When a group of samples of a tick meets its gains. What is not sent meets what would have been met then.
    pub(super) fn time(&self, tick: usize, group: usize) -> AirTime {
        let first = self.first_tick.unwrap_or(self.first_moment);
        AirTime { phase: self.phase, pass: self.pass, tick: first }.later(tick + group)
    }

    /// How many of a tick's samples share a gain, one after the other.
    pub(super) fn groups(&self, context: &Context, tick: usize) -> Vec<usize> {
        match self.served {
            Some(served) => context.served_groups(served).2,
            None => context.groups(self.samples[tick].len()),
        }
    }

    /// How many samples of its piece lie before it: what is drawn for them is skipped.
    pub(super) fn skipped(&self) -> usize {
        self.served.map_or(0, |served| served.offset as usize)
    }

    /// Tick and sample of a row of a training round, of the rows of these (tick, receiver) entries.
    pub(super) fn address(&self, entries: &[(usize, usize)], row: usize, samples: usize) -> (u64, u64) {
        let (tick, _) = entries[row / samples];
        (self.first_moment + tick as u64, (row % samples) as u64)
    }
}

impl Encoders {
    /// Rows (x, embedding of t) of all entries' samples: what several receivers get of a tick is read once, and goes
    /// through the first linear maps once. And the noise of what is drawn.
    pub(super) fn plan(
        &self,
        context: &Context,
        batch: &Batch<'_>,
        m: usize,
        entries: Vec<(usize, usize)>,
        upload: &mut Upload,
    ) -> Result<Planned, NodeError> {
        let width = self.widths[m];
        let (mut x, mut ticks) = (Vec::new(), Vec::new());
        let (mut samples, mut receivers) = (Vec::new(), Vec::new());
        let (mut source, mut target) = (0, 0);
        // Entries come tick by tick.
        for &(tick, t) in &entries {
            let rows = batch.samples[tick].len();
            if ticks.last() != Some(&tick) {
                ticks.push(tick);
                source = x.len() / width;
                match batch.given {
                    Some(given) => given.read(m, width, &mut x),
                    None => self.read_tick(context, m, batch, tick, &mut x)?,
                }
            }
            samples.push(Segment { source, target, rows, repeat: false });
            receivers.push(Segment { source: t, target, rows, repeat: true });
            target += rows;
        }
        let read = x.len() / width;
        let x = upload.add(x, (read, width));
        let draws = self.kind == EncoderKind::Gaussian;
        let noise =
            draws.then(|| upload.add(noise(context, batch, m, &entries), (target, context.feature_dim())));
        let gains = plan_gains(context, batch, &entries, upload);
        Ok(Planned { m, entries, ticks, x, noise, samples, receivers, gains, rows: target })
    }

    /// The test row that sensors show in the place of another in a pass. Over validation rows they never lag behind: of
    /// those nobody has said that they follow each other.
    pub(crate) fn shown_row(&self, pass: u64, row: usize) -> usize {
        match &self.lagging {
            Some(lagging) if !node::is_validation(pass) => lagging[row],
            _ => row,
        }
    }

    /// Adds one tick's samples of a modality, row after row: in evaluation as disturbed sensors show them. Over
    /// validation rows they are noisy at most: they neither lag behind nor are blurred.
    fn read_tick(
        &self,
        context: &Context,
        m: usize,
        batch: &Batch<'_>,
        tick: usize,
        values: &mut Vec<f32>,
    ) -> Result<(), NodeError> {
        let (width, name) = (self.widths[m], &context.scenario.transmitter[context.index].modalities[m]);
        let (samples, start) = (&batch.samples[tick], values.len());
        values.resize(start + samples.len() * width, 0.0);
        let is_disturbed = batch.phase == Phase::Evaluate && batch.first_tick.is_some();
        for (out, at) in values[start..].chunks_exact_mut(width).zip(samples) {
            let row = if is_disturbed { self.shown_row(batch.pass, at.sample) } else { at.sample };
            batch.dataset.read(name, batch.split, row, at.epoch, out)?;
        }
        if let Some(weights) = &self.blur_weights
            && is_disturbed
            && !node::is_validation(batch.pass)
        {
            let axes = batch.dataset.shape(name).unwrap_or_else(|| vec![width]);
            values[start..].chunks_exact_mut(width).for_each(|sample| blur(sample, &axes, weights));
        }
        if is_disturbed {
            add_sensor_noise(context, batch, m, samples, &mut values[start..]);
        }
        Ok(())
    }
}

/// The values of samples [rows, width] in the input of an encoder's last part, given which rows of them (`samples`)
/// each entry takes and for which receiver: in one place for all receivers, or in one for each.
pub(super) fn in_places(
    places: usize,
    x: &Tensor,
    samples: Vec<Segment>,
    receivers: &[Segment],
    learns: bool,
) -> Vec<Block> {
    let width = x.dims()[1];
    let block = |place: usize, segments| Block { values: x.clone(), column: place * width, segments, learns };
    if places == 1 {
        return vec![block(0, samples)];
    }
    let mut of_place = vec![Vec::new(); places];
    for (segment, receiver) in samples.into_iter().zip(receivers) {
        of_place[receiver.source].push(segment);
    }
    let filled = of_place.into_iter().enumerate().filter(|(_, segments)| !segments.is_empty());
    filled.map(|(place, segments)| block(place, segments)).collect()
}

/// The (tick, receiver) pairs that are granted modality m, in order. Where a feature knows no receiver, a tick has one
/// whose [owner] stands for all.
pub(super) fn entries_of(context: &Context, grants: &Grants, m: usize) -> Vec<(usize, usize)> {
    let mut entries: Vec<(usize, usize)> = grants
        .ticks()
        .enumerate()
        .flat_map(|(tick, granted)| granted.iter().map(move |&(t, modality)| (tick, t, modality)))
        .filter(|&(_, _, modality)| modality == m)
        .map(|(tick, t, _)| (tick, owner(&context.scenario, t)))
        .collect();
    entries.dedup();
    entries
}

/// The gain of the link to each entry's receiver, for every group of its samples.
fn plan_gains(
    context: &Context,
    batch: &Batch<'_>,
    entries: &[(usize, usize)],
    upload: &mut Upload,
) -> Option<(usize, Vec<Segment>)> {
    let width = context.scenario.gains_at_transmitter(context.index);
    if width == 0 {
        return None;
    }
    let (mut values, mut segments, mut target) = (Vec::new(), Vec::new(), 0);
    for &(tick, t) in entries {
        for (group, rows) in batch.groups(context, tick).into_iter().enumerate() {
            segments.push(Segment { source: values.len() / width, target, rows, repeat: true });
            values.extend(context.gains_at_transmitter(context.index, t, batch.time(tick, group)));
            target += rows;
        }
    }
    let rows = values.len() / width;
    Some((upload.add(values, (rows, width)), segments))
}

/// Of every test row the one that sensors show under `evaluation.stale`; none where that is 0.
pub(super) fn lagging_rows(
    context: &Context,
    dataset: &dyn Dataset,
) -> Result<Option<Vec<usize>>, NodeError> {
    let evaluation = &context.scenario.evaluation;
    if evaluation.stale == 0 {
        return Ok(None);
    }
    let none = || {
        let stale = evaluation.stale;
        NodeError::Input(format!("evaluation.stale is {stale}, but rows do not follow each other in time"))
    };
    let recordings = dataset.recordings(evaluation.recordings.as_deref())?.ok_or_else(none)?;
    Ok(Some(lagging(&recordings, evaluation.stale)))
}

/// Adds the noise of `evaluation.sensor_noise` to the samples of modality m at a tick, each of which has a draw of its
/// own in a pass.
fn add_sensor_noise(
    context: &Context,
    batch: &Batch<'_>,
    m: usize,
    samples: &[SampleAt],
    values: &mut [f32],
) {
    let level = context.scenario.evaluation.sensor_noise;
    if level == 0.0 || samples.is_empty() {
        return;
    }
    let width = values.len() / samples.len();
    for (sample, at) in values.chunks_exact_mut(width).zip(samples) {
        let squares: f64 = sample.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
        let deviation = level * (squares / width as f64).sqrt();
        let noise = sensor_noise(context.seed, [context.index, m], at.sample, batch.pass, width);
        sample.iter_mut().zip(&noise).for_each(|(value, noise)| *value += deviation as f32 * noise);
    }
}

/// The noise of the reparameterisation trick, addressed by entry, or by feature where that knows no receiver, and tick:
/// d values a sample.
fn noise(context: &Context, batch: &Batch<'_>, m: usize, entries: &[(usize, usize)]) -> Vec<f32> {
    let of_entry = |&(tick, t): &(usize, usize)| {
        let (moment, count) =
            (batch.first_moment + tick as u64, batch.samples[tick].len() * context.feature_dim());
        let range = (batch.skipped() * context.feature_dim(), count);
        let (seed, phase, k) = (context.seed, batch.phase, context.index);
        match context.scenario.network.multicast {
            true => multicast_reparameterisation_from(seed, phase, [k, m], moment, range),
            false => reparameterisation_from(seed, phase, [k, t, m], moment, range),
        }
    };
    node::in_parallel(entries, of_entry).concat()
}

/// The gradient blocks of an encoder's rows.
pub(super) fn blocks(context: &Context, ticks: usize, entries: &[(usize, usize)]) -> Vec<usize> {
    let mut rows_of_tick = vec![0; ticks];
    for &(tick, _) in entries {
        rows_of_tick[tick] += context.samples();
    }
    context.gradient_blocks(&rows_of_tick)
}
