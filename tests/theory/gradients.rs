//! The oracle's tape agrees with finite differences, and the score function is, in expectation, the gradient of the
//! expected cost.

use candle_core::{Result, Tensor, Var, backprop::GradStore};
use randomness::{Purpose, Seed};

use crate::oracle::{Oracle, selection::Selection};
use crate::outcomes::{costs, outcomes, probabilities};
use crate::played_round::{PlayedRound, Start, on_one_thread, owner};
use crate::reports::assert_figures;
use crate::support::local_network::{Node, Setup};
use crate::support::toy_data::toy_setup;
use crate::{COUPLED, NETWORK, ONE_RECEIVER, TWO_OF_THREE};

/// Coordinates of every parameter tensor that are checked: that with the largest derivative, and this many more.
const RANDOM_COORDINATES: usize = 2;

/// Step sizes of a coordinate. For values near 1 with rounding errors of 1e-16, the quotients' errors are from 1e-11 to
/// 1e-9. A ReLU's kink may lie within a step and spoil it, but hardly within all: one must agree.
const STEPS: [f64; 3] = [1e-5, 1e-6, 1e-7];

/// Error of a derivative relative to the largest of its tensor or [`SMALL`], whichever is more.
const TOLERANCE: f64 = 1e-6;
const SMALL: f64 = 1e-2;

#[test]
fn of_a_round_with_rates_per_dimension() {
    on_one_thread(|| differences_agree(&[]));
}

#[test]
fn of_a_round_with_joint_rates_and_masses_of_sets() {
    on_one_thread(|| differences_agree(&["train.rate_estimator=joint", "train.log_mass=set"]));
}

#[test]
fn of_a_round_of_single_samples() {
    for estimator in ["train.rate_estimator=per-dimension", "train.rate_estimator=joint"] {
        let single = ["train.samples_per_tick=1", "train.ticks_per_round=3", estimator];
        on_one_thread(|| differences_agree(&single));
    }
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

#[test]
fn the_score_is_so_where_differences_are_credited() {
    // With one tick there is no other to take a baseline from.
    for more in [
        ["train.baseline=leave-one-out", "train.sparse_term=own"],
        ["train.baseline=none", "train.sparse_term=global"],
    ] {
        let train = ["train.credit=difference", "train.beta=0.2", "train.gamma=0.1"];
        on_one_thread(|| score_agrees(&toy_setup(TWO_OF_THREE, &[&train[..], &more].concat())));
    }
}

#[test]
fn the_score_of_a_transmitter_is_so_where_a_cap_couples_receivers_and_differences_are_credited() {
    let train = ["train.beta=0.2", "train.credit=difference", "train.baseline=none"];
    on_one_thread(|| score_agrees(&toy_setup(COUPLED, &train)));
}

/// Checks objective and score of a round that the machines have played, with its selection and costs held fixed.
fn differences_agree(assignments: &[&str]) {
    let setup = toy_setup(NETWORK, &[&["train.beta=0.2"], assignments].concat());
    let played = PlayedRound::play(&setup, Start::Unsettled);
    let oracle = Oracle::new(&setup, played.round, &played.before).unwrap();
    let oracle = oracle.with_rates_over(played.sent(&setup));
    let selection = oracle.select(played.granted(&setup)).unwrap();
    let round = oracle.round(&selection).unwrap();
    assert_figures(&played, &round);

    let gradients = (&round.objective + &round.score).unwrap().backward().unwrap();
    for (name, variable) in &oracle.variables {
        let value = || value_that_depends_on(&setup, &oracle, &selection, &round.costs, name).unwrap();
        assert_derivatives(name, variable, &gradients, value);
    }
}

/// The part of objective and score that depends on a parameter: its selector's score, its decoder's receiver's
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
    oracle.encoding_once(|| {
        let mut value = 0.0;
        for t in (0..setup.scenario.receivers()).filter(concerned) {
            for (tick, granted) in selection.granted[t].iter().enumerate() {
                value += oracle.judge(t, tick, granted)?.objective.to_scalar::<f64>()?;
            }
        }
        Ok(value)
    })
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

/// For one tick: all possible draws are enumerated with their probabilities.
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
