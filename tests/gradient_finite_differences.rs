//! The oracle that the machines are held against is itself right: its tape agrees with finite differences, and the score
//! function is, in expectation, the gradient of the expected cost.

#[path = "support/oracle/mod.rs"]
mod oracle;
#[path = "support/played_round.rs"]
mod played_round;
#[path = "support/reports.rs"]
mod reports;
mod support;

use candle_core::{Result, Tensor, Var, backprop::GradStore};
use oracle::{
    Oracle,
    draw::{log_mass, orders},
    selection::Selection,
};
use played_round::{PlayedRound, Start, on_one_thread, owner};
use randomness::{Purpose, Seed};
use reports::assert_figures;
use scenario::LogMass;
use support::local_network::{Node, Setup};
use support::toy_data::toy_setup;

/// Coordinates of every parameter tensor that are moved: that with the largest derivative, and this many more.
const RANDOM_COORDINATES: usize = 2;

/// How far a coordinate is moved. Of values near 1 with rounding errors of 1e-16, the quotients' errors are from 1e-11 to
/// 1e-9. A rectifier's kink may lie within a step, and then spoils it, but hardly within all: one must agree.
const STEPS: [f64; 3] = [1e-5, 1e-6, 1e-7];

/// Of a derivative, against the largest of its tensor or [`SMALL`], whichever is more.
const TOLERANCE: f64 = 1e-6;
const SMALL: f64 = 1e-2;

const NETWORK: &str = r#"
    seed = 6
    [network]
    feature_dim = 3
    [[transmitter]]
    modalities = ["narrow", "wide"]
    [[transmitter]]
    modalities = ["wide", "narrow"]
    [[receiver]]
    task = "colour"
    [[receiver]]
    task = "place"
    [train]
    ticks_per_round = 2
    samples_per_tick = 3
    "#;

const ONE_RECEIVER: &str = r#"
    seed = 7
    [network]
    feature_dim = 2
    [[transmitter]]
    modalities = ["narrow", "wide"]
    [[transmitter]]
    modalities = ["wide", "narrow"]
    [[receiver]]
    task = "colour"
    [train]
    ticks_per_round = 1
    samples_per_tick = 3
    "#;

const COUPLED: &str = r#"
    seed = 8
    [network]
    feature_dim = 2
    receiver_limit = 1
    transmitter_limit = 2
    [[transmitter]]
    modalities = ["narrow", "wide"]
    [[receiver]]
    task = "colour"
    [[receiver]]
    task = "place"
    [train]
    ticks_per_round = 1
    samples_per_tick = 3
    "#;

#[test]
fn of_a_round_with_rates_per_dimension() {
    on_one_thread(|| differences_agree(&[]));
}

#[test]
fn of_a_round_with_joint_rates_and_masses_of_sets() {
    on_one_thread(|| differences_agree(&["train.rate_estimator=joint", "train.log_mass=set"]));
}

#[test]
fn the_score_is_in_expectation_the_gradient_of_the_expected_cost() {
    for train in [["train.beta=0.2", "train.gamma=0.1"], ["train.baseline=none", "train.log_mass=set"]] {
        on_one_thread(|| score_agrees(&toy_setup(ONE_RECEIVER, &train)));
    }
}

#[test]
fn the_score_is_so_where_a_cap_couples_receivers_that_share_credit() {
    on_one_thread(|| score_agrees(&toy_setup(COUPLED, &["train.beta=0.2", "train.credit=shared"])));
}

/// Of the objective and of the score of a round that the machines have played, its selection and costs held fixed.
fn differences_agree(assignments: &[&str]) {
    let setup = toy_setup(NETWORK, &[&["train.beta=0.2"], assignments].concat());
    let played = PlayedRound::play(&setup, Start::Unsettled);
    let oracle = Oracle::new(&setup, played.round, &played.before).unwrap();
    let selection = oracle.select(played.granted(&setup)).unwrap();
    let round = oracle.round(&selection).unwrap();
    assert_figures(&played, &round);

    let gradients = (&round.objective + &round.score).unwrap().backward().unwrap();
    for (name, variable) in &oracle.variables {
        let value = || value_that_depends_on(&setup, &oracle, &selection, &round.costs, name).unwrap();
        assert_derivatives(name, variable, &gradients, value);
    }
}

/// The part of objective and score that a parameter has a say in: its selector's score, its decoder's receiver's
/// objective, or for an encoder all objectives.
fn value_that_depends_on(
    setup: &Setup,
    oracle: &Oracle,
    selection: &Selection,
    costs: &[Vec<f64>],
    parameter: &str,
) -> Result<f64> {
    let node = owner(parameter);
    if parameter.contains("/selector/") {
        return oracle.score(node, selection, costs)?.to_scalar();
    }
    let concerned = |t: &usize| matches!(node, Node::Transmitter(_)) || node == Node::Receiver(*t);
    let mut value = 0.0;
    for t in (0..setup.scenario.receivers()).filter(concerned) {
        for (tick, granted) in selection.granted[t].iter().enumerate() {
            value += oracle.judge(t, tick, granted)?.objective.to_scalar::<f64>()?;
        }
    }
    Ok(value)
}

/// Compares central differences of `value` with the tape's derivatives, at a few coordinates of a parameter tensor.
fn assert_derivatives(name: &str, variable: &Var, gradients: &GradStore, value: impl Fn() -> f64) {
    let Some(gradient) = gradients.get(variable) else {
        panic!("no gradient reaches {name}");
    };
    let gradient = gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let largest = (0..gradient.len())
        .max_by(|a, b| gradient[*a].abs().total_cmp(&gradient[*b].abs()))
        .expect("a parameter has elements");
    let mut stream = Seed::from_number(0).named_stream(Purpose::Test, name, &[], 0);
    let random = (0..RANDOM_COORDINATES).map(|_| stream.below(gradient.len() as u64) as usize);
    for coordinate in [largest].into_iter().chain(random) {
        let quotient = |step: f64| {
            (moved(variable, coordinate, step, &value) - moved(variable, coordinate, -step, &value))
                / (2.0 * step)
        };
        let expected = gradient[coordinate];
        let scale = gradient[largest].abs().max(SMALL);
        let agrees = |step: &f64| (quotient(*step) - expected).abs() < TOLERANCE * scale;
        assert!(
            STEPS.iter().any(agrees),
            "{name}, element {coordinate}: {:?}, but the tape has {expected}",
            STEPS.map(quotient)
        );
    }
}

/// The value with one element of a variable moved.
fn moved(variable: &Var, coordinate: usize, step: f64, value: impl Fn() -> f64) -> f64 {
    let original = variable.copy().unwrap();
    let mut values = original.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    values[coordinate] += step;
    variable.set(&Tensor::from_vec(values, original.shape(), original.device()).unwrap()).unwrap();
    let value = value();
    variable.set(&original).unwrap();
    value
}

/// A selection, and the probability that the caps make these grants of its requests.
struct Outcome {
    selection: Selection,
    of_grants: f64,
}

/// Of one tick: everything that may be drawn is, with its probability.
fn score_agrees(setup: &Setup) {
    let played = PlayedRound::play(setup, Start::Initial);
    let oracle = Oracle::new(setup, played.round, &played.before).unwrap();
    let outcomes = outcomes(setup);
    let costs: Vec<Vec<Vec<f64>>> =
        outcomes.iter().map(|outcome| costs(&oracle, &outcome.selection).unwrap()).collect();
    let probabilities = probabilities(setup, &oracle, &outcomes).unwrap();
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);

    let mut estimates = Vec::new();
    for ((outcome, costs), probability) in outcomes.iter().zip(&costs).zip(probabilities) {
        let scores = oracle.scores(&outcome.selection, costs).unwrap();
        estimates.extend(scores.into_values().map(|score| (score * probability).unwrap()));
    }
    let gradients = Tensor::stack(&estimates, 0).unwrap().sum_all().unwrap().backward().unwrap();

    let totals: Vec<f64> = costs.iter().map(|costs| costs.iter().flatten().sum()).collect();
    let expected_cost = || {
        let probabilities = self::probabilities(setup, &oracle, &outcomes).unwrap();
        probabilities.iter().zip(&totals).map(|(probability, total)| probability * total).sum()
    };
    let selectors = oracle.variables.iter().filter(|(name, _)| name.contains("/selector/"));
    for (name, variable) in selectors {
        assert_derivatives(name, variable, &gradients, expected_cost);
    }
}

/// Everything that may happen at a tick: all asks, then all requests for those who ask, then all grants.
fn outcomes(setup: &Setup) -> Vec<Outcome> {
    let scenario = &setup.scenario;
    let (transmitters, receivers) = (scenario.transmitters(), scenario.receivers());
    let nothing = Selection {
        asks: vec![vec![Vec::new()]; receivers],
        requests: vec![vec![vec![Vec::new()]; receivers]; transmitters],
        granted: vec![vec![Vec::new()]; receivers],
    };
    let mut outcomes = vec![Outcome { selection: nothing, of_grants: 1.0 }];
    for t in 0..receivers {
        outcomes = branch(
            outcomes,
            |_| draws(scenario.receiver_limit(), transmitters),
            |outcome, asks| {
                outcome.selection.asks[t][0] = asks;
            },
        );
    }
    for (k, t) in (0..transmitters).flat_map(|k| (0..receivers).map(move |t| (k, t))) {
        let modalities = scenario.modalities(k);
        let counts = scenario.transmitter_limit(k).min(modalities);
        let drawn = |outcome: &Outcome| match outcome.selection.asks[t][0].contains(&k) {
            true => draws(counts, modalities),
            false => vec![Vec::new()],
        };
        outcomes = branch(outcomes, drawn, |outcome, items| outcome.selection.requests[k][t][0] = items);
    }
    for k in 0..transmitters {
        let kept = |outcome: &Outcome| {
            let kept = capped(&requests(k, outcome), scenario.transmitter_limit(k));
            let of_each = 1.0 / kept.len() as f64;
            kept.into_iter().map(|kept| (kept, of_each)).collect()
        };
        outcomes = branch(outcomes, kept, |outcome, (kept, of_each)| {
            outcome.of_grants *= of_each;
            kept.into_iter().for_each(|(t, m)| outcome.selection.granted[t][0].push((k, m)));
        });
    }
    outcomes
}

/// Every outcome once for each of its choices.
fn branch<C>(
    outcomes: Vec<Outcome>,
    choices: impl Fn(&Outcome) -> Vec<C>,
    choose: impl Fn(&mut Outcome, C),
) -> Vec<Outcome> {
    let branches = |outcome: Outcome| {
        let with = |choice| {
            let mut chosen = Outcome { selection: outcome.selection.clone(), ..outcome };
            choose(&mut chosen, choice);
            chosen
        };
        choices(&outcome).into_iter().map(with).collect::<Vec<_>>()
    };
    outcomes.into_iter().flat_map(branches).collect()
}

/// All that may be drawn of some items: one item, or more up to `counts`, in any order.
fn draws(counts: usize, items: usize) -> Vec<Vec<usize>> {
    let items: Vec<usize> = (0..items).collect();
    let sizes = 1..=counts;
    sizes.flat_map(|size| subsets(&items, size)).flat_map(|subset| orders(&subset)).collect()
}

/// What a cap may leave of requests.
fn capped(requests: &[(usize, usize)], limit: usize) -> Vec<Vec<(usize, usize)>> {
    subsets(requests, limit.min(requests.len()))
}

fn subsets<I: Copy>(items: &[I], size: usize) -> Vec<Vec<I>> {
    let members = |bits: usize| (0..items.len()).filter(move |item| bits >> item & 1 == 1);
    (0usize..1 << items.len())
        .filter(|bits| bits.count_ones() as usize == size)
        .map(|bits| members(bits).map(|item| items[item]).collect())
        .collect()
}

/// All (t, m) requested of transmitter k.
fn requests(k: usize, outcome: &Outcome) -> Vec<(usize, usize)> {
    let requests = outcome.selection.requests[k].iter().enumerate();
    requests.flat_map(|(t, ticks)| ticks[0].iter().map(move |&m| (t, m))).collect()
}

/// `[t][tick]`, of the one tick.
fn costs(oracle: &Oracle, selection: &Selection) -> Result<Vec<Vec<f64>>> {
    let cost = |t: usize| {
        let objective = oracle.judge(t, 0, &selection.granted[t][0])?.objective.to_scalar()?;
        Ok(oracle.costs(selection, t, &[objective]))
    };
    (0..selection.granted.len()).map(cost).collect()
}

/// Of each outcome, as the selectors stand.
fn probabilities(setup: &Setup, oracle: &Oracle, outcomes: &[Outcome]) -> Result<Vec<f64>> {
    let scenario = &setup.scenario;
    let receivers = 0..scenario.receivers();
    let asking = receivers.clone().map(|t| oracle.receiver_logits(t, 0)).collect::<Result<Vec<_>>>()?;
    let requesting = (0..scenario.transmitters())
        .map(|k| receivers.clone().map(|t| oracle.transmitter_logits(k, t, 0)).collect())
        .collect::<Result<Vec<Vec<_>>>>()?;
    let log_mass = |logits: &Tensor, counts, items: &[usize]| {
        log_mass(&logits.detach(), counts, items, LogMass::Sequence)?.to_scalar::<f64>()
    };
    let probability = |Outcome { selection, of_grants }: &Outcome| {
        let mut sum = of_grants.ln();
        for t in receivers.clone() {
            let asks = &selection.asks[t][0];
            sum += log_mass(&asking[t], scenario.receiver_limit(), asks)?;
            for &k in asks {
                let counts = oracle.transmitter_counts(k);
                sum += log_mass(&requesting[k][t], counts, &selection.requests[k][t][0])?;
            }
        }
        Ok(sum.exp())
    };
    outcomes.iter().map(probability).collect()
}
