//! Places, secrets, orders and silence of members.

use std::time::Duration;

use node::Role;
use proto::v1::{Join, Rollback, Start, order};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{Member, Members, Origin, Refusal, admission::RESERVED};

const TRANSMITTER: proto::v1::Role = proto::v1::Role::Transmitter;

fn join(role: proto::v1::Role, index: Option<u32>) -> Join {
    let protocol = proto::protocol_digest().to_vec().into();
    Join { role: role.into(), index, version: proto::VERSION.into(), protocol }
}

fn message(refusal: Refusal) -> String {
    match refusal {
        Refusal::Never(status) | Refusal::Taken(_, status) => status.message().to_owned(),
        Refusal::NotYet => "not yet".into(),
    }
}

#[test]
fn nodes_get_the_index_they_ask_for_or_the_first_free_one() {
    let members = Members::new(2, 1, 1);
    let (orders, _kept) = mpsc::channel(1);
    let admit = |role, index| members.admit(&join(role, index), orders.clone());
    let (first, second) = (admit(TRANSMITTER, Some(1)).unwrap(), admit(TRANSMITTER, None).unwrap());
    assert_eq!((first.member.index, second.member.index), (1, 0));
    let refused = |role, index| message(admit(role, index).unwrap_err());
    assert!(refused(TRANSMITTER, None).contains("all 2 transmitters have joined"));
    assert!(refused(TRANSMITTER, Some(1)).contains("transmitter 1 has joined already"));
    assert!(refused(TRANSMITTER, Some(2)).contains("there is no transmitter 2"));
    assert_eq!(admit(proto::v1::Role::Receiver, None).unwrap().member.to_string(), "receiver 0");
    assert!(admit(proto::v1::Role::Unspecified, None).is_err());
}

#[test]
fn another_version_or_protocol_is_refused_by_name() {
    let members = Members::new(1, 1, 1);
    let (orders, _kept) = mpsc::channel(1);
    let old = Join { version: "0.0.1".into(), ..join(proto::v1::Role::Receiver, None) };
    let error = message(members.admit(&old, orders.clone()).unwrap_err());
    assert!(error.contains("the node is of version 0.0.1, the coordinator of version"));
    let strange = Join { protocol: vec![1, 2].into(), ..join(proto::v1::Role::Receiver, None) };
    assert!(message(members.admit(&strange, orders).unwrap_err()).contains("another protocol"));
}

#[tokio::test(start_paused = true)]
async fn after_a_rollback_the_survivors_places_are_kept_for_them_for_a_while() {
    let members = Members::new(3, 1, 1);
    let (orders, mut stream) = mpsc::channel(9);
    let admit = |index| members.admit(&join(TRANSMITTER, index), orders.clone());
    let mut survivor = admit(Some(0)).unwrap();
    admit(Some(1)).unwrap();
    members.release(Member { role: Role::Transmitter, index: 1 });

    members.roll_back(2, "transmitter 1 left");

    let told = stream.recv().await.unwrap().unwrap().order.unwrap();
    assert_eq!(told, order::Order::Rollback(Rollback { reason: "transmitter 1 left".into() }));
    assert!(survivor.dismissed.try_recv().is_err(), "the old incarnation has no listener");
    let newcomer = admit(None).unwrap();
    assert_eq!((newcomer.member.index, newcomer.origin.incarnation), (1, 2), "place 0 is kept");
    let another = admit(None).unwrap();
    assert_eq!(another.member.index, 2);
    assert!(admit(None).is_err());
    tokio::time::advance(RESERVED).await;
    assert_eq!(admit(None).unwrap().member.index, 0);
}

#[tokio::test]
async fn a_member_that_is_refused_hears_why_and_its_place_is_free() {
    let members = Members::new(1, 1, 1);
    let (orders, mut stream) = mpsc::channel(9);
    let mut broken = members.admit(&join(TRANSMITTER, None), orders).unwrap();
    members.refuse(broken.member, "it sent ReceiverPass out of turn");
    let refusal = stream.recv().await.unwrap().unwrap_err();
    assert_eq!(refusal.message(), "it sent ReceiverPass out of turn");
    assert_eq!(refusal.code(), tonic::Code::FailedPrecondition);
    assert!(stream.recv().await.is_none(), "the stream is closed");
    assert!(broken.dismissed.try_recv().is_err_and(|end| end == oneshot::error::TryRecvError::Closed));
    let (orders, _kept) = mpsc::channel(1);
    assert!(!members.is_of_holder(broken.origin, broken.member), "what it had sent before comes too late");
    let next = members.admit(&join(TRANSMITTER, None), orders).unwrap();
    assert_eq!(next.member, broken.member);
    assert!(members.is_of_holder(next.origin, next.member));
    assert!(!members.is_of_holder(broken.origin, next.member), "it is not the new holder's");
    let of_any_holder = Origin { incarnation: 1, admission: None };
    assert!(members.is_of_holder(of_any_holder, next.member));
}

#[test]
fn no_node_is_admitted_between_two_incarnations() {
    let members = Members::new(1, 1, 1);
    let (orders, _kept) = mpsc::channel(1);
    let admit = || members.admit(&join(TRANSMITTER, None), orders.clone());
    members.close_door();
    assert!(matches!(admit(), Err(Refusal::NotYet)));
    members.roll_back(2, "transmitter 0 left");
    assert_eq!(admit().unwrap().origin.incarnation, 2);
}

#[test]
fn a_member_is_known_by_its_secret_until_it_joins_again() {
    let members = Members::new(2, 1, 1);
    let (orders, _kept) = mpsc::channel(9);
    let admit = |index| members.admit(&join(TRANSMITTER, Some(index)), orders.clone()).unwrap();
    let (first, second) = (admit(0), admit(1));
    let old = first.secret.to_bytes();
    assert!(members.knows(first.member, &old));
    assert!(!members.knows(first.member, &second.secret.to_bytes()), "of another member");
    assert!(!members.knows(first.member, &[]) && !members.knows(first.member, &[0; 32]));
    let absent = Member { role: Role::Receiver, index: 0 };
    assert!(!members.knows(absent, &old) && !members.knows(absent, &[]));

    members.release(first.member);
    assert!(!members.knows(first.member, &old));
    let again = admit(0);
    assert!(!members.knows(first.member, &old) && members.knows(first.member, &again.secret.to_bytes()));
    members.roll_back(2, "transmitter 1 left");
    assert!(!members.knows(first.member, &again.secret.to_bytes()));
    assert!(members.knows(first.member, &admit(0).secret.to_bytes()));
}

#[tokio::test]
async fn at_the_start_each_receiver_hears_the_secrets_of_its_own_pairs_and_a_transmitter_none() {
    let members = Members::new(2, 2, 1);
    let mut streams = Vec::new();
    let mut secrets = Vec::new();
    for role in [TRANSMITTER, proto::v1::Role::Receiver] {
        for index in 0..2 {
            let (orders, stream) = mpsc::channel(9);
            secrets.push(members.admit(&join(role, Some(index)), orders).unwrap().secret);
            streams.push(stream);
        }
    }
    assert!(members.start(&Start::default()).is_empty());
    let mut heard = Vec::new();
    for stream in &mut streams {
        match stream.recv().await.unwrap().unwrap().order.unwrap() {
            order::Order::Start(start) => heard.push(start.secrets),
            other => panic!("{other:?}"),
        }
    }
    assert!(heard[0].is_empty() && heard[1].is_empty());
    for t in 0..2 {
        let pair = |k: usize| secrets[k].of_pair(t as u32).to_bytes();
        assert_eq!(heard[2 + t], [pair(0), pair(1)]);
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_measured_from_the_last_sign_of_life() {
    let members = Members::new(2, 0, 1);
    let (orders, _kept) = mpsc::channel(1);
    let _first = members.admit(&join(TRANSMITTER, None), orders.clone()).unwrap();
    let second = members.admit(&join(TRANSMITTER, None), orders).unwrap().member;
    let limit = Duration::from_secs(10);
    tokio::time::advance(Duration::from_secs(6)).await;
    members.heard(second, 1, None);
    members.heard(second, 0, None);
    assert_eq!(members.silent(limit), None);
    tokio::time::advance(Duration::from_secs(6)).await;
    let first = Member { role: Role::Transmitter, index: 0 };
    assert_eq!(members.silent(limit), Some((first, Duration::from_secs(12))));
    assert!(!members.spoke_since(second, Instant::now()));
    members.forgive(Duration::from_secs(5));
    assert_eq!(members.silent(limit), None);
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(members.silent(limit), Some((first, Duration::from_secs(11))));
    members.release(first);
    assert_eq!(members.silent(limit), None);
}
