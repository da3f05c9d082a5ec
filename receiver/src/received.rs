use std::ops::Range;

use dib::{Phase, RequestGrid, grants};
use node::{Context, Fate, Passage};
use proto::{
    Payload, When, WireError, check_finite, check_length, encode_bits,
    v1::{Features, Used},
};

use crate::passage::{passage, runs};

/// A transmitter's features of a part of a round (or of a piece), checked, as far as they have come over its link.
pub(crate) struct Received {
    /// The entries of which something has come, ordered by tick, then modality.
    pub(crate) entries: Vec<ReceivedEntry>,
    /// The features of all granted entries, `[entries, samples, feature_dim]`.
    pub(crate) z: Payload,
    /// How many entries this transmitter grants at every tick, to all receivers together.
    pub(crate) all_granted: Vec<usize>,
    /// What is to be said of which granted entries are used; none: all.
    pub(crate) used: Option<Used>,
    /// How many packets were sent: of every granted entry, its samples of a tick.
    pub(crate) packets: usize,
    /// Modality and fate of every packet that has not come.
    pub(crate) missing: Vec<(usize, Fate)>,
}

/// An entry of which something has come.
pub(crate) struct ReceivedEntry {
    /// In evaluation the only tick is 0.
    pub(crate) tick: usize,
    pub(crate) modality: usize,
    /// Its position in the message.
    pub(crate) source: usize,
    /// Nats, in proportion to what has come.
    pub(crate) rate: f64,
    /// The samples that have come: runs of them, in order.
    pub(crate) samples: Vec<Range<usize>>,
}

impl Received {
    /// Checks everything that a message claims: its moment, that only asked ticks are answered, that the grants are
    /// what the cap makes of the requests, shapes and finiteness. Then takes what comes over its link.
    pub(crate) fn check(
        context: &Context,
        k: usize,
        when: When,
        asked: &[bool],
        samples: usize,
        features: &Features,
    ) -> Result<Self, WireError> {
        context.link(k, context.index).check(features.stamp.as_ref(), when)?;
        let (phase, first_tick) = address(context, when);
        let (receivers, modalities) = (context.scenario.receivers(), context.scenario.modalities(k));
        let requests = RequestGrid::from_bytes(asked.len(), receivers, modalities, &features.requests)
            .map_err(|_| WireError::Missing("well-formed requests"))?;
        check_asked(&requests, asked, context.index)?;
        let limit = context.scenario.transmitter_limit(k);
        let grants = grants(context.seed, k, phase, first_tick, &requests, limit);
        let granted = grants.for_receiver(context.index);
        check_entries(features, &granted)?;
        let shape = [granted.len(), samples, context.feature_dim()];
        let z = Payload::check("z", features.z.as_ref(), &shape)?;
        check_length("rates", "values", features.rates.len(), granted.len())?;
        check_finite("rates", &features.rates)?;
        let all_granted = grants.ticks().map(<[_]>::len).collect();
        let passage = passage(context, k, when, samples, granted.iter().copied());
        let groups = context.groups(samples);
        let packets = granted.len() * groups.len();
        let mut received =
            Received { entries: Vec::new(), z, all_granted, used: None, packets, missing: Vec::new() };
        received.take(&granted, &features.rates, samples, &groups, passage.as_ref());
        Ok(received)
    }

    /// Nothing, of a transmitter that has not answered in time.
    pub(crate) fn nothing(ticks: usize) -> Self {
        Received {
            entries: Vec::new(),
            z: Payload::default(),
            all_granted: vec![0; ticks],
            used: Some(Used::default()),
            packets: 0,
            missing: Vec::new(),
        }
    }

    /// Whether the message has not come in time.
    pub(crate) fn is_absent(&self) -> bool {
        self.used.as_ref().is_some_and(|used| used.entries.is_empty())
    }

    /// Takes the granted entries, as far as they come over the link.
    fn take(
        &mut self,
        granted: &[(usize, usize)],
        rates: &[f64],
        samples: usize,
        groups: &[usize],
        passage: Option<&Passage>,
    ) {
        let mut used = Vec::with_capacity(granted.len());
        for (source, (&(tick, modality), rate)) in granted.iter().zip(rates).enumerate() {
            let fates = passage.map(|passage| &passage.fates[source * groups.len()..][..groups.len()]);
            let missing = fates.into_iter().flatten().filter(|fate| **fate != Fate::Arrives);
            self.missing.extend(missing.map(|fate| (modality, *fate)));
            let runs = runs(groups, fates);
            used.push(!runs.is_empty());
            if !runs.is_empty() {
                let share = runs.iter().map(Range::len).sum::<usize>() as f64 / samples as f64;
                let rate = rate * share;
                self.entries.push(ReceivedEntry { tick, modality, source, rate, samples: runs });
            }
        }
        if used.contains(&false) {
            self.used = Some(Used { entries: encode_bits(&used) });
        }
    }
}

/// Checks what transmitter k sent of a part of a round in which this receiver asked it at these ticks, as the machine does
/// before it computes with it.
pub fn check_features(
    context: &Context,
    k: usize,
    when: When,
    asked: &[bool],
    features: &Features,
) -> Result<(), WireError> {
    Received::check(context, k, when, asked, context.samples(), features).map(drop)
}

/// Where the cap's draws of a moment are addressed.
fn address(context: &Context, when: When) -> (Phase, u64) {
    match when {
        When::Round { round, part } => {
            (Phase::Train, context.first_tick(round) + context.part(part as usize).start as u64)
        }
        When::Piece { pass, .. } => (Phase::Evaluate, pass),
    }
}

/// Whoever is asked requests at least one entry, and whoever is not, none.
fn check_asked(requests: &RequestGrid, asked: &[bool], t: usize) -> Result<(), WireError> {
    for (tick, &asked) in asked.iter().enumerate() {
        let requested = requests.requests_at(tick).iter().filter(|(receiver, _)| *receiver == t).count();
        if asked != (requested > 0) {
            let expected = if asked { "at least one" } else { "none" };
            return Err(WireError::Stamp {
                what: "requests",
                got: format!("{requested} for this receiver at tick {tick}"),
                expected: expected.into(),
            });
        }
    }
    Ok(())
}

/// The granted entries must be exactly what anybody can recompute from the requests and the seed.
fn check_entries(features: &Features, expected: &[(usize, usize)]) -> Result<(), WireError> {
    let granted: Vec<(usize, usize)> =
        features.granted.iter().map(|entry| (entry.tick as usize, entry.modality as usize)).collect();
    check_length("granted", "entries", granted.len(), expected.len())?;
    match granted.iter().zip(expected).find(|(got, expected)| got != expected) {
        None => Ok(()),
        Some((got, expected)) => Err(WireError::Stamp {
            what: "grant",
            got: format!("(tick, modality) {got:?}"),
            expected: format!("{expected:?} by the cap's draw"),
        }),
    }
}
