//! What a message of features claims beside their values, checked: choices, grants, rates and what was not observed.

use dib::{ChoiceGrid, Phase};
use node::Context;
use proto::{When, WireError, check_finite, check_length, decode_bits, decode_rate, v1::Features};

use crate::tables::is_dithered;

/// Where the cap's draws of a moment are addressed.
pub(crate) fn address(context: &Context, when: When) -> (Phase, u64) {
    match when {
        When::Round { round, part } => {
            (Phase::Train, context.first_tick(round) + context.part(part as usize).start as u64)
        }
        When::Piece { pass, piece } => (Phase::Evaluate, context.selection_moment(pass, piece)),
        When::Served(served) => (Phase::Evaluate, context.selection_moment(served.draw, 0)),
    }
}

/// Of every granted entry, which of its samples were not observed.
pub(crate) fn absent(
    when: When,
    features: &Features,
    entries: usize,
    samples: usize,
) -> Result<Vec<Vec<bool>>, WireError> {
    let is_served = matches!(when, When::Served(_));
    if !is_served || features.absent.is_empty() {
        check_length("absent", "bytes", features.absent.len(), 0)?;
        return Ok(Vec::new());
    }
    let absent = decode_bits("absent", &features.absent, entries * samples)?;
    Ok(absent.chunks(samples.max(1)).map(<[bool]>::to_vec).collect())
}

/// A requested transmitter chooses at least one entry; one that is not requested, none.
pub(crate) fn check_requested(choices: &ChoiceGrid, requested: &[bool], t: usize) -> Result<(), WireError> {
    for (tick, &requested) in requested.iter().enumerate() {
        let chosen = choices.choices_at(tick).iter().filter(|(receiver, _)| *receiver == t).count();
        if requested != (chosen > 0) {
            let expected = if requested { "at least one" } else { "none" };
            return Err(WireError::Stamp {
                what: "choices",
                got: format!("{chosen} for this receiver at tick {tick}"),
                expected: expected.into(),
            });
        }
    }
    Ok(())
}

/// The granted entries must be exactly what anybody can recompute from the choices and the seed.
pub(crate) fn check_granted(
    features: &Features,
    (ticks, modalities): (usize, usize),
    expected: &[(usize, usize)],
) -> Result<(), WireError> {
    let granted = proto::decode_granted(&features.granted, ticks, modalities)?;
    let odd = (0..granted.len().max(expected.len())).find(|&at| granted.get(at) != expected.get(at));
    let Some(at) = odd else { return Ok(()) };
    let entry =
        |entries: &[(usize, usize)]| entries.get(at).map_or("none".into(), |entry| format!("{entry:?}"));
    Err(WireError::Stamp {
        what: "grant",
        got: format!("(tick, modality) {}", entry(&granted)),
        expected: format!("{} by the cap's draw", entry(expected)),
    })
}

/// The rates of so many entries, in nats. In service only those against priors are known: others count as 0.
pub(crate) fn rates(
    context: &Context,
    when: When,
    features: &Features,
    entries: usize,
) -> Result<Vec<f64>, WireError> {
    if matches!(when, When::Served(_)) && !context.scenario.train.has_priors() {
        check_length("rates", "values", features.rates.len(), 0)?;
        return Ok(vec![0.0; entries]);
    }
    let dithered = features.coded.as_ref().filter(|_| is_dithered(context));
    let coded = dithered.map_or(&[][..], |coded| coded.rates.as_slice());
    check_length("rates", "values", features.rates.len(), if dithered.is_some() { 0 } else { entries })?;
    check_finite("rates", &features.rates)?;
    check_length("coded rates", "values", coded.len(), if dithered.is_some() { entries } else { 0 })?;
    Ok(features.rates.iter().copied().chain(coded.iter().map(|&rate| decode_rate(rate))).collect())
}
