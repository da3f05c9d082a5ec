//! Which gradients came back for what was encoded.

use node::Context;

use crate::gradient_feedback::GradientFeedback;

/// For every entry of a modality, in the order of the encoder's rows, who used it: whose gradients came back.
pub(crate) struct Returned {
    /// (receiver, place of the gradient in what it sent back) of all entries, one after the other, by receiver.
    all: Vec<(usize, usize)>,
    /// Where those of each entry end.
    ends: Vec<usize>,
}

impl Returned {
    /// That of modality m's `entries` (tick, receiver). `sent` has what every receiver was granted: (tick, modality).
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
            // A feature that knows no receiver may have been granted to any.
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

    /// Whether nobody used any.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Who used an entry, in index order, and where its gradient stands.
    pub(crate) fn of(&self, entry: usize) -> &[(usize, usize)] {
        let start = if entry == 0 { 0 } else { self.ends[entry - 1] };
        &self.all[start..self.ends[entry]]
    }

    /// What the receivers want of the z of all entries, in the order of the encoder's rows: of each the sum over those
    /// who used it, in index order, and nothing of what nobody used.
    pub(crate) fn z_gradient(&self, context: &Context, feedback: &[GradientFeedback]) -> Vec<f32> {
        let size = context.samples() * context.feature_dim();
        let wanted = |&(t, place): &(usize, usize)| feedback[t].z.values(place * size..(place + 1) * size);
        let mut gradient = Vec::with_capacity(self.ends.len() * size);
        for entry in 0..self.ends.len() {
            let start = gradient.len();
            let Some((first, others)) = self.of(entry).split_first() else {
                gradient.resize(start + size, 0.0);
                continue;
            };
            gradient.extend(wanted(first));
            for other in others {
                gradient[start..].iter_mut().zip(wanted(other)).for_each(|(sum, value)| *sum += value);
            }
        }
        gradient
    }
}
