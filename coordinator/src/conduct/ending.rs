//! After the last round: evaluation, shutdown and summary.

use std::{collections::BTreeSet, ops::ControlFlow, time::Duration};

use proto::v1::{Abort, Evaluate, Stop, order::Order, report::Report};

use super::Conductor;
use crate::{
    CoordinatorError, Mode, Summary, Timing, Wire, evaluation::Evaluation, further::Lineage,
    interruption::Interruption, lock, members::Member, page::PassClock, rounds::Rounds, service::Event,
};

/// Time limit for nodes to leave once the run is done.
const PARTING: Duration = Duration::from_secs(10);

impl Conductor {
    pub(super) async fn evaluate(&mut self, version: u64) -> Result<Evaluation, Interruption> {
        self.shared_status.phase("evaluating");
        self.note("evaluating", "evaluation on the test set");
        let passes = self.scenario.evaluation.passes;
        self.order(Order::Evaluate(Evaluate { passes, validation: false }))?;
        let mut judge = Evaluation::new(&self.scenario, self.classes.clone());
        let mut clock = PassClock::new();
        let mut progress = self.progress("evaluation passes", passes, 0);
        while !judge.is_complete() {
            match judge.take(self.next_event().await?)? {
                ControlFlow::Continue(()) | ControlFlow::Break(Event::Told(_) | Event::Tick) => {}
                ControlFlow::Break(event) => return Err(self.out_of_turn(&event)),
            }
            // All training results are already saved.
            if self.stopping {
                self.order(Order::Abort(Abort { reason: "the run was told to stop".into() }))?;
                return Err(Interruption::Stopped(version));
            }
            if let Some(member) = self.leaving {
                return Err(Interruption::left(member, "it was told to end"));
            }
            clock.reported(&judge, &self.feed);
            progress.show(judge.finished(), "");
        }
        self.failing_since = None;
        progress.end();
        Ok(judge)
    }

    /// Tells all nodes to shut down. The run is complete: what happens to them now changes nothing.
    pub(super) async fn dismiss(&mut self) {
        self.shared_status.phase("saying goodbye");
        lock::announce_end(self.setup.folder.path());
        self.members.order(Order::Stop(Stop {}));
        let mut present: BTreeSet<Member> = self.members.all().collect();
        present.retain(|member| !self.gone.contains(member));
        let goodbyes = async {
            while !present.is_empty() {
                match self.next().await {
                    Ok(Event::Report(_, member, Report::Finished(_)) | Event::Gone(_, member, _)) => {
                        present.remove(&member);
                    }
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        };
        if tokio::time::timeout(PARTING, goodbyes).await.is_err() {
            tracing::warn!("some nodes have not said goodbye");
        }
    }

    pub(super) fn sum_up(
        &self,
        device: String,
        version: u64,
        seconds: f64,
        rounds: Option<&Rounds>,
        judge: &Evaluation,
        fingerprint: String,
    ) -> Result<Summary, CoordinatorError> {
        let trained = version - self.setup.version();
        let Lineage { forked, extended } = Lineage::of(&self.setup.folder)?;
        let totals = rounds.map(|rounds| rounds.totals.clone()).unwrap_or_default();
        let summary = Summary {
            method: self.scenario.train.method.name().into(),
            scenario: self.scenario.name.clone(),
            seed: self.scenario.seed,
            rounds: version,
            device,
            test: judge.test(&self.scenario, self.setup.seed),
            noise_share: totals.noise_share(),
            most_asks: totals.most_asks,
            most_entries: totals.most_entries,
            missing: totals.missing,
            channel: judge.channel(),
            strengths: judge.strengths(),
            rates: judge.rates(rounds.map_or(0, Rounds::wire_bytes)),
            validation: self.validation(version),
            forked,
            extended,
            wire: Wire {
                feature_bytes: totals.bytes.feature,
                gradient_bytes: totals.bytes.gradient,
                table_bytes: totals.bytes.table,
                total_bytes: totals.bytes.total,
            },
            timing: Timing {
                seconds,
                rounds_per_second: trained as f64 / seconds,
                median_round_seconds: rounds.map_or(0.0, |rounds| median(&rounds.seconds)),
            },
            reproducible: self.same_build.then(|| reproducible(&self.libraries)),
            fingerprint,
        };
        let name = if self.mode == Mode::Evaluate { "evaluation.json" } else { "summary.json" };
        // The summary is written last: a run with a summary is done.
        if let Some(recordings) = judge.recordings().filter(|_| self.mode != Mode::Evaluate) {
            let text = serde_json::to_vec(&recordings).expect("it has only numbers");
            self.setup.folder.write_whole("recordings.json", &text)?;
        }
        if !self.print_only {
            let text = serde_json::to_vec_pretty(&summary).expect("a summary has only strings and numbers");
            self.setup.folder.write_whole(name, &text)?;
        }
        self.feed.summary(&summary);
        Ok(summary)
    }
}

/// What it takes to come to the same bits again.
fn reproducible(libraries: &BTreeSet<String>) -> String {
    let with: Vec<&str> = libraries.iter().map(String::as_str).collect();
    let with = if with.is_empty() { String::new() } else { format!(", with {}", with.join(" and ")) };
    format!("same build and thread count{with}")
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
