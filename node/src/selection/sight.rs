//! What nodes see of the gains of their links, as far as the scenario lets them.

use dib::{Crossing, Phase, SelectorNode};
use randomness::Seed;
use scenario::{Csi, Scenario};

use crate::{Context, described::air};

/// By so many dB a link must exceed all others to be clearly the strongest.
pub const CLEAR_DB: f64 = 1.0;

/// Links are counted by strength in so many steps; the first and the last have what is beyond them, too.
pub const STRENGTH_STEPS: usize = 40;

/// The least strength of the first step, in dB.
pub const FIRST_STRENGTH_DB: f64 = -40.0;

/// The width of a step, in dB.
pub const STRENGTH_STEP_DB: f64 = 2.0;

/// The step in which a link of a strength in dB is counted.
pub fn strength_step(strength_db: f64) -> usize {
    let step = ((strength_db - FIRST_STRENGTH_DB) / STRENGTH_STEP_DB).floor().max(0.0);
    (step as usize).min(STRENGTH_STEPS - 1)
}

/// When a gain is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AirTime {
    /// Training or evaluation.
    pub phase: Phase,
    /// The evaluation pass; 0 in training.
    pub pass: u64,
    /// The tick of training; in evaluation, the group of `samples_per_tick` samples of the test set.
    pub tick: u64,
}

impl AirTime {
    /// A tick of training.
    pub fn of_training(tick: u64) -> Self {
        AirTime { phase: Phase::Train, pass: 0, tick }
    }

    /// So many ticks later.
    pub fn later(self, ticks: usize) -> Self {
        AirTime { tick: self.tick.wrapping_add(ticks as u64), ..self }
    }

    fn crossing(self, transmitter: usize, receiver: usize) -> Crossing {
        Crossing { phase: self.phase, pass: self.pass, transmitter, receiver, modality: 0, tick: self.tick }
    }
}

impl Context {
    /// The gains of receiver t's links as it sees them, by transmitter; 0, the mean, of a link of which it sees none.
    /// Empty if it sees no gain at all.
    pub fn gains_at_receiver(&self, t: usize, time: AirTime) -> Vec<f32> {
        let of = |k| if self.scenario.receiver_sees(k, t) { self.seen(k, t, time) } else { 0.0 };
        (0..self.scenario.gains_at_receiver(t)).map(of).collect()
    }

    /// The gain of the link from transmitter k to receiver t as the transmitter sees it; 0 if it does not see that one.
    /// Empty if it sees no gain at all.
    pub fn gains_at_transmitter(&self, k: usize, t: usize, time: AirTime) -> Vec<f32> {
        let own = if self.scenario.transmitter_sees(k, t) { self.seen(k, t, time) } else { 0.0 };
        vec![own; self.scenario.gains_at_transmitter(k)]
    }

    /// |h|^2 Es/N0 of receiver t's links in dB, by transmitter, whoever knows it; none of a link that does not change from tick to tick.
    pub fn strengths_db(&self, t: usize, time: AirTime) -> Vec<Option<f64>> {
        (0..self.scenario.transmitters())
            .map(|k| strength_db(&self.scenario, self.seed, (k, t), time))
            .collect()
    }

    /// The transmitters whose links to receiver t are the strongest, as many as it may request: for every transmitter,
    /// whether it is one.
    pub fn strongest(&self, t: usize, time: AirTime) -> Vec<bool> {
        let strengths = self.strengths_db(t, time);
        let of = |k: usize| strengths[k].unwrap_or(f64::NEG_INFINITY);
        let mut order: Vec<usize> = (0..strengths.len()).collect();
        // Of equals the first comes first.
        order.sort_by(|&one, &other| of(other).total_cmp(&of(one)));
        order.truncate(self.scenario.receiver_limit());
        (0..strengths.len()).map(|k| order.contains(&k)).collect()
    }

    fn seen(&self, k: usize, t: usize, time: AirTime) -> f32 {
        air(&self.scenario, self.seed, k, t).map_or(0.0, |air| air.seen(&time.crossing(k, t)))
    }
}

/// |h|^2 Es/N0 of a link in dB, whoever knows it; none of one that does not change from tick to tick.
fn strength_db(scenario: &Scenario, seed: Seed, (k, t): (usize, usize), time: AirTime) -> Option<f64> {
    let varies = scenario.link_varies(k, t);
    air(scenario, seed, k, t).filter(|_| varies).map(|air| air.strength_db(&time.crossing(k, t)))
}

/// The strengths in dB that a node knows when it selects for receiver t: at a receiver those of its links, by
/// transmitter; at a transmitter that of its link to t. None of a link of which it knows no gain that changes from tick
/// to tick.
pub(crate) fn strengths_known(
    (scenario, seed): (&Scenario, Seed),
    node: SelectorNode,
    t: usize,
    time: AirTime,
) -> Vec<Option<f64>> {
    let known = |k: usize, knows: fn(Csi) -> bool| {
        let csi = scenario.channel_between(k, t).map(|channel| channel.csi);
        csi.filter(|&csi| knows(csi)).and_then(|_| strength_db(scenario, seed, (k, t), time))
    };
    match node {
        SelectorNode::Receiver(_) => {
            (0..scenario.transmitters()).map(|k| known(k, |csi| csi != Csi::None)).collect()
        }
        SelectorNode::Transmitter(k) => vec![known(k, |csi| csi == Csi::Both)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strengths_are_counted_in_steps_and_none_falls_out() {
        assert_eq!(
            [-200.0, -40.0, -38.1, -0.1, 0.0, 1.9, 39.9, 90.0].map(strength_step),
            [0, 0, 0, 19, 20, 20, 39, 39]
        );
    }

    #[test]
    fn a_policy_goes_by_the_strengths_of_links_whose_gains_its_node_knows() {
        let channel = |k: usize, csi: &str| {
            format!("[[channel]]\ntransmitter = {k}\nkind = \"rayleigh\"\nsnr_db = 3\ncsi = \"{csi}\"\n")
        };
        let transmitters = "[[transmitter]]\nmodalities = [\"fft\"]\n".repeat(4);
        let channels = [channel(0, "both"), channel(1, "receiver"), channel(2, "none")].concat();
        let text = format!("{transmitters}[[receiver]]\ntask = \"digit\"\n{channels}");
        let scenario = Scenario::parse(&text, "test", &[]).unwrap();
        let known =
            |node| strengths_known((&scenario, Seed::from_number(1)), node, 0, AirTime::of_training(7));
        let at_receiver = known(SelectorNode::Receiver(0));
        let which: Vec<bool> = at_receiver.iter().map(Option::is_some).collect();
        assert_eq!(which, [true, true, false, false]);
        assert_eq!(known(SelectorNode::Transmitter(0)), [at_receiver[0]]);
        assert_eq!(known(SelectorNode::Transmitter(1)), [None]);
    }
}
