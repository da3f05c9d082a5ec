//! Gradients that travel in fewer bits.

use proto::v1::{Gradients, order::Order, report::Report};

use crate::rounds::{ROUNDS, Stubborn, assert_same, play, save, train};
use crate::setup_with;
use crate::support::local_network::{Delivery, Failure, Letter, LocalNetwork, Message, Shuffled};

const CODINGS: [&str; 3] = ["f32", "bf16", "int8"];

fn coding(name: &str) -> String {
    format!("train.gradient_coding={name}")
}

#[test]
fn order_parts_and_a_new_start_in_between_change_no_bit() {
    let orders = [train(ROUNDS), save(ROUNDS)];
    for name in &CODINGS[1..] {
        let setup = setup_with(&[&coding(name), "train.ticks_per_round=13"]);
        let expected = play(&setup, None, &orders, &mut Stubborn::First);
        for number in 0..2 {
            assert_same(&play(&setup, None, &orders, &mut Shuffled::new(number)), &expected);
        }
        let parts = setup_with(&[&coding(name), "train.ticks_per_round=13", "train.ticks_per_part=10"]);
        assert_same(&play(&parts, None, &orders, &mut Shuffled::new(2)), &expected);
        // What is owed at a checkpoint is paid by whoever goes on from there.
        let before = play(&setup, None, &[train(4), save(4)], &mut Shuffled::new(3));
        assert_same(&play(&setup, Some(&before.snapshots[&4]), &orders, &mut Shuffled::new(4)), &expected);
        assert!(
            node::unpack_state(before.snapshots[&4].values().last().unwrap(), &candle_core::Device::Cpu)
                .unwrap()
                .iter()
                .any(|(name, tensor)| name.ends_with("/gradients/owed")
                    && tensor
                        .flatten_all()
                        .unwrap()
                        .to_vec1::<f32>()
                        .unwrap()
                        .iter()
                        .any(|owed| *owed != 0.0)),
            "nothing is owed: the test has lost its point"
        );
    }
}

#[test]
fn a_report_counts_the_bytes_of_each_coding() {
    let bytes = CODINGS.map(|name| {
        let network = play(&setup_with(&[&coding(name)]), None, &[train(2), save(2)], &mut Shuffled::new(0));
        let sent: usize = gradients(&network)
            .filter_map(|gradients| gradients.z.as_ref())
            .map(|z| z.data.len() + z.scales.len())
            .sum();
        let reports = network.reports.values().flatten();
        let counted: u64 = reports
            .filter_map(|report| match report {
                Report::ReceiverRound(report) => Some(report.gradient_bytes),
                _ => None,
            })
            .sum();
        assert_eq!(sent as u64, counted, "{name}");
        counted
    });
    // Which entries are granted in the first round does not depend on gradients; later it may.
    assert!(bytes[1] < bytes[0] * 2 / 3 && bytes[2] < bytes[1] * 4 / 5, "{bytes:?}");
}

#[test]
fn what_does_not_fit_the_coding_is_refused_by_name() {
    type Damage = (&'static str, fn(&mut proto::v1::Tensor), &'static str);
    let cases: [Damage; 5] = [
        ("int8", |z| z.element = 1, "gradient of z has element type 1, expected int8"),
        ("f32", |z| z.element = 3, "gradient of z has element type 3, expected f32"),
        ("bf16", |z| z.data = z.data.slice(1..), "gradient of z has "),
        ("int8", |z| z.scales = z.scales.slice(4..), " bytes of scales, expected "),
        (
            "int8",
            |z| z.scales = z.scales.chunks(4).flat_map(|_| f32::INFINITY.to_le_bytes()).collect(),
            "only finite numbers may travel",
        ),
    ];
    for (name, corrupt, complaint) in cases {
        let failure = failure(name, corrupt).unwrap_or_else(|| panic!("nobody noticed: {complaint}"));
        let error = failure.error.to_string();
        assert!(error.contains("receiver 1") && error.contains(complaint), "{error} instead of {complaint}");
    }
}

fn gradients(network: &LocalNetwork) -> impl Iterator<Item = &Gradients> {
    network.letters.iter().filter_map(|letter| match &letter.message {
        Message::Turn(turn) => turn.gradients.as_ref(),
        Message::Features(_) => None,
    })
}

/// What comes of gradients with something in them from receiver 1 that are damaged.
fn failure(name: &str, corrupt: fn(&mut proto::v1::Tensor)) -> Option<Failure> {
    struct Damaging(fn(&mut proto::v1::Tensor));
    impl Delivery for Damaging {
        fn choose(&mut self, _streams: usize) -> usize {
            0
        }
        fn pass(&mut self, mut letter: Letter) -> Vec<Letter> {
            if let (1, Message::Turn(turn)) = (letter.t, &mut letter.message)
                && let Some(z) = turn.gradients.as_mut().and_then(|gradients| gradients.z.as_mut())
                && !z.data.is_empty()
            {
                (self.0)(z);
            }
            vec![letter]
        }
    }
    let mut network = LocalNetwork::new(&setup_with(&[&coding(name)]), 0, None).unwrap();
    network.order(&train(1));
    network.order(&Order::Save(proto::v1::SaveState { version: 1 }));
    network.run(&mut Damaging(corrupt)).err()
}
