//! The paper's statements, read from `paper.toml`.

use serde::Deserialize;

use super::target::{Half, Target};

/// The content of `paper.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paper {
    /// Smallest differences that count.
    pub(super) margins: Margins,
    statement: Vec<Statements>,
    claim: Vec<Claim>,
    contradiction: Vec<Contradiction>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statements {
    of: Targets,
    half: Half,
    source: String,
    values: Vec<Value>,
}

/// A number in the paper.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Value {
    pub(super) group: String,
    pub(super) metric: String,
    /// In %, mm or nats.
    pub(super) value: f64,
    /// Half the width of its 95 % interval, where it has one.
    pub(super) interval: Option<f64>,
}

/// A number in the paper, and its source.
#[derive(Clone)]
pub(super) struct Statement {
    pub(super) source: String,
    pub(super) value: Value,
}

/// Margins by kind of figure, fixed before the runs.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Margins {
    /// Nats.
    n_ce: f64,
    /// For top-1 and other shares, as a fraction.
    share: f64,
    /// For any rate: a fraction of the right side's mean.
    rate: f64,
    /// Entries.
    entries: f64,
    /// For the total undecidedness of entries that are granted at some ticks only.
    undecided: f64,
    /// The log-likelihood (21).
    log_likelihood: f64,
}

impl Margins {
    /// The margin of a metric, where the right side's mean is `scale`. None if it has none.
    pub(super) fn of(&self, metric: &str, scale: f64) -> Option<f64> {
        let metric = metric.strip_prefix("train.").unwrap_or(metric);
        Some(match metric {
            "n_ce" => self.n_ce,
            "noise_share" => self.share,
            "undecided" => self.undecided,
            _ if metric.ends_with(".top1") => self.share,
            _ if metric.contains("rate") => self.rate * scale.abs(),
            _ if metric.starts_with("entries") => self.entries,
            _ if metric.starts_with("logl") => self.log_likelihood,
            _ => return None,
        })
    }
}

/// A statement of the paper about two numbers.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    of: Targets,
    half: Option<Half>,
    pub(super) source: String,
    pub(super) says: String,
    pub(super) left: Term,
    pub(super) is: Relation,
    pub(super) right: Term,
    /// The claim is made for each of these, which replaces {at} in groups and words.
    #[serde(default)]
    at: Vec<String>,
    /// Whether outcomes are of two kinds, so that a mean describes neither.
    #[serde(default)]
    pub(super) of_two_kinds: bool,
}

/// One side of a claim: `times` the metric of a group `plus` something, or a number.
#[derive(Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Term {
    Number {
        number: f64,
    },
    Metric {
        /// A label; on the right side * stands for every other group.
        group: String,
        metric: String,
        #[serde(default = "one")]
        times: f64,
        #[serde(default)]
        plus: f64,
    },
}

fn one() -> f64 {
    1.0
}

/// The relation of the left side of a claim to the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Relation {
    Below,
    Above,
    /// Above, or below by less than the margin.
    AtLeast,
    /// Below, or above by less than the margin.
    AtMost,
    /// No worse than any rival, and better than one.
    Optimum,
}

impl Claim {
    /// A claim for each of `at`, or the claim itself.
    fn each(&self) -> Vec<Claim> {
        if self.at.is_empty() {
            return vec![self.clone()];
        }
        let put = |text: &str, at: &str| text.replace("{at}", at);
        let of = |at: &String| {
            let term = |term: &Term| match term.clone() {
                Term::Metric { group, metric, times, plus } => {
                    Term::Metric { group: put(&group, at), metric, times, plus }
                }
                number => number,
            };
            let (left, right) = (term(&self.left), term(&self.right));
            Claim { says: put(&self.says, at), left, right, at: Vec::new(), ..self.clone() }
        };
        self.at.iter().map(of).collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contradiction {
    of: Targets,
    half: Option<Half>,
    says: String,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Targets {
    One(Target),
    Several(Vec<Target>),
}

impl Targets {
    fn has(&self, target: Target) -> bool {
        match self {
            Targets::One(one) => *one == target,
            Targets::Several(several) => several.contains(&target),
        }
    }
}

impl Paper {
    pub(super) fn read() -> Self {
        toml::from_str(include_str!("paper.toml")).expect("the tests read it")
    }

    pub(super) fn statements(&self, target: Target, half: Half) -> Vec<Statement> {
        let of = self.statement.iter().filter(|list| list.of.has(target) && list.half == half);
        of.flat_map(|list| {
            list.values.iter().map(|value| Statement { source: list.source.clone(), value: value.clone() })
        })
        .collect()
    }

    pub(super) fn claims(&self, target: Target, half: Half) -> Vec<Claim> {
        let of = |claim: &&Claim| claim.of.has(target) && claim.half.is_none_or(|own| own == half);
        self.claim.iter().filter(of).flat_map(Claim::each).collect()
    }

    pub(super) fn contradictions(&self, target: Target, half: Half) -> Vec<String> {
        let of = |one: &&Contradiction| one.of.has(target) && one.half.is_none_or(|own| own == half);
        self.contradiction.iter().filter(of).map(|one| one.says.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::target::each, *};

    #[test]
    fn every_table_and_figure_has_something_to_be_compared_with() {
        let paper = Paper::read();
        for half in [Half::HandWritten, Half::MmFi] {
            for target in each(&[Target::All], half).unwrap() {
                let count = paper.statements(target, half).len() + paper.claims(target, half).len();
                assert!(count > 0, "{target:?} of {half:?}");
            }
        }
        let table = paper.statements(Target::Table1, Half::HandWritten);
        let digit = table
            .iter()
            .find(|one| one.value.group == "pom2dib" && one.value.metric == "digit.top1")
            .unwrap();
        assert_eq!((digit.value.value, digit.value.interval), (96.5, Some(1.59)));
        assert_eq!((table.len(), paper.statements(Target::Table2, Half::MmFi).len()), (20, 14));
    }

    #[test]
    fn every_claim_is_of_something_that_has_a_margin_and_says_where() {
        let paper = Paper::read();
        for half in [Half::HandWritten, Half::MmFi] {
            for target in each(&[Target::All], half).unwrap() {
                for claim in paper.claims(target, half) {
                    let Term::Metric { metric, group, .. } = &claim.left else { panic!("{}", claim.says) };
                    assert!(paper.margins.of(metric, 1.0).is_some_and(|margin| margin > 0.0), "{metric}");
                    assert!(!claim.says.contains('{') && !group.contains(['{', '*']), "{}", claim.says);
                }
            }
        }
        // 0.02 nats, 0.2 points, 5 % of a rate.
        let of = |metric, scale| paper.margins.of(metric, scale).unwrap();
        assert_eq!((of("n_ce", 9.0), of("digit.top1", 0.9), of("train.sum_rate", -40.0)), (0.02, 0.002, 2.0));
        assert_eq!(paper.margins.of("seconds", 1.0), None);
    }

    #[test]
    fn what_is_said_of_a_curve_is_said_of_each_of_its_points() {
        let claims = Paper::read().claims(Target::Fig2a, Half::HandWritten);
        let says: Vec<&str> = claims.iter().map(|claim| claim.says.as_str()).collect();
        assert!(says.iter().any(|says| says.contains("at beta=0.1")), "{says:?}");
        let Term::Metric { group, .. } = &claims[1].right else { panic!() };
        assert_eq!(group, "tadib beta=0.0001");
    }
}
