//! A receiver in service: Algorithm 2, batch by batch.

use dib::Phase;
use node::{AirTime, NodeError, Stopwatch};
use proto::{
    Served, When, encode_bits, encode_ticks,
    v1::{Answers, Batch, Requests, Turn, answers::Used, report::Report},
};

use super::{Awaiting, Output, ReceiverMachine};
use crate::{
    evaluate::evaluate_rows,
    granted::Granted,
    probabilities::{largest, probabilities},
};

/// Whom this receiver requests under a draw of u.
pub(super) struct Drawn {
    draw: u64,
    version: u64,
    requested: Vec<Vec<bool>>,
}

/// A batch whose features are due.
#[derive(Clone, Copy)]
pub(super) struct Serving {
    /// The sequence number of its first sample.
    first: u64,
    served: Served,
    /// Its samples are no rows of the test set: there are no labels to compare with.
    given: bool,
}

impl Serving {
    pub(super) fn when(&self) -> When {
        When::Served(self.served)
    }
}

impl ReceiverMachine {
    /// Awaits the features of a batch; the first of a draw asks for them.
    pub(super) fn begin_batch(
        &mut self,
        batch: &Batch,
        emit: &mut dyn FnMut(Output),
    ) -> Result<(), NodeError> {
        let Batch { first, samples, draw, given, version, .. } = *batch;
        let served = self.context.served(first, samples, draw, self.task.test_samples());
        let served = served.ok_or_else(|| {
            let what = format!("orders {samples} samples from {first} on, which are of no one piece");
            NodeError::protocol("the coordinator", what)
        })?;
        let batch = Serving { first, served, given };
        if self.drawn.as_ref().is_none_or(|drawn| (drawn.draw, drawn.version) != (draw, version)) {
            if version != self.version {
                let state = node::reloaded(&mut self.reloaded, version)?;
                self.restore_networks(&state)?;
            }
            let requested = self.request_for_piece(draw, 0, 1)?;
            for (k, &is_requested) in requested[0].iter().enumerate() {
                let turn = Turn {
                    stamp: Some(self.context.link(k, self.context.index).stamp(batch.when())),
                    requests: Some(Requests { ticks: encode_ticks(&[is_requested]) }),
                    ..Turn::default()
                };
                emit(Output::Turn(k, turn));
            }
            self.drawn = Some(Drawn { draw, version, requested });
        }
        self.stage = Awaiting::Serving(batch);
        Ok(())
    }

    /// Whether transmitter k sends this receiver nothing in service, since it does not request it.
    pub(super) fn is_left_out(&self, when: When, k: usize) -> bool {
        let is_served = matches!(when, When::Served(_));
        is_served && self.drawn.as_ref().is_some_and(|drawn| !drawn.requested[0][k])
    }

    /// Answers a batch whose features have come.
    pub(super) fn answer(&mut self, batch: Serving, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        let decoding = Stopwatch::begin();
        let drawn = self.drawn.as_ref().expect("a batch begins with its draw");
        let requested = drawn.requested.clone();
        let is_without = |&k: &usize| requested[0][k] && (self.excused[k] || self.gone[k]);
        let without = (0..self.excused.len()).filter(is_without).map(|k| k as u32).collect();
        let encode =
            self.inbox.iter().filter_map(|features| features.front()).map(|features| features.seconds);
        let encode = encode.filter(|seconds| seconds.is_finite()).fold(0.0, f64::max);
        let received = self.receive(batch.when(), &requested)?;
        let Served { samples, pass, .. } = batch.served;
        let samples = samples as usize;
        let (group, _, groups) = self.context.served_groups(batch.served);
        let time = AirTime { phase: Phase::Evaluate, pass, tick: group };
        let granted = Granted::new(&self.context, time, &received);
        let output = self.decoders.infer(&self.context, &granted, samples, &groups)?;
        let (mut score, mut judged) = (0.0, 0);
        if !batch.given {
            let first = (batch.first % self.task.test_samples() as u64) as usize;
            let targets = self.task.test_targets(first..first + samples);
            for row in evaluate_rows(&output, &targets, &self.task)?.into_iter().flatten() {
                score += row.scores[0];
                judged += 1;
            }
        }
        let mut outputs: Vec<f32> = output.flatten_all()?.to_vec1()?;
        let width = self.task.outputs();
        let mut labels = Vec::new();
        match self.task.classes() {
            Some(_) => {
                labels = outputs.chunks_exact(width).map(largest).collect();
                outputs = outputs.chunks_exact(width).flat_map(probabilities).collect();
            }
            None => self.task.in_units(&mut outputs),
        }
        let answers = Answers {
            first: batch.first,
            width: width as u32,
            outputs: outputs.iter().flat_map(|value| value.to_le_bytes()).collect(),
            labels,
            used: self.used(&granted, samples),
            without,
            decode: decoding.seconds(),
            encode,
            feature_bytes: received.iter().map(|received| received.feature_bytes).sum(),
            score,
            judged,
        };
        emit(Output::Report(Report::Answers(answers)));
        self.schedule.done();
        self.advance(emit)
    }

    /// What was decoded, entry by entry.
    fn used(&self, granted: &Granted<'_>, samples: usize) -> Vec<Used> {
        let has_rates = self.context.scenario.train.has_priors();
        let used = |at: &crate::granted::GrantedEntry| {
            let entry = granted.received(at);
            let mut has = vec![false; samples];
            entry.samples.iter().flat_map(|run| run.clone()).for_each(|row| has[row] = true);
            let samples = if has.contains(&false) { encode_bits(&has) } else { bytes::Bytes::new() };
            Used {
                transmitter: at.k as u32,
                modality: entry.modality as u32,
                samples,
                nats: has_rates.then_some(entry.rate),
            }
        };
        granted.entries.iter().map(used).collect()
    }
}
