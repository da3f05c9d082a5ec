//! The gradients that came back for encoded entries.

use node::Context;

use crate::gradient_feedback::GradientFeedback;

/// For every entry of a modality, in the order of the encoder's rows, the receivers that used it and so sent gradients
/// back.
pub(crate) struct Returned {
    /// (receiver, place of the gradient in its feedback): entry by entry, and within an entry by receiver.
    all: Vec<(usize, usize)>,
    /// Where the pairs of each entry end.
    ends: Vec<usize>,
}

impl Returned {
    /// Of modality m's `entries` (tick, receiver). `sent` has the granted entries (tick, modality) of every receiver.
    pub(crate) fn new(
        context: &Context,
        sent: &[Vec<(usize, usize)>],
        feedback: &[GradientFeedback],
        m: usize,
        entries: &[(usize, usize)],
    ) -> Self {
        let mut returned =
            Returned { all: Vec::with_capacity(entries.len()), ends: Vec::with_capacity(entries.len()) };
        for &(tick, t) in entries {
            // Under multicast every receiver may be a recipient.
            let recipients = if context.scenario.network.multicast { 0..feedback.len() } else { t..t + 1 };
            for t in recipients {
                let position = sent[t].binary_search(&(tick, m)).ok();
                let place = position.and_then(|position| feedback[t].places[position]);
                returned.all.extend(place.map(|place| (t, place)));
            }
            returned.ends.push(returned.all.len());
        }
        returned
    }

    /// Whether no receiver used an entry.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The receivers that used an entry, in index order, each with the place of its gradient.
    pub(crate) fn of(&self, entry: usize) -> &[(usize, usize)] {
        let start = if entry == 0 { 0 } else { self.ends[entry - 1] };
        &self.all[start..self.ends[entry]]
    }

    /// The gradient with respect to z of all entries, in the order of the encoder's rows: of each entry the sum over
    /// the receivers that used it, in index order, or zeros if there are none.
    pub(crate) fn z_gradient(&self, context: &Context, feedback: &[GradientFeedback]) -> Vec<f32> {
        let size = context.samples() * context.feature_dim();
        let of = |&(t, place): &(usize, usize)| feedback[t].z.values(place * size..(place + 1) * size);
        let mut gradient = Vec::with_capacity(self.ends.len() * size);
        for entry in 0..self.ends.len() {
            let start = gradient.len();
            let Some((first, others)) = self.of(entry).split_first() else {
                gradient.resize(start + size, 0.0);
                continue;
            };
            gradient.extend(of(first));
            for other in others {
                gradient[start..].iter_mut().zip(of(other)).for_each(|(sum, value)| *sum += value);
            }
        }
        gradient
    }
}
