//! Where the worst receiver counts: gradients and costs under weights, and how nodes move the weights.

use crate::oracle::Oracle;
use crate::played_round::{PlayedRound, Start, on_one_thread, tensors};
use crate::reports::assert_close;
use crate::support::local_network::{Node, Setup};
use crate::{THREE_BY_TWO, TIGHTLY_CAPPED, TWO_BY_TWO, agrees, toy};
use proto::v1::report::Report;

const RATE: f64 = 0.3;
const MEMORY: f64 = 0.9;

fn worst(scenario: &str, assignments: &[&str]) -> Setup {
    let (rate, memory) = (format!("train.worst_lr={RATE}"), format!("train.worst_memory={MEMORY}"));
    let baseline = "train.baseline=leave-one-out";
    toy(
        scenario,
        &[&["train.objective=worst", &rate, &memory, "train.beta=0.5", baseline], assignments].concat(),
    )
}

/// [`Start::Unsettled`] has weights that are not uniform.
#[test]
fn of_receivers_that_count_differently() {
    for credit in ["train.credit=own", "train.credit=shared"] {
        for (scenario, more) in [
            (TWO_BY_TWO, "train.baseline=none"),
            (THREE_BY_TWO, "train.rate_estimator=joint"),
            (TIGHTLY_CAPPED, "train.entropy_bonus=0.2"),
            (THREE_BY_TWO, "train.samples_per_tick=1"),
            (TWO_BY_TWO, "train.rate_estimator=prior"),
            (THREE_BY_TWO, "train.method=tadib"),
        ] {
            agrees(&worst(scenario, &[credit, more]), Start::Unsettled);
        }
    }
    let own = ["train.credit=own", "train.baseline=label-entropy"];
    agrees(&worst(THREE_BY_TWO, &own), Start::Unsettled);
}

#[test]
fn of_receivers_that_count_differently_in_a_round_of_several_parts() {
    let ticks = format!("train.ticks_per_round={}", scenario::GRADIENT_BLOCK_TICKS + 2);
    let parts: [&str; 4] =
        [&ticks, "train.ticks_per_part=10", "train.credit=shared", "train.baseline=leave-one-out"];
    agrees(&worst(TIGHTLY_CAPPED, &parts), Start::Unsettled);
    agrees(&worst(TIGHTLY_CAPPED, &parts), Start::Initial);
}

#[test]
fn weights_move_by_what_the_round_cost() {
    let setup = worst(TIGHTLY_CAPPED, &["train.baseline=leave-one-out"]);
    on_one_thread(|| {
        let played = PlayedRound::play(&setup, Start::Unsettled);
        let oracle = Oracle::new(&setup, played.round, &played.before).unwrap();
        let round = oracle.round(&oracle.select(played.granted(&setup)).unwrap()).unwrap();
        assert!((oracle.factors.iter().sum::<f64>() - 2.0).abs() < 1e-12 && oracle.factors[0] > 1.2);

        let mean = |costs: &Vec<f64>| costs.iter().sum::<f64>() / costs.len() as f64;
        let moved: Vec<f64> = (round.costs.iter().zip(&oracle.factors))
            .map(|(costs, factor)| MEMORY * (factor.ln() + RATE * mean(costs)))
            .collect();
        let largest = moved.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let after = tensors(&played.network.snapshots[&(played.round + 1)]);
        for node in ["transmitter0", "transmitter1", "receiver0", "receiver1"] {
            let logs = after[&format!("{node}/objective.log-weights")].to_vec1::<f64>().unwrap();
            assert_eq!(logs.len(), moved.len());
            logs.iter().zip(&moved).for_each(|(log, moved)| assert_close(node, *log, moved - largest));
        }
        for (t, factor) in oracle.factors.iter().enumerate() {
            let [Report::ReceiverRound(report)] = played.network.reports[&Node::Receiver(t)].as_slice()
            else {
                panic!("receiver {t} reports one round");
            };
            assert_close("weight", report.weight.unwrap(), factor / 2.0);
        }
    });
}
