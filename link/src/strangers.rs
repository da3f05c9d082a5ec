//! A log of refused callers that they cannot flood.

use std::{
    fmt,
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::printable;

/// Upper limit on lines about refused callers within [`WINDOW`].
const LINES: u64 = 20;

/// Time after which the limit starts anew.
const WINDOW: Duration = Duration::from_secs(60);

static LOG: Mutex<Meter> = Mutex::new(Meter { begun: None, lines: 0, left_out: 0 });

/// Logs that a caller was refused: who, and why. Above the limit, lines are only counted; the number left out is logged
/// with the first line of the next minute, or when the listener ends.
pub fn log_refusal(who: &str, from: impl fmt::Display, reason: &str) {
    let verdict = LOG.lock().expect("no code panics while it holds this lock").count(Instant::now());
    let Some(left_out) = verdict else { return };
    say_left_out(left_out);
    let (from, reason) = (printable(&from.to_string()), printable(reason));
    tracing::warn!(from, reason, "{who} was refused");
}

/// Logs how many lines were left out, if any, at the end.
pub(crate) fn log_rest() {
    let left_out = LOG.lock().map(|mut meter| std::mem::take(&mut meter.left_out));
    say_left_out(left_out.unwrap_or(0));
}

fn say_left_out(left_out: u64) {
    if left_out > 0 {
        tracing::warn!(left_out, "more callers were refused, of whom nothing else is logged");
    }
}

/// Counts the lines of a window.
struct Meter {
    begun: Option<Instant>,
    lines: u64,
    left_out: u64,
}

impl Meter {
    /// Whether another line may be logged now and, if so, how many were left out since the last one.
    fn count(&mut self, now: Instant) -> Option<u64> {
        if self.begun.is_none_or(|begun| now.saturating_duration_since(begun) >= WINDOW) {
            (self.begun, self.lines) = (Some(now), 0);
        }
        if self.lines == LINES {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_a_few_lines_and_a_count_of_the_rest() {
        let mut meter = Meter { begun: None, lines: 0, left_out: 0 };
        let start = Instant::now();
        let logged: Vec<u64> =
            (0..10_000).filter_map(|at| meter.count(start + Duration::from_millis(at))).collect();
        assert_eq!(logged, vec![0; LINES as usize]);

        assert_eq!(
            meter.count(start + WINDOW),
            Some(10_000 - LINES),
            "the next window says what the last lacks"
        );
        assert_eq!(meter.count(start + WINDOW), Some(0));
    }
}
