//! `pom2dib reproduce`: the paper's tables and figures, and how the results compare with the paper.

mod bound;
mod ceiling;
mod compare;
mod csv;
mod draw;
mod judge;
mod page;
mod paper;
mod recipe;
mod records;
mod report;
mod results;
mod target;
mod verdict;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use coordinator::ScenarioArguments;
use scenario::Scenario;

use self::{
    bound::Labels,
    compare::{Compared, compare},
    draw::{Drawn, draw},
    judge::{Judged, judge},
    page::Page,
    paper::Paper,
    recipe::{Recipe, points, recipe},
    records::Records,
    report::{Made, print, report},
    results::{Group, Outcome, Run},
    target::{Half, Target, each, half_of},
};
use crate::{
    cli::complain::complain,
    draw::{picture, plot},
    records::origin::{self, Kinship},
    run::LaunchOptions,
    sweep::{End, Planned, Point, plan_points, prepare, run_points, say_what_is_there, verdict},
};

/// The scenarios of section VIII, as they are shipped.
const SHIPPED: [(Half, &str); 2] = [
    (Half::HandWritten, include_str!("../../scenarios/handwritten.toml")),
    (Half::MmFi, include_str!("../../scenarios/mmfi.toml")),
];

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

/// All runs and all pages to make.
struct Plan {
    half: Half,
    scenario: Scenario,
    recipes: Vec<Recipe>,
    /// The names of the points of every kind of every recipe.
    names: Vec<Vec<Vec<String>>>,
    planned: Vec<Planned>,
    records: Records,
    /// The run of each record, for every planned run.
    recorded: Vec<Option<Run>>,
    notes: Vec<String>,
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

// ------------------------------------------------------------------------------------------- before anything runs

fn plan(arguments: &Arguments) -> anyhow::Result<Plan> {
    let betas = &arguments.betas;
    let valid = betas.iter().all(|beta| beta.is_finite() && *beta >= 0.0);
    ensure!(
        valid && !betas.is_empty(),
        "--betas: give numbers of 0 or more, for example --betas 0,1e-3,1e-2"
    );
    let mut base = base(arguments)?;
    base.warn_of_deprecated_keys();
    let first = Point { name: String::new(), values: Vec::new(), set: Vec::new() };
    let scenario = prepare(&mut base, &first, arguments.synthetic)?;
    let half = if scenario.data.source == "mmfi" { Half::MmFi } else { Half::HandWritten };
    let targets = each(&arguments.targets, half)?;
    let seeds = |target: Target| arguments.seeds.unwrap_or(target.seeds());
    let recipes: Vec<Recipe> = targets.iter().map(|&target| recipe(target, half, &scenario, betas)).collect();
    let (mut names, mut all) = (Vec::new(), Vec::<Point>::new());
    for recipe in &recipes {
        let mut of_recipe = Vec::new();
        for kind in &recipe.kinds {
            let points = points(&base, kind, seeds(recipe.target))?;
            of_recipe.push(points.iter().map(|point| point.name.clone()).collect());
            for point in points {
                if !all.iter().any(|known| known.name == point.name) {
                    all.push(point);
                }
            }
        }
        names.push(of_recipe);
    }
    let of_scenario = format!("{}-{}", scenario.name, scenario.train.rounds);
    let planned = plan_points(&base, all, &arguments.out.join("runs").join(&of_scenario))?;
    let records = arguments.records.clone().unwrap_or_else(|| arguments.out.join("records"));
    let records = Records { folder: records.join(&of_scenario) };
    let known = planned.iter().map(|planned| records.read(planned)).collect::<anyhow::Result<Vec<_>>>()?;
    let kinships: Vec<Kinship> = known.iter().flatten().map(|(_, kinship)| kinship.clone()).collect();
    origin::say("records", &kinships);
    let recorded = known.into_iter().map(|known| known.map(|(run, _)| run)).collect();
    let notes = notes(arguments, half, &scenario);
    Ok(Plan { half, scenario, recipes, names, planned, records, recorded, notes })
}

/// The common base of all runs. A shipped scenario is written beside them, so that each can be run manually.
fn base(arguments: &Arguments) -> anyhow::Result<ScenarioArguments> {
    let own = half_of(&arguments.targets)?;
    let half = match arguments.scenario.as_deref() {
        None => own.unwrap_or(Half::HandWritten),
        Some("handwritten") => Half::HandWritten,
        Some("mmfi") => Half::MmFi,
        Some(file) => return Ok(arguments.of_file(PathBuf::from(file))),
    };
    // Checked before anything is written.
    each(&arguments.targets, half)?;
    let (_, text) = SHIPPED.into_iter().find(|(own, _)| *own == half).expect("there is one of each half");
    let file = arguments.out.join(format!("{}.toml", half.name()));
    plot::write(&arguments.out, &[(&format!("{}.toml", half.name()), text.into())])?;
    Ok(arguments.of_file(file))
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
            words.extend(value.map(|value| format!("--{name} {}", quoted(&value))));
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

/// A word quoted for a shell.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,".contains(letter);
    if word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Known deviations from the paper.
fn notes(arguments: &Arguments, half: Half, scenario: &Scenario) -> Vec<String> {
    let (_, text) = SHIPPED.into_iter().find(|(own, _)| *own == half).expect("there is one of each half");
    let shipped = Scenario::parse(text, half.name(), &[]).expect("the tests read it");
    let mut notes = Vec::new();
    if scenario.train.rounds != shipped.train.rounds {
        notes.push(format!("shrunk: {} rounds instead of {}", scenario.train.rounds, shipped.train.rounds));
    }
    if let Some(seeds) = arguments.seeds {
        notes.push(format!(
            "seeds 1 to {seeds}, by --seeds (without it, 1 to 5 for Table I and Figs. 3 and 4, and 1 to 3 for all else)"
        ));
    }
    if let Some(preset) = arguments.preset {
        notes.push(format!("in all runs, by --preset: the keys of \"{}\"", preset.name()));
    }
    for assignment in &arguments.set {
        notes.push(format!("in all runs, by --set: {assignment}"));
    }
    if scenario.name.ends_with("-synthetic") {
        notes.push("synthetic data, made by code: this shows that everything works, and nothing of what MM-Fi would give".into());
    } else if scenario.data.source != shipped.data.source {
        notes.push(format!(
            "the scenario is \"{}\" on other data, not the paper's: its numbers cannot be compared",
            scenario.name
        ));
    }
    let train = &scenario.train;
    if (train.beta, scenario.network.feature_dim) != (shipped.train.beta, shipped.network.feature_dim) {
        let (beta, dim) = (train.beta, scenario.network.feature_dim);
        notes.push(format!(
            "beta is {beta:?} and feature_dim {dim} unless said otherwise, other than in the paper"
        ));
    }
    notes.push(format!(
        "selection learns with baseline {}, entropy bonus {}, gamma {} unless said otherwise (the paper: constants near the \
         label entropies, no bonus, gamma 0)",
        name(&train.baseline),
        train.entropy_bonus,
        train.gamma
    ));
    notes.push(format!(
        "learning rates are {:?} for coding and {:?} for selection unless said otherwise, and fall to 0 over the last {} % of the \
         rounds (the paper: 1e-4 and 5e-5, throughout)",
        train.coding_lr,
        train.selection_lr,
        train.cool_down * 100.0
    ));
    notes
}

/// A choice as scenarios write it.
fn name(choice: &impl serde::Serialize) -> String {
    serde_json::to_value(choice).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

// ------------------------------------------------------------------------------------------- runs and pages

fn conduct(arguments: &Arguments, plan: &Plan) -> anyhow::Result<ExitCode> {
    plan.notes.iter().filter(|note| note.starts_with("shrunk")).for_each(|note| eprintln!("note: {note}"));
    let (outcomes, code) = outcomes(arguments, plan)?;
    let labels = match outcomes.iter().any(Result::is_ok) {
        true => Some(Labels::read(&plan.scenario)?),
        false => None,
    };
    let paper = Paper::read();
    let mut made = Vec::new();
    for (recipe, names) in plan.recipes.iter().zip(&plan.names) {
        let groups = groups(plan, &outcomes, recipe, names);
        made.push(make(arguments, plan, &paper, recipe, &groups, labels.as_ref())?);
    }
    if arguments.place.json {
        println!("{}", report(&made));
    } else {
        print(&made);
    }
    Ok(if made.iter().any(|made| made.lacking > 0) { ExitCode::FAILURE } else { code })
}

/// The outcome of every planned run, in order, and the exit status: runs without a record are run.
fn outcomes(arguments: &Arguments, plan: &Plan) -> anyhow::Result<(Vec<Outcome>, ExitCode)> {
    let both = || plan.planned.iter().zip(&plan.recorded);
    let lacking: Vec<Planned> =
        both().filter(|(_, recorded)| recorded.is_none()).map(|(planned, _)| planned.clone()).collect();
    let known = plan.planned.len() - lacking.len();
    if known > 0 {
        eprintln!("{known} of {} runs on record in {}", plan.planned.len(), plan.records.folder.display());
    }
    if !lacking.is_empty() {
        say_what_is_there(&lacking, &arguments.out);
    }
    // Finished runs keep their record, whatever happens to the others.
    let mut run = BTreeMap::new();
    let mut heard = |planned: &Planned, end: &End| {
        run.insert(planned.point.name.clone(), outcome(planned, end, &plan.records));
    };
    let ends = run_points(&lacking, &arguments.place, arguments.parallel.into(), &mut heard)?;
    let outcome = |(planned, recorded): (&Planned, &Option<Run>)| match recorded {
        Some(run) => Ok(run.clone()),
        None => run.remove(&planned.point.name).unwrap_or_else(|| Err("not done yet".into())),
    };
    Ok((both().map(outcome).collect(), verdict(&ends)))
}

/// The outcome of a run; a finished run's record is kept.
fn outcome(planned: &Planned, end: &End, records: &Records) -> Outcome {
    let record = |summary| {
        let run = Run::read(planned, summary)?;
        records.write(&run)?;
        anyhow::Ok(run)
    };
    match end {
        End::Done(summary) => record(summary).map_err(|error| format!("{error:#}")),
        End::Failed(error) => Err(error.clone()),
        End::Open | End::Paused(_) | End::Cancelled(_) => Err("not done yet".into()),
    }
}

fn groups(plan: &Plan, outcomes: &[Outcome], recipe: &Recipe, names: &[Vec<String>]) -> Vec<Group> {
    let found = |name: &String| {
        let at = plan.planned.iter().position(|planned| planned.point.name == *name);
        match &outcomes[at.expect("every point is planned")] {
            Ok(run) if recipe.target.is_of_selection() && run.granted.is_empty() => {
                Err("its record has no selection: remove it, so that it is run again".into())
            }
            outcome => outcome.clone(),
        }
    };
    let of = |(kind, names): (&recipe::Kind, &Vec<String>)| {
        Group::of(&kind.label, names.iter().map(|name| (name.as_str(), found(name))))
    };
    recipe.kinds.iter().zip(names).map(of).collect()
}

/// Writes page, picture and numbers of a table or figure.
fn make(
    arguments: &Arguments,
    plan: &Plan,
    paper: &Paper,
    recipe: &Recipe,
    groups: &[Group],
    labels: Option<&Labels>,
) -> anyhow::Result<Made> {
    let (target, half) = (recipe.target, plan.half);
    let file = format!("{}-{}", target.name(), crate::sweep::label(&format!("{:?}", plan.scenario.name)));
    let statements = paper.statements(target, half);
    let drawn = draw(recipe, groups, &statements, labels);
    match &drawn {
        None => {}
        Some(Drawn::Chart(chart)) => picture::write(&arguments.out, &file, chart)?,
        Some(Drawn::HeatMaps(maps)) => picture::write(&arguments.out, &file, maps)?,
    }
    let csv = csv::behind(target, groups, &statements);
    let compared: Vec<Compared> = statements.into_iter().map(|one| compare(groups, one)).collect();
    let guessing = labels.and_then(Labels::sum);
    let judged: Vec<Judged> = paper
        .claims(target, half)
        .into_iter()
        .map(|one| judge(groups, one, &paper.margins, guessing))
        .collect();
    let on_plane = matches!(target, Target::Table1 | Target::Fig2a | Target::Fig2b);
    let text = Page {
        recipe,
        groups,
        compared: &compared,
        judged: &judged,
        contradictions: &paper.contradictions(target, half),
        notes: &plan.notes,
        command: &arguments.command(),
        file: &file,
        labels,
        on_plane,
        is_heat_map: matches!(drawn, Some(Drawn::HeatMaps(_))),
    }
    .text();
    plot::write(&arguments.out, &[(&format!("{file}.csv"), csv), (&format!("{file}.md"), text)])
        .with_context(|| target.name())?;
    let lacking = groups.iter().map(|group| group.lacking.len()).sum();
    Ok(Made { target, page: page(&arguments.out, &file), compared, judged, lacking })
}

fn page(out: &Path, file: &str) -> PathBuf {
    out.join(format!("{file}.md"))
}
