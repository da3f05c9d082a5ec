//! An axis of a sweep: a key and its values.

use anyhow::{Context, bail, ensure};
use toml::Value as Toml;

/// Upper limit on values, so that a mistyped range does not start absurdly many runs.
pub(crate) const MOST_VALUES: usize = 10_000;

/// The longest label of a value, since folders are named by it.
const LONGEST_LABEL: usize = 48;

/// A key of the scenario with its values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    pub(crate) key: String,
    /// One or more, all different.
    pub(crate) values: Vec<Value>,
}

/// A value, as written and as its label in tables and folders.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Value {
    pub(crate) text: String,
    pub(crate) label: String,
}

impl Axis {
    /// Parses `KEY=VALUES`: values separated by commas, and ranges `a..b` of integers, both ends included. Commas
    /// within brackets and quotes belong to a value.
    pub(crate) fn parse(assignment: &str) -> anyhow::Result<Self> {
        let (key, values) = assignment.split_once('=').with_context(|| {
            format!("--set {assignment}: write it as key=value,value or key=1..5, for example seed=1..5")
        })?;
        Axis::of(key.trim(), values).with_context(|| format!("--set {assignment}"))
    }

    /// The same with the key given separately.
    pub(crate) fn of(key: &str, values: &str) -> anyhow::Result<Self> {
        let mut axis = Axis { key: key.into(), values: Vec::new() };
        for piece in pieces(values)? {
            ensure!(!piece.is_empty(), "a value is missing between two commas, or at an end");
            for text in expanded(piece)? {
                axis.add(Value { label: label(&text), text })?;
            }
        }
        Ok(axis)
    }

    fn add(&mut self, value: Value) -> anyhow::Result<()> {
        ensure!(self.values.len() < MOST_VALUES, "more than {MOST_VALUES} values; sweep fewer at a time");
        let known = |known: &Value| Toml::eq(&parsed(&known.text), &parsed(&value.text));
        ensure!(!self.values.iter().any(known), "the value {} stands there twice", value.text);
        self.values.push(value);
        Ok(())
    }

    /// Whether it takes more than one value.
    pub(crate) fn varies(&self) -> bool {
        self.values.len() > 1
    }
}

/// Cuts at the commas outside of brackets and quotes.
fn pieces(text: &str) -> anyhow::Result<Vec<&str>> {
    let (mut pieces, mut start, mut depth) = (Vec::new(), 0, 0_i32);
    let (mut quote, mut escaped) = (None, false);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(_), _) if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth -= 1,
            (None, ',') if depth == 0 => {
                pieces.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        ensure!(depth >= 0, "a bracket is closed that was not opened");
    }
    ensure!(quote.is_none(), "a quote is not closed");
    ensure!(depth == 0, "a bracket is not closed");
    pieces.push(text[start..].trim());
    Ok(pieces)
}

/// The integers of a range `a..b`; any other value is kept.
fn expanded(piece: &str) -> anyhow::Result<Vec<String>> {
    let Some((low, high)) = piece.split_once("..") else { return Ok(vec![piece.into()]) };
    let (Ok(low), Ok(high)) = (low.trim().parse::<i64>(), high.trim().parse::<i64>()) else {
        return Ok(vec![piece.into()]);
    };
    if low > high {
        bail!("the range {piece} runs backwards: write {high}..{low}");
    }
    if high.abs_diff(low) >= MOST_VALUES as u64 {
        bail!("the range {piece} has more than {MOST_VALUES} numbers; sweep fewer at a time");
    }
    Ok((low..=high).map(|number| number.to_string()).collect())
}

/// A value as TOML; other text is a string, as with `run --set`.
fn parsed(text: &str) -> Toml {
    let table: Option<toml::Table> = format!("value = {text}").parse().ok();
    table.and_then(|mut table| table.remove("value")).unwrap_or_else(|| Toml::String(text.into()))
}

/// The label of a value: numbers in one spelling, and other text reduced to characters that are safe in a path.
pub(crate) fn label(text: &str) -> String {
    match parsed(text) {
        Toml::Integer(number) => number.to_string(),
        Toml::Float(number) if number == 0.0 || (1e-4..1e15).contains(&number.abs()) => number.to_string(),
        Toml::Float(number) => format!("{number:e}"),
        Toml::String(text) => safe(&text),
        _ => safe(text),
    }
}

fn safe(text: &str) -> String {
    let letters = text.chars().map(|letter| match letter {
        _ if letter.is_ascii_alphanumeric() => letter,
        '.' | '_' | '+' => letter,
        _ => '-',
    });
    letters.take(LONGEST_LABEL).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(assignment: &str) -> Vec<String> {
        Axis::parse(assignment).unwrap().values.into_iter().map(|value| value.text).collect()
    }

    #[test]
    fn lists_and_ranges_give_their_values_in_order() {
        assert_eq!(texts("train.beta=0,1e-4, 1e-3"), ["0", "1e-4", "1e-3"]);
        assert_eq!(texts("seed=1..3,7,-2..-1"), ["1", "2", "3", "7", "-2", "-1"]);
        assert_eq!(texts("train.method=pom2dib"), ["pom2dib"]);
    }

    #[test]
    fn arrays_tables_and_quoted_strings_are_one_value() {
        assert_eq!(texts("mmfi.test_subjects=[1,2],[3]"), ["[1,2]", "[3]"]);
        assert_eq!(texts("link=[{loss=0.1, delay=0.5}]"), ["[{loss=0.1, delay=0.5}]"]);
        assert_eq!(texts(r#"name="a,b",'c"d',"e\",f""#), [r#""a,b""#, r#"'c"d'"#, r#""e\",f""#]);
        assert_eq!(texts("data.path=../data,1..x"), ["../data", "1..x"]);
    }

    #[test]
    fn a_value_has_one_label_however_it_is_spelled() {
        let labels =
            ["1e-3", "0.001", "1.0e-3", "0.0", "-2", "6.25e-6", "\"a/b c\"", "../x", "[1, 2]"].map(label);
        assert_eq!(labels, ["0.001", "0.001", "0.001", "0", "-2", "6.25e-6", "a-b-c", "..-x", "-1--2-"]);
    }

    #[test]
    fn mistakes_are_named() {
        for (assignment, expected) in [
            ("seed", "write it as key=value,value or key=1..5"),
            ("seed=1,,2", "a value is missing"),
            ("seed=", "a value is missing"),
            ("seed=5..1", "the range 5..1 runs backwards: write 1..5"),
            ("seed=0..9999999999", "more than 10000 numbers"),
            ("seed=1..3,2", "the value 2 stands there twice"),
            ("train.beta=1e-3,0.001", "the value 0.001 stands there twice"),
            ("link=[{loss=0.1}", "a bracket is not closed"),
            ("link=1]", "a bracket is closed that was not opened"),
            ("name=\"a", "a quote is not closed"),
        ] {
            let message = format!("{:#}", Axis::parse(assignment).unwrap_err());
            assert!(
                message.starts_with(&format!("--set {assignment}: ")) && message.contains(expected),
                "{message}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_range_has_all_its_numbers(low in -1000_i64..1000, count in 1_i64..300) {
            let expected: Vec<String> = (low..low + count).map(|number| number.to_string()).collect();
            prop_assert_eq!(texts(&format!("seed={low}..{}", low + count - 1)), expected);
        }

        #[test]
        fn any_list_of_toml_values_is_cut_where_it_was_joined(
            values in proptest::collection::btree_set("[a-z,\\]\\['{}=\\\\ ]{0,8}", 1..6)
        ) {
            let values: Vec<String> = values.into_iter().map(|value| Toml::String(value).to_string()).collect();
            prop_assume!(values.iter().all(|value| !value.starts_with("'''") && !value.starts_with("\"\"\"")));
            prop_assert_eq!(texts(&format!("name={}", values.join(","))), values);
        }

        #[test]
        fn arbitrary_text_never_panics_and_labels_are_safe_in_paths(text in any::<String>()) {
            if let Ok(axis) = Axis::parse(&text) {
                for value in axis.values {
                    prop_assert!(!value.label.contains(['/', '\0', ',', '=']), "{}", value.label);
                }
            }
        }
    }
}
