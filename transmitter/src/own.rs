//! Features that a coding of a user's program makes of what encoders put out.

use candle_core::Tensor;
use dib::{CodedRows, Features, coding::Encoder};
use node::{Context, NodeError, OwnCoding, OwnEntry};

use crate::{
    dithered::Moment,
    priors::{EntryRows, encoder_diverged, values},
};

/// The symbols of one modality's entries, in the order of the encoder's rows.
pub(crate) struct OwnEntries {
    symbols: Vec<Encoder>,
    moment: Moment,
}

impl OwnEntries {
    /// Of what modality m's encoder put out, [rows, outputs]; the features that receivers will find; and the rate of
    /// every row in nats.
    pub(crate) fn new(
        context: &Context,
        own: &OwnCoding,
        m: usize,
        moment: Moment,
        rows: EntryRows<'_>,
        output: &Tensor,
    ) -> Result<(Self, Features, Vec<f64>), NodeError> {
        let outputs = values(output)?;
        let size = rows.rows * rows.d * own.outputs();
        let entries: Vec<((usize, usize), &[f32])> =
            rows.entries.iter().copied().zip(outputs.chunks_exact(size)).collect();
        for &((_, t), outputs) in &entries {
            if let Some(&value) = outputs.iter().find(|value| !value.is_finite()) {
                return Err(encoder_diverged(&context.scenario, [context.index, t, m], value));
            }
        }
        let encode = |&(entry, outputs): &((usize, usize), &[f32])| {
            own.encode(&coded_rows(context, m, moment, entry), outputs)
        };
        let coded = node::in_parallel(&entries, encode).into_iter().collect::<Result<Vec<OwnEntry>, _>>()?;
        let (mut symbols, mut z, mut rates) = (Vec::with_capacity(coded.len()), Vec::new(), Vec::new());
        for entry in coded {
            symbols.push(entry.symbols);
            z.extend(entry.z);
            rates.extend(entry.rates);
        }
        let z = Tensor::from_vec(z, (rows.entries.len() * rows.rows, rows.d), output.device())?;
        Ok((OwnEntries { symbols, moment }, Features { z, posterior: None }, rates))
    }

    /// Adds the entry that stands at a place to a stream.
    pub(crate) fn write(&self, place: usize, into: &mut Encoder) {
        into.extend(&self.symbols[place]);
    }

    /// The gradient with respect to what the encoder put out, given that and what receivers want of z, row after row.
    /// `used` and `costs` say of each entry whether it has arrived, and what a nat of its rate, the mean over its rows,
    /// costs. Nothing comes back from an entry that has not arrived.
    pub(crate) fn pull_back(
        &self,
        context: &Context,
        own: &OwnCoding,
        m: usize,
        rows: EntryRows<'_>,
        (outputs, dz): (&[f32], &[f32]),
        (used, costs): (&[bool], &[f64]),
    ) -> Result<Vec<f32>, NodeError> {
        let size = rows.rows * rows.d;
        let mut pulled = vec![0.0; outputs.len()];
        let of_entries = pulled.chunks_exact_mut(size * own.outputs()).zip(rows.entries).enumerate();
        for (place, (pulled, &entry)) in of_entries.filter(|(place, _)| used[*place]) {
            let outputs = &outputs[place * pulled.len()..][..pulled.len()];
            let price = costs[place] / rows.rows as f64;
            let at = coded_rows(context, m, self.moment, entry);
            let gradient = own.pull_back(&at, outputs, &dz[place * size..][..size], price)?;
            pulled.copy_from_slice(&gradient);
        }
        Ok(pulled)
    }
}

/// The rows of modality m's entry (tick, receiver).
fn coded_rows(context: &Context, m: usize, moment: Moment, (tick, t): (usize, usize)) -> CodedRows {
    CodedRows {
        phase: moment.phase,
        transmitter: context.index,
        receiver: t,
        modality: m,
        moment: moment.first.wrapping_add(tick as u64),
        first: moment.skipped,
    }
}
