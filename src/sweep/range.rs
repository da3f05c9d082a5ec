//! A range of a key's values, from which a search draws.

use anyhow::{bail, ensure};

/// Digits of a drawn number: enough for any setting, and short enough for a folder's name.
const DIGITS: usize = 4;

/// Numbers between two ends, both included.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Range {
    pub(crate) key: String,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Whether ratios count instead of differences.
    pub(crate) log: bool,
    /// Whether only whole numbers are drawn.
    pub(crate) integer: bool,
}

impl Range {
    /// Parses `low..high`, `low..high:log`, of integers or other numbers. None if the text is no range of numbers.
    ///
    /// # Errors
    /// If it is one from which nothing can be drawn.
    pub(crate) fn parse(key: &str, text: &str) -> anyhow::Result<Option<Self>> {
        let (ends, kind) = match text.trim().rsplit_once(':') {
            Some((ends, kind)) => (ends, Some(kind.trim())),
            None => (text.trim(), None),
        };
        let Some((low, high)) = ends.split_once("..") else { return Ok(None) };
        let (low, high) = (low.trim(), high.trim());
        let (Ok(from), Ok(to)) = (low.parse::<f64>(), high.parse::<f64>()) else { return Ok(None) };
        let log = match kind {
            None => false,
            Some("log") => true,
            Some(other) => {
                bail!("{key}={text}: there is no kind {other} of ranges; write {ends}:log, or {ends}")
            }
        };
        ensure!(from.is_finite() && to.is_finite(), "{key}={text}: both ends must be finite");
        ensure!(from < to, "{key}={text}: the first end must be below the second");
        ensure!(!log || from > 0.0, "{key}={text}: on a logarithmic scale both ends are above 0");
        let integer = [low, high].iter().all(|end| end.parse::<i64>().is_ok());
        Ok(Some(Range { key: key.into(), low: from, high: to, log, integer }))
    }

    /// The value at a place between 0 and 1, as text.
    pub(crate) fn at(&self, place: f64) -> String {
        let (low, high) = match self.integer {
            // Every whole number has an equal share, the ends too.
            true => (self.low - 0.5, self.high + 0.5),
            false => (self.low, self.high),
        };
        let value = match self.log {
            true => libm::exp(libm::log(low) + place * (libm::log(high) - libm::log(low))),
            false => low + place * (high - low),
        };
        if self.integer {
            return (value.round().clamp(self.low, self.high) as i64).to_string();
        }
        let rounded: f64 = format!("{value:.*e}", DIGITS - 1).parse().expect("it was just written");
        rounded.clamp(self.low, self.high).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Range {
        Range::parse("train.beta", text).unwrap().unwrap()
    }

    #[test]
    fn places_are_even_on_the_ranges_own_scale() {
        let at = |text: &str| [0.0, 0.5, 1.0].map(|place| range(text).at(place));
        assert_eq!(at("1e-5..1e-1:log"), ["0.00001", "0.001", "0.1"]);
        assert_eq!(at("0.5..1.5"), ["0.5", "1", "1.5"]);
        assert_eq!(at("1..4"), ["1", "3", "4"]);
        assert_eq!(range("1..8:log").at(0.4), "2");
        assert_eq!(range("0..1.0").at(1.0 / 3.0), "0.3333");
    }

    #[test]
    fn every_whole_number_has_an_equal_share() {
        let mut counts = [0; 4];
        for place in 0..4000 {
            counts[range("1..4").at(f64::from(place) / 4000.0).parse::<usize>().unwrap() - 1] += 1;
        }
        assert!(counts.iter().all(|count| (999..=1001).contains(count)), "{counts:?}");
    }

    #[test]
    fn other_text_is_no_range_and_mistakes_are_named() {
        for text in ["pom2dib", "1,2", "../data", "1..x", "0.5"] {
            assert_eq!(Range::parse("a", text).unwrap(), None, "{text}");
        }
        for (text, expected) in [
            ("1..2:lin", "there is no kind lin of ranges"),
            ("2..1", "the first end must be below the second"),
            ("0..1:log", "on a logarithmic scale both ends are above 0"),
            ("0..inf", "both ends must be finite"),
        ] {
            let message = Range::parse("a", text).unwrap_err().to_string();
            assert!(message.starts_with(&format!("a={text}: ")) && message.contains(expected), "{message}");
        }
    }
}
