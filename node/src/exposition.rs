use std::fmt::Write;

/// Samples of a metric: names and values of labels, and a number.
pub type Samples<'a> = Vec<(Vec<(&'a str, &'a str)>, f64)>;

/// Metrics in Prometheus' text format, version 0.0.4.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// A number that goes up and down.
    pub fn gauge(self, name: &str, help: &str, samples: &Samples<'_>) -> Self {
        self.metric("gauge", name, help, samples)
    }

    /// A number that only grows. Its name ends in `_total`.
    pub fn counter(self, name: &str, help: &str, samples: &Samples<'_>) -> Self {
        self.metric("counter", name, help, samples)
    }

    /// The text.
    pub fn text(self) -> String {
        self.0
    }

    fn metric(mut self, kind: &str, name: &str, help: &str, samples: &Samples<'_>) -> Self {
        if samples.is_empty() {
            return self;
        }
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let label = |(name, value): &(&str, &str)| format!("{name}=\"{}\"", escape(value));
            let labels: Vec<String> = labels.iter().map(label).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(self.0, "{name}{labels} {}", number(*value));
        }
        self
    }
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".into(),
        value if value.is_infinite() => if value > 0.0 { "+Inf" } else { "-Inf" }.into(),
        value => value.to_string(),
    }
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_written_as_prometheus_reads_them() {
        let text = Exposition::default()
            .gauge("a", "What it is.", &vec![(vec![], 1.5), (vec![("task", "x\"y\\z\n")], f64::NAN)])
            .counter("b_total", "All of it.", &vec![(vec![("kind", "feature"), ("k", "0")], 12.0)])
            .gauge("c", "Nothing.", &vec![])
            .text();
        let expected = "# HELP a What it is.\n# TYPE a gauge\na 1.5\na{task=\"x\\\"y\\\\z\\n\"} NaN\n# HELP b_total All of it.\n# TYPE \
                        b_total counter\nb_total{kind=\"feature\",k=\"0\"} 12\n";
        assert_eq!(text, expected);
    }
}
