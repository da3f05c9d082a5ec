//! How a message of features fares on its link, where that is emulated.

use std::ops::Range;

use dib::Phase;
use node::{Context, LinkOutcome, Packet, PacketOutcome};
use proto::{When, v1::Features};

/// How the entries (tick, modality) that transmitter k sends fare, `samples` samples of each: a packet for every entry
/// and group of samples, in order. Of dithered features, the stream's bytes are shared out evenly. None if the link is
/// not emulated.
pub(crate) fn link_outcome(
    context: &Context,
    k: usize,
    when: When,
    samples: usize,
    features: &Features,
) -> Option<LinkOutcome> {
    let groups = groups(context, when, samples);
    let entries = proto::granted(features, context.scenario.modalities(k));
    let rows = entries.len() * samples;
    let bytes = |size: usize| match &features.coded {
        Some(coded) => (coded.stream.len() * size).div_ceil(rows.max(1)),
        None => 4 * size * context.feature_dim(),
    };
    let (phase, pass, first_tick) = moment(context, when);
    let packets: Vec<Packet> = entries
        .into_iter()
        .flat_map(|(tick, modality)| {
            let packet = move |(group, size): (usize, &usize)| Packet {
                modality,
                tick: first_tick.wrapping_add((tick + group) as u64),
                bytes: bytes(*size),
            };
            groups.iter().enumerate().map(packet)
        })
        .collect();
    context.link_outcome((k, context.index), phase, pass, &packets)
}

/// Phase, pass (0 in training) and first tick of a moment: in an evaluation, a tick is a group of samples of the test
/// set.
pub(crate) fn moment(context: &Context, when: When) -> (Phase, u64, u64) {
    match when {
        When::Round { round, part } => {
            let start = context.part(part as usize).start as u64;
            (Phase::Train, 0, context.first_tick(round) + start)
        }
        When::Piece { pass, piece } => (Phase::Evaluate, pass, context.first_group(piece)),
        When::Served(served) => (Phase::Evaluate, served.pass, context.served_groups(served).0),
    }
}

/// How many of an entry's `samples` samples travel together, group by group.
pub(crate) fn groups(context: &Context, when: When, samples: usize) -> Vec<usize> {
    match when {
        When::Served(served) => context.served_groups(served).2,
        When::Round { .. } | When::Piece { .. } => context.groups(samples),
    }
}

/// Seconds that a message of transmitter k is on its way. It is not checked yet: one that no round or pass can have
/// sent is not held back, and the machine will refuse it.
pub(crate) fn seconds(context: &Context, k: usize, features: &Features) -> f64 {
    if context.scenario.link_between(k, context.index).is_none() {
        return 0.0;
    }
    let Ok(when) = context.link(k, context.index).read(features.stamp.as_ref()) else { return 0.0 };
    let scenario = &context.scenario;
    let possible = match when {
        When::Round { round, part } => round < scenario.train.rounds && part < context.parts() as u64,
        When::Piece { pass, piece } => pass < scenario.evaluation.passes && piece < u64::from(u32::MAX),
        When::Served(served) => {
            let most = scenario.piece_samples() as u64;
            (1..=most).contains(&served.samples) && served.offset < most
        }
    };
    let samples = match (&features.coded, when) {
        (None, _) => features.z.as_ref().and_then(|z| z.shape.get(1)).map_or(0, |samples| *samples as usize),
        (Some(_), When::Round { .. }) => context.samples(),
        (Some(_), When::Piece { .. }) if context.scenario.evaluates_by_tick() => context.samples(),
        (Some(_), When::Served(served)) => served.samples as usize,
        // All pieces but the last have so many, and nobody waits for that one longer than for another.
        (Some(_), When::Piece { .. }) => context.scenario.piece_samples(),
    };
    // A bit is an entry: no message has more bits than ticks and modalities.
    let bits = 8 * features.granted.len();
    let most = context.ticks() * context.scenario.modalities(k) + 7;
    if !possible || bits > most || samples > context.scenario.piece_samples().max(context.samples()) {
        return 0.0;
    }
    link_outcome(context, k, when, samples, features).map_or(0.0, |link_outcome| link_outcome.seconds)
}

/// The samples of an entry that arrive: runs of them, in order. Without outcomes all do.
pub(crate) fn runs(groups: &[usize], outcomes: Option<&[PacketOutcome]>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    for (group, size) in groups.iter().enumerate() {
        let end = start + size;
        let arrives = outcomes.is_none_or(|outcomes| outcomes[group] == PacketOutcome::Arrives);
        match runs.last_mut() {
            _ if !arrives => {}
            Some(run) if run.end == start => run.end = end,
            _ => runs.push(start..end),
        }
        start = end;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_side_by_side_is_one_run() {
        let [arrives, lost, late] = [PacketOutcome::Arrives, PacketOutcome::Lost, PacketOutcome::Late];
        let ends = |outcomes: Option<&[PacketOutcome]>| -> Vec<(usize, usize)> {
            runs(&[20, 20, 20, 5], outcomes).into_iter().map(|run| (run.start, run.end)).collect()
        };
        assert_eq!(ends(None), [(0, 65)]);
        assert_eq!(ends(Some(&[arrives; 4])), [(0, 65)]);
        assert_eq!(ends(Some(&[lost, arrives, arrives, late])), [(20, 60)]);
        assert_eq!(ends(Some(&[arrives, late, lost, arrives])), [(0, 20), (60, 65)]);
        assert_eq!(ends(Some(&[lost, late, lost, lost])), []);
    }
}
