//! What a round of training observed.

use scenario::Scenario;

use crate::records::{
    row::{At, Row, entries},
    run_log::{Round, Selection, Validated},
};

/// Of its line in metrics.jsonl.
pub(super) fn of_metrics(scenario: &Scenario, round: &Round) -> Vec<Row> {
    let at = At::new("train", round.round);
    let (receivers, transmitters) = (scenario.receivers(), scenario.transmitters());
    let mut rows = vec![
        at.row("sum_rate", round.sum_rate),
        at.row("n_ce", round.n_ce),
        at.row("loss", round.loss),
        at.row("logl", round.logl),
        at.row("seconds", round.seconds),
        at.row("feature_bytes", round.bytes.feature as f64),
        at.row("gradient_bytes", round.bytes.gradient as f64),
        at.row("total_bytes", round.bytes.total as f64),
    ];
    rows.extend((round.bytes.table > 0).then(|| at.row("table_bytes", round.bytes.table as f64)));
    rows.extend(at.known([
        ("most_asks", round.most_asks.map(f64::from)),
        ("most_entries", round.most_entries.map(f64::from)),
    ]));
    rows.extend(round.work.iter().map(|(phase, seconds)| at.row("work_seconds", *seconds).named(phase)));
    rows.extend(round.missing.iter().flat_map(|missing| at.missing(missing)));
    rows.extend(round.rates.iter().flat_map(|rates| at.rates(rates)));
    rows.extend(round.channel.iter().flat_map(|air| at.air(air)));
    if let Some(links) = &round.link_snr_db {
        rows.extend(at.of_links("link_snr_db", links.to_rows(receivers, transmitters).into_iter()));
    }
    for (quantity, links) in [("link_bytes", &round.link_bytes), ("link_coded_bits", &round.link_coded_bits)]
    {
        let counts =
            |of: Vec<u64>| -> Vec<Option<f64>> { of.into_iter().map(|count| Some(count as f64)).collect() };
        let links = links.iter().flat_map(|links| links.to_rows(receivers, transmitters));
        rows.extend(at.of_links(quantity, links.map(counts)));
    }
    if let Some(uses) = &round.entry_uses {
        let uses = uses.to_rows(receivers, scenario.entries_per_receiver()).into_iter();
        rows.extend(at.of_entries("entry_uses", scenario, uses.map(|of| known(&of))));
    }
    rows.extend(round.validation.iter().flat_map(|validated| of_validation(round.round, validated)));
    for (quantity, values) in [("ce", &round.ce), ("rate", &round.rate)] {
        rows.extend(at.of_receivers(quantity, values));
    }
    rows
}

fn of_validation(round: u64, validated: &Validated) -> Vec<Row> {
    let at = At::new("validation", round);
    let mut rows = vec![at.row("n_ce", validated.n_ce), at.row("gap", validated.gap)];
    rows.extend(at.known([("sum_rate", validated.sum_rate)]));
    rows.extend(at.of_receivers("ce", &validated.ce));
    rows.extend(at.of_receivers("score", &validated.scores));
    rows
}

/// Of its line in selection.jsonl.
pub(super) fn of_selection(scenario: &Scenario, round: u64, selection: &Selection) -> Vec<Row> {
    let at = At::new("train", round);
    let granted = selection.granted.to_rows(scenario.receivers(), scenario.entries_per_receiver());
    let granted = granted.into_iter().map(|shares| known(&shares));
    let mut rows: Vec<Row> = at.of_entries("granted", scenario, granted).collect();
    let encoded = entries(scenario).into_iter().zip(&selection.encoded);
    rows.extend(encoded.map(|((k, m), share)| at.row("encoded", *share).sent_by(k).entry(m)));
    let asked = selection.asked.iter().enumerate();
    rows.extend(asked.map(|(k, requests)| at.row("requests", *requests).sent_by(k)));
    rows
}

fn known(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().copied().map(Some).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two transmitters, of one and two modalities, and a receiver.
    fn scenario() -> Scenario {
        let set = [
            "network.receiver_limit=1",
            "network.transmitter_limit=1",
            "transmitter=[{modalities=[\"fft\"]},{modalities=[\"noise-1\",\"mel\"]}]",
            "receiver=[{task=\"digit\"}]",
        ];
        let set = set.into_iter().map(Into::into).collect();
        coordinator::ScenarioArguments { set, ..Default::default() }.resolve().unwrap()
    }

    /// The rows of a quantity, from the receiver on and without empty cells.
    fn of(rows: &[Row], scenario: &Scenario, quantity: &str) -> Vec<String> {
        let cells = rows.iter().map(|row| row.clone().cells(scenario).collect::<Vec<_>>());
        let wanted = cells.filter(|cells| cells[2] == quantity);
        wanted
            .map(|cells| {
                let said: Vec<String> = cells[3..].iter().filter(|cell| !cell.is_empty()).cloned().collect();
                format!("{} {}", cells[0], said.join(" "))
            })
            .collect()
    }

    #[test]
    fn a_line_of_a_log_becomes_a_row_for_each_number() {
        let line = serde_json::json!({
            "round": 4, "sum_rate": 1.5, "n_ce": -2.0, "loss": 2.5, "logl": -0.5, "ce": [2.0], "rate": [1.5],
            "seconds": 0.25, "bytes": {"feature": 10, "gradient": 20, "table": 7, "total": 40},
            "most_asks": 1, "most_entries": 2,
            "missing": {"used": 8, "lost": 1, "late": 0, "absent": 0},
            "channel": {"uses": 12.0, "snr_db": 10.0, "rate_sent": 3.0, "rate_received": null, "capacity": 24.0},
            "link_snr_db": [[null, 9.5]], "entry_uses": [[0.0, 2.0, 10.0]],
            "link_bytes": [[5, 6]], "link_coded_bits": [[40, 48]],
            "rates": {"estimate_nats": 1.5, "prior_nats": 3.0, "coded_bits": 5.0, "message_bytes": 6.0,
                "socket_bytes": null},
            "validation": {"n_ce": -2.5, "gap": 0.5, "sum_rate": 1.25, "ce": [2.5], "scores": [0.75], "best": true},
            "work": {"decode": 0.125, "encode": 0.5},
        });
        let round: Round = serde_json::from_value(line).unwrap();
        let scenario = scenario();
        let rows = of_metrics(&scenario, &round);
        let of = |quantity: &str| of(&rows, &scenario, quantity);
        assert_eq!(of("n_ce"), ["train -2", "validation -2.5"]);
        assert_eq!(of("work_seconds"), ["train decode 0.125", "train encode 0.5"]);
        assert_eq!((of("table_bytes"), of("most_asks")), (vec!["train 7".into()], vec!["train 1".into()]));
        assert_eq!(
            (of("entries_used"), of("entries_lost")),
            (vec!["train 8".into()], vec!["train 1".into()])
        );
        assert_eq!((of("uses"), of("capacity")), (vec!["train 12".into()], vec!["train 24".into()]));
        assert!(of("rate_received").is_empty() && of("socket_bytes").is_empty());
        assert_eq!((of("prior_nats"), of("coded_bits")), (vec!["train 3".into()], vec!["train 5".into()]));
        assert_eq!(of("link_snr_db"), ["train 0 digit 1 9.5"]);
        assert_eq!(of("link_bytes"), ["train 0 digit 0 5", "train 0 digit 1 6"]);
        assert_eq!(of("entry_uses")[1..], ["train 0 digit 1 0 noise-1 2", "train 0 digit 1 1 mel 10"]);
        assert_eq!(of("score"), ["validation 0 digit 0.75"]);

        // A log of an older program says less.
        let line = serde_json::json!({
            "round": 0, "sum_rate": 1.5, "n_ce": -2.0, "loss": 2.5, "logl": -0.5, "seconds": 0.25,
            "bytes": {"feature": 10, "gradient": 20, "total": 40}, "work": {},
        });
        let round: Round = serde_json::from_value(line).unwrap();
        assert_eq!(of_metrics(&scenario, &round).len(), 8);
    }

    #[test]
    fn selection_is_by_entry_and_by_transmitter() {
        let line = serde_json::json!({
            "granted": [[1.0, 0.0, 0.5]], "encoded": [1.0, 0.25, 0.5], "asked": [0.75, 1.0],
        });
        let selection: Selection = serde_json::from_value(line).unwrap();
        let scenario = scenario();
        let rows = of_selection(&scenario, 3, &selection);
        let of = |quantity: &str| of(&rows, &scenario, quantity);
        let granted = ["train 0 digit 0 0 fft 1", "train 0 digit 1 0 noise-1 0", "train 0 digit 1 1 mel 0.5"];
        assert_eq!(of("granted"), granted);
        assert_eq!(of("encoded"), ["train 0 0 fft 1", "train 1 0 noise-1 0.25", "train 1 1 mel 0.5"]);
        assert_eq!(of("requests"), ["train 0 0.75", "train 1 1"]);
    }
}
