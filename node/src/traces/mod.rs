//! Traces of rounds and evaluation passes for OpenTelemetry, over all processes of a run.
//!
//! All ids follow from what every node knows: a trace's from (run, incarnation, round or pass), a span's also from
//! whose it is. So the spans of different processes form one trace, and nothing of it goes on the wire between them.

mod collector;
#[cfg(not(feature = "otlp"))]
mod left_out;
mod node_spans;
#[cfg(feature = "otlp")]
mod sink;
mod span;

use std::time::SystemTime;

pub use collector::Collector;
#[cfg(not(feature = "otlp"))]
use left_out::Sink;
pub use node_spans::NodeSpans;
#[cfg(feature = "otlp")]
use sink::Sink;
pub use span::{SpanOf, TraceOf, Traced};

/// Where the spans of a process go. Clones share it. By default nowhere.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Sink>);

/// A span that has ended.
#[derive(Debug)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace: Traced,
    /// What took this time.
    pub of: SpanOf,
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// What is known of it besides, by name.
    pub figures: Vec<(String, f64)>,
}

impl Traces {
    /// Begins to send spans to a collector, if there is to be one, in the name of `who`, such as `receiver 0`. Must be
    /// called within a runtime. A collector that does not answer loses spans and delays nobody.
    pub fn begin(collector: Option<&Collector>, who: &str) -> Self {
        Traces(collector.and_then(|collector| Sink::open(collector, who)))
    }

    /// Whether spans go anywhere.
    pub fn are_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Adds a span, without waiting.
    pub fn record(&self, span: &Span) {
        if let Some(sink) = &self.0 {
            sink.record(span);
        }
    }

    /// Waits a moment until all spans so far have been sent.
    pub async fn flush(&self) {
        if let Some(sink) = &self.0 {
            sink.flush().await;
        }
    }
}
