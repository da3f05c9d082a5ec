//! Proposition 2: where rates and local losses cost nothing, an additional entry never hurts, so that some best
//! selection uses all limits; and (23): a decoder's cross entropy is never below the conditional entropy.

use candle_core::Tensor;
use randomness::{Purpose, Seed};

use crate::ONE_RECEIVER;
use crate::oracle::Oracle;
use crate::played_round::{PlayedRound, Start, on_one_thread};
use crate::problem::{Entry, Problem, Sets, all_sets};
use crate::support::toy_data::toy_setup;

/// Tolerance for figures that dib computes in f32.
const TOLERANCE: f64 = 1e-6;

/// The construction of (36) and (37): a new entry whose encoder is constant does not change the joint loss, and so
/// costs only what beta charges for it.
#[test]
fn a_constant_encoder_adds_an_entry_for_nothing_where_beta_is_0() {
    for (beta, is_free) in [("train.beta=0.0", true), ("train.beta=0.2", false)] {
        on_one_thread(|| {
            let setup = toy_setup(ONE_RECEIVER, &[beta]);
            let played = PlayedRound::play(&setup, Start::Unsettled);
            let all = [(0, 0), (0, 1), (1, 0), (1, 1)];
            for new in all {
                let oracle = Oracle::new(&setup, played.round, &played.before).unwrap();
                silence(&oracle, new);
                for kept in subsets(&all).filter(|kept| !kept.is_empty() && !kept.contains(&new)) {
                    let objective = |entries: &[(usize, usize)]| {
                        oracle.judge(0, 0, entries).unwrap().objective.to_scalar::<f64>().unwrap()
                    };
                    let added = objective(&[kept.as_slice(), &[new]].concat()) - objective(&kept);
                    match is_free {
                        true => assert!(added.abs() < 1e-10, "{new:?} beside {kept:?} adds {added}"),
                        false => assert!(added > 1e-2, "{new:?} beside {kept:?} adds {added}"),
                    }
                }
            }
        });
    }
}

#[test]
fn conditional_entropies_of_the_problem_are_their_closed_forms() {
    let problem = Problem::new();
    let of_digit = |entries: &[Entry]| problem.conditional_entropy(0, entries);
    let two = 2f64.ln();
    let flip = -(0.25 * 0.25f64.ln() + 0.75 * 0.75f64.ln());
    for (entries, expected) in [
        (vec![Entry::HIGH], two),
        (vec![Entry::HIGH, Entry::LOW], 0.0),
        (vec![Entry::NOISE], 2.0 * two),
        (vec![Entry::UNSURE], two + flip),
        (vec![Entry::HIGH, Entry::UNSURE], two),
        (vec![Entry::LOW, Entry::UNSURE], flip),
    ] {
        let entropy = of_digit(&entries);
        assert!((entropy - expected).abs() < TOLERANCE, "{entries:?}: {entropy}, exactly {expected}");
    }
    // One bit alone carries no information about the parity.
    assert!((problem.conditional_entropy(1, &[Entry::HIGH]) - two).abs() < TOLERANCE);
    assert!((problem.rate(Entry::HIGH) - two).abs() < TOLERANCE);
}

#[test]
fn no_entry_more_raises_a_conditional_entropy() {
    let problem = Problem::new();
    for t in 0..2 {
        for kept in subsets(&Entry::ALL).filter(|kept| !kept.is_empty()) {
            for new in Entry::ALL.into_iter().filter(|new| !kept.contains(new)) {
                let more = [kept.as_slice(), &[new]].concat();
                let (before, after) =
                    (problem.conditional_entropy(t, &kept), problem.conditional_entropy(t, &more));
                assert!(after < before + TOLERANCE, "{new:?} beside {kept:?}: {before} to {after}");
            }
        }
    }
}

#[test]
fn some_best_selection_is_at_all_limits_where_beta_is_0_and_none_where_it_is_not() {
    let problem = Problem::new();
    let feasible = || all_sets().filter(Sets::is_feasible);
    let least = |beta: f64, sets: &mut dyn Iterator<Item = Sets>| {
        sets.map(|sets| problem.objective(&sets, beta)).fold(f64::INFINITY, f64::min)
    };
    let at_limits = || feasible().filter(Sets::is_at_all_limits);
    assert!(at_limits().count() > 0);

    let [best, best_at_limits] = [least(0.0, &mut feasible()), least(0.0, &mut at_limits())];
    assert!(best_at_limits < best + TOLERANCE, "{best_at_limits} at the limits, {best} elsewhere");

    // Remark 6: the tradeoff moves the optimum below the limits, and noise is dropped first, for any limits.
    let [best, best_at_limits] = [least(0.05, &mut feasible()), least(0.05, &mut at_limits())];
    assert!(best_at_limits > best + 1e-2, "{best_at_limits} at the limits, {best} elsewhere");
    let unlimited = || all_sets().filter(Sets::serves_everybody);
    let [best, without_noise] = [
        least(0.05, &mut unlimited()),
        least(
            0.05,
            &mut unlimited().filter(|sets| !sets.0.iter().flatten().any(|entry| *entry == Entry::NOISE)),
        ),
    ];
    assert_eq!(best, without_noise);
    let everything = problem.objective(&Sets([Entry::ALL.to_vec(), Entry::ALL.to_vec()]), 0.05);
    assert!(everything > best + 1e-2, "{everything} of everything, {best} at best");
}

#[test]
fn no_decoder_has_less_cross_entropy_than_the_conditional_entropy() {
    let problem = Problem::new();
    let mut stream = Seed::from_number(1).stream(Purpose::Test, &[], 0);
    for kept in subsets(&Entry::ALL).filter(|kept| !kept.is_empty()) {
        let entropy = problem.conditional_entropy(0, &kept);
        for scale in [0.01, 1.0, 10.0] {
            let other = problem.cross_entropy(0, &kept, |logit| logit + scale * stream.normal());
            assert!(other > entropy - TOLERANCE, "{kept:?}: {other}, less than {entropy}");
        }
    }
}

/// Makes the encoder of an entry constant: its mean is 0, which a decoder treats as absent, and its deviation too.
fn silence(oracle: &Oracle, (k, m): (usize, usize)) {
    for (name, variable) in &oracle.variables {
        let zero = variable.zeros_like().unwrap();
        if *name == format!("transmitter{k}/encoder{m}/linear.w") {
            variable.set(&zero).unwrap();
        } else if *name == format!("transmitter{k}/encoder{m}/linear.b") {
            let half = variable.elem_count() / 2;
            let mean = zero.narrow(0, 0, half).unwrap();
            let raw = (zero.narrow(0, half, half).unwrap() - 25.0).unwrap();
            variable.set(&Tensor::cat(&[mean, raw], 0).unwrap()).unwrap();
        }
    }
}

fn subsets<I: Copy>(items: &[I]) -> impl Iterator<Item = Vec<I>> {
    let of = |bits: usize| (0..items.len()).filter(move |item| bits >> item & 1 == 1);
    (0usize..1 << items.len()).map(move |bits| of(bits).map(|item| items[item]).collect())
}
