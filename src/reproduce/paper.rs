//! What the paper states: `paper.toml`, read.

use serde::Deserialize;

use super::target::{Half, Target};

/// Everything that `paper.toml` holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paper {
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

/// A number that the paper states.
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

/// A number that the paper states, and where.
#[derive(Clone)]
pub(super) struct Statement {
    pub(super) source: String,
    pub(super) value: Value,
}

/// Something that the paper says of two numbers.
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
}

/// One side of a claim: `times` the metric of a group `plus` something, or a number.
#[derive(Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Term {
    Number {
        number: f64,
    },
    Metric {
        /// A label, or the beginning of several and a *: then the largest is taken.
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

/// How the left side of a claim stands to the right one.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Relation {
    Below,
    Above,
    /// Or below by no more than the intervals of both together.
    AtLeast,
    /// Or above by no more than the intervals of both together.
    AtMost,
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
        self.claim.iter().filter(of).cloned().collect()
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
}
