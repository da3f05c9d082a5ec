//! What a policy of a user's program does at a transmitter, in the place of its selector.

use candle_core::Tensor;
use dib::{Draw, Judged};
use node::{AirTime, NodeError};
use scenario::Credit;

use crate::{TransmitterMachine, gradient_feedback::GradientFeedback, requested::Requested, sent::Sent};

impl TransmitterMachine {
    /// What its policy chooses for those who requested, by row; none without a policy. `first` is the time of the first
    /// tick, and `moments` has the address of each tick's draws.
    pub(crate) fn choose_by_policy(
        &self,
        first: AirTime,
        moments: &[u64],
        requested: &Requested,
    ) -> Result<Option<Vec<Draw>>, NodeError> {
        let Some(policy) = &self.policy else { return Ok(None) };
        let context = &self.context;
        let of_row = |&(tick, t): &(usize, usize)| {
            policy.choose((&context.scenario, context.seed), first.later(tick), moments[tick], t)
        };
        Ok(Some(requested.rows.iter().map(of_row).collect::<dib::Result<Vec<Draw>>>()?))
    }

    /// Lets its policy learn from a round: from the costs by which a selector's draws would be judged, before the
    /// baseline.
    pub(crate) fn teach_policy(
        &mut self,
        sent: &Sent,
        feedback: &[GradientFeedback],
    ) -> Result<(), NodeError> {
        let (Some(policy), Some(draws)) = (self.policy.as_mut(), &sent.chosen) else { return Ok(()) };
        let factors = self.weighting.factors(feedback.len());
        let weighed = |(feedback, factor): (&GradientFeedback, &f64)| {
            feedback.costs.iter().map(|cost| factor * cost).collect::<Vec<f64>>()
        };
        let costs: Vec<Vec<f64>> = feedback.iter().zip(&factors).map(weighed).collect();
        let costs = judging(self.context.scenario.train.credit, &sent.requested, &costs);
        let first = self.context.first_tick(sent.round);
        let mut judged = Vec::with_capacity(draws.len());
        for ((&(tick, receiver), draw), cost) in sent.requested.rows.iter().zip(draws).zip(costs) {
            judged.push(Judged { tick: first + tick as u64, receiver, items: &draw.items, cost });
        }
        Ok(policy.learn(&judged)?)
    }

    /// What a checkpoint keeps of its policy.
    pub(crate) fn policy_tensors(&self) -> Result<Vec<(String, Tensor)>, NodeError> {
        self.policy.as_ref().map_or_else(|| Ok(Vec::new()), |policy| policy.tensors())
    }
}

/// The cost that judges each choice, by row: the sum of the costs of all receivers that requested at that tick, or with
/// own credit that of the receiver for which it was made. `costs` has what each receiver told, by tick, times the
/// factor of its weight.
fn judging(credit: Credit, requested: &Requested, costs: &[Vec<f64>]) -> Vec<f64> {
    let of_row = |&(tick, t): &(usize, usize)| match credit {
        Credit::Shared => {
            let all = &requested.rows[requested.rows_of(&(tick..tick + 1))];
            all.iter().map(|&(_, of)| costs[of][tick]).sum::<f64>()
        }
        // Differences are refused with a policy.
        Credit::Own | Credit::Difference => costs[t][tick],
    };
    requested.rows.iter().map(of_row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_judged_by_those_that_requested_at_its_tick() {
        // Receiver 0 requests at ticks 0 and 2, receiver 1 at tick 2 alone.
        let requested = Requested::new(&[vec![true, false, true], vec![false, false, true]]);
        let costs = [vec![1.0, 0.0, 2.0], vec![0.0, 0.0, 0.5]];
        assert_eq!(judging(Credit::Shared, &requested, &costs), [1.0, 2.5, 2.5]);
        assert_eq!(judging(Credit::Own, &requested, &costs), [1.0, 2.0, 0.5]);
    }
}
