//! The pictures of tables and figures.

use super::{
    bound::{Labels, bound},
    ceiling::is_capped,
    compare::in_paper_units,
    paper::Statement,
    partitions::reachable,
    recipe::Recipe,
    results::{Group, Piece, Run},
    target::Target,
};
use crate::{
    draw::{
        chart::{Axis, Chart, Diagram, Line, Look, Mark, Series, spread},
        heat_map::{Chunk, HeatMaps, Strip},
    },
    statistics::Mean,
};

/// Points along which a bound is drawn.
const STEPS: usize = 200;

/// Points between two corners of the curve of shared features: lines are bent by the axis.
const BETWEEN: usize = 20;

/// Every how many points of a curve have a bar.
const SPAN_EVERY: usize = 8;

/// Either kind of picture.
pub(super) enum Drawn {
    Chart(Chart),
    HeatMaps(HeatMaps),
}

/// The picture of a table or figure; none if no run of it is done.
pub(super) fn draw(
    recipe: &Recipe,
    groups: &[Group],
    statements: &[Statement],
    labels: Option<&Labels>,
) -> Option<Drawn> {
    if groups.iter().all(|group| group.runs.is_empty()) {
        return None;
    }
    let chart = |diagrams| Some(Drawn::Chart(Chart { title: recipe.title.clone(), diagrams }));
    match recipe.target {
        Target::Table1 => chart(planes(groups, statements, labels)),
        Target::Fig2a | Target::Fig2b => chart(planes(groups, &[], labels)),
        Target::Table2 => chart(over_ratios(groups, statements).into()),
        Target::Fig2c | Target::Fig2d => chart(vec![trajectories(groups)]),
        Target::Fig2e | Target::Fig2f => chart(vec![log_likelihoods(groups)]),
        _ => Some(Drawn::HeatMaps(heat_maps(recipe, groups))),
    }
}

// ------------------------------------------------------------------------------------------- the information plane

/// A curve for every method: labels that begin with the same word.
fn methods(groups: &[Group]) -> Vec<(String, Vec<&Group>)> {
    let mut methods: Vec<(String, Vec<&Group>)> = Vec::new();
    for group in groups {
        let method = group.label.split(' ').next().unwrap_or_default();
        match methods.iter_mut().find(|(name, _)| name == method) {
            Some((_, own)) => own.push(group),
            None => methods.push((method.into(), vec![group])),
        }
    }
    methods
}

/// N-CE over the rate used in training and in the paper, and over the joint estimate.
fn planes(groups: &[Group], statements: &[Statement], labels: Option<&Labels>) -> Vec<Diagram> {
    let entropy = labels.and_then(Labels::bounding);
    // Runs whose features know no receiver are bound by no sum over receivers.
    let mut runs = groups.iter().flat_map(|group| &group.runs);
    let shares = runs.any(|run| run.scenario.network.multicast);
    let shared = labels.filter(|_| shares).and_then(|labels| reachable(&labels.combinations));
    let of_paper = |group: &str, metric: &str| {
        let is = |one: &&Statement| one.value.group == group && one.value.metric == metric;
        statements.iter().find(is).map(|one| one.value.value)
    };
    let plane = |rate: &str, title: String, with_paper: bool| {
        let mut series = Vec::new();
        for (color, (method, own)) in methods(groups).into_iter().enumerate() {
            let means = |group: &&Group| Some([group.mean(rate)?, group.mean("n_ce")?]);
            // dlsc's joint entropy is a differential entropy, far below 0.
            let shown = own.iter().filter(|group| rate != "joint_rate" || !is_entropy(group));
            let mut means: Vec<[Mean; 2]> = shown.filter_map(means).collect();
            means.sort_by(|one, other| one[0].mean.total_cmp(&other[0].mean));
            let points: Vec<(f64, f64)> = means.iter().map(|[rate, n_ce]| (rate.mean, n_ce.mean)).collect();
            let bars = means.iter().flat_map(|[rate, n_ce]| crossed(*rate, *n_ce)).collect();
            let line = if points.len() > 1 { Line::Solid } else { Line::None };
            let look = Look { color: Some(color), line, mark: Mark::Dot };
            let paper = of_paper(&method, "sum_rate").zip(of_paper(&method, "n_ce")).filter(|_| with_paper);
            let ring = Look { color: Some(color), line: Line::None, mark: Mark::Ring };
            let of_paper = Series {
                name: format!("{method}, paper"),
                points: paper.into_iter().collect(),
                bars: Vec::new(),
                look: ring,
            };
            series.extend([Series { name: method, points, bars, look }, of_paper]);
        }
        if rate == "joint_rate" {
            series.push(capped(groups, labels));
        }
        plane(title, series, entropy, shared.as_deref())
    };
    let (trained, joint) = match groups.iter().flat_map(|group| &group.runs).next() {
        Some(run) => (
            format!("{}, N = {}", run.rate_estimator, run.rate_samples),
            format!("joint, N = {}", run.joint_rate_samples),
        ),
        None => ("as trained".into(), "joint".into()),
    };
    vec![
        plane("sum_rate", format!("rate as trained with ({trained})"), true),
        plane("joint_rate", format!("large-N rate ({joint})"), false),
    ]
}

/// Rings around joint rates that are limited by the number of rows.
fn capped(groups: &[Group], labels: Option<&Labels>) -> Series {
    let point = |group: &Group| Some((group.mean("joint_rate")?.mean, group.mean("n_ce")?.mean));
    let points = groups.iter().filter(|group| is_capped(group, labels)).filter_map(point).collect();
    let look = Look { color: None, line: Line::None, mark: Mark::Ring };
    Series { name: "at the ceiling of its rows".into(), points, bars: Vec::new(), look }
}

/// Whether the rate of these runs is an entropy.
pub(super) fn is_entropy(group: &Group) -> bool {
    group.runs.iter().any(|run| run.rate_estimator.starts_with("entropy"))
}

/// The intervals of both means, as a cross.
fn crossed(x: Mean, y: Mean) -> impl Iterator<Item = [(f64, f64); 2]> {
    let level = x.half_width.map(|half| [(x.mean - half, y.mean), (x.mean + half, y.mean)]);
    let upright = y.half_width.map(|half| [(x.mean, y.mean - half), (x.mean, y.mean + half)]);
    level.into_iter().chain(upright)
}

/// `shared` has the corners of what shared features can reach.
fn plane(
    title: String,
    mut series: Vec<Series>,
    entropy: Option<f64>,
    shared: Option<&[(f64, f64)]>,
) -> Diagram {
    let all = || series.iter().flat_map(|series| &series.points);
    let rates: Vec<f64> = all().map(|(rate, _)| *rate).collect();
    let most = rates.iter().copied().fold(10.0, f64::max);
    let lowest = all().map(|(_, n_ce)| *n_ce).fold(-0.5, f64::min);
    // Without a visible bound, rates near 0 need not be shown.
    let x = Axis::spread("rate, nats", rates.into_iter().chain(entropy.map(|_| 0.0)).chain([most]));
    let y = Axis::linear("N-CE, nats", [lowest, 0.0]);
    if let Some(entropy) = entropy {
        let at = |step: usize| most * 1.2 * (step as f64 / STEPS as f64).powi(3);
        let points = (0..=STEPS).map(at).map(|rate| (rate, bound(rate, entropy))).collect();
        let look = Look { color: None, line: Line::Dashed, mark: Mark::None };
        let name = format!("N-CE = min(0, R - {entropy:.3})");
        series.push(Series { name, points, bars: Vec::new(), look });
    }
    if let Some(corners) = shared {
        let along = |pair: &[(f64, f64)]| {
            let (from, to) = (pair[0], pair[1]);
            let part = |step: usize| step as f64 / BETWEEN as f64;
            let at = move |part: f64| (from.0 + part * (to.0 - from.0), from.1 + part * (to.1 - from.1));
            (0..=BETWEEN).map(move |step| at(part(step)))
        };
        let points = corners.windows(2).flat_map(along).collect();
        let look = Look { color: None, line: Line::Dashed, mark: Mark::None };
        let name = "shared features: reachable by partitions".into();
        series.push(Series { name, points, bars: Vec::new(), look });
    }
    for series in &mut series {
        let ends = series.bars.iter_mut().flatten();
        series.points.iter_mut().chain(ends).for_each(|point| point.0 = spread(point.0));
    }
    Diagram { title, x, y, series }
}

// ------------------------------------------------------------------------------------------- over ratios and rounds

/// N-CE and sum-rate, here and in the paper.
fn over_ratios(groups: &[Group], statements: &[Statement]) -> [Diagram; 2] {
    let names: Vec<String> = groups.iter().map(|group| group.label.clone()).collect();
    [("n_ce", "N-CE, nats", 0), ("sum_rate", "sum-rate, nats", 1)].map(|(metric, title, color)| {
        let here =
            |(at, group): (usize, &Group)| Some((at as f64, in_paper_units(metric, group.mean(metric)?)));
        let here: Vec<(f64, Mean)> = groups.iter().enumerate().filter_map(here).collect();
        let upright = |&(at, mean): &(f64, Mean)| {
            mean.half_width.map(|half| [(at, mean.mean - half), (at, mean.mean + half)])
        };
        let bars = here.iter().filter_map(upright).collect();
        let here: Vec<(f64, f64)> = here.into_iter().map(|(at, mean)| (at, mean.mean)).collect();
        let paper = |one: &Statement| {
            let at = names.iter().position(|name| *name == one.value.group)?;
            (one.value.metric == metric).then_some((at as f64, one.value.value))
        };
        let paper: Vec<(f64, f64)> = statements.iter().filter_map(paper).collect();
        let values: Vec<f64> = here.iter().chain(&paper).map(|(_, value)| *value).collect();
        let look = |line, mark| Look { color: Some(color), line, mark };
        Diagram {
            title: title.split(',').next().unwrap_or_default().into(),
            x: Axis::named("learning rate of selection : of coding", &names),
            y: Axis::linear(title, values),
            series: vec![
                Series {
                    name: format!("{metric} here"),
                    points: here,
                    bars,
                    look: look(Line::Solid, Mark::Dot),
                },
                Series {
                    name: format!("{metric}, paper"),
                    points: paper,
                    bars: Vec::new(),
                    look: look(Line::Dashed, Mark::Ring),
                },
            ],
        }
    })
}

fn trajectories(groups: &[Group]) -> Diagram {
    let curves: Vec<Vec<Piece>> = groups.iter().map(Group::curve).collect();
    let all = || curves.iter().flatten();
    let series = groups.iter().zip(&curves).enumerate().map(|(color, (group, curve))| Series {
        name: group.label.clone(),
        points: curve.iter().map(|piece| (spread(piece.sum_rate), piece.n_ce)).collect(),
        bars: spans(group, |piece| piece.n_ce, |piece| spread(piece.sum_rate)),
        look: Look { color: Some(color), line: Line::Solid, mark: Mark::Small },
    });
    Diagram {
        title: "from the first round to the last".into(),
        x: Axis::spread("sum-rate, nats", all().map(|piece| piece.sum_rate)),
        y: Axis::linear("N-CE, nats", all().map(|piece| piece.n_ce)),
        series: series.collect(),
    }
}

/// From the lowest to the highest of the seeds, at some points of their curves.
fn spans(group: &Group, y: fn(&Piece) -> f64, x: fn(&Piece) -> f64) -> Vec<[(f64, f64); 2]> {
    if group.runs.len() < 2 {
        return Vec::new();
    }
    let means = group.curve();
    let span = |at: usize| {
        let all = || group.runs.iter().filter_map(|run| run.curve.get(at)).map(y);
        let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
        [(x(&means[at]), low), (x(&means[at]), high)]
    };
    (0..means.len()).skip(SPAN_EVERY / 2).step_by(SPAN_EVERY).map(span).collect()
}

fn log_likelihoods(groups: &[Group]) -> Diagram {
    let curves: Vec<Vec<Piece>> = groups.iter().map(Group::curve).collect();
    let all = || curves.iter().flatten();
    let series = groups.iter().zip(&curves).enumerate().map(|(color, (group, curve))| Series {
        name: group.label.clone(),
        points: curve.iter().map(|piece| (piece.round, piece.logl)).collect(),
        bars: spans(group, |piece| piece.logl, |piece| piece.round),
        look: Look { color: Some(color), line: Line::Solid, mark: Mark::None },
    });
    Diagram {
        title: "learning rate of selection : of coding".into(),
        x: Axis::linear("round", all().map(|piece| piece.round)),
        y: Axis::linear("log-likelihood (21)", all().map(|piece| piece.logl)),
        series: series.collect(),
    }
}

// ------------------------------------------------------------------------------------------- the selection

fn heat_maps(recipe: &Recipe, groups: &[Group]) -> HeatMaps {
    let strips = |group: &Group| group.runs.iter().map(|run| strip(&group.label, run)).collect::<Vec<_>>();
    HeatMaps { title: recipe.title.clone(), strips: groups.iter().flat_map(strips).collect() }
}

fn strip(label: &str, run: &Run) -> Strip {
    let scenario = &run.scenario;
    let entries: Vec<String> = entry_names(run);
    let count = entries.len();
    let chunk = |(t, receiver): (usize, &scenario::Receiver)| Chunk {
        title: receiver.task.clone(),
        columns: entries.clone(),
        rows: run.granted.iter().map(|row| row[t * count..(t + 1) * count].to_vec()).collect(),
    };
    Strip {
        caption: caption(label, run),
        chunks: scenario.receiver.iter().enumerate().map(chunk).collect(),
        rounds: run.rounds,
    }
}

/// Transmitter and modality of every entry of a receiver.
pub(super) fn entry_names(run: &Run) -> Vec<String> {
    let of = |(k, transmitter): (usize, &scenario::Transmitter)| {
        transmitter.modalities.iter().map(|modality| format!("{k} {modality}")).collect::<Vec<_>>()
    };
    run.scenario.transmitter.iter().enumerate().flat_map(of).collect()
}

/// The run's name in its group; its rate, N-CE and expected entries; the same at the end of training.
pub(super) fn caption(label: &str, run: &Run) -> [String; 3] {
    let of = |name: &str| crate::records::figures::named(&run.figures, name).unwrap_or(f64::NAN);
    [
        format!("{label}, seed {}", run.seed),
        format!(
            "test: rate {:.1} nats ({}, N = {}), N-CE {:.3}, expected entries {:.2}",
            of("sum_rate"),
            run.rate_estimator,
            run.rate_samples,
            of("n_ce"),
            of("entries")
        ),
        format!(
            "last 100 rounds of training: rate {:.1} nats, N-CE {:.3}, entries {:.2} (first rounds {:.2}), on noise {:.1} %",
            of("train.sum_rate"),
            of("train.n_ce"),
            of("train.entries"),
            of("train.entries_first"),
            100.0 * of("noise_share")
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::{
        super::{paper::Paper, recipe::recipe, results::tests::group, target::Half},
        *,
    };
    use crate::draw::picture::svg;

    /// The picture of a table or figure from made-up runs of all its kinds.
    fn drawn(target: Target, half: Half) -> String {
        let scenario = coordinator::ScenarioArguments::default().resolve().unwrap();
        let recipe = recipe(target, half, &scenario, &[0.0, 1e-3]);
        let groups: Vec<Group> = recipe.kinds.iter().map(|kind| group(&kind.label, &[-0.4, -0.6])).collect();
        let labels = Labels {
            tasks: vec![("digit".into(), Some(4.476))],
            together: 4.476,
            combinations: Default::default(),
            recordings: Vec::new(),
        };
        match draw(&recipe, &groups, &Paper::read().statements(target, half), Some(&labels)).unwrap() {
            Drawn::Chart(chart) => svg(&chart).unwrap(),
            Drawn::HeatMaps(maps) => svg(&maps).unwrap(),
        }
    }

    #[test]
    fn every_picture_names_what_is_in_it() {
        let bound = "min(0, R - 4.476)";
        for (target, half, words) in [
            (Target::Table1, Half::HandWritten, vec!["Table I(a)", "vddib", "dlsc, paper", bound]),
            (Target::Table2, Half::MmFi, vec!["Table II(b)", "1:16", "4:1", "n_ce here", "sum_rate, paper"]),
            (Target::Fig2a, Half::HandWritten, vec!["Fig. 2(a)", "rs-dib", "tadib", "joint, N = 60", bound]),
            (Target::Fig2d, Half::MmFi, vec!["Fig. 2(d)", "beta=0.1", "beta=0.0001", "sum-rate, nats"]),
            (Target::Fig2e, Half::HandWritten, vec!["Fig. 2(e)", "1:16", "2:1", "log-likelihood (21)"]),
        ] {
            let text = drawn(target, half);
            for word in words {
                assert!(text.contains(word), "{target:?}: {word}");
            }
        }
        assert!(
            !drawn(Target::Fig2c, Half::HandWritten).contains(bound),
            "training is not judged by test labels"
        );
    }

    #[test]
    fn entropies_are_on_no_axis_of_rates() {
        let mut groups = [group("tadib", &[-0.4]), group("dlsc", &[-0.4])];
        groups[1].runs[0].rate_estimator = "entropy, no mutual information".into();
        let [trained, joint] = &planes(&groups, &[], None)[..] else { panic!("two planes") };
        let points = |plane: &Diagram| -> Vec<usize> {
            plane.series.iter().step_by(2).take(2).map(|series| series.points.len()).collect()
        };
        assert_eq!((points(trained), points(joint)), (vec![1, 1], vec![1, 0]));
    }

    #[test]
    fn a_joint_rate_at_its_ceiling_has_a_ring_around_it() {
        let mut groups = [group("tadib", &[-0.4]), group("rs-dib", &[-0.4])];
        for (group, ceiling) in groups.iter_mut().zip([10.2, 30.0]) {
            group.runs[0].figures.push(("joint_ceiling".into(), ceiling));
        }
        let [_, joint] = &planes(&groups, &[], None)[..] else { panic!("two planes") };
        let ringed = joint.series.last().unwrap();
        // At 10 nats of 10.2; not at 10 of 30.
        assert_eq!((ringed.name.as_str(), ringed.points.len()), ("at the ceiling of its rows", 1));
    }

    #[test]
    fn what_partitions_reach_is_drawn_beside_multicast_runs() {
        let labels = Labels {
            tasks: vec![("parity".into(), Some(2_f64.ln()))],
            together: 2_f64.ln(),
            combinations: [(vec![0], 1), (vec![1], 1)].into(),
            recordings: Vec::new(),
        };
        let mut groups = [group("tadib", &[-0.4])];
        let is_drawn = |groups: &[Group], labels: Option<&Labels>| {
            let planes = planes(groups, &[], labels);
            planes.iter().all(|plane| plane.series.iter().any(|series| series.name.starts_with("shared")))
        };
        assert!(!is_drawn(&groups, Some(&labels)));
        groups[0].runs[0].scenario.network.multicast = true;
        assert!(is_drawn(&groups, Some(&labels)) && !is_drawn(&groups, None));
    }

    #[test]
    fn nothing_is_drawn_from_no_runs() {
        let scenario = coordinator::ScenarioArguments::default().resolve().unwrap();
        let recipe = recipe(Target::Fig3, Half::HandWritten, &scenario, &[]);
        assert!(draw(&recipe, &[group("pom2dib", &[])], &[], None).is_none());
    }
}
