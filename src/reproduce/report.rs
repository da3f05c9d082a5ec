//! A short report of the tables and figures made, as text or JSON.

use std::path::PathBuf;

use serde_json::json;

use super::{compare::Compared, judge::Judged, target::Target, verdict::Verdict};

/// A table or figure.
pub(super) struct Made {
    pub(super) target: Target,
    pub(super) page: PathBuf,
    pub(super) compared: Vec<Compared>,
    pub(super) judged: Vec<Judged>,
    pub(super) lacking: usize,
}

impl Made {
    /// How many numbers have this relation to the paper's.
    fn standing(&self, words: &str) -> usize {
        self.compared
            .iter()
            .filter(|one| one.standing.is_some_and(|standing| standing.words() == words))
            .count()
    }

    /// How many claims have this verdict.
    fn judged(&self, verdict: Verdict) -> usize {
        self.judged.iter().filter(|one| one.verdict == verdict).count()
    }
}

pub(super) fn print(made: &[Made]) {
    for one in made {
        let [within, meet, better, worse] =
            ["within its interval", "the intervals meet", "better", "worse"].map(|words| one.standing(words));
        let lacking = if one.lacking > 0 { format!("; {} runs lacking", one.lacking) } else { String::new() };
        println!(
            "{:<8} {} numbers of the paper: {within} within, {meet} meet, {better} better, {worse} \
             worse; of {} claims {} hold, {} do not, {} cannot be told{lacking}; {}",
            one.target.name(),
            one.compared.len(),
            one.judged.len(),
            one.judged(Verdict::Holds),
            one.judged(Verdict::DoesNot),
            one.judged(Verdict::CannotBeTold),
            one.page.display()
        );
    }
}

pub(super) fn report(made: &[Made]) -> serde_json::Value {
    let one = |made: &Made| {
        let numbers = made.compared.iter().map(|one| {
            let value = &one.statement.value;
            json!({
                "source": one.statement.source, "group": value.group, "metric": value.metric,
                "paper": value.value, "paper_half_width": value.interval,
                "here": one.here, "training": one.training, "stands": one.standing.map(|standing| standing.words()),
            })
        });
        let claims = made.judged.iter().map(|one| {
            let holds = match one.verdict {
                Verdict::Holds => Some(true),
                Verdict::DoesNot => Some(false),
                Verdict::CannotBeTold | Verdict::NotRun => None,
            };
            json!({
                "says": one.claim.says, "source": one.claim.source, "sides": one.sides, "holds": holds,
                "verdict": one.verdict.words(), "interval": one.interval, "margin": one.margin, "seeds": one.seeds,
                "over_recordings": one.over_recordings, "why": one.why,
            })
        });
        json!({
            "target": made.target.name(), "page": made.page, "lacking": made.lacking,
            "numbers": numbers.collect::<Vec<_>>(), "claims": claims.collect::<Vec<_>>(),
        })
    };
    json!({ "made": made.iter().map(one).collect::<Vec<_>>() })
}
