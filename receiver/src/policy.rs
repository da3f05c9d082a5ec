//! What a policy of a user's program does at a receiver, in the place of its selector.

use candle_core::Tensor;
use dib::{Draw, Judged};
use node::{AirTime, NodeError};

use crate::{ReceiverMachine, selection::Requested};

impl ReceiverMachine {
    /// Whom its policy requests at so many ticks; none without a policy. The first tick has this time, and its draws
    /// this address.
    pub(crate) fn choose_by_policy(
        &self,
        (time, moment): (AirTime, u64),
        ticks: usize,
    ) -> Result<Option<Vec<Draw>>, NodeError> {
        let Some(policy) = &self.policy else { return Ok(None) };
        let (context, t) = (&self.context, self.context.index);
        let at = |tick: usize| {
            let moment = moment.wrapping_add(tick as u64);
            policy.choose((&context.scenario, context.seed), time.later(tick), moment, t)
        };
        Ok(Some((0..ticks).map(at).collect::<dib::Result<Vec<Draw>>>()?))
    }

    /// Lets its policy learn from a round: from the costs by which a selector's draws would be judged, before the
    /// baseline. `all` has the costs of all receivers where they are told.
    pub(crate) fn teach_policy(
        &mut self,
        round: u64,
        requested: &Requested,
        (own, all): (&[f64], &[Vec<f64>]),
    ) -> Result<(), NodeError> {
        let Some(draws) = &requested.chosen else { return Ok(()) };
        let costs = self.judging(own, all);
        let (first, receiver) = (self.context.first_tick(round), self.context.index);
        let Some(policy) = &mut self.policy else { return Ok(()) };
        let mut judged = Vec::with_capacity(draws.len());
        for ((tick, draw), cost) in draws.iter().enumerate().zip(costs) {
            judged.push(Judged { tick: first + tick as u64, receiver, items: &draw.items, cost });
        }
        Ok(policy.learn(&judged)?)
    }

    /// What a checkpoint keeps of its policy.
    pub(crate) fn policy_tensors(&self) -> Result<Vec<(String, Tensor)>, NodeError> {
        self.policy.as_ref().map_or_else(|| Ok(Vec::new()), |policy| policy.tensors())
    }
}
