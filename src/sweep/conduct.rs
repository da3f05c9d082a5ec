//! Conducts a sweep: on this machine or another, and its tables at the end.

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::Context;

use super::{
    Arguments,
    halving::Race,
    plan,
    plan::{Found, Planned},
    pool::{End, run as run_points},
    probe::needs,
    remote::Remote,
    table::Table,
};
use crate::{
    launch::{Claim, Claims, Engine, Taken},
    run::LaunchOptions,
};

pub(super) fn conduct(
    arguments: &Arguments,
    engine: Option<&Engine>,
    out: &Path,
    mut planned: Vec<Planned>,
) -> anyhow::Result<ExitCode> {
    let (_claim, waited) = claim(out)?;
    if waited {
        // Another process has worked there meanwhile.
        planned = plan(arguments)?.1;
    }
    arguments.keep(out)?;
    say_what_is_there(&planned, out);
    // What starts and stops points one by one does so on this machine too.
    let here = (arguments.search.halving || arguments.search.hours.is_some()).then_some(&Engine::Here);
    let ends = match engine.or(here) {
        Some(engine) => remote(arguments, engine, out, &planned)?.run(engine)?,
        None => {
            let parallel = arguments.parallel.unwrap_or(1);
            run_points(&planned, &arguments.place, parallel.into(), &mut |_, _| ())?
        }
    };
    let table = Table::new(&planned, &ends).judged_by(arguments.success()?);
    // On a full disk too it can be read.
    let written = table.write(out);
    if arguments.place.json {
        println!("{}", table.json());
    } else {
        print!("{}", table.text());
    }
    written?;
    if !arguments.place.json {
        println!("tables       {}", out.join("sweep.csv").display());
    }
    Ok(verdict(&ends))
}

/// Claims a sweep's folder: of two sweeps in one folder, the second waits for the end of the first. Returns whether it
/// had to.
fn claim(out: &Path) -> anyhow::Result<(Claim, bool)> {
    let lost = || {
        eprintln!("error: another sweep took over this folder, to which this one could not write");
        std::process::exit(1)
    };
    let mut claims = Claims::on(out);
    let mut waited = false;
    loop {
        let taken = claims.take(lost).with_context(|| format!("{}: choose another --out", out.display()))?;
        match taken {
            Taken::Here(claim) => return Ok((claim, waited)),
            Taken::By(owner) if !waited => {
                eprintln!("waiting for {owner}, which conducts this sweep");
                waited = true;
            }
            Taken::By(_) => std::thread::sleep(Duration::from_millis(500)),
        }
    }
}

/// The points of a sweep for another place.
fn remote<'a>(
    arguments: &'a Arguments,
    engine: &Engine,
    out: &'a Path,
    planned: &'a [Planned],
) -> anyhow::Result<Remote<'a>> {
    let options = &arguments.engine;
    let needs = needs(options, engine, &arguments.place, planned)?;
    let nodes =
        planned.iter().map(|planned| planned.scenario.transmitters().max(planned.scenario.receivers()));
    let nodes = nodes.max().unwrap_or(1).max(1);
    let threads = u16::try_from(usize::from(needs.cores) / nodes).unwrap_or(1).max(1);
    // Where cores are asked for, those are shared by the nodes; else the machine's.
    let threads = arguments.place.threads.or((options.cores.is_some()).then_some(threads));
    let place = LaunchOptions { threads, ..arguments.place.clone() };
    let here = *engine == Engine::Here;
    let parallel = arguments.parallel.or(here.then_some(1)).map(usize::from);
    let threads = match here {
        // They share the cores of this machine.
        true => planned.iter().map(|planned| threads_here(planned, &arguments.place, parallel)).min(),
        false => place.threads,
    };
    let place = LaunchOptions { threads, ..place };
    let race = match arguments.search.halving {
        true => Some(race(arguments, planned)?),
        false => None,
    };
    let hours = arguments.search.hours;
    let come_back = format!("sweep --resume {}", out.display());
    Ok(Remote { planned, out, options, place, needs, parallel, come_back, race, hours })
}

fn threads_here(planned: &Planned, place: &LaunchOptions, parallel: Option<usize>) -> u16 {
    super::pool::threads(&planned.scenario, place, parallel.unwrap_or(1))
}

/// The race of --halving.
fn race(arguments: &Arguments, planned: &[Planned]) -> anyhow::Result<Race> {
    let rounds = planned.first().map_or(0, |planned| planned.scenario.train.rounds);
    let halving = arguments.search.halving(rounds)?.context("--halving")?;
    Ok(Race::new(halving, planned))
}

pub(super) fn print(
    arguments: &Arguments,
    engine: &Engine,
    out: &Path,
    planned: &[Planned],
) -> anyhow::Result<ExitCode> {
    arguments.keep(out)?;
    print!("{}", remote(arguments, engine, out, planned)?.print(engine)?);
    Ok(ExitCode::SUCCESS)
}

/// Prints the points, or where they come from, without an engine.
pub(super) fn print_points(
    arguments: &Arguments,
    out: &Path,
    planned: &[Planned],
) -> anyhow::Result<ExitCode> {
    arguments.keep(out)?;
    let space = arguments.space(arguments.search.sample.is_some())?;
    for range in space.ranges {
        let kind = if range.log { ":log" } else { "" };
        println!("range {}={}..{}{kind}", range.key, range.low, range.high);
    }
    for planned in planned {
        println!("{}", planned.point.name);
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints which points of a sweep are done and which continue.
pub(crate) fn say_what_is_there(planned: &[Planned], out: &Path) {
    let count = |what: fn(&Found) -> bool| planned.iter().filter(|planned| what(&planned.found)).count();
    let finished = count(|found| matches!(found, Found::Finished(_)));
    let resumed = count(|found| *found == Found::Checkpoint);
    let fresh = planned.len() - finished - resumed;
    let folder = out.display();
    eprintln!(
        "{} points in {folder}: {finished} done already, {resumed} to go on from a checkpoint, {fresh} to begin",
        planned.len()
    );
}

/// The exit status, with a message about points that are not done.
pub(crate) fn verdict(ends: &[End]) -> ExitCode {
    let count = |what: fn(&End) -> bool| ends.iter().filter(|end| what(end)).count();
    let failed = count(|end| matches!(end, End::Failed(_)));
    let cancelled = count(|end| matches!(end, End::Cancelled(_)));
    let (open, all) = (count(|end| *end == End::Open), ends.len());
    if open > 0 {
        let done = all - open - failed - cancelled;
        eprintln!("error: interrupted: {done} of {all} points are done; the same command goes on from here");
    } else if failed > 0 {
        eprintln!("error: {failed} of {all} points failed; the same command tries them again");
    } else if cancelled > 0 {
        eprintln!("error: {cancelled} of {all} points were cancelled; the same command submits them again");
    }
    if open + failed + cancelled > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
