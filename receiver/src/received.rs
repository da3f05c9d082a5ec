use std::{ops::Range, sync::Arc};

use dib::{Channel, ChoiceGrid, Crossing, Ideal, Phase, channel_uses};
use node::{Context, DigitalLink, NodeError, PacketOutcome, capped};
use proto::{
    When, WireError, check_finite, check_length, encode_bits,
    v1::{Features, Used},
};
use scenario::RateAt;

use crate::{
    air::{AirCount, Spent},
    claims::{absent, address, check_granted, check_requested, rates},
    emulation::{groups, link_outcome, moment, runs},
    tables::Tables,
    values::Values,
};

/// A transmitter's features of a part of a round (or of a piece), checked, as far as they have come over its link.
pub(crate) struct Received {
    /// The entries of which something has come, ordered by tick, then modality.
    pub(crate) entries: Vec<ReceivedEntry>,
    /// Their features as they came out of the channel: those of `entries`, one after the other.
    z: Vec<f32>,
    /// Before it, in training, where the way back depends on it.
    sent: Vec<f32>,
    /// What they came through.
    channel: Arc<dyn Channel<f32>>,
    /// That of the message's first tick and modality: where the channel's draws are addressed.
    crossing: Crossing,
    /// Bytes of the features of all granted entries, as they were sent.
    pub(crate) feature_bytes: u64,
    /// The number of entries that this transmitter grants to all receivers at each tick, or of features under
    /// multicast; 0 at a tick of which this receiver is [not told](Context::told_ticks).
    pub(crate) all_granted: Vec<usize>,
    /// Which granted entries are used, as the gradients' message says it; none: all.
    pub(crate) used: Option<Used>,
    /// How many packets were sent: of every granted entry, its samples of a tick.
    pub(crate) packets: usize,
    /// Modality and outcome of every packet that has not come.
    pub(crate) missing: Vec<(usize, PacketOutcome)>,
    /// What was spent in the air.
    pub(crate) air: AirCount,
    /// Samples of its first group that lie before a batch of a stream: the channel's draws for them are skipped.
    before: usize,
    /// Of every one of `entries`, the samples that were not observed; none: all were.
    absent: Vec<Vec<bool>>,
}

/// An entry of which something has come.
pub(crate) struct ReceivedEntry {
    /// In evaluation the only tick is 0.
    pub(crate) tick: usize,
    pub(crate) modality: usize,
    /// Where its values begin among those of all entries.
    start: usize,
    /// The rate of what was sent, in nats, in proportion to the samples that have come. Under multicast it is this
    /// receiver's [share](dib::Grants::share).
    pub(crate) rate: f64,
    /// Of what arrived, likewise, if that is counted.
    pub(crate) received_rate: Option<f64>,
    /// The samples that have come: runs of them, in order.
    pub(crate) samples: Vec<Range<usize>>,
}

impl ReceivedEntry {
    /// The rate that is trained with.
    pub(crate) fn paid(&self, rate_at: RateAt) -> f64 {
        match rate_at {
            RateAt::Sent => self.rate,
            // Over an ideal channel what is sent arrives.
            RateAt::Received => self.received_rate.unwrap_or(self.rate),
        }
    }

    /// How many of its samples have come.
    fn count(&self) -> usize {
        self.samples.iter().map(Range::len).sum()
    }
}

impl Received {
    /// Checks everything that a message claims: its moment, that only requested ticks are answered, that the grants are
    /// what the cap makes of the choices, shapes and finiteness. Then takes what comes over its link out of it, once;
    /// [`cross`](Received::cross) is to follow.
    pub(crate) fn check(
        context: &Context,
        k: usize,
        when: When,
        requested: &[bool],
        samples: usize,
        features: &Features,
        through: Through<'_>,
    ) -> Result<Self, WireError> {
        context.link(k, context.index).check(features.stamp.as_ref(), when)?;
        check_length("costs", "values", features.costs.len(), 0)?;
        let (phase, first_tick) = address(context, when);
        let (receivers, modalities) = (context.scenario.receivers(), context.scenario.modalities(k));
        let told = context.told_ticks(requested);
        let count = told.iter().filter(|told| **told).count();
        let choices = ChoiceGrid::from_bytes(count, receivers, modalities, &features.choices)
            .map_err(|_| WireError::Missing("well-formed choices"))?
            .spread(&told);
        check_requested(&choices, requested, context.index)?;
        let grants = capped(&context.scenario, context.seed, k, phase, first_tick, &choices);
        let granted = grants.for_receiver(context.index);
        check_granted(features, (requested.len(), modalities), &granted)?;
        let groups = groups(context, when, samples);
        let blocks = if through.digital.is_some() { groups.as_slice() } else { &[] };
        let values = Values::check(context, k, when, (&granted, samples, blocks), features, through.tables)?;
        let mut rates = rates(context, when, features, granted.len())?;
        if context.scenario.network.multicast {
            rates.iter_mut().zip(&granted).for_each(|(rate, &entry)| *rate = grants.share(*rate, entry));
        }
        let is_served = matches!(when, When::Served(_));
        let counts_received = !is_served && context.counts_received(k, context.index, phase);
        let received_rates = if counts_received { granted.len() } else { 0 };
        check_length("received_rates", "values", features.received_rates.len(), received_rates)?;
        check_finite("received_rates", &features.received_rates)?;
        let all_granted = grants.counts(context.scenario.network.multicast).collect();
        let link_outcome = link_outcome(context, k, when, samples, features);
        let mut outcomes = link_outcome.map(|link_outcome| link_outcome.outcomes);
        let absent = absent(when, features, granted.len(), samples)?;
        let packets = granted.len() * groups.len();
        let mut received = Received {
            entries: Vec::new(),
            z: Vec::new(),
            sent: Vec::new(),
            channel: through.channel,
            crossing: first_crossing(context, k, when),
            feature_bytes: values.bytes(features),
            all_granted,
            used: None,
            packets,
            missing: Vec::new(),
            air: AirCount::default(),
            before: match when {
                When::Served(served) => context.served_groups(served).1,
                When::Round { .. } | When::Piece { .. } => 0,
            },
            absent: Vec::new(),
        };
        if let Some(link) = through.digital {
            let outcomes = outcomes.get_or_insert_with(|| vec![PacketOutcome::Arrives; packets]);
            let blocks = (groups.as_slice(), values.blocks());
            received.send_blocks(link, &granted, blocks, outcomes, context.feature_dim());
            rates.iter().for_each(|rate| received.air.rate(samples, *rate, None));
        }
        let rates = (rates.as_slice(), features.received_rates.as_slice());
        let sources = received.take(&granted, rates, samples, &groups, outcomes.as_deref());
        received.take_out(&values, &sources, samples, context.feature_dim());
        if absent.iter().any(|absent| absent.contains(&true)) {
            received.absent = sources.iter().map(|&source| absent[source].clone()).collect();
        }
        if !is_served && context.scenario.analogue_between(k, context.index).is_some() {
            received.count_air(samples, &groups, context.feature_dim());
        }
        Ok(received)
    }

    /// Nothing, of a transmitter that has not answered in time.
    pub(crate) fn nothing(context: &Context, k: usize, when: When, ticks: usize) -> Self {
        Received {
            entries: Vec::new(),
            z: Vec::new(),
            sent: Vec::new(),
            channel: Arc::new(Ideal),
            crossing: first_crossing(context, k, when),
            feature_bytes: 0,
            all_granted: vec![0; ticks],
            used: Some(Used::default()),
            packets: 0,
            missing: Vec::new(),
            air: AirCount::default(),
            before: 0,
            absent: Vec::new(),
        }
    }

    /// Forgets what stands for samples that were not observed: they count as not granted.
    pub(crate) fn drop_absent(&mut self, feature_dim: usize) {
        if self.absent.is_empty() {
            return;
        }
        let mut z = Vec::with_capacity(self.z.len());
        for (entry, absent) in self.entries.iter_mut().zip(std::mem::take(&mut self.absent)) {
            let start = z.len();
            let mut rows: Vec<Range<usize>> = Vec::new();
            let come = entry.samples.iter().flat_map(|run| run.clone());
            for (place, row) in come.enumerate().filter(|(_, row)| !absent[*row]) {
                let from = entry.start + place * feature_dim;
                z.extend_from_slice(&self.z[from..from + feature_dim]);
                match rows.last_mut() {
                    Some(run) if run.end == row => run.end = row + 1,
                    _ => rows.push(row..row + 1),
                }
            }
            (entry.start, entry.samples) = (start, rows);
        }
        self.z = z;
        self.entries.retain(|entry| !entry.samples.is_empty());
    }

    /// Whether the message has not come in time.
    pub(crate) fn is_absent(&self) -> bool {
        self.used.as_ref().is_some_and(|used| used.entries.is_empty())
    }

    /// The values of an entry's samples that have come, one sample after the other.
    pub(crate) fn features(&self, entry: &ReceivedEntry, feature_dim: usize) -> &[f32] {
        &self.z[entry.start..entry.start + entry.count() * feature_dim]
    }

    /// The values of the entry of that number, of `feature_dim` a sample.
    pub(crate) fn values(&self, entry: usize, feature_dim: usize) -> &[f32] {
        self.features(&self.entries[entry], feature_dim)
    }

    /// Puts others in their place.
    pub(crate) fn set_values(&mut self, entry: usize, feature_dim: usize, values: &[f32]) {
        let start = self.entries[entry].start;
        let end = start + self.entries[entry].count() * feature_dim;
        self.z[start..end].copy_from_slice(values);
    }

    /// That of its first tick and modality.
    pub(crate) fn first_crossing(&self) -> &Crossing {
        &self.crossing
    }

    /// Takes the granted entries, as far as they come over the link; the position of each in the message.
    fn take(
        &mut self,
        granted: &[(usize, usize)],
        (rates, received_rates): (&[f64], &[f64]),
        samples: usize,
        groups: &[usize],
        outcomes: Option<&[PacketOutcome]>,
    ) -> Vec<usize> {
        let mut sources = Vec::with_capacity(granted.len());
        let mut used = Vec::with_capacity(granted.len());
        for (source, (&(tick, modality), rate)) in granted.iter().zip(rates).enumerate() {
            let outcomes = outcomes.map(|outcomes| &outcomes[source * groups.len()..][..groups.len()]);
            let missing =
                outcomes.into_iter().flatten().filter(|outcome| **outcome != PacketOutcome::Arrives);
            self.missing.extend(missing.map(|outcome| (modality, *outcome)));
            let runs = runs(groups, outcomes);
            used.push(!runs.is_empty());
            if !runs.is_empty() {
                let share = runs.iter().map(Range::len).sum::<usize>() as f64 / samples as f64;
                let (rate, received_rate) =
                    (rate * share, received_rates.get(source).map(|rate| rate * share));
                let samples = runs;
                self.entries.push(ReceivedEntry { tick, modality, start: 0, rate, received_rate, samples });
                sources.push(source);
            }
        }
        if used.contains(&false) {
            self.used = Some(Used { entries: encode_bits(&used) });
        }
        sources
    }

    /// Sends the transport blocks of the granted entries (tick, modality), group after group, as far as they come over
    /// the link. One that is not received is lost.
    fn send_blocks(
        &mut self,
        link: &mut DigitalLink,
        granted: &[(usize, usize)],
        (groups, blocks): (&[usize], &[Vec<u8>]),
        outcomes: &mut [PacketOutcome],
        feature_dim: usize,
    ) {
        let places =
            granted.iter().flat_map(|entry| groups.iter().enumerate().map(move |group| (entry, group)));
        for ((&(tick, modality), (group, rows)), (block, outcome)) in places.zip(blocks.iter().zip(outcomes))
        {
            if *outcome != PacketOutcome::Arrives {
                continue;
            }
            let tick = self.crossing.tick.wrapping_add((tick + group) as u64);
            let sent = link.send(&Crossing { modality, tick, ..self.crossing }, *rows, block);
            if let Some(measure) = sent.measure {
                let plain = rows * channel_uses(feature_dim);
                let entries = &[(self.crossing.transmitter, modality)];
                self.air.count(measure, Spent { uses: sent.uses, plain, entries });
            }
            if !sent.is_received {
                *outcome = PacketOutcome::Lost;
            }
        }
    }

    /// Takes the features that have come out of the message.
    fn take_out(&mut self, values: &Values, sources: &[usize], samples: usize, feature_dim: usize) {
        let rows: usize = self.entries.iter().map(ReceivedEntry::count).sum();
        self.z = Vec::with_capacity(rows * feature_dim);
        for (entry, source) in self.entries.iter_mut().zip(sources) {
            entry.start = self.z.len();
            let first = source * samples;
            for run in &entry.samples {
                let range = (first + run.start) * feature_dim..(first + run.end) * feature_dim;
                match values {
                    Values::Sent(payload) => self.z.extend(payload.values(range)),
                    Values::Read(read) => self.z.extend(&read.values[range]),
                }
            }
        }
    }

    /// Sends what has come through the channel, one group of samples after the other.
    ///
    /// # Errors
    /// That of a channel of a user's program.
    pub(crate) fn cross(&mut self, groups: &[usize], feature_dim: usize) -> dib::Result<()> {
        if self.channel.keeps_sent() && self.crossing.phase == Phase::Train {
            self.sent.clone_from(&self.z);
        }
        for entry in &self.entries {
            let mut start = entry.start;
            for (group, rows) in arrived(groups, &entry.samples) {
                let end = start + rows * feature_dim;
                let crossing = crossing(&self.crossing, entry, group);
                if group > 0 || self.before == 0 {
                    self.channel.send(&crossing, &mut self.z[start..end])?;
                } else {
                    // What is drawn for a row depends on its place in the group.
                    let before = self.before * feature_dim;
                    let mut whole = vec![0.0; before];
                    whole.extend_from_slice(&self.z[start..end]);
                    self.channel.send(&crossing, &mut whole)?;
                    self.z[start..end].copy_from_slice(&whole[before..]);
                }
                start = end;
            }
        }
        Ok(())
    }

    /// Counts what the entries, of so many samples each, spent in the air.
    fn count_air(&mut self, samples: usize, groups: &[usize], feature_dim: usize) {
        for entry in &self.entries {
            for (group, rows) in arrived(groups, &entry.samples) {
                let crossing = crossing(&self.crossing, entry, group);
                self.air.cross(self.channel.as_ref(), &crossing, rows, feature_dim);
            }
            self.air.rate(samples, entry.rate, entry.received_rate);
        }
    }

    /// Turns the gradient with respect to an entry's features of a tick of training, as they arrived, into that with
    /// respect to what was sent.
    ///
    /// # Errors
    /// That of a channel of a user's program.
    pub(crate) fn pull_back(&self, entry: &ReceivedEntry, gradient: &mut [f32]) -> dib::Result<()> {
        let sent = self.sent.get(entry.start..entry.start + gradient.len()).unwrap_or_default();
        self.channel.pull_back(&crossing(&self.crossing, entry, 0), sent, gradient)
    }
}

/// What a message's features come through.
pub(crate) struct Through<'a> {
    /// The air, where values go over it.
    pub(crate) channel: Arc<dyn Channel<f32>>,
    /// What coded features are read with.
    pub(crate) tables: &'a Tables,
    /// The air, where bits go over it.
    pub(crate) digital: Option<&'a mut DigitalLink>,
}

/// Where a message's crossings begin.
fn first_crossing(context: &Context, transmitter: usize, when: When) -> Crossing {
    let (phase, pass, tick) = moment(context, when);
    Crossing { phase, pass, transmitter, receiver: context.index, modality: 0, tick }
}

/// That of one of an entry's groups of samples.
fn crossing(first: &Crossing, entry: &ReceivedEntry, group: usize) -> Crossing {
    let tick = first.tick.wrapping_add((entry.tick + group) as u64);
    Crossing { modality: entry.modality, tick, ..*first }
}

/// The groups of samples that lie within these runs: which, and how many samples.
fn arrived(groups: &[usize], runs: &[Range<usize>]) -> Vec<(usize, usize)> {
    let mut start = 0;
    let mut arrived = Vec::new();
    for (group, &size) in groups.iter().enumerate() {
        if runs.iter().any(|run| run.contains(&start)) {
            arrived.push((group, size));
        }
        start += size;
    }
    arrived
}

/// Checks what transmitter k sent of a part of a round in which this receiver requested it at these ticks, as the
/// machine does before it computes with it.
///
/// # Errors
///
/// What breaks the protocol: entries that nobody may grant, or payloads of another type, shape or size.
pub fn check_features(
    context: &Context,
    k: usize,
    when: When,
    requested: &[bool],
    features: &Features,
) -> Result<(), WireError> {
    let tables = Tables::new(context, context.ticks() * context.samples());
    let unknown =
        |error: NodeError| WireError::Code { what: "the message".into(), problem: error.to_string() };
    let mut tables = tables.map_err(unknown)?;
    tables.take(context, k, features)?;
    let through = Through { channel: Arc::new(Ideal), tables: &tables, digital: None };
    Received::check(context, k, when, requested, context.samples(), features, through).map(drop)
}

#[cfg(test)]
mod tests {
    use proto::{Packer, Payload};

    use super::*;

    /// Multiplies by a gain that tells tick and modality.
    struct Gain;

    fn gain(crossing: &Crossing) -> f32 {
        (100 * crossing.modality as u64 + crossing.tick) as f32
    }

    impl Channel<f32> for Gain {
        fn send(&self, crossing: &Crossing, features: &mut [f32]) -> dib::Result<()> {
            features.iter_mut().for_each(|value| *value *= gain(crossing));
            Ok(())
        }

        fn pull_back(&self, crossing: &Crossing, _: &[f32], gradient: &mut [f32]) -> dib::Result<()> {
            self.send(crossing, gradient)
        }
    }

    /// Two values a sample; groups of 2, 2, 2 and 1 samples.
    const GROUPS: [usize; 4] = [2, 2, 2, 1];
    const SAMPLES: usize = 7;

    fn received(entries: Vec<ReceivedEntry>, sources: &[usize], channel: Arc<dyn Channel<f32>>) -> Received {
        let rows = 3 * SAMPLES;
        let mut packer = Packer::new(2 * rows);
        packer.extend((0..2 * rows).map(|value| value as f32));
        let shape = [3, SAMPLES, 2];
        let payload = Payload::check("z", Some(&packer.pack(&shape)), &shape).unwrap();
        let crossing =
            Crossing { phase: Phase::Evaluate, pass: 0, transmitter: 0, receiver: 0, modality: 0, tick: 10 };
        let mut received = Received {
            entries,
            z: Vec::new(),
            sent: Vec::new(),
            channel,
            crossing,
            feature_bytes: payload.bytes(),
            all_granted: vec![3],
            used: None,
            packets: 0,
            missing: Vec::new(),
            air: AirCount::default(),
            before: 0,
            absent: Vec::new(),
        };
        received.take_out(&Values::Sent(payload), sources, SAMPLES, 2);
        received.cross(&GROUPS, 2).unwrap();
        received
    }

    /// Of a modality, these runs of samples.
    fn entry(modality: usize, runs: &[(usize, usize)]) -> ReceivedEntry {
        let samples = runs.iter().map(|&(start, end)| start..end).collect();
        ReceivedEntry { tick: 0, modality, start: 0, rate: 0.0, received_rate: None, samples }
    }

    #[test]
    fn what_has_come_is_taken_out_as_it_was_sent() {
        let entries = vec![entry(0, &[(0, 7)]), entry(1, &[(2, 4), (6, 7)])];
        let received = received(entries, &[0, 2], Arc::new(Ideal));
        let whole: Vec<f32> = (0..14).map(|value| value as f32).collect();
        assert_eq!(received.features(&received.entries[0], 2), whole);
        // The third entry of the message begins with value 28, its samples 2, 3 and 6 with 32, 34 and 40.
        assert_eq!(received.features(&received.entries[1], 2), [32.0, 33.0, 34.0, 35.0, 40.0, 41.0]);
    }

    #[test]
    fn every_group_crosses_the_channel_once_and_by_its_own_address() {
        let entries = vec![entry(0, &[(0, 2)]), entry(1, &[(2, 4), (6, 7)])];
        let received = received(entries, &[0, 2], Arc::new(Gain));
        assert_eq!(received.features(&received.entries[0], 2), [0.0, 10.0, 20.0, 30.0]);
        let expected = [32.0 * 111.0, 33.0 * 111.0, 34.0 * 111.0, 35.0 * 111.0, 40.0 * 113.0, 41.0 * 113.0];
        assert_eq!(received.features(&received.entries[1], 2), expected);
        let mut gradient = [1.0, -2.0];
        received.pull_back(&received.entries[0], &mut gradient).unwrap();
        assert_eq!(gradient, [10.0, -20.0]);
    }
}
