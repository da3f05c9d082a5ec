use std::collections::BTreeMap;

use harness::{Outcome, Place};
use serde_json::Value;

/// What was said of a stream: answers by (number, receiver), what was skipped, and the summary.
pub(crate) struct Said {
    pub(crate) answers: BTreeMap<(u64, u64), Value>,
    pub(crate) skipped: Vec<Value>,
    pub(crate) summary: Value,
}

impl Said {
    /// What a service wrote; no sample may be answered, or skipped, twice, and every receiver's answers come in order.
    pub(crate) fn of(outcome: &Outcome) -> Self {
        let (mut answers, mut skipped) = (BTreeMap::new(), Vec::new());
        let mut lines: Vec<Value> =
            outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let summary = lines.pop().expect("a summary");
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for line in lines {
            let seq = line["seq"].as_u64().expect("a number");
            if line.get("skipped").is_some() {
                skipped.push(line);
                continue;
            }
            let receiver = line["receiver"].as_u64().expect("a receiver");
            let before = last.insert(receiver, seq);
            assert!(before.is_none_or(|before| before < seq), "{seq} after {before:?}: {line}");
            assert!(line["latency_ms"].as_f64().is_some_and(|latency| latency >= 0.0), "{line}");
            answers.insert((seq, receiver), line);
        }
        for line in &skipped {
            let receivers = line["receiver"].as_u64().map_or(vec![0, 1], |receiver| vec![receiver]);
            for receiver in receivers {
                let key = (line["seq"].as_u64().unwrap(), receiver);
                assert!(!answers.contains_key(&key), "{key:?} is answered, and skipped");
            }
        }
        assert!(summary.get("answered").is_some(), "{outcome}");
        Said { answers, skipped, summary }
    }

    /// Asserts that samples were answered as `predict` answers those rows of those passes.
    pub(crate) fn assert_equals(&self, expected: &BTreeMap<(u64, u64, u64), Value>, rows: u64, words: &str) {
        for (&(seq, receiver), line) in &self.answers {
            let expected = &expected[&(seq / rows, seq % rows, receiver)];
            assert_eq!(line["entries"], expected["entries"], "{words}: {line} beside {expected}");
            assert_eq!(line["label"], expected["answer"], "{words}: {line} beside {expected}");
            assert_eq!(line["probabilities"], expected["probabilities"], "{words}");
        }
    }
}

/// A service with these words, to its end.
pub(crate) fn serve(place: &Place, words: &str) -> Said {
    Said::of(&place.run(&format!("serve {words} --json")).done())
}

/// What `predict` answers, by (pass, row, receiver).
pub(crate) fn predicted(place: &Place, words: &str) -> BTreeMap<(u64, u64, u64), Value> {
    place.run(&format!("predict {words} --force --out answers.jsonl")).done();
    let text = std::fs::read_to_string(place.path("answers.jsonl")).unwrap();
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let number = |key: &str| line[key].as_u64().unwrap();
        ((number("pass"), number("row"), number("receiver")), line)
    };
    text.lines().map(line).collect()
}
