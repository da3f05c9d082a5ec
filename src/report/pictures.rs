//! What the pictures of a report are drawn from: the rounds of a run in the form that its page has, so that the page's
//! own scripts draw them.

use std::collections::{BTreeMap, BTreeSet};

use coordinator::Grid;
use serde_json::{Map, Value, json};

use super::{over_snr::points, recorded::Recorded};
use crate::records::run_log;

/// Most rounds of a run in a report; of a longer run, consecutive rounds are merged.
const MOST_ROUNDS: usize = 600;

/// How many rounds are merged in one point.
pub(crate) fn together(rounds: usize) -> usize {
    rounds.div_ceil(MOST_ROUNDS).max(1)
}

/// The state of a run, as `/api/run` of its page has it. Of merged rounds there are the means, and in `low` and `high`
/// the range.
///
/// # Errors
/// The malformed line of metrics.jsonl.
pub(crate) fn state(run: &Recorded) -> anyhow::Result<Value> {
    let metrics: Vec<Value> = run_log::values(&run.path)?;
    let size = together(metrics.len());
    let rounds: Vec<Value> = (metrics.chunks(size).enumerate())
        .map(|(at, rounds)| merged_rounds(rounds, run.granted.get(at * size..).unwrap_or_default()))
        .collect();
    let summary = run.summary.as_ref().map(|summary| {
        json!({ "test": { "entry_rates": summary.test.entry_rates }, "strengths": summary.strengths })
    });
    let about = ::page::about(&run.scenario, &run.folder);
    let late = json!({ "rounds": run.late_rounds(), "granted": run.late_selection() });
    let state = json!({
        "run": about, "rounds": rounds, "late": late, "summary": summary, "status": {}, "events": [], "stride": 1,
        "over_snr": run.over_snr.as_ref().map(points),
    });
    Ok(state)
}

/// Some rounds as one; `granted` are the grants of these and later ones.
fn merged_rounds(rounds: &[Value], granted: &[Grid<f64>]) -> Value {
    let granted = &granted[..rounds.len().min(granted.len())];
    let grants: Vec<Value> = granted.iter().map(|round| json!(round)).collect();
    let grants = if grants.is_empty() { Value::Null } else { json!({ "granted": merged(&grants, mean) }) };
    let ends = [0, rounds.len() - 1].map(|at| rounds[at]["round"].clone());
    let mut round =
        json!({ "first": ends[0], "round": ends[1], "metrics": merged(rounds, mean), "selection": grants });
    if rounds.len() > 1 {
        round["low"] = merged(rounds, |values| values.iter().copied().fold(f64::INFINITY, f64::min));
        round["high"] = merged(rounds, |values| values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    }
    round
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Values of one form as one, in which each number is `of` the numbers at its place. A value alone stays as it is.
fn merged(values: &[Value], of: fn(&[f64]) -> f64) -> Value {
    if let [value] = values {
        return value.clone();
    }
    let at = |inner: &dyn Fn(&Value) -> Option<&Value>| {
        merged(&values.iter().filter_map(inner).cloned().collect::<Vec<_>>(), of)
    };
    match values.iter().find(|value| !value.is_null()) {
        Some(first) if first.get("shape").is_some() => merged_grids(first, values, of),
        Some(Value::Object(_)) => {
            let keys: BTreeSet<&String> =
                values.iter().filter_map(Value::as_object).flat_map(Map::keys).collect();
            keys.into_iter()
                .map(|key| (key.clone(), at(&|value| value.get(key))))
                .collect::<Map<_, _>>()
                .into()
        }
        Some(Value::Array(items)) => (0..items.len()).map(|item| at(&|value| value.get(item))).collect(),
        Some(Value::Number(_)) => merged_numbers(values.iter(), of),
        _ => Value::Null,
    }
}

/// Tables of what is not zero as one: at a place that only some of them say, the others are at rest.
fn merged_grids(first: &Value, grids: &[Value], of: fn(&[f64]) -> f64) -> Value {
    let grids: Vec<&Value> = grids.iter().filter(|grid| grid.is_object()).collect();
    let mut places: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    for (position, grid) in grids.iter().enumerate() {
        for (at, is) in list(grid, "at").iter().zip(list(grid, "is")) {
            let Some(at) = at.as_u64() else { continue };
            places.entry(at).or_insert_with(|| vec![&first["rest"]; grids.len()])[position] = is;
        }
    }
    let at: Vec<u64> = places.keys().copied().collect();
    let is: Vec<Value> = places.into_values().map(|values| merged_numbers(values.into_iter(), of)).collect();
    json!({ "shape": first["shape"], "rest": first["rest"], "at": at, "is": is })
}

fn list<'a>(grid: &'a Value, key: &str) -> &'a [Value] {
    grid[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn merged_numbers<'a>(values: impl Iterator<Item = &'a Value>, of: fn(&[f64]) -> f64) -> Value {
    let numbers: Vec<f64> = values.filter_map(Value::as_f64).collect();
    // Six digits are more than a picture shows.
    format!("{:.5e}", of(&numbers)).parse::<f64>().map_or(Value::Null, Value::from)
}

/// The place of a picture: the page's script draws it from the data at this index, and keeps what is there in its place
/// until then.
pub(crate) fn picture(name: &str, at: usize, content: &str) -> String {
    format!("<div data-picture=\"{name}\" data-at=\"{at}\">{content}</div>\n")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn rounds_that_are_merged_keep_their_means_and_ranges() {
        let round = |round: u64| {
            let mut line =
                json!({ "round": round, "ce": [round, 2.0], "work": { "rate": 0.5 }, "rates": null });
            if round == 8 {
                line["validation"] = json!({ "n_ce": -1.0 });
            }
            line
        };
        let rounds: Vec<Value> = (7..10).map(round).collect();
        let grid = |share: f64| Grid::<f64>::deserialize(json!([[share]])).unwrap();
        let granted = [0.0, 1.0, 0.5, 9.0].map(grid);
        let one = merged_rounds(&rounds, &granted);
        assert_eq!((&one["first"], &one["round"]), (&json!(7), &json!(9)));
        assert_eq!(one["metrics"]["ce"], json!([8.0, 2.0]));
        assert_eq!((&one["low"]["ce"][0], &one["high"]["ce"][0]), (&json!(7.0), &json!(9.0)));
        assert_eq!(one["metrics"]["validation"]["n_ce"], -1.0, "the only one");
        assert_eq!(one["selection"]["granted"], json!([[0.5]]));
        assert_eq!(
            merged_rounds(&rounds[..1], &[])["metrics"],
            rounds[0],
            "one round stays as it was logged"
        );
        assert_eq!((together(0), together(600), together(601)), (1, 1, 2));
    }

    #[test]
    fn tables_of_what_is_not_zero_are_merged_as_whole_ones_are() {
        let whole = [
            json!({ "granted": [[0.0, 1.0], [0.5, 0.0]], "db": [[null, null]] }),
            json!({ "granted": [[0.0, 0.0], [0.5, 0.0]], "db": [[0.0, null]] }),
            json!({ "granted": [[0.0, 0.5], [0.5, 0.0]], "db": [[9.0, null]] }),
        ];
        let sparse = [
            json!({ "granted": { "shape": [2, 2], "rest": 0.0, "at": [1, 2], "is": [1.0, 0.5] },
                "db": { "shape": [1, 2], "rest": null, "at": [], "is": [] } }),
            json!({ "granted": { "shape": [2, 2], "rest": 0.0, "at": [2], "is": [0.5] },
                "db": { "shape": [1, 2], "rest": null, "at": [0], "is": [0.0] } }),
            json!({ "granted": { "shape": [2, 2], "rest": 0.0, "at": [1, 2], "is": [0.5, 0.5] },
                "db": { "shape": [1, 2], "rest": null, "at": [0], "is": [9.0] } }),
        ];
        let shares = |merged: &Value| Grid::<f64>::deserialize(&merged["granted"]).unwrap().to_rows(2, 2);
        let decibels =
            |merged: &Value| Grid::<Option<f64>>::deserialize(&merged["db"]).unwrap().to_rows(1, 2);
        let least: fn(&[f64]) -> f64 = |values| values.iter().copied().fold(f64::INFINITY, f64::min);
        for (of, share, db) in [(mean as fn(&[f64]) -> f64, 0.5, 4.5), (least, 0.0, 0.0)] {
            for rounds in [&whole, &sparse] {
                let merged = merged(rounds, of);
                assert_eq!(shares(&merged), [[0.0, share], [0.5, 0.0]], "{merged}");
                assert_eq!(decibels(&merged), [[Some(db), None]], "{merged}");
            }
        }
    }
}
