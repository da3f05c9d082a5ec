//! Features that arrive together: of the transmitters of a multiple-access channel, the j-th granted entry of each at a
//! tick lies in slot j.

use std::{collections::BTreeMap, ops::Range};

use dib::{Crossing, Mac, channel_uses};
use node::Context;

use crate::{air::Spent, received::Received};

/// Who sends in a slot: transmitters and the numbers of their entries among what has come, in index order.
type Senders = Vec<(usize, usize)>;

/// The slots of a part of a round (or of a piece), by tick and number.
pub(crate) struct Slots(BTreeMap<(usize, usize), Senders>);

impl Slots {
    /// Those of what has come; none where nobody is heard together with others.
    pub(crate) fn new(context: &Context, received: &[Received]) -> Self {
        let mut slots: BTreeMap<(usize, usize), Senders> = BTreeMap::new();
        for (k, received) in received.iter().enumerate() {
            if !context.scenario.is_mac(k, context.index) {
                continue;
            }
            let mut next: BTreeMap<usize, usize> = BTreeMap::new();
            for (number, entry) in received.entries.iter().enumerate() {
                let slot = next.entry(entry.tick).or_default();
                slots.entry((entry.tick, *slot)).or_default().push((k, number));
                *slot += 1;
            }
        }
        Slots(slots)
    }

    /// Tick, number and senders of each.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, usize, &[(usize, usize)])> {
        self.0.iter().map(|(&(tick, number), senders)| (tick, number, senders.as_slice()))
    }
}

/// Lets what has come arrive as it is heard, and counts what that takes: a slot's uses once. An entry's samples meet
/// gains of their own in each of these groups; so many samples of the first group lie before them.
pub(crate) fn hear(
    context: &Context,
    mac: &Mac,
    received: &mut [Received],
    (before, groups): (usize, &[usize]),
) {
    let d = context.feature_dim();
    for (tick, number, senders) in Slots::new(context, received).iter() {
        let mut values: Vec<(usize, Vec<f32>)> =
            senders.iter().map(|&(k, entry)| (k, received[k].values(entry, d).to_vec())).collect();
        for (group, rows) in rows_of(groups).into_iter().enumerate() {
            let slot = slot(&received[senders[0].0], tick, number, group);
            let range = rows.start * d..rows.end * d;
            // What is drawn for a row depends on its place in the group.
            let before = if group == 0 { before * d } else { 0 };
            let mut whole: Vec<(usize, Vec<f32>)> = values
                .iter()
                .map(|(k, values)| (*k, [&vec![0.0; before], &values[range.clone()]].concat()))
                .collect();
            let mut together: Vec<(usize, &mut [f32])> =
                whole.iter_mut().map(|(k, values)| (*k, values.as_mut_slice())).collect();
            mac.send(&slot, &mut together);
            for ((_, values), (_, whole)) in values.iter_mut().zip(&whole) {
                values[range.clone()].copy_from_slice(&whole[before..]);
            }
            let transmitters: Vec<usize> = senders.iter().map(|(k, _)| *k).collect();
            let entries: Vec<(usize, usize)> =
                senders.iter().map(|&(k, entry)| (k, received[k].entries[entry].modality)).collect();
            let measure = mac.measure(&slot, &transmitters, rows.len());
            let uses = rows.len() * channel_uses(d);
            let spent = Spent { uses, plain: senders.len() * uses, entries: &entries };
            received[senders[0].0].air.count(measure, spent);
        }
        for (&(k, entry), (_, values)) in senders.iter().zip(values) {
            received[k].set_values(entry, d, &values);
        }
    }
}

/// Turns the gradients with respect to what has arrived of a slot in training into those with respect to what was sent.
pub(crate) fn pull_back(
    mac: &Mac,
    received: &[Received],
    (tick, number): (usize, usize),
    gradients: &mut [(usize, &mut [f32])],
) {
    if let Some(&(k, _)) = gradients.first() {
        mac.pull_back(&slot(&received[k], tick, number, 0), gradients);
    }
}

/// Where a slot's draws are addressed.
fn slot(received: &Received, tick: usize, number: usize, group: usize) -> Crossing {
    let first = received.first_crossing();
    Crossing { modality: number, tick: first.tick.wrapping_add((tick + group) as u64), ..*first }
}

/// The rows of consecutive groups.
fn rows_of(groups: &[usize]) -> Vec<Range<usize>> {
    let mut start = 0;
    let next = |&rows: &usize| {
        start += rows;
        start - rows..start
    };
    groups.iter().map(next).collect()
}
