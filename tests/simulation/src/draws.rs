//! Requests and grants: the minimum that a coordinator needs to verify the draws.

use bytes::Bytes;
use dib::{ChoiceGrid, Grants, Phase};
use node::{Context, NodeError, capped};
use proto::{decode_ticks, encode_ticks};

/// The samples of a round: the same for all nodes.
pub(crate) const BATCH: Bytes = Bytes::from_static(&[5; 32]);

/// By transmitter, the ticks of a round at which receiver t requests it: one transmitter at each tick, (9), in turn.
pub(crate) fn requests(context: &Context, round: u64) -> Vec<Bytes> {
    let transmitters = context.scenario.transmitters();
    let requested = |tick: usize| (tick + context.index + round as usize) % transmitters;
    let of = |k| encode_ticks(&(0..context.ticks()).map(|tick| requested(tick) == k).collect::<Vec<_>>());
    (0..transmitters).map(of).collect()
}

/// What transmitter k chooses in each part of a round for the receivers that requested it: its only modality.
pub(crate) fn choices(context: &Context, requests: &[Bytes]) -> Result<Vec<ChoiceGrid>, NodeError> {
    let requested = |requests: &Bytes| {
        decode_ticks(requests, context.ticks()).map_err(NodeError::message("a receiver's turn".to_owned()))
    };
    let requests = requests.iter().map(requested).collect::<Result<Vec<_>, _>>()?;
    let of_part = |part| {
        let ticks = context.part(part);
        let mut grid = ChoiceGrid::new(ticks.len(), requests.len(), 1);
        for (row, tick) in ticks.enumerate() {
            (0..requests.len()).filter(|&t| requests[t][tick]).for_each(|t| grid.set(row, t, 0));
        }
        grid
    };
    Ok((0..context.parts()).map(of_part).collect())
}

/// What the cap of transmitter k leaves of its choices, (10), part by part.
pub(crate) fn granted(context: &Context, k: usize, round: u64, choices: &[ChoiceGrid]) -> Vec<Grants> {
    let of_part = |(part, grid): (usize, &ChoiceGrid)| {
        let first = context.first_tick(round) + context.part(part).start as u64;
        capped(&context.scenario, context.seed, k, Phase::Train, first, grid)
    };
    choices.iter().enumerate().map(of_part).collect()
}

/// The choices received as bytes, part by part; none where none arrived.
pub(crate) fn told(context: &Context, parts: &[Bytes]) -> Result<Vec<ChoiceGrid>, NodeError> {
    let grid = |(part, bytes): (usize, &Bytes)| {
        let (ticks, receivers) = (context.part(part).len(), context.scenario.receivers());
        if bytes.is_empty() {
            return Ok(ChoiceGrid::new(ticks, receivers, 1));
        }
        ChoiceGrid::from_bytes(ticks, receivers, 1, bytes)
            .map_err(|error| NodeError::protocol("a transmitter", error.to_string()))
    };
    parts.iter().enumerate().map(grid).collect()
}
