//! `pom2dib reproduce`: the paper's tables and figures, and how the results compare with the paper.

mod bound;
mod ceiling;
mod compare;
mod conduct;
mod csv;
mod draw;
mod judge;
mod notes;
mod page;
mod paper;
mod partitions;
mod plan;
mod recipe;
mod records;
mod report;
mod results;
mod target;
mod verdict;

use std::{path::PathBuf, process::ExitCode};

use coordinator::ScenarioArguments;

use self::{conduct::conduct, plan::plan, target::Target};
use crate::{cli::complain::complain, run::LaunchOptions};

/// Default values of beta in Fig. 2(a) and (b).
const BETAS: [f64; 6] = [0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];

/// Make the paper's tables and figures: run what is missing, then draw, tabulate and compare
///
/// > pom2dib reproduce table1 --data data-cache/handwritten
/// > pom2dib reproduce all --scenario mmfi --synthetic --rounds 200 --seeds 1
///
/// For every table or figure OUT gets a page in Markdown, NAME-SCENARIO.md, with the picture (.svg, .png) and its
/// numbers (.csv). The page compares the results with the paper's statements point by point: within its interval,
/// overlapping intervals, better, worse; which of its claims hold, do not hold, or cannot be told; and where it
/// contradicts itself.
///
/// Runs are in OUT/runs and are shared between tables and figures. After an interruption the same command continues:
/// finished runs are not repeated. A small record of every finished run stays in OUT/records (or --records), from which
/// tables and figures can be made again when the runs are gone or were made elsewhere. Fig. 2(a) to (f) are called
/// fig2a to fig2f.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_long_help = "Examples:
  pom2dib reproduce table1 --data data-cache/handwritten
  pom2dib reproduce all --data data-cache/handwritten --out reproduced"
)]
pub(crate) struct Arguments {
    /// Tables and figures to make; several may be named
    #[arg(required = true, value_name = "WHAT")]
    targets: Vec<Target>,

    /// The scenario: handwritten, mmfi, or a scenario file for a trial; not needed for figures of one data set
    #[arg(long, env = "POM2DIB_SCENARIO", value_name = "NAME|FILE")]
    scenario: Option<String>,

    /// Run MM-Fi on a small synthetic tree of files, kept in data-cache/mmfi-synthetic; overrides --data
    #[arg(long)]
    synthetic: bool,

    /// Rounds of training, for a trial; by default the scenario's 2000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rounds: Option<u64>,

    /// Runs of each kind, with the seeds 1 to N; by default 5 for Table I and Figs. 3 and 4, and 3 for the others
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,

    /// The values of beta in Fig. 2(a) and (b)
    #[arg(long, value_name = "BETA,...", value_delimiter = ',', default_values_t = BETAS)]
    betas: Vec<f64>,

    /// Use a preset's keys in all runs: paper, for the paper's own hyper-parameters
    #[arg(long, env = "POM2DIB_PRESET", value_name = "PRESET")]
    preset: Option<scenario::Preset>,

    /// Change a key of the scenario in all runs, for example --set train.gamma=0 (may be repeated); keys that define a
    /// table or figure override it
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Folder of the data set
    #[arg(long, env = "POM2DIB_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// Number of runs at a time; they share the cores
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,

    /// Folder of pages, pictures and runs
    #[arg(long, default_value = "reproduction", value_name = "DIR")]
    out: PathBuf,

    /// Folder of the runs' records; runs with a record are not repeated; by default OUT/records
    #[arg(long, value_name = "DIR")]
    records: Option<PathBuf>,

    #[command(flatten)]
    place: LaunchOptions,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let plan = match plan(arguments) {
        Ok(plan) => plan,
        Err(error) => return complain(&error, 2),
    };
    match conduct(arguments, &plan) {
        Ok(code) => code,
        Err(error) => complain(&error, 1),
    }
}

impl Arguments {
    fn of_file(&self, file: PathBuf) -> ScenarioArguments {
        ScenarioArguments {
            scenario: Some(file),
            preset: self.preset,
            set: self.set.clone(),
            rounds: self.rounds,
            data: self.data.clone(),
            ..ScenarioArguments::default()
        }
    }

    /// The command line, without arguments that change no result.
    fn command(&self) -> String {
        let mut words = vec!["pom2dib reproduce".to_owned()];
        words.extend(self.targets.iter().map(|target| target.name()));
        let mut flag = |name: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("--{name} {}", node::shell_word(&value))));
        };
        flag("scenario", self.scenario.clone());
        flag("rounds", self.rounds.map(|rounds| rounds.to_string()));
        flag("seeds", self.seeds.map(|seeds| seeds.to_string()));
        let betas: Vec<String> = self.betas.iter().map(|beta| format!("{beta:?}")).collect();
        flag("betas", (self.betas != BETAS).then(|| betas.join(",")));
        flag("preset", self.preset.map(|preset| preset.name().to_owned()));
        for assignment in &self.set {
            flag("set", Some(assignment.clone()));
        }
        let path = |path: &PathBuf| path.display().to_string();
        flag("data", self.data.as_ref().filter(|_| !self.synthetic).map(path));
        words.extend(self.synthetic.then(|| "--synthetic".into()));
        words.join(" ")
    }
}
