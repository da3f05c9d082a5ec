//! A session: several messages in order between the machines of a small network, through rounds, a checkpoint and an
//! evaluation. Some come as they were sent, others damaged, twice, late or not at all. A machine may give up, in words;
//! it may not panic.
#![no_main]

mod support {
    #[path = "../../../tests/support/local_network.rs"]
    #[allow(dead_code, reason = "the tests use the rest of it")]
    pub(crate) mod local_network;
    #[path = "../../../tests/support/toy_data.rs"]
    pub(crate) mod toy_data;
}

use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use proto::v1::{Evaluate, Features, SaveState, Stop, Train, Turn, order::Order};
use support::{
    local_network::{Delivery, Letter, LocalNetwork, Message},
    toy_data::toy_setup,
};

/// What little there can be; sessions of more receivers follow from the first byte.
const SCENARIO: &str = "[network]\nfeature_dim = 2\nreceiver_limit = 1\ntransmitter_limit = 2\n\
                        [train]\nticks_per_round = 12\nsamples_per_tick = 2\nticks_per_part = 10\n\
                        [evaluation]\npasses = 1\njoint_rate_samples = 2\n\
                        [[transmitter]]\nmodalities = [\"narrow\"]\n\
                        [[receiver]]\ntask = \"colour\"\n";

fuzz_target!(|content: &[u8]| {
    let Some((kind, content)) = content.split_first() else { return };
    let mut words = vec!["train.rounds=3"];
    words.extend((kind & 1 != 0).then_some("network.receivers=2"));
    words.extend((kind & 2 != 0).then_some("straggler.policy=skip"));
    words.extend((kind & 4 != 0).then_some("receiver=[{task=\"place\"}]"));
    let setup = toy_setup(SCENARIO, &words);
    let mut network = LocalNetwork::new(&setup, 1, None).expect("nothing is wrong with it");
    let mut carrier = Carrier { content };
    for order in [
        Order::Train(Train { to: 1 }),
        Order::Train(Train { to: 2 }),
        Order::Save(SaveState { version: 2 }),
        Order::Train(Train { to: 3 }),
        Order::Evaluate(Evaluate { passes: 1, validation: false }),
        Order::Stop(Stop {}),
    ] {
        network.order(&order);
        // Some orders come before what the last one asks for is done.
        if carrier.next() & 1 == 0 && network.run(&mut carrier).is_err() {
            return;
        }
    }
    let _ = network.run(&mut carrier);
});

/// Carries letters as the bytes say; when there are no more, all go well.
struct Carrier<'a> {
    content: &'a [u8],
}

impl Carrier<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.content.split_first() else { return 0 };
        self.content = rest;
        *first
    }
}

impl Delivery for Carrier<'_> {
    fn choose(&mut self, streams: usize) -> usize {
        usize::from(self.next()) % streams
    }

    fn pass(&mut self, letter: Letter) -> Vec<Letter> {
        match self.next() {
            0..=199 => vec![letter],
            200..=209 => vec![letter.clone(), letter],
            210..=214 => Vec::new(),
            _ => self.damage(letter).into_iter().collect(),
        }
    }

    fn ends_patience(&mut self) -> bool {
        self.next() & 1 != 0
    }
}

impl Carrier<'_> {
    /// Changes, adds or takes away a few bytes of a message; nothing is left of it if they make it no message.
    fn damage(&mut self, letter: Letter) -> Option<Letter> {
        let mut bytes = match &letter.message {
            Message::Turn(turn) => turn.encode_to_vec(),
            Message::Features(features) => features.encode_to_vec(),
        };
        for _ in 0..1 + self.next() % 4 {
            let at = usize::from(u16::from_le_bytes([self.next(), self.next()])) % bytes.len().max(1);
            match self.next() % 4 {
                0 => bytes.truncate(at),
                1 => bytes.insert(at.min(bytes.len()), self.next()),
                _ => {
                    let change = self.next();
                    bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= change);
                }
            }
        }
        let message = match letter.message {
            Message::Turn(_) => Message::Turn(Turn::decode(&bytes[..]).ok()?),
            Message::Features(_) => Message::Features(Features::decode(&bytes[..]).ok()?),
        };
        Some(Letter { message, ..letter })
    }
}
