//! Runs what is missing, and makes the pages of all tables and figures.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;

use super::{
    Arguments,
    bound::Labels,
    compare::{Compared, compare},
    csv,
    draw::{Drawn, draw},
    judge::{Judged, judge},
    page::Page,
    paper::Paper,
    plan::Plan,
    recipe::{Kind, Recipe},
    records::Records,
    report::{Made, print, report},
    results::{Group, Outcome, Run},
    target::Target,
};
use crate::{
    draw::{picture, plot},
    sweep::{End, Planned, run_points, say_what_is_there, verdict},
};

pub(super) fn conduct(arguments: &Arguments, plan: &Plan) -> anyhow::Result<ExitCode> {
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
    let of = |(kind, names): (&Kind, &Vec<String>)| {
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
