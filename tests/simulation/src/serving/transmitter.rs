use std::collections::VecDeque;

use bytes::Bytes;
use node::{Context, NodeError};
use proto::{
    Packer, Payload, When, encode_bits,
    v1::{Batch, Features, Turn},
};
use transmitter::Output;

use super::{ROWS, observed};

/// A transmitter in service: it sends what was observed, as it is.
#[derive(Default)]
pub(crate) struct ServingTransmitter {
    /// The draw and the version that receivers have requested.
    under: Option<(u64, u64)>,
}

impl ServingTransmitter {
    /// Answers a batch; false if the receivers' requests have to come first.
    pub(crate) fn serve(
        &mut self,
        context: &Context,
        batch: &Batch,
        inbox: &mut [VecDeque<Turn>],
        emit: &mut dyn FnMut(Output),
    ) -> Result<bool, NodeError> {
        let odd = || NodeError::protocol("the coordinator", "orders samples of no one piece");
        let served = context.served(batch.first, batch.samples, batch.draw, ROWS).ok_or_else(odd)?;
        let under = (batch.draw, batch.version);
        if self.under != Some(under) {
            if inbox.iter().any(VecDeque::is_empty) {
                return Ok(false);
            }
            for (t, turns) in inbox.iter_mut().enumerate() {
                let turn = turns.pop_front().expect("all are in");
                let link = context.link(context.index, t);
                let checked = link.check(turn.stamp.as_ref(), When::Served(served));
                checked.map_err(NodeError::message(format!("turn of receiver {t}")))?;
            }
            self.under = Some(under);
        }
        let (values, absent) = values(batch)?;
        for t in 0..inbox.len() {
            let mut packer = Packer::new(values.len());
            packer.extend(values.iter().copied());
            emit(Output::Features(
                t,
                Features {
                    stamp: Some(context.link(context.index, t).stamp(When::Served(served))),
                    z: Some(packer.pack(&[values.len()])),
                    absent: absent.clone(),
                    ..Features::default()
                },
            ));
        }
        Ok(true)
    }
}

/// What is observed of a batch, and a bit for every sample of which nothing is.
fn values(batch: &Batch) -> Result<(Vec<f32>, Bytes), NodeError> {
    let samples = batch.samples as usize;
    if !batch.given {
        return Ok(((batch.first..batch.first + batch.samples).map(observed).collect(), Bytes::new()));
    }
    let Some(given) = batch.observed.first() else {
        return Ok((vec![0.0; samples], encode_bits(&vec![true; samples])));
    };
    let values = Payload::check("values", given.values.as_ref(), &[samples, 1])
        .map_err(NodeError::message("the coordinator's batch"))?;
    Ok((values.values(0..samples).collect(), given.absent.clone()))
}
