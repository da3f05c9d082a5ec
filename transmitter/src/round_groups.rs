//! The groups over which rates are estimated where a tick has one sample: the round's samples on which an entry was
//! granted.

use candle_core::Tensor;
use dib::Features;
use node::{Context, NodeError};

use crate::{
    evaluate::each,
    rates::{GroupRates, row_rates},
};

/// The rows of one modality's encoder, a row for each (tick, receiver), receiver by receiver.
pub(crate) struct RoundGroups {
    /// The rows' numbers, group by group, and within a group by tick.
    pub(crate) order: Vec<u32>,
    /// How many rows each group has.
    pub(crate) sizes: Vec<usize>,
}

impl RoundGroups {
    /// Of entries (tick, receiver), in the order of the encoder's rows.
    pub(crate) fn new(entries: &[(usize, usize)]) -> Self {
        let receiver = |row: u32| entries[row as usize].1;
        let mut order: Vec<u32> = (0..entries.len() as u32).collect();
        // Stable: within a group rows stay in the order of their ticks.
        order.sort_by_key(|&row| receiver(row));
        let sizes =
            order.chunk_by(|one, other| receiver(*one) == receiver(*other)).map(<[u32]>::len).collect();
        RoundGroups { order, sizes }
    }

    /// What each row adds to the rate of its group, in nats, group by group.
    pub(crate) fn rates(&self, context: &Context, features: &Features) -> Result<GroupRates, NodeError> {
        let order = Tensor::from_slice(self.order.as_slice(), self.order.len(), features.z.device())?;
        let features = each(features, |tensor| tensor.index_select(&order, 0))?;
        row_rates(context, &features, &self.sizes)
    }

    /// Numbers that stand group by group, in the order of the encoder's rows.
    pub(crate) fn in_order_of_rows(&self, by_group: &[f64]) -> Vec<f64> {
        let mut by_row = vec![0.0; self.order.len()];
        self.order.iter().zip(by_group).for_each(|(&row, &value)| by_row[row as usize] = value);
        by_row
    }

    /// The cost of a nat of each group's rate, which is the mean over its rows, if a nat of a row costs its receiver's
    /// beta; and which rows, in this order, are paid for: `None` if all are.
    pub(crate) fn weights(
        &self,
        is_used: impl Fn(usize) -> bool,
        beta_of: impl Fn(usize) -> f64,
    ) -> (Vec<f64>, Option<Vec<bool>>) {
        let paid: Vec<bool> = self.order.iter().map(|&row| is_used(row as usize)).collect();
        let mut start = 0;
        let weight = |&size: &usize| {
            let (group, beta) = (&paid[start..start + size], beta_of(self.order[start] as usize));
            start += size;
            if group.contains(&true) { beta * size as f64 } else { 0.0 }
        };
        let weights = self.sizes.iter().map(weight).collect();
        (weights, paid.contains(&false).then_some(paid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_one_receivers_rows_by_tick() {
        let groups = RoundGroups::new(&[(0, 1), (1, 0), (1, 1), (4, 0), (5, 2)]);
        assert_eq!(
            (groups.order.as_slice(), groups.sizes.as_slice()),
            ([1, 3, 0, 2, 4].as_slice(), [2, 2, 1].as_slice())
        );
        let (weights, paid) = groups.weights(|row| row == 3 || row == 1, |_| 0.5);
        assert_eq!(weights, [1.0, 0.0, 0.0]);
        assert_eq!(paid.unwrap(), [true, true, false, false, false]);
        let (weights, paid) = groups.weights(|row| row == 2, |_| 0.5);
        assert_eq!((weights, paid.unwrap()), (vec![0.0, 1.0, 0.0], vec![false, false, false, true, false]));
        assert_eq!(groups.weights(|_| true, |_| 0.5), (vec![1.0, 1.0, 0.5], None));
        // The betas of receivers 0, 1 and 2 are 0.5, 1 and 3.
        let beta_of = |row: usize| [1.0, 0.5, 1.0, 0.5, 3.0][row];
        assert_eq!(groups.weights(|_| true, beta_of), (vec![1.0, 2.0, 3.0], None));
    }
}
