//! The lines of small and of large networks.

use std::fs;

use bytes::Bytes;
use node::Traces;
use proto::v1::Air;
use serde::de::DeserializeOwned;

use super::*;
use crate::page::Readers;

/// K = T = `size`, with two modalities each; 20 ticks a round.
fn scenario(size: usize) -> Scenario {
    let text = format!(
        "[network]\ntransmitters = {size}\nreceivers = {size}\nreceiver_limit = 1\n[train]\nticks_per_round = 20\n\
         [[transmitter]]\nmodalities = [\"fft\", \"noise-1\"]\n[[receiver]]\ntask = \"digit\"\n"
    );
    Scenario::parse(&text, "test", &[]).unwrap()
}

fn rounds(size: usize, folder: &RunFolder, first: u64) -> Rounds {
    let scenario = scenario(size);
    let obey: Option<fn(::page::Command) -> Result<(), String>> = None;
    let watch = ::page::Watch::new(Value::Null, folder.path(), || Value::Null, obey);
    let traces = Traces::begin(None, "test");
    let readers = Readers { is_served: false, is_scraped: false, traces, writes: false };
    let feed = Arc::new(Feed::new(&scenario, Bytes::new(), watch, readers));
    Rounds::new(&scenario, folder, first, None, false, feed).unwrap()
}

/// Whether receiver t is granted anything of transmitter k: each of a few.
fn is_granted(t: usize, k: usize) -> bool {
    (t + k).is_multiple_of(2) && t.abs_diff(k) < 4
}

/// By receiver, a value for each transmitter that grants it anything, and another for all others.
fn by_link<T: Copy>(size: usize, granted: T, rest: T) -> Vec<Vec<T>> {
    let value = |t, k| if is_granted(t, k) { granted } else { rest };
    (0..size).map(|t| (0..size).map(|k| value(t, k)).collect()).collect()
}

/// By receiver and (k, m), the same: both modalities are granted alike.
fn by_entry<T: Copy>(size: usize, granted: T, rest: T) -> Vec<Vec<T>> {
    let both = |row: Vec<T>| row.into_iter().flat_map(|value| [value, value]).collect::<Vec<T>>();
    by_link(size, granted, rest).into_iter().map(both).collect()
}

/// A round that all nodes report, 5 of 20 ticks for every granted entry; and its lines.
fn reported(size: usize, folder: &RunFolder) -> (Rounds, [String; 2]) {
    let mut rounds = rounds(size, folder, 0);
    for k in 0..size {
        let report = TransmitterRound { encoded: vec![5, 10], requested: 5, ..TransmitterRound::default() };
        rounds.transmitter(k, report).unwrap();
    }
    let air = Air { uses: 12.0, noisy_uses: 12.0, capacity: 12.0 * 11.0_f64.ln(), ..Air::default() };
    let rows = by_entry(size, 5, 0).into_iter().zip(by_entry(size, 12.0, 0.0));
    let of_links = by_link(size, 4000, 0).into_iter().zip(by_link(size, air, Air::default()));
    for (t, ((granted, entry_uses), (link_bytes, links))) in rows.zip(of_links).enumerate() {
        let report = ReceiverRound {
            cross_entropy: 0.5,
            granted,
            entry_uses,
            link_bytes,
            links,
            ..ReceiverRound::default()
        };
        rounds.receiver(t, report).unwrap();
    }
    (rounds, [METRICS, SELECTION].map(|name| fs::read_to_string(folder.file(name)).unwrap()))
}

#[test]
fn the_lines_of_a_small_network_say_every_number() {
    let directory = tempfile::tempdir().unwrap();
    let (_, [metrics, selection]) = reported(2, &RunFolder::at(directory.path()));
    assert_eq!(
        metrics,
        "{\"round\":0,\"sum_rate\":0.0,\"n_ce\":-1.0,\"loss\":0.0,\"logl\":0.0,\"ce\":[0.5,0.5],\"rate\":[0.0,0.0],\
         \"seconds\":0.0,\"bytes\":{\"feature\":0,\"gradient\":0,\"total\":0},\"most_asks\":0,\"most_entries\":0,\
         \"link_snr_db\":[[10.0,null],[null,10.0]],\"entry_uses\":[[12.0,12.0,0.0,0.0],[0.0,0.0,12.0,12.0]],\
         \"link_bytes\":[[4000,0],[0,4000]],\"work\":{}}\n"
    );
    assert_eq!(
        selection,
        "{\"round\":0,\"granted\":[[0.25,0.25,0.0,0.0],[0.0,0.0,0.25,0.25]],\"encoded\":[0.25,0.5,0.25,0.5],\
         \"asked\":[0.25,0.25]}\n"
    );
}

#[test]
fn the_lines_of_a_large_network_leave_out_what_is_zero_and_say_the_same() {
    // 45 x 90 entries are few enough, 46 x 92 are not.
    for (size, is_sparse) in [(45, false), (46, true)] {
        let directory = tempfile::tempdir().unwrap();
        let folder = RunFolder::at(directory.path());
        let (rounds, text) = reported(size, &folder);
        let [metrics, selection] = text.each_ref().map(|line| serde_json::from_str::<Value>(line).unwrap());
        for grid in
            [&selection["granted"], &metrics["link_snr_db"], &metrics["entry_uses"], &metrics["link_bytes"]]
        {
            assert_eq!((grid.is_object(), grid.is_array()), (is_sparse, !is_sparse), "{size}: {grid}");
        }
        assert_says(&selection["granted"], by_entry(size, 0.25, 0.0));
        assert_says(&metrics["link_snr_db"], by_link(size, Some(10.0), None::<f64>));
        assert_says(&metrics["entry_uses"], by_entry(size, 12.0, 0.0));
        assert_says(&metrics["link_bytes"], by_link(size, 4000_u64, 0));
        assert_eq!(selection["encoded"].as_array().map(Vec::len), Some(2 * size));

        // A coordinator that goes on counts the same grants from the line.
        let again = self::rounds(size, &folder, 1);
        let granted = 5 * by_entry(size, 1_u64, 0).concat().iter().sum::<u64>();
        assert_eq!((&again.totals, again.totals.late[0]), (&rounds.totals, (granted / 2, granted)));
    }
}

/// The numbers of a line are these.
fn assert_says<T>(grid: &Value, rows: Vec<Vec<T>>)
where
    T: Copy + Default + PartialEq + DeserializeOwned + std::fmt::Debug,
{
    let grid = Grid::<T>::deserialize(grid).unwrap();
    assert!(grid.fits(rows.len(), rows[0].len()));
    assert_eq!(grid.to_rows(rows.len(), rows[0].len()), rows);
}
