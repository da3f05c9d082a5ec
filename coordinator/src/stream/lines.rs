//! Samples as lines of JSON.

use std::{
    collections::BTreeMap,
    io::{BufRead, Read},
};

use tokio::sync::mpsc;

use super::Names;

/// No number of a sample is larger: JSON's numbers are exact up to here.
const LARGEST_SEQ: u64 = 1 << 53;

/// Characters that a value may take in a line.
const OF_VALUE: usize = 32;

/// Values by entry in (k, m) order, where there are any.
type Values = Vec<Option<Vec<f32>>>;

/// What a line came to.
pub(crate) enum Line {
    /// A sample, or a part of one.
    Given(Given),
    /// Nothing: what was wrong, in one line.
    Wrong(String),
}

/// A sample, or a part of one.
#[derive(Debug, PartialEq)]
pub(crate) struct Given {
    pub(crate) seq: u64,
    /// Who sent it, and which line it was, for complaints.
    pub(crate) from: String,
    pub(crate) observed: Values,
}

/// Reads lines until they end, or nobody wants them any more.
pub(crate) fn read_lines(mut reader: impl BufRead, who: &str, names: &Names, into: &mpsc::Sender<Line>) {
    let longest = 4096 + OF_VALUE * names.widths.iter().sum::<usize>();
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        let from = format!("{who}: line {number}");
        let read = reader.by_ref().take(longest as u64 + 1).read_until(b'\n', &mut line);
        let found = match read {
            Ok(0) => return,
            Ok(_) if line.len() > longest => {
                if !skip_line(&mut reader, &line) {
                    return;
                }
                Err(format!("it has more than {longest} characters, and no sample needs as many"))
            }
            Ok(_) if line.iter().all(u8::is_ascii_whitespace) => continue,
            Ok(_) => parse(&line, names),
            Err(error) => Err(error.to_string()),
        };
        let ends = read_failed(&found, &line);
        let said = match found {
            Ok((seq, observed)) => Line::Given(Given { seq, from, observed }),
            Err(what) => Line::Wrong(format!("{from}: {what}: dropped")),
        };
        if into.blocking_send(said).is_err() || ends {
            return;
        }
    }
}

/// Whether nothing could be read at all.
fn read_failed<T>(found: &Result<T, String>, line: &[u8]) -> bool {
    found.is_err() && line.is_empty()
}

/// Reads on to the end of a line that is too long; false if there is no more.
fn skip_line(reader: &mut impl BufRead, so_far: &[u8]) -> bool {
    let mut ended = so_far.ends_with(b"\n");
    while !ended {
        let Ok(more) = reader.fill_buf() else { return false };
        if more.is_empty() {
            return true;
        }
        let end = more.iter().position(|&byte| byte == b'\n');
        let count = end.map_or(more.len(), |end| end + 1);
        ended = end.is_some();
        reader.consume(count);
    }
    true
}

/// Number and values of a line: `{"seq": 7, "fft": [...], "1:mel": [...]}`. A modality's name stands for it at every transmitter that
/// observes it, with a number before it at that transmitter alone.
fn parse(line: &[u8], names: &Names) -> Result<(u64, Values), String> {
    let form = "give {\"seq\": NUMBER, \"MODALITY\": [VALUES], ...}";
    let object: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(line).map_err(|error| format!("{error}; {form}"))?;
    let seq = object.get("seq").and_then(serde_json::Value::as_u64).filter(|seq| *seq <= LARGEST_SEQ);
    let seq = seq.ok_or_else(|| format!("it has no seq that is a whole number from 0 to 2^53; {form}"))?;
    let mut observed = vec![None; names.entries.len()];
    // Names without a number come after those with one, which are digits: and do not take their place.
    for (key, value) in object.iter().filter(|(key, _)| *key != "seq") {
        let own = names.entries.iter().position(|entry| entry == key);
        let bare = |entry: &String| entry.split_once(':').is_some_and(|(_, name)| name == key);
        let places: Vec<usize> = match own {
            Some(own) => vec![own],
            None => (0..names.entries.len()).filter(|&at| bare(&names.entries[at])).collect(),
        };
        let Some(&first) = places.first() else {
            let key: String = key.chars().take(40).collect();
            return Err(format!("nobody observes {key:?}: there are {}", names.entries.join(", ")));
        };
        let values = numbers(value).ok_or_else(|| format!("{key} is no list of finite numbers"))?;
        if values.len() != names.widths[first] {
            return Err(format!(
                "{key} has {} values, and a sample of it has {}",
                values.len(),
                names.widths[first]
            ));
        }
        for place in places {
            if own.is_some() || observed[place].is_none() {
                observed[place] = Some(values.clone());
            }
        }
    }
    Ok((seq, observed))
}

fn numbers(value: &serde_json::Value) -> Option<Vec<f32>> {
    let number =
        |value: &serde_json::Value| value.as_f64().map(|value| value as f32).filter(|v| v.is_finite());
    value.as_array()?.iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            modalities: vec![vec!["a".into(), "b".into()], vec!["a".into()]],
            entries: vec!["0:a".into(), "0:b".into(), "1:a".into()],
            widths: vec![2, 1, 2],
            tasks: Vec::new(),
            classes: BTreeMap::new(),
        }
    }

    fn read(text: &str) -> Vec<Result<Given, String>> {
        let (into, mut lines) = mpsc::channel(100);
        read_lines(text.as_bytes(), "x", &names(), &into);
        drop(into);
        let line = |line| match line {
            Line::Given(given) => Ok(given),
            Line::Wrong(what) => Err(what),
        };
        std::iter::from_fn(|| lines.blocking_recv()).map(line).collect()
    }

    #[test]
    fn a_line_has_values_by_modality_or_by_entry() {
        let found =
            read("{\"seq\": 3, \"a\": [1, 2.5], \"b\": [-1e3]}\n\n{\"seq\":4,\"a\":[0,0],\"1:a\":[7,8]}");
        let a = Some(vec![1.0, 2.5]);
        let first =
            Given { seq: 3, from: "x: line 1".into(), observed: vec![a.clone(), Some(vec![-1000.0]), a] };
        assert_eq!(found[0].as_ref().unwrap(), &first);
        assert_eq!(found[1].as_ref().unwrap().observed, [Some(vec![0.0, 0.0]), None, Some(vec![7.0, 8.0])]);
    }

    #[test]
    fn a_wrong_line_is_one_line_of_complaint_and_others_are_read() {
        let long = format!("{{\"seq\": 1, \"a\": [{}]}}", "0.25, ".repeat(5000));
        for (line, word) in [
            ("{\"seq\": 1, \"a\": [1, NaN]}", "give {"),
            ("{\"seq\": 1, \"a\": [1, 1e999]}", "give {"),
            ("{\"seq\": 1, \"a\": [1, 1e300]}", "finite"),
            ("{\"seq\": 1, \"a\": [1]}", "a has 1 values, and a sample of it has 2"),
            ("{\"seq\": 1, \"c\": [1]}", "there are 0:a, 0:b, 1:a"),
            ("{\"seq\": -1}", "no seq"),
            ("{\"seq\": 1.5}", "no seq"),
            ("{\"seq\": 99999999999999999}", "no seq"),
            ("[1, 2]", "give {"),
            ("\u{0}\u{1}", "give {"),
            (&long, "characters"),
        ] {
            let found = read(&format!("{line}\n{{\"seq\": 2}}\n"));
            let complaint = found[0].as_ref().unwrap_err();
            assert!(complaint.contains(word) && complaint.starts_with("x: line 1: "), "{complaint}");
            assert!(!complaint.contains('\n'), "{complaint}");
            assert_eq!(found[1].as_ref().unwrap().seq, 2, "{line}");
            assert_eq!(found.len(), 2);
        }
    }
}
