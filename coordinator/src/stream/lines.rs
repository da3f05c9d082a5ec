//! Samples as lines of JSON, and as arrays behind such lines.

use std::{
    collections::BTreeMap,
    io::{BufRead, Read},
};

use data::OutOfStep;
use tokio::sync::mpsc;

use super::{
    Names,
    observed::{Observed, Values},
    remote::Reply,
};

/// No number of a sample is larger: JSON's numbers are exact up to here.
pub(crate) const LARGEST_SEQ: u64 = 1 << 53;

/// Characters that a value may take in a line.
const OF_VALUE: usize = 32;

/// The key that names the arrays behind a line.
const ARRAYS: &str = "npy";

const FORM: &str = "give {\"seq\": NUMBER, \"MODALITY\": [VALUES], ...}";

/// What a line came to.
pub(crate) enum Line {
    /// A sample, or a part of one; and for a caller who waits for it, how to reply.
    Given(Given, Option<Reply>),
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

/// Why a line is no sample.
enum Refusal {
    /// What follows it can be read.
    Line(String),
    /// Where the next line begins is not known.
    Rest(String),
}

/// Reads lines, and the arrays that they announce, until the input ends or the service takes no more samples.
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
                let what = format!("it has more than {longest} characters, and no sample needs as many");
                Err(Refusal::Line(what))
            }
            Ok(_) if line.iter().all(u8::is_ascii_whitespace) => continue,
            Ok(_) => parse(&line, &mut reader, names),
            Err(error) => Err(Refusal::Rest(error.to_string())),
        };
        let is_last = matches!(found, Err(Refusal::Rest(_)));
        let said = match found {
            Ok((seq, observed)) => Line::Given(Given { seq, from, observed }, None),
            Err(Refusal::Line(what)) => Line::Wrong(format!("{from}: {what}: dropped")),
            Err(Refusal::Rest(what)) => {
                Line::Wrong(format!("{from}: {what}: nothing more is read from there"))
            }
        };
        if into.blocking_send(said).is_err() || is_last {
            return;
        }
    }
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

/// Number and values of a line: `{"seq": 7, "fft": [...], "1:mel": [...]}`. A modality's name stands for it at every
/// transmitter that observes it, with a number before it at that transmitter alone. Of
/// `{"seq": 7, "npy": ["fft", "mel"]}` the values are the arrays behind the line.
fn parse(line: &[u8], reader: &mut impl Read, names: &Names) -> Result<(u64, Values), Refusal> {
    let object: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(line).map_err(|error| Refusal::Line(format!("{error}; {FORM}")))?;
    let mut observed = Observed::new(names, None);
    // Arrays are read, or read past, whatever else is wrong with the line: the next begins behind them.
    let announced = object.get(ARRAYS).and_then(texts);
    if let Some(keys) = &announced {
        read_arrays(keys, reader, &mut observed)?;
    }
    let seq = object.get("seq").and_then(serde_json::Value::as_u64).filter(|seq| *seq <= LARGEST_SEQ);
    let no_seq = || Refusal::Line(format!("it has no seq that is a whole number from 0 to 2^53; {FORM}"));
    let seq = seq.ok_or_else(no_seq)?;
    for (key, value) in object.iter().filter(|(key, _)| *key != "seq") {
        if announced.is_some() && key == ARRAYS {
            continue;
        }
        // An unknown name is complained of before its values.
        observed.width(key).map_err(Refusal::Line)?;
        let values =
            numbers(value).ok_or_else(|| Refusal::Line(format!("{key} is no list of finite numbers")))?;
        observed.take(key, values).map_err(Refusal::Line)?;
    }
    Ok((seq, observed.values()))
}

/// Reads the array of each key, in order. The first that is not as it should be is what is wrong with the line.
fn read_arrays(keys: &[String], reader: &mut impl Read, observed: &mut Observed<'_>) -> Result<(), Refusal> {
    let mut first = None;
    for key in keys {
        let width = observed.width(key);
        let array = data::read_npy(reader, *width.as_ref().unwrap_or(&0));
        let array = array.map_err(|OutOfStep(what)| Refusal::Rest(format!("the array of {key} {what}")))?;
        let taken = width.and_then(|_| {
            let values = array.map_err(|what| format!("the array of {key} {what}"))?;
            observed.take(key, values)
        });
        first = first.or(taken.err());
    }
    first.map_or(Ok(()), |what| Err(Refusal::Line(what)))
}

/// A list of texts.
fn texts(value: &serde_json::Value) -> Option<Vec<String>> {
    let texts = value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned));
    texts.collect::<Option<Vec<_>>>().filter(|texts| !texts.is_empty())
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

    fn read(text: impl AsRef<[u8]>) -> Vec<Result<Given, String>> {
        let (into, mut lines) = mpsc::channel(100);
        read_lines(text.as_ref(), "x", &names(), &into);
        drop(into);
        let line = |line| match line {
            Line::Given(given, _) => Ok(given),
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
            let found = read(format!("{line}\n{{\"seq\": 2}}\n"));
            let complaint = found[0].as_ref().unwrap_err();
            assert!(complaint.contains(word) && complaint.starts_with("x: line 1: "), "{complaint}");
            assert!(!complaint.contains('\n'), "{complaint}");
            assert_eq!(found[1].as_ref().unwrap().seq, 2, "{line}");
            assert_eq!(found.len(), 2);
        }
    }

    /// A .npy file of float32, one axis.
    fn npy(values: &[f32]) -> Vec<u8> {
        let head = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({},), }}\n", values.len());
        let values = values.iter().flat_map(|value| value.to_le_bytes());
        [b"\x93NUMPY\x01\x00", (head.len() as u16).to_le_bytes().as_slice(), head.as_bytes()]
            .concat()
            .into_iter()
            .chain(values)
            .collect()
    }

    #[test]
    fn arrays_follow_the_line_that_announces_them_and_lines_may_follow_these() {
        let stream = [
            b"{\"seq\": 3, \"npy\": [\"a\", \"b\"]}\n".to_vec(),
            npy(&[1.0, 2.5]),
            npy(&[-3.0]),
            b"{\"seq\": 4, \"a\": [1, 2.5]}\n{\"seq\": 5, \"npy\": [\"1:a\"], \"b\": [4]}\n".to_vec(),
            npy(&[10.0, 13.0]),
        ]
        .concat();
        let found: Vec<Given> = read(stream).into_iter().map(Result::unwrap).collect();
        let a = Some(vec![1.0, 2.5]);
        assert_eq!((found[0].seq, &found[0].observed), (3, &vec![a.clone(), Some(vec![-3.0]), a.clone()]));
        assert_eq!((found[1].seq, &found[1].observed), (4, &vec![a.clone(), None, a]));
        assert_eq!(
            (found[2].seq, &found[2].observed),
            (5, &vec![None, Some(vec![4.0]), Some(vec![10.0, 13.0])])
        );
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn a_wrong_array_is_read_past_and_what_is_none_ends_the_stream() {
        for (line, arrays, word) in [
            (
                "{\"seq\": 1, \"npy\": [\"a\", \"b\"]}",
                vec![npy(&[1.0]), npy(&[1.0])],
                "array of a has 1 values",
            ),
            ("{\"seq\": 1, \"npy\": [\"c\"]}", vec![npy(&[1.0, 2.0])], "there are 0:a"),
            ("{\"npy\": [\"b\"]}", vec![npy(&[1.0])], "no seq"),
            ("{\"seq\": 1, \"npy\": [\"b\"], \"d\": [1]}", vec![npy(&[1.0])], "nobody observes \"d\""),
            ("{\"seq\": 1, \"npy\": [\"b\"]}", vec![npy(&[f32::NAN])], "holds NaN"),
            ("{\"seq\": 1, \"npy\": [1]}", vec![], "nobody observes \"npy\""),
        ] {
            let stream =
                [line.as_bytes().to_vec(), b"\n".to_vec(), arrays.concat(), b"{\"seq\": 2}\n".to_vec()];
            let found = read(stream.concat());
            let complaint = found[0].as_ref().unwrap_err();
            assert!(complaint.contains(word) && !complaint.contains('\n'), "{complaint}");
            assert_eq!((found[1].as_ref().unwrap().seq, found.len()), (2, 2), "{line}");
        }
        let found = read("{\"seq\": 1, \"npy\": [\"b\"]}\n{\"seq\": 2}\n{\"seq\": 3}\n");
        let complaint = found[0].as_ref().unwrap_err();
        assert!(
            complaint.contains("is no .npy file") && complaint.ends_with("nothing more is read from there")
        );
        assert_eq!(found.len(), 1);
    }
}
