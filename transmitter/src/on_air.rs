//! What becomes of a modality's features on their way to the receivers.

use dib::{Amplified, Channel, Crossing, Features, Observed, Phase, PowerGroup, Way};
use node::{Context, NodeError};
use scenario::RateAt;

use crate::averages::Averages;

/// The features of some entries as they are sent, and as they arrive.
pub(crate) struct OnAir {
    /// None where all of them go over ideal channels.
    pub(crate) amplified: Option<Amplified>,
    /// None where nobody counts the rate of what arrives.
    pub(crate) observed: Option<Observed>,
}

/// Whose features, and when they are sent.
pub(crate) struct Sending<'a> {
    pub(crate) context: &'a Context,
    pub(crate) phase: Phase,
    /// The evaluation pass; 0 in training.
    pub(crate) pass: u64,
    /// The tick of training, or the group of test samples, that the first of them belong to; none if nobody gets them.
    pub(crate) first_tick: Option<u64>,
    pub(crate) modality: usize,
    /// (tick, receiver) of every entry, in the order of the features' rows.
    pub(crate) entries: &'a [(usize, usize)],
    /// How many rows each has, by the groups that share a gain.
    pub(crate) groups: Vec<usize>,
    /// Where a channel's power is limited on average.
    pub(crate) averages: Option<&'a Averages>,
}

impl Sending<'_> {
    /// What becomes of these features.
    pub(crate) fn send(&self, features: &Features) -> Result<OnAir, NodeError> {
        let (context, k) = (self.context, self.context.index);
        let crosses = |&(_, t): &(usize, usize)| context.scenario.analogue_between(k, t).is_some();
        if !self.entries.iter().any(crosses) {
            return Ok(OnAir::unchanged());
        }
        let groups = &self.groups;
        let average = |t| self.averages.map_or(0.0, |averages| averages.of(self.modality, t));
        let power = |&(_, t): &(usize, usize)| {
            let average = average(t);
            groups.iter().map(move |&rows| context.power(k, t, rows, average))
        };
        let groups: Vec<PowerGroup> = self.entries.iter().flat_map(power).collect();
        let amplified = Amplified::new(features, &groups)?;
        let counted = |&(_, t): &(usize, usize)| context.counts_received(k, t, self.phase);
        let observed = match self.first_tick.filter(|_| self.entries.iter().any(counted)) {
            Some(first_tick) => self.observe(&amplified.features, first_tick)?,
            None => None,
        };
        Ok(OnAir { amplified: Some(amplified), observed })
    }

    fn observe(&self, sent: &Features, first_tick: u64) -> Result<Option<Observed>, NodeError> {
        let (context, k) = (self.context, self.context.index);
        let channels: Vec<_> =
            (0..context.scenario.receivers()).map(|t| context.observed_channel(k, t)).collect();
        let groups = &self.groups;
        let crossings = self.entries.iter().flat_map(|&(tick, t)| {
            let channel: &dyn Channel<f64> = channels[t].as_ref();
            groups.iter().enumerate().map(move |(group, &rows)| {
                let crossing = Crossing {
                    phase: self.phase,
                    pass: self.pass,
                    transmitter: k,
                    receiver: t,
                    modality: self.modality,
                    tick: first_tick.wrapping_add((tick + group) as u64),
                };
                (channel, crossing, rows)
            })
        });
        Ok(Observed::new(sent, crossings)?)
    }
}

impl OnAir {
    /// That of features which arrive as they are.
    pub(crate) fn unchanged() -> Self {
        OnAir { amplified: None, observed: None }
    }

    /// The features that the rate of what is sent is counted with.
    pub(crate) fn sent<'a>(&'a self, features: &'a Features) -> &'a Features {
        self.amplified.as_ref().map_or(features, |amplified| &amplified.features)
    }

    /// What gradients come back through.
    pub(crate) fn way(&self, rate_at: RateAt) -> Way<'_> {
        let observed = self.observed.as_ref().filter(|_| rate_at == RateAt::Received);
        Way { amplified: self.amplified.as_ref(), observed }
    }
}
