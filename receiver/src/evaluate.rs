use std::collections::BTreeMap;

use candle_core::Tensor;
use data::{IGNORED, Targets};
use dib::Phase;
use node::{AirTime, Context, NodeError};
use proto::{
    When,
    v1::{Cluster, Confusion, EntryRate, ReceiverPass},
};

use crate::{
    air::AirCount, answers::Answers, decode::Decoders, granted::Granted, missing::MissingCount,
    received::Received, strengths::StrengthCount, task::TaskData,
};

/// A pass over the whole test set, or all validation rows, under one draw of u (Algorithm 2).
pub(crate) struct Pass {
    pub(crate) number: u64,
    /// The number behind that of the last pass.
    pub(crate) end: u64,
    /// Which transmitters are requested, at every tick of the piece whose features are due; where a draw holds for the
    /// whole pass, at one.
    pub(crate) requested: Vec<Vec<bool>>,
    /// That piece.
    pub(crate) piece: u64,
    pieces: u64,
    clusters: BTreeMap<u32, Cluster>,
    /// Rates of the granted entries, weighted by samples, and for how many of the samples they were granted.
    rates: BTreeMap<usize, (f64, usize)>,
    /// Of a classification: samples by (label, answer).
    confusion: BTreeMap<(u32, u32), u64>,
    feature_bytes: u64,
    missing: MissingCount,
    air: AirCount,
    strengths: StrengthCount,
}

impl Pass {
    pub(crate) fn new(
        context: &Context,
        task: &TaskData,
        number: u64,
        end: u64,
        requested: Vec<Vec<bool>>,
    ) -> Self {
        Pass {
            number,
            end,
            requested,
            piece: 0,
            pieces: context.pieces(task.test_samples()) as u64,
            clusters: BTreeMap::new(),
            rates: BTreeMap::new(),
            confusion: BTreeMap::new(),
            feature_bytes: 0,
            missing: MissingCount::new(context),
            air: AirCount::default(),
            strengths: StrengthCount::new(context),
        }
    }

    pub(crate) fn when(&self) -> When {
        When::Piece { pass: self.number, piece: self.piece }
    }

    pub(crate) fn is_last_piece(&self) -> bool {
        self.piece + 1 == self.pieces
    }

    /// Decodes and evaluates a piece that has come, of which it requested so at every tick. Gives the answer to each
    /// row, if these are to be recorded.
    pub(crate) fn evaluate(
        &mut self,
        context: &Context,
        task: &TaskData,
        decoders: &Decoders,
        (piece, requested, received): (u64, &[Vec<bool>], &[Received]),
        tells: bool,
    ) -> Result<Option<Answers>, NodeError> {
        let samples = context.piece(piece as usize, task.test_samples());
        let time = AirTime { phase: Phase::Evaluate, pass: self.number, tick: context.first_group(piece) };
        let granted = Granted::new(context, time, received);
        // All ticks of a piece have as many.
        let of_tick = samples.len() / requested.len().max(1);
        let output = decoders.infer(context, &granted, of_tick, &context.groups(of_tick))?;
        let evaluated = evaluate_rows(&output, &task.test_targets(samples.clone()), task)?;
        for (sample, row) in samples.clone().zip(evaluated) {
            // Without a label there is nothing to compare with.
            let Some(row) = row else { continue };
            let id = task.cluster(sample);
            let scores = vec![0.0; row.scores.len()];
            let cluster = self.clusters.entry(id).or_insert(Cluster { id, scores, ..Cluster::default() });
            cluster.samples += 1;
            cluster.scores.iter_mut().zip(row.scores).for_each(|(sum, score)| *sum += score);
            cluster.cross_entropy += row.loss;
            if let Some(answer) = row.answer {
                *self.confusion.entry(answer).or_default() += 1;
            }
        }
        for (entry, rate) in granted.rates() {
            let (sum, count) = self.rates.entry(entry).or_default();
            *sum += rate * of_tick as f64 / task.test_samples() as f64;
            *count += of_tick;
        }
        self.strengths.add(context, requested, &granted, &context.groups(of_tick));
        self.feature_bytes += received.iter().map(|received| received.feature_bytes).sum::<u64>();
        self.missing.add(context, received);
        received.iter().for_each(|received| self.air.add(&received.air));
        let shape = (of_tick, context.feature_dim());
        let answers = tells.then(|| Answers::of(self.number, samples, shape, &granted, &output));
        answers.transpose()
    }

    pub(crate) fn report(self, context: &Context, task: &TaskData) -> ReceiverPass {
        let pairs = (0..context.scenario.transmitters())
            .flat_map(|k| (0..context.scenario.modalities(k)).map(move |m| (k, m)));
        // Granted for the whole pass, as where a draw holds for one, needs no word.
        let share = |&(_, count): &(f64, usize)| count as f64 / task.test_samples() as f64;
        let by_tick = context.scenario.evaluates_by_tick();
        let shares = self.rates.values().filter(|_| by_tick).map(share).collect();
        let entries = pairs
            .enumerate()
            .filter_map(|(position, (k, m))| {
                self.rates.get(&position).map(|&(rate, _)| EntryRate {
                    transmitter: k as u32,
                    receiver: context.index as u32,
                    modality: m as u32,
                    rate,
                    ceiling: None,
                })
            })
            .collect();
        let confusion = self.confusion.into_iter();
        let confusion = confusion.map(|((label, answer), samples)| Confusion { label, answer, samples });
        ReceiverPass {
            pass: self.number,
            clusters: self.clusters.into_values().collect(),
            entries,
            feature_bytes: self.feature_bytes,
            missing: self.missing.report(context, Phase::Evaluate),
            air: self.air.report(context, task.test_samples()),
            entry_uses: self.air.entry_uses(context, task.test_samples()),
            metrics: task.metrics().iter().map(|&metric| metric.into()).collect(),
            classes: task.classes().map_or(0, |classes| classes as u32),
            confusion: confusion.collect(),
            strengths: self.strengths.report(),
            shares,
        }
    }
}

/// What a row comes to.
pub(crate) struct Evaluated {
    /// Cross entropy in nats, or mean squared error in training units.
    loss: f64,
    /// One a metric of the task.
    pub(crate) scores: Vec<f64>,
    /// Of a classification: the label, and what it was taken for.
    answer: Option<(u32, u32)>,
}

/// What each row comes to; none where it has no label.
pub(crate) fn evaluate_rows(
    output: &Tensor,
    targets: &Targets,
    task: &TaskData,
) -> Result<Vec<Option<Evaluated>>, NodeError> {
    match targets {
        Targets::Classes { labels, classes } => {
            let stand_in = |&label: &u32| if label == IGNORED { 0 } else { label };
            let stand_ins: Vec<u32> = labels.iter().map(stand_in).collect();
            let compared = dib::Labels::new(&stand_ins, *classes, output.device())?;
            let losses = dib::cross_entropy(output, &compared)?.to_vec1::<f64>()?.into_iter();
            let answers = output.argmax(candle_core::D::Minus1)?.to_vec1::<u32>()?;
            let evaluated = |(loss, (&label, answer))| {
                let scores = vec![f64::from(u8::from(label == answer))];
                (label != IGNORED).then_some(Evaluated { loss, scores, answer: Some((label, answer)) })
            };
            Ok(losses.zip(labels.iter().zip(answers)).map(evaluated).collect())
        }
        Targets::Values { width, values } => {
            let targets = Tensor::from_slice(values, (values.len() / width, *width), output.device())?;
            let losses = dib::mean_squared_error(output, &targets)?.to_vec1::<f64>()?.into_iter();
            let rows = output.to_vec2::<f32>()?;
            let evaluated = |((loss, row), target): ((f64, Vec<f32>), &[f32])| {
                let mut scores = vec![squared_error(&row, target, task.units())];
                if task.is_pose() {
                    scores.extend([dib::joint_error(&row, target), dib::aligned_joint_error(&row, target)]);
                }
                Some(Evaluated { loss, scores, answer: None })
            };
            Ok(losses.zip(rows).zip(values.chunks_exact(*width)).map(evaluated).collect())
        }
    }
}

/// The mean over a row's values of the squared error, in the units of the data.
fn squared_error(answer: &[f32], target: &[f32], units: &[f64]) -> f64 {
    let error =
        |((answer, target), unit): ((&f32, &f32), &f64)| unit * (f64::from(*answer) - f64::from(*target));
    let squares = answer.iter().zip(target).zip(units).map(error).map(|error| error * error);
    squares.sum::<f64>() / units.len() as f64
}
