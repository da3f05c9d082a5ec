//! What common randomness is worth where the worst receiver counts, by brute force, for scenarios/coordination.toml:
//! two receivers, each of which needs one of two bits, share a transmitter that observes both exactly and one that
//! observes them flipped now and then; each may request one, and each transmitter may serve one.
//!
//! The requests, choices and grants are those that the scenario allows, the entropies those of the listed samples.

use crate::outcomes::outcomes;
use crate::support::toy_data::toy_setup;

const SCENARIO: &str = include_str!("../../scenarios/coordination.toml");

/// How often the second transmitter sees a bit flipped; as in examples/data/coordination.py.
const FLIPPED: f64 = 0.11;

const TOLERANCE: f64 = 1e-9;

/// Steps of a probability where all pairs of probabilities are tried.
const STEPS: usize = 2000;

/// `[a][b][t]`: what receiver t pays if receiver 0 requests transmitter a and receiver 1 transmitter b, in expectation
/// over the cap.
type Costs = [[[f64; 2]; 2]; 2];

/// The entropy in nats of bit t given all that a transmitter observes, or given nothing.
fn conditional_entropy(transmitter: Option<usize>, t: usize) -> f64 {
    let mut joint = [[0.0; 2]; 4];
    for (bits, flips) in (0..4_usize).flat_map(|bits| (0..4_usize).map(move |flips| (bits, flips))) {
        let of_flip = |bit: usize| if flips >> bit & 1 == 1 { FLIPPED } else { 1.0 - FLIPPED };
        let observed = match transmitter {
            None => 0,
            Some(0) => bits,
            Some(_) => bits ^ flips,
        };
        joint[observed][bits >> t & 1] += 0.25 * of_flip(0) * of_flip(1);
    }
    let of_observed = |masses: &[f64; 2]| {
        let total: f64 = masses.iter().sum();
        masses.iter().filter(|mass| **mass > 0.0).map(|mass| -mass * (mass / total).ln()).sum::<f64>()
    };
    joint.iter().map(of_observed).sum()
}

/// The costs of the shipped scenario, beta 0 and no penalty: the cross entropy of the best decoders.
fn costs() -> Costs {
    let setup = toy_setup(SCENARIO, &[]);
    let of = |k: usize| setup.scenario.transmitter[k].modalities.join(" ");
    assert_eq!((of(0).as_str(), of(1).as_str()), ("exact", "flipped"));
    assert_eq!(setup.scenario.train.empty_penalty, 0.0);
    let mut costs = Costs::default();
    let mut mass = [[0.0; 2]; 2];
    for outcome in outcomes(&setup) {
        let [a, b] = [0, 1].map(|t| outcome.selection.requests[t][0][0]);
        mass[a][b] += outcome.of_grants;
        for (t, cost) in costs[a][b].iter_mut().enumerate() {
            let from = outcome.selection.granted[t][0].first().map(|&(k, _)| k);
            *cost += outcome.of_grants * conditional_entropy(from, t);
        }
    }
    assert!(mass.iter().flatten().all(|mass| (mass - 1.0).abs() < TOLERANCE), "{mass:?}");
    costs
}

/// The costs of all pairs of requests.
fn pairs(costs: &Costs) -> Vec<[f64; 2]> {
    costs.iter().flatten().copied().collect()
}

/// What the receivers pay if each draws by itself: p and q are the probabilities that receiver 0, and 1, requests the
/// exact transmitter.
fn drawn_alone(costs: &Costs, p: f64, q: f64) -> [f64; 2] {
    let of = |t: usize| {
        p * q * costs[0][0][t]
            + p * (1.0 - q) * costs[0][1][t]
            + (1.0 - p) * q * costs[1][0][t]
            + (1.0 - p) * (1.0 - q) * costs[1][1][t]
    };
    [of(0), of(1)]
}

fn worst(costs: [f64; 2]) -> f64 {
    costs[0].max(costs[1])
}

/// The least worst cost of all pairs of requests, each made always.
fn deterministic(costs: &Costs) -> f64 {
    pairs(costs).into_iter().map(worst).fold(f64::INFINITY, f64::min)
}

/// The least worst expected cost of all laws of a pair of requests: a law of any two pairs is enough, since only two
/// costs count.
fn with_common_randomness(costs: &Costs) -> f64 {
    let pairs = pairs(costs);
    let both = pairs.iter().flat_map(|one| pairs.iter().map(move |other| (one, other)));
    let best_of_two = |(one, other): (&[f64; 2], &[f64; 2])| {
        // The larger of two linear functions of the share is least at an end, or where they cross.
        let slopes = (one[0] - other[0]) - (one[1] - other[1]);
        let crossing = if slopes == 0.0 { 0.0 } else { (other[1] - other[0]) / slopes };
        let at = |share: f64| worst([0, 1].map(|t| share * one[t] + (1.0 - share) * other[t]));
        [0.0, 1.0, crossing.clamp(0.0, 1.0)].map(at).into_iter().fold(f64::INFINITY, f64::min)
    };
    both.map(best_of_two).fold(f64::INFINITY, f64::min)
}

/// The same from below: no law costs less than the best pair of requests under any weights of the receivers.
fn bound_by_weights(costs: &Costs) -> f64 {
    let pairs = pairs(costs);
    let best = |weight: f64| {
        pairs.iter().map(|cost| weight * cost[0] + (1.0 - weight) * cost[1]).fold(f64::INFINITY, f64::min)
    };
    (0..=STEPS).map(|step| best(step as f64 / STEPS as f64)).fold(f64::NEG_INFINITY, f64::max)
}

/// The least of a function over all pairs of probabilities in steps.
fn least_on_grid(of: impl Fn(f64, f64) -> f64) -> f64 {
    let grid = || (0..=STEPS).map(|step| step as f64 / STEPS as f64);
    grid().flat_map(|p| grid().map(move |q| (p, q))).map(|(p, q)| of(p, q)).fold(f64::INFINITY, f64::min)
}

#[test]
fn what_a_receiver_pays_is_nothing_half_a_bit_or_a_bit() {
    let of_flip = -(FLIPPED * FLIPPED.ln() + (1.0 - FLIPPED) * (1.0 - FLIPPED).ln());
    for t in 0..2 {
        for (transmitter, expected) in [(Some(0), 0.0), (Some(1), of_flip), (None, 2f64.ln())] {
            let entropy = conditional_entropy(transmitter, t);
            assert!((entropy - expected).abs() < TOLERANCE, "{transmitter:?}, bit {t}: {entropy}");
        }
    }
    // If both request the same transmitter, its cap lets one of them go without.
    let costs = costs();
    let half = |entropy: f64| 0.5 * (entropy + 2f64.ln());
    for (a, b, expected) in
        [(0, 0, [half(0.0); 2]), (0, 1, [0.0, of_flip]), (1, 0, [of_flip, 0.0]), (1, 1, [half(of_flip); 2])]
    {
        let close = |t: usize| (costs[a][b][t] - expected[t]).abs() < TOLERANCE;
        assert!(close(0) && close(1), "{a}, {b}: {:?}, where {expected:?}", costs[a][b]);
    }
}

#[test]
fn the_worst_receiver_pays_half_as_much_with_common_randomness_as_with_none() {
    let costs = costs();
    let (fixed, common) = (deterministic(&costs), with_common_randomness(&costs));
    assert!((fixed - 0.3465).abs() < 5e-5, "{fixed}");
    assert!((common - 0.1733).abs() < 5e-5, "{common}");
    assert!((common - 0.5 * fixed).abs() < TOLERANCE);
    // The same from both sides: a law that costs so much, and weights under which nothing costs less.
    let bound = bound_by_weights(&costs);
    assert!((common - bound).abs() < TOLERANCE, "{common}, but by weights {bound}");
}

#[test]
fn receivers_that_draw_by_themselves_pay_more_than_with_common_randomness() {
    let costs = costs();
    let least = least_on_grid(|p, q| worst(drawn_alone(&costs, p, q)));
    assert!((least - 0.2888).abs() < 1e-4, "{least}");
    // Between the points of the grid a cost changes by at most the largest difference that a request makes to it.
    let largest = pairs(&costs).into_iter().map(worst).fold(0.0, f64::max);
    let below_grid = least - 2.0 * largest * 0.5 / STEPS as f64;
    let common = with_common_randomness(&costs);
    assert!(below_grid > common + 0.1, "{below_grid}, with common randomness {common}");
    // It is of use even so: less than the worst of any certain requests.
    assert!(least < deterministic(&costs) - 0.05);
    // Both request the exact transmitter in two of three draws.
    let symmetric = worst(drawn_alone(&costs, 2.0 / 3.0, 2.0 / 3.0));
    assert!((symmetric - least).abs() < 1e-4, "{symmetric}, at best {least}");
}

#[test]
fn for_the_sum_of_both_costs_randomness_is_worth_nothing() {
    // (P3) is linear in the law of the requests: Theorem 2.
    let costs = costs();
    let certain = pairs(&costs).into_iter().map(|[one, other]| one + other).fold(f64::INFINITY, f64::min);
    let drawn = least_on_grid(|p, q| drawn_alone(&costs, p, q).iter().sum());
    assert!((drawn - certain).abs() < TOLERANCE, "{drawn}, {certain} of certain requests");
    assert!(with_common_randomness(&costs) * 2.0 > certain - TOLERANCE);
}

#[test]
fn a_receiver_that_judges_its_requests_by_its_own_cost_never_yields() {
    // Whatever the other receiver requests, the exact transmitter costs at most 1e-4 more than the other: both request
    // it, and pay as the worst receiver of certain requests does. So the worst objective needs shared credit.
    let costs = costs();
    let [exact, flipped] = &costs;
    assert!((0..2).all(|other| exact[other][0] < flipped[other][0] + 1e-4));
    assert!(costs.iter().all(|of_other| of_other[0][1] < of_other[1][1] + 1e-4));
    assert!((worst(costs[0][0]) - deterministic(&costs)).abs() < 1e-4);
}
