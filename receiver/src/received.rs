use dib::{Phase, RequestGrid, grants};
use node::Context;
use proto::{Payload, When, WireError, check_finite, check_length, v1::Features};

/// A transmitter's features of a part of a round (or of a piece), checked.
pub(crate) struct Received {
    /// The granted entries (tick, modality), ordered by tick, then modality. In evaluation the only tick is 0.
    pub(crate) entries: Vec<(usize, usize)>,
    /// The features, `[entries, samples, feature_dim]`.
    pub(crate) z: Payload,
    /// Nats, one an entry.
    pub(crate) rates: Vec<f64>,
    /// How many entries this transmitter grants at every tick, to all receivers together.
    pub(crate) all_granted: Vec<usize>,
}

impl Received {
    /// Checks everything that a message claims: its moment, that only asked ticks are answered, that the grants are
    /// what the cap makes of the requests, shapes and finiteness.
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
        let entries = grants.for_receiver(context.index);
        check_entries(features, &entries)?;
        let shape = [entries.len(), samples, context.feature_dim()];
        let z = Payload::check("z", features.z.as_ref(), &shape)?;
        check_length("rates", "values", features.rates.len(), entries.len())?;
        check_finite("rates", &features.rates)?;
        let all_granted = grants.ticks().map(<[_]>::len).collect();
        Ok(Received { entries, z, rates: features.rates.clone(), all_granted })
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
