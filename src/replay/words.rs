use std::fmt::Write;

use coordinator::{OwnU, TickDraws};
use scenario::Scenario;

use super::{Samples, Source};

/// A tick in words.
pub(crate) fn of(
    scenario: &Scenario,
    round: u64,
    source: Source,
    tick: &TickDraws,
    samples: Option<&Samples>,
) -> String {
    let source = match source {
        Source::Recorded => "recorded in draws.jsonl".into(),
        Source::ComputedFrom(begin) => format!("computed again from round {begin} on"),
    };
    let mut text = format!("tick {} of round {round}, {source}\n", tick.tick);
    let numbers = |u: &[f32]| u.iter().map(|value| format!("{value:.3}")).collect::<Vec<_>>().join(" ");
    match &tick.own_u {
        None => {
            let _ = writeln!(text, "u          {}", numbers(&tick.u));
        }
        Some(OwnU { receivers, transmitters }) => {
            for (role, own) in [("receiver", receivers), ("transmitter", transmitters)] {
                for (index, u) in own.iter().enumerate() {
                    let _ = writeln!(text, "u of {role} {index} {}", numbers(u));
                }
            }
        }
    }
    match samples {
        Some(Samples { rows, sha256, .. }) => {
            let rows: Vec<String> = rows.iter().map(usize::to_string).collect();
            let _ =
                writeln!(text, "samples    training rows {}\n           SHA-256 {sha256}", rows.join(" "));
        }
        None => text += "samples    not known: the data set is not at hand (--data DIR)\n",
    }
    for (t, requests) in tick.requests.iter().enumerate() {
        let names: Vec<String> = requests.iter().map(|k| format!("transmitter {k}")).collect();
        let _ =
            writeln!(text, "receiver {t} ({}) requests {}", scenario.receiver[t].task, names.join(" and "));
    }
    let capped = tick.capped();
    for (k, choices) in tick.choices.iter().enumerate() {
        let entries = |pairs: &[(usize, usize)]| {
            let entry = |(t, m): &(usize, usize)| {
                format!("{} for receiver {t}", scenario.transmitter[k].modalities[*m])
            };
            match pairs.is_empty() {
                true => "nothing".to_owned(),
                false => pairs.iter().map(entry).collect::<Vec<_>>().join(", "),
            }
        };
        let _ = writeln!(text, "transmitter {k} chooses {}", entries(choices));
        let limit = scenario.transmitter_limit(k);
        match capped[k].is_empty() {
            true if choices.is_empty() => {}
            true => text += "              grants all of it\n",
            false => {
                let _ = writeln!(
                    text,
                    "              grants {}; the cap of {limit} takes away {}",
                    entries(&tick.grants[k]),
                    entries(&capped[k])
                );
            }
        }
    }
    text
}
