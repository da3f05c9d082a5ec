//! Inputs of networks beside features: gains (`network.see_channel`) and a mask of arrived entries (`network.mask`).

use crate::{
    Baseline, Block, Channel, Csi, EvaluationDraw, Requests, Scenario, ScenarioError, Selection, snr::SnrDb,
};

impl Channel {
    /// Whether what symbols meet differs from tick to tick, or from round to round, and is one number for all samples
    /// of a tick.
    fn varies_by_tick(&self) -> bool {
        let by_gain = self.fades() && self.block != Block::Sample;
        by_gain || (!self.fades() && self.snr_db.is_some_and(SnrDb::is_range))
    }
}

impl Scenario {
    /// Whether the link from transmitter k to receiver t is the stronger at one tick and the weaker at another.
    pub fn link_varies(&self, k: usize, t: usize) -> bool {
        self.channel_between(k, t).is_some_and(Channel::varies_by_tick)
    }

    /// Whether receiver t sees the gain of its link from transmitter k.
    pub fn receiver_sees(&self, k: usize, t: usize) -> bool {
        let knows = self.channel_between(k, t).is_some_and(|channel| channel.csi != Csi::None);
        self.network.see_channel && knows && self.link_varies(k, t)
    }

    /// Whether transmitter k sees the gain of its link to receiver t.
    pub fn transmitter_sees(&self, k: usize, t: usize) -> bool {
        let knows = self.channel_between(k, t).is_some_and(|channel| channel.csi == Csi::Both);
        self.network.see_channel && knows && self.link_varies(k, t)
    }

    /// How many gains receiver t's joint decoder is given: those of all its links if it sees any, else none.
    pub fn gains_at_receiver(&self, t: usize) -> usize {
        let sees = (0..self.transmitters()).any(|k| self.receiver_sees(k, t));
        if sees { self.transmitters() } else { 0 }
    }

    /// The size of a joint decoder's mask of arrived entries: one input for each entry, or 0 without `network.mask`.
    pub fn mask_inputs(&self) -> usize {
        if self.network.mask { self.entries_per_receiver() } else { 0 }
    }

    /// The number of inputs of receiver t's joint decoder: [features](Self::joint_features), then the gains that it
    /// sees, then the mask of arrived entries.
    pub fn joint_inputs(&self, t: usize) -> usize {
        self.joint_features() + self.gains_at_receiver(t) + self.mask_inputs()
    }

    /// How many gains the encoders of transmitter k are given: that of the link to whom they encode for, if it sees
    /// any.
    pub fn gains_at_transmitter(&self, k: usize) -> usize {
        usize::from((0..self.receivers()).any(|t| self.transmitter_sees(k, t)))
    }

    /// How many gains the selector of receiver t is given. One selection for a whole run goes by none.
    pub fn gains_at_receiver_selector(&self, t: usize) -> usize {
        if self.train.method.selection == Selection::Learned { self.gains_at_receiver(t) } else { 0 }
    }

    /// How many gains the selector of transmitter k is given.
    pub fn gains_at_transmitter_selector(&self, k: usize) -> usize {
        if self.train.method.selection == Selection::Learned { self.gains_at_transmitter(k) } else { 0 }
    }

    /// Whether u and the selection are drawn for every group of test samples.
    pub fn evaluates_by_tick(&self) -> bool {
        self.evaluation.draw == EvaluationDraw::Tick
    }

    pub(crate) fn validate_sight(&self) -> Result<(), ScenarioError> {
        if self.evaluates_by_tick() && self.rates_over_rounds() {
            let what = "is \"tick\", and train.samples_per_tick is 1: a rate needs two samples of one selection; set either otherwise";
            return Err(ScenarioError::invalid("evaluation.draw", what));
        }
        if self.network.see_channel {
            self.validate_see_channel()?;
        }
        if self.train.baseline == Baseline::Gains && !self.network.see_channel {
            let what = "is \"gains\", which nobody sees: set network.see_channel too";
            return Err(ScenarioError::invalid("train.baseline", what));
        }
        if self.train.requests == Requests::Strongest { self.validate_strongest() } else { Ok(()) }
    }

    fn validate_see_channel(&self) -> Result<(), ScenarioError> {
        let refuse = |what: String| Err(ScenarioError::invalid("network.see_channel", what));
        let of_own = |channel: &Channel| channel.kind.own().map(str::to_owned);
        if let Some((k, t, name)) = self.channels().find_map(|(k, t, channel)| Some((k, t, of_own(channel)?)))
        {
            return refuse(format!(
                "is true, but nobody knows a gain of what kind \"{name}\" does from transmitter {k} to receiver {t}: leave the key out"
            ));
        }
        let by_sample = |channel: &Channel| channel.fades() && channel.block == Block::Sample;
        if let Some((k, t, _)) = self.channels().find(|(_, _, channel)| by_sample(channel)) {
            return refuse(format!(
                "is true, but from transmitter {k} to receiver {t} every sample has a gain of its own: set block = \"tick\" or \"round\""
            ));
        }
        let mut pairs = self.channels().map(|(k, t, _)| (k, t));
        if !pairs.any(|(k, t)| self.receiver_sees(k, t)) {
            return refuse(
                "is true, but there is no gain to see: give a [[channel]] that fades, with csi = \"receiver\" or \"both\"".into(),
            );
        }
        Ok(())
    }

    fn validate_strongest(&self) -> Result<(), ScenarioError> {
        let refuse = |what: String| Err(ScenarioError::invalid("train.requests", what));
        if self.train.method.selection != Selection::Learned {
            let name = self.train.method.name();
            return refuse(format!(
                "is \"strongest\", which method \"{name}\" leaves no choice: set \"learned\""
            ));
        }
        if !self.evaluates_by_tick() {
            return refuse(
                "is \"strongest\", which differs from tick to tick: set evaluation.draw = \"tick\"".into(),
            );
        }
        let pairs = (0..self.receivers()).flat_map(|t| (0..self.transmitters()).map(move |k| (k, t)));
        let unknown = |&(k, t): &(usize, usize)| {
            let knows = self.channel_between(k, t).is_some_and(|channel| channel.csi != Csi::None);
            !(knows && self.link_varies(k, t))
        };
        match pairs.into_iter().find(unknown) {
            Some((k, t)) => refuse(format!(
                "is \"strongest\", but receiver {t} knows no gain that changes from tick to tick of its link from transmitter {k}: give a \
                 [[channel]] that fades, with csi = \"receiver\" or \"both\" and block = \"tick\" or \"round\""
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::two_by_two::two_by_two;

    fn parse(channels: &str, more: &[&str]) -> Result<Scenario, ScenarioError> {
        two_by_two(&format!("[network]\nsee_channel = true\n{channels}"), more)
    }

    #[test]
    fn receivers_see_what_they_know_and_transmitters_only_what_both_know() {
        let tables = "[[channel]]\nkind = \"rayleigh\"\nsnr_db = 3\n\
                      [[channel]]\ntransmitter = 1\nreceiver = 0\nkind = \"rayleigh\"\nsnr_db = 3\ncsi = \"both\"\n\
                      [[channel]]\nreceiver = 1\nkind = \"rayleigh\"\nsnr_db = 3\ncsi = \"none\"\n";
        let scenario = parse(tables, &[]).unwrap();
        assert_eq!([0, 1].map(|k| scenario.receiver_sees(k, 0)), [true, true]);
        assert_eq!([0, 1].map(|k| scenario.transmitter_sees(k, 0)), [false, true]);
        assert_eq!([0, 1].map(|t| scenario.gains_at_receiver(t)), [2, 0]);
        assert_eq!([0, 1].map(|k| scenario.gains_at_transmitter(k)), [0, 1]);
        // One selection for the whole run goes by no gain.
        let fixed = parse(tables, &["train.method=rs-dib"]).unwrap();
        assert_eq!((fixed.gains_at_receiver(0), fixed.gains_at_receiver_selector(0)), (2, 0));
        assert_eq!(fixed.gains_at_transmitter_selector(1), 0);
        // Noise of which the strength changes is seen like a gain; else there is nothing to see.
        let range = parse("[[channel]]\nkind = \"awgn\"\nsnr_db = [0, 9]\n", &[]).unwrap();
        assert!(range.receiver_sees(0, 0) && !range.transmitter_sees(0, 0));
        let blind = parse(tables, &["network.see_channel=false"]).unwrap();
        assert_eq!((blind.gains_at_receiver(0), blind.gains_at_transmitter(1)), (0, 0));
    }

    #[test]
    fn a_joint_decoder_gets_features_gains_and_a_mask() {
        let rayleigh = "[[channel]]\nkind = \"rayleigh\"\nsnr_db = 3\n";
        let inputs = |more: &[&str]| parse(rayleigh, more).unwrap().joint_inputs(0);
        assert_eq!(inputs(&["network.feature_dim=5"]), 2 * 5 + 2);
        assert_eq!(inputs(&["network.feature_dim=5", "network.mask=true"]), 2 * 5 + 2 + 2);
        assert_eq!(inputs(&["network.see_channel=false", "network.mask=true"]), 2 * 24 + 2);
    }

    #[test]
    fn what_nobody_can_see_is_refused() {
        let rayleigh = "[[channel]]\nkind = \"rayleigh\"\nsnr_db = 3\n";
        for (channels, more, expected) in [
            ("", &[][..], "network.see_channel is true, but there is no gain to see"),
            ("[[channel]]\nkind = \"awgn\"\nsnr_db = 3\n", &[], "there is no gain to see"),
            (
                "[[channel]]\nkind = \"rayleigh\"\nsnr_db = 3\nblock = \"sample\"\n",
                &[],
                "from transmitter 0 to receiver 0 every sample has a gain of its own",
            ),
            ("", &["network.see_channel=false", "train.baseline=gains"], "train.baseline is \"gains\""),
            (rayleigh, &["evaluation.draw=tick", "train.samples_per_tick=1"], "evaluation.draw is \"tick\""),
            (rayleigh, &["train.requests=strongest"], "set evaluation.draw = \"tick\""),
            (
                rayleigh,
                &["train.requests=strongest", "evaluation.draw=tick", "train.method=tadib"],
                "method \"tadib\" leaves no choice",
            ),
            (
                "[[channel]]\ntransmitter = 1\nkind = \"rayleigh\"\nsnr_db = 3\n",
                &["train.requests=strongest", "evaluation.draw=tick"],
                "receiver 0 knows no gain that changes from tick to tick of its link from transmitter 0",
            ),
        ] {
            let refused = parse(channels, more).unwrap_err().to_string();
            assert!(refused.contains(expected) && refused.lines().count() == 1, "{more:?}: {refused}");
        }
    }
}
