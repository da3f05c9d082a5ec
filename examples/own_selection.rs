//! A program with a rule of selection of its own: every node is a bandit. It chooses those that cost least so far, and
//! now and then, with probability epsilon, any other. (tests/processes/own_selection.rs runs it.)
//!
//! cargo run --release --example own_selection -- run --set train.selection=bandit --set
//! train.selection_parameters.epsilon=0.2
use std::{ops::Range, process::ExitCode};

use pom2dib::dib::{Decision, Judged, Policy, Result, SelectorNode};
use pom2dib::{Program, WantedPolicy, randomness::Stream};

/// It has all the commands of `pom2dib`, and its nodes are processes of this same program, which knows the rule.
fn main() -> ExitCode {
    Program::new().policy("bandit", |wanted| Ok(Box::new(Bandit::new(wanted)?))).run()
}

/// At a receiver the items are transmitters; at a transmitter they are its modalities, for each receiver by itself.
struct Bandit {
    epsilon: f64,
    /// The weight of a new cost in an item's mean: old costs fade, since networks learn and costs fall.
    step: f64,
    items: usize,
    /// The mean cost in nats, by receiver and item. It begins with 0, so that everything is tried soon.
    means: Vec<f64>,
}

impl Bandit {
    fn new(wanted: &WantedPolicy) -> std::result::Result<Self, String> {
        let share = |key: &str, default: f64| {
            let value: f64 = wanted.key(key)?.unwrap_or(default);
            let fits = (0.0..=1.0).contains(&value);
            fits.then_some(value).ok_or_else(|| format!("{key} is {value}; it must be from 0 to 1"))
        };
        let receivers = match wanted.node {
            SelectorNode::Receiver(_) => 1, // Itself.
            SelectorNode::Transmitter(_) => wanted.receivers,
        };
        Ok(Bandit {
            epsilon: share("epsilon", 0.1)?,
            step: share("step", 0.05)?,
            items: wanted.items,
            means: vec![0.0; receivers * wanted.items],
        })
    }

    /// Where a receiver's means are.
    fn of(&self, receiver: usize) -> Range<usize> {
        let receivers = self.means.len() / self.items;
        let first = (receiver % receivers) * self.items;
        first..first + self.items
    }
}

impl Policy for Bandit {
    /// As many as may be chosen, best first. What it draws comes from the stream of this tick.
    fn choose(&self, decision: &Decision<'_>, stream: &mut Stream) -> Result<Vec<usize>> {
        let means = &self.means[self.of(decision.receiver)];
        let mut left: Vec<usize> = (0..decision.items).collect();
        left.sort_by(|&one, &other| means[one].total_cmp(&means[other]));
        let mut chosen = Vec::new();
        for _ in 0..decision.limit {
            let explores = stream.uniform() < self.epsilon;
            let place = if explores { stream.below(left.len() as u64) as usize } else { 0 };
            chosen.push(left.remove(place));
        }
        Ok(chosen)
    }

    /// Everything that was chosen at a tick answers for all of the tick's cost.
    fn learn(&mut self, round: &[Judged<'_>]) -> Result<()> {
        for judged in round {
            let first = self.of(judged.receiver).start;
            for item in judged.items {
                let mean = &mut self.means[first + item];
                *mean += self.step * (judged.cost - *mean);
            }
        }
        Ok(())
    }

    fn state(&self) -> Vec<f64> {
        self.means.clone()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.means = state.to_vec();
        Ok(())
    }
}
