//! Before anything runs: all runs that the tables and figures need, and which of them are on record.

use std::path::PathBuf;

use anyhow::ensure;
use coordinator::ScenarioArguments;
use scenario::Scenario;

use super::{
    Arguments,
    notes::notes,
    recipe::{Recipe, points, recipe},
    records::Records,
    results::Run,
    target::{Half, SHIPPED, Target, each, half_of},
};
use crate::{
    draw::plot,
    records::origin::{self, Kinship},
    sweep::{Planned, Point, plan_points, prepare},
};

/// All runs and all pages to make.
pub(super) struct Plan {
    pub(super) half: Half,
    pub(super) scenario: Scenario,
    pub(super) recipes: Vec<Recipe>,
    /// The names of the points of every kind of every recipe.
    pub(super) names: Vec<Vec<Vec<String>>>,
    pub(super) planned: Vec<Planned>,
    pub(super) records: Records,
    /// The run of each record, for every planned run.
    pub(super) recorded: Vec<Option<Run>>,
    pub(super) notes: Vec<String>,
}

pub(super) fn plan(arguments: &Arguments) -> anyhow::Result<Plan> {
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
