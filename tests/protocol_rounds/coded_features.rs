//! Messages whose features are coded: what is in them, and what happens if a part of it is damaged.

use bytes::Bytes;
use proto::v1::{Coded, Features, SaveState, order::Order};

use crate::refusals::Tampering;
use crate::rounds::train;
use crate::support::local_network::{Failure, Letter, LocalNetwork, Message, Setup};

pub(crate) fn of_letter(letter: &Letter) -> Option<&Features> {
    match &letter.message {
        Message::Features(features) => Some(features),
        Message::Turn(_) => None,
    }
}

pub(crate) fn coded(features: &mut Features) -> &mut Coded {
    features.coded.as_mut().unwrap()
}

/// The tables or code books, by modality; empty where one is not sent.
pub(crate) fn tables(features: &mut Features) -> &mut Vec<Bytes> {
    &mut features.tables.as_mut().unwrap().entries
}

/// The first that is sent.
pub(crate) fn first(tables: &mut [Bytes]) -> &mut Bytes {
    tables.iter_mut().find(|bytes| !bytes.is_empty()).unwrap()
}

pub(crate) fn shorten(bytes: &mut Bytes) {
    bytes.truncate(bytes.len() - 1);
}

/// How a round fails if every message with two entries or more from transmitter 1 to any receiver is damaged.
pub(crate) fn failure(setup: &Setup, corrupt: fn(&mut Features)) -> Option<Failure> {
    let damage = |mut letter: Letter| {
        if let (1, Message::Features(features)) = (letter.k, &mut letter.message)
            && proto::set_bits(&features.granted).count() > 1
        {
            corrupt(features);
        }
        vec![letter]
    };
    let mut network = LocalNetwork::new(setup, 0, None).unwrap();
    network.order(&train(1));
    network.order(&Order::Save(SaveState { version: 1 }));
    network.run(&mut Tampering(damage)).err()
}
