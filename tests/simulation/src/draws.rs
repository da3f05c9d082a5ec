//! Who asks whom, and what is granted: as little of it as a coordinator needs that verifies the draws.

use bytes::Bytes;
use dib::{Grants, Phase, RequestGrid, grants};
use node::{Context, NodeError};
use proto::{decode_ticks, encode_ticks};

/// The samples of a round, for all that anybody knows: everybody has the same ones.
pub(crate) const BATCH: Bytes = Bytes::from_static(&[5; 32]);

/// By transmitter, at which ticks of a round receiver t asks it: at each tick one, (9), in turn.
pub(crate) fn asks(context: &Context, round: u64) -> Vec<Bytes> {
    let transmitters = context.scenario.transmitters();
    let asked = |tick: usize| (tick + context.index + round as usize) % transmitters;
    let of = |k| encode_ticks(&(0..context.ticks()).map(|tick| asked(tick) == k).collect::<Vec<_>>());
    (0..transmitters).map(of).collect()
}

/// What transmitter k is requested in each part of a round, for receivers that have asked so: its only modality.
pub(crate) fn requests(context: &Context, asks: &[Bytes]) -> Result<Vec<RequestGrid>, NodeError> {
    let asked = |asks: &Bytes| {
        decode_ticks(asks, context.ticks()).map_err(NodeError::message("a receiver's turn".to_owned()))
    };
    let asks = asks.iter().map(asked).collect::<Result<Vec<_>, _>>()?;
    let of_part = |part| {
        let ticks = context.part(part);
        let mut grid = RequestGrid::new(ticks.len(), asks.len(), 1);
        for (row, tick) in ticks.enumerate() {
            (0..asks.len()).filter(|&t| asks[t][tick]).for_each(|t| grid.set(row, t, 0));
        }
        grid
    };
    Ok((0..context.parts()).map(of_part).collect())
}

/// What the cap of transmitter k leaves of its requests, (10), part by part.
pub(crate) fn granted(context: &Context, k: usize, round: u64, requests: &[RequestGrid]) -> Vec<Grants> {
    let limit = context.scenario.transmitter_limit(k);
    let of_part = |(part, grid): (usize, &RequestGrid)| {
        let first = context.first_tick(round) + context.part(part).start as u64;
        grants(context.seed, k, Phase::Train, first, grid, limit)
    };
    requests.iter().enumerate().map(of_part).collect()
}

/// The requests that came as bytes, part by part; none where nothing came.
pub(crate) fn told(context: &Context, parts: &[Bytes]) -> Result<Vec<RequestGrid>, NodeError> {
    let grid = |(part, bytes): (usize, &Bytes)| {
        let (ticks, receivers) = (context.part(part).len(), context.scenario.receivers());
        if bytes.is_empty() {
            return Ok(RequestGrid::new(ticks, receivers, 1));
        }
        RequestGrid::from_bytes(ticks, receivers, 1, bytes)
            .map_err(|error| NodeError::protocol("a transmitter", error.to_string()))
    };
    parts.iter().enumerate().map(grid).collect()
}
