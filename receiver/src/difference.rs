//! Difference credit: what a tick cost, less what it would have cost without a part of what was requested.

use dib::Draw;
use node::NodeError;

use crate::{
    ReceiverMachine,
    decode::Decoded,
    granted::{Case, Granted},
};

/// What a tick cost this receiver, less what it would have cost it with fewer requests: [`dib::credit`] has the
/// equations.
pub(crate) struct Difference {
    /// For each step of the selector's draw: less the cost with only the transmitters drawn before that step. Empty
    /// without a selector.
    pub(crate) of_steps: Vec<f64>,
    /// For each transmitter: less the cost without its entries and without the request to it; 0 if it was not requested.
    pub(crate) of_transmitters: Vec<f64>,
}

/// The cases to be judged, each once, by tick.
#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    /// The number of the case that these transmitters are left of a tick. Ticks come in order.
    fn number(&mut self, tick: usize, mut left: Vec<usize>) -> usize {
        left.sort_unstable();
        let case = Case { tick, left };
        let mut of_tick = self.0.iter().enumerate().rev().take_while(|(_, known)| known.tick == tick);
        if let Some((number, _)) = of_tick.find(|(_, known)| **known == case) {
            return number;
        }
        self.0.push(case);
        self.0.len() - 1
    }
}

impl ReceiverMachine {
    /// The differences at the ticks of a part of a round. `requested` has, for every tick, which transmitters are
    /// requested, `draws` in which order the selector drew them, and `rows` where the labels of the samples stand; an
    /// entry's local loss and rate count `beta` times. `costs` are what the ticks did cost.
    ///
    /// The joint decoder is evaluated with its weights of the round, on the features as they came, with zeros in the
    /// place of what is left out. No layer drops values; nothing is drawn.
    pub(crate) fn differences(
        &self,
        (requested, draws): (&[Vec<bool>], Option<&[Draw]>),
        granted: &Granted<'_>,
        decoded: &Decoded,
        (rows, beta): (&[usize], f64),
        costs: &[f64],
    ) -> Result<Vec<Difference>, NodeError> {
        let mut cases = Cases::default();
        let mut numbers = Vec::with_capacity(requested.len());
        for (tick, requested) in requested.iter().enumerate() {
            let drawn = draws.map_or(&[][..], |draws| draws[tick].items.as_slice());
            let before: Vec<usize> =
                (0..drawn.len()).map(|step| cases.number(tick, drawn[..step].to_vec())).collect();
            let all: Vec<usize> = (0..requested.len()).filter(|&k| requested[k]).collect();
            let mut without = Vec::with_capacity(all.len());
            for &k in &all {
                let others = all.iter().copied().filter(|&other| other != k).collect();
                without.push((k, cases.number(tick, others)));
            }
            numbers.push((before, without));
        }
        let less = self.costs_of_cases(&cases.0, granted, decoded, (rows, beta))?;
        let transmitters = self.context.scenario.transmitters();
        let mut differences = Vec::with_capacity(numbers.len());
        for ((before, without), cost) in numbers.into_iter().zip(costs) {
            let mut of_transmitters = vec![0.0; transmitters];
            without.into_iter().for_each(|(k, case)| of_transmitters[k] = cost - less[case]);
            let of_steps = before.into_iter().map(|case| cost - less[case]).collect();
            differences.push(Difference { of_steps, of_transmitters });
        }
        Ok(differences)
    }

    /// What each case would have cost this receiver: the objective without the entries that are left out, the penalty
    /// if nothing is left, and the sparse term of what is left. If that counts the grants of all receivers, it
    /// counts those by the transmitters that are left.
    fn costs_of_cases(
        &self,
        cases: &[Case],
        granted: &Granted<'_>,
        decoded: &Decoded,
        (rows, beta): (&[usize], f64),
    ) -> Result<Vec<f64>, NodeError> {
        if cases.is_empty() {
            return Ok(Vec::new());
        }
        let (train, samples) = (&self.context.scenario.train, self.context.samples());
        let rows_of = |case: &Case| rows[case.tick * samples..(case.tick + 1) * samples].to_vec();
        let rows: Vec<usize> = cases.iter().flat_map(rows_of).collect();
        let cross_entropies =
            self.decoders.cross_entropies(&self.context, &self.task, &rows, &granted.cases(cases))?;
        let cost = |(case, cross_entropy): (&Case, f64)| {
            let (mut objective, mut own) = (cross_entropy, 0);
            for position in granted.left(case) {
                objective += beta * decoded.extras[position];
                own += 1;
            }
            let all = case.left.iter().map(|&k| granted.granted_to_all(k, case.tick)).sum();
            let sparse = (train.gamma, node::sparse_term(train.sparse_term));
            dib::cost(objective, own, case.left.len(), all, train.empty_penalty, sparse)
        };
        self.finite(cases.iter().zip(cross_entropies).map(cost).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_judged_once_whatever_the_order_of_its_draws() {
        let mut cases = Cases::default();
        assert_eq!(cases.number(0, vec![]), 0);
        assert_eq!(cases.number(0, vec![2, 0]), 1);
        assert_eq!(cases.number(0, vec![0, 2]), 1);
        assert_eq!(cases.number(1, vec![0, 2]), 2);
        assert_eq!(cases.number(1, vec![]), 3);
        assert_eq!(cases.0.len(), 4);
    }
}
