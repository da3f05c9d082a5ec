use std::collections::VecDeque;

use bytes::Bytes;
use node::{Context, NodeError};
use proto::{
    Payload, Served, When, decode_bits, encode_bits,
    v1::{Answers, Batch, Features, Requests, Turn, answers::Used, report::Report},
};
use receiver::Output;

use super::ROWS;

/// A receiver in service: its answer is the sum of what it is sent.
pub(crate) struct ServingReceiver {
    under: Option<(u64, u64)>,
    /// The transmitters from which nothing will come.
    pub(crate) gone: Vec<bool>,
}

/// A batch whose features are due.
#[derive(Clone, Copy)]
pub(crate) struct Serving {
    first: u64,
    served: Served,
}

impl Serving {
    pub(crate) fn when(&self) -> When {
        When::Served(self.served)
    }
}

impl ServingReceiver {
    /// One of a network with so many transmitters.
    pub(crate) fn of(transmitters: usize) -> Self {
        ServingReceiver { under: None, gone: vec![false; transmitters] }
    }

    /// Whether it has begun a batch: features of further ones may come before these are ordered.
    pub(crate) fn has_begun(&self) -> bool {
        self.under.is_some()
    }

    /// Awaits the features of a batch; the first of a draw requests them.
    pub(crate) fn begin(
        &mut self,
        context: &Context,
        batch: &Batch,
        emit: &mut dyn FnMut(Output),
    ) -> Result<Serving, NodeError> {
        let odd = || NodeError::protocol("the coordinator", "orders samples of no one piece");
        let served = context.served(batch.first, batch.samples, batch.draw, ROWS).ok_or_else(odd)?;
        let serving = Serving { first: batch.first, served };
        if self.under.replace((batch.draw, batch.version)) != Some((batch.draw, batch.version)) {
            for k in 0..context.scenario.transmitters() {
                let requests = Some(Requests { ticks: Bytes::from_static(&[1]) });
                let stamp = Some(context.link(k, context.index).stamp(serving.when()));
                emit(Output::Turn(k, Turn { stamp, requests, ..Turn::default() }));
            }
        }
        Ok(serving)
    }

    /// Answers a batch whose features have come.
    pub(crate) fn answer(
        &self,
        context: &Context,
        serving: Serving,
        inbox: &mut [VecDeque<Features>],
    ) -> Result<Report, NodeError> {
        let samples = serving.served.samples as usize;
        let mut sums = vec![0.0f32; samples];
        let (mut used, mut without) = (Vec::new(), Vec::new());
        for (k, features) in inbox.iter_mut().enumerate() {
            if self.gone[k] {
                without.push(k as u32);
                continue;
            }
            let features = features.pop_front().expect("all others have answered");
            let peer = || format!("features of transmitter {k}");
            let checked = context.link(k, context.index).check(features.stamp.as_ref(), serving.when());
            checked.map_err(NodeError::message(peer()))?;
            let z =
                Payload::check("z", features.z.as_ref(), &[samples]).map_err(NodeError::message(peer()))?;
            let absent = match features.absent.is_empty() {
                true => vec![false; samples],
                false => {
                    decode_bits("absent", &features.absent, samples).map_err(NodeError::message(peer()))?
                }
            };
            for ((sum, value), absent) in sums.iter_mut().zip(z.values(0..samples)).zip(&absent) {
                *sum += if *absent { 0.0 } else { value };
            }
            let has: Vec<bool> = absent.iter().map(|absent| !absent).collect();
            used.push(Used {
                transmitter: k as u32,
                samples: if has.contains(&false) { encode_bits(&has) } else { Bytes::new() },
                ..Used::default()
            });
        }
        Ok(Report::Answers(Answers {
            first: serving.first,
            width: 1,
            outputs: sums.iter().flat_map(|sum| sum.to_le_bytes()).collect(),
            used,
            without,
            ..Answers::default()
        }))
    }
}
