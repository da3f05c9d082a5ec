//! Two more hosts: an administrator, who pauses and stops the run, and an attacker, who knows everything but the
//! secrets.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use link::{Channel, Name, Security};
use proto::{
    Link, Secret, When,
    v1::{
        Action, Finished, Join, LoadRequest, ManageRequest, Order, Report, Requests, Role, StatePiece, Turn,
        coordinator_client::CoordinatorClient, order, report, transmitter_client::TransmitterClient,
    },
};
use randomness::hex;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Status;

use crate::{
    hosts::PORT,
    kinds::Prank,
    ledger::{Host, Ledger},
    network::Connections,
};

/// The tasks of one of them. Clones share the list.
#[derive(Clone, Default)]
pub(crate) struct Errands(Arc<Mutex<VecDeque<Errand>>>);

#[derive(Clone, Debug)]
pub(crate) enum Errand {
    Manage(Action),
    Prank(Prank, Host),
}

/// Pause between two checks of the list, and two attempts at a task.
const PAUSE: Duration = Duration::from_millis(50);

/// Connections of a flood.
const FLOOD: usize = 40;

impl Errands {
    pub(crate) fn add(&self, errand: Errand) {
        self.0.lock().expect("nobody panics with it").push_back(errand);
    }

    /// Stays on the list until it is done.
    fn first(&self) -> Option<Errand> {
        self.0.lock().expect("nobody panics with it").front().cloned()
    }

    fn done(&self) {
        self.0.lock().expect("nobody panics with it").pop_front();
    }
}

/// The life of a host that runs tasks in order, each until it has been received.
pub(crate) async fn run_errands(
    name: &'static str,
    errands: Errands,
    connections: Connections,
    ledger: Ledger,
) -> turmoil::Result {
    let caller =
        Caller { security: Security::default().over(connections.seen_by(name)), name, connections, ledger };
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(errand) = errands.first() else { continue };
        let done = match &errand {
            Errand::Manage(action) => caller.manage(*action).await,
            Errand::Prank(prank, host) => {
                // No process may be there to receive it: then it is dropped.
                caller.play(*prank, *host).await;
                true
            }
        };
        if done {
            errands.done();
        }
    }
}

struct Caller {
    name: &'static str,
    security: Security,
    connections: Connections,
    ledger: Ledger,
}

impl Caller {
    /// A member's secret, if it has joined, and its incarnation.
    fn secret_of(&self, host: Host) -> Option<(Secret, u64)> {
        self.ledger.record().secrets.get(&host).cloned()
    }

    async fn dial(&self, host: Host) -> Option<Channel> {
        let name = match host {
            Host::Coordinator => Name::Coordinator,
            Host::Transmitter(index) => Name::Transmitter(index as u32),
            Host::Receiver(index) => Name::Receiver(index as u32),
        };
        link::dial(name, &format!("{host}:{PORT}"), &self.security, Duration::ZERO).await.ok()
    }

    /// Sends the coordinator a request; returns whether it was received.
    async fn manage(&self, action: Action) -> bool {
        let ask = async {
            let mut client = CoordinatorClient::new(self.dial(Host::Coordinator).await?);
            if action == Action::Stop {
                // It may act before it answers.
                self.ledger.record().stops += 1;
            }
            client.manage(ManageRequest { action: action.into() }).await.ok()
        };
        let heard = tokio::time::timeout(Duration::from_secs(3), ask).await.ok().flatten().is_some();
        if heard {
            self.ledger.note(format_args!("the coordinator is told: {action:?}"));
        }
        heard
    }

    /// Attempts a forbidden action. It must be refused; if it is not, the ledger records a violation.
    async fn play(&self, prank: Prank, at: Host) {
        let refused = tokio::time::timeout(Duration::from_secs(12), self.try_to(prank, at)).await;
        match refused {
            Ok(Some(Ok(()))) => {
                self.ledger.violation(format_args!("{at} takes what a stranger does: {prank:?}"))
            }
            Ok(Some(Err(status))) => {
                let run = self.ledger.record().run.as_ref().map(|(run, _)| hex(run));
                if run.is_some_and(|run| status.message().contains(&run)) {
                    self.ledger.violation(format_args!(
                        "{at} tells a stranger the run's name: {}",
                        status.message()
                    ));
                }
            }
            Ok(None) | Err(_) => {}
        }
    }

    /// The outcome; none if no process was there to refuse it.
    async fn try_to(&self, prank: Prank, at: Host) -> Option<Result<(), Status>> {
        let known = self.ledger.record().run.clone();
        let (run, incarnation) = known.unwrap_or((Bytes::from_static(&[7; 16]), 1));
        match prank {
            Prank::Garbage => {
                let mut stream = self.connections.connect(self.name, at, PORT).await.ok()?;
                let _ = stream
                    .write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &[0xff; 300]].concat())
                    .await;
                let _ = stream.read(&mut [0; 100]).await;
                None
            }
            Prank::Flood => {
                let mut held = Vec::new();
                for _ in 0..FLOOD {
                    let mut stream = self.connections.connect(self.name, at, PORT).await.ok()?;
                    let _ = stream.write_all(b"P").await;
                    held.push(stream);
                }
                tokio::time::sleep(Duration::from_secs(5)).await;
                None
            }
            Prank::BadJoin => {
                let protocol = Bytes::copy_from_slice(&proto::protocol_digest());
                let good = Join {
                    role: Role::Receiver.into(),
                    index: None,
                    version: proto::VERSION.into(),
                    protocol,
                };
                let old = Join { version: "0.0.0".into(), ..good.clone() };
                let beyond = Join { index: Some(99), ..good };
                let mut refused = None;
                for first in [
                    report::Report::Join(old),
                    report::Report::Join(beyond),
                    report::Report::Finished(Finished {}),
                ] {
                    match self.control(first).await? {
                        Ok(()) => return Some(Ok(())),
                        Err(status) => refused = Some(Err(status)),
                    }
                }
                refused
            }
            Prank::BadAction => {
                let mut client = CoordinatorClient::new(self.dial(at).await?);
                Some(client.manage(ManageRequest { action: 99 }).await.map(drop))
            }
            Prank::Save => {
                let version = self.ledger.record().last_committed();
                self.save(Host::Transmitter(0), &[], run, incarnation, version).await
            }
            Prank::Load => self.load(Host::Receiver(0), &[], run, incarnation).await,
            Prank::UnorderedSave => {
                let (secret, incarnation) = self.secret_of(at)?;
                let committed = self.ledger.record().last_committed();
                let mut refused = None;
                for version in [u64::MAX, committed] {
                    match self.save(at, &secret.to_bytes(), run.clone(), incarnation, version).await? {
                        Ok(()) => return Some(Ok(())),
                        Err(status) => refused = Some(Err(status)),
                    }
                }
                refused
            }
            Prank::OldLoad => {
                let (secret, incarnation) = self.secret_of(at)?;
                self.load(at, &secret.to_bytes(), run, incarnation - 1).await
            }
            Prank::OtherMember => {
                let (secret, incarnation) = self.secret_of(at)?;
                // This place does not exist.
                let other = match at {
                    Host::Receiver(_) => Host::Transmitter(0),
                    _ => Host::Receiver(0),
                };
                match self.load(other, &secret.to_bytes(), run.clone(), incarnation).await? {
                    Ok(()) => Some(Ok(())),
                    Err(_) => self.save(other, &secret.to_bytes(), run, incarnation, u64::MAX).await,
                }
            }
            Prank::OtherPair => {
                let (secret, incarnation) = self.secret_of(at)?;
                let other = secret.of_pair(1).to_bytes();
                self.exchange(at, run, incarnation, other).await
            }
            Prank::Silence => {
                let mut client = TransmitterClient::new(self.dial(at).await?);
                let silent = client.exchange(tokio_stream::pending::<Turn>()).await;
                match silent.ok()?.into_inner().message().await {
                    Err(status) => Some(Err(status)),
                    Ok(_) => None,
                }
            }
            Prank::Impostor => self.exchange(at, run, incarnation, Bytes::new()).await,
            Prank::OtherRun => {
                self.exchange(at, Bytes::from_static(&[9; 16]), incarnation, Bytes::new()).await
            }
        }
    }

    /// Opens a control stream with a first report; returns the coordinator's answer.
    async fn control(&self, first: report::Report) -> Option<Result<(), Status>> {
        let mut client = CoordinatorClient::new(self.dial(Host::Coordinator).await?);
        let reports = tokio_stream::once(Report { report: Some(first) });
        let answer = match client.control(reports).await {
            Ok(orders) => orders.into_inner().message().await,
            Err(status) => Err(status),
        };
        match answer {
            Ok(Some(Order { order: Some(order::Order::Welcome(_)) })) => Some(Ok(())),
            Ok(_) => None,
            Err(status) => Some(Err(status)),
        }
    }

    /// Sends a state in a member's name.
    async fn save(
        &self,
        member: Host,
        secret: &[u8],
        run: Bytes,
        incarnation: u64,
        version: u64,
    ) -> Option<Result<(), Status>> {
        let mut client = CoordinatorClient::new(self.dial(Host::Coordinator).await?);
        let data = Bytes::from_static(b"a state of nobody's");
        let sha256 = Bytes::copy_from_slice(&Sha256::digest(&data));
        let (role, index) = place_of(member);
        let secret = Bytes::copy_from_slice(secret);
        let piece = StatePiece { run, role, index, version, data, sha256, incarnation, secret };
        Some(client.save(tokio_stream::once(piece)).await.map(drop))
    }

    /// Asks for a member's state.
    async fn load(
        &self,
        member: Host,
        secret: &[u8],
        run: Bytes,
        incarnation: u64,
    ) -> Option<Result<(), Status>> {
        let mut client = CoordinatorClient::new(self.dial(Host::Coordinator).await?);
        let (role, index) = place_of(member);
        let secret = Bytes::copy_from_slice(secret);
        let request = LoadRequest { run, role, index, incarnation, secret, version: None };
        Some(client.load(request).await.map(drop))
    }

    /// Calls a transmitter as receiver 0.
    async fn exchange(
        &self,
        at: Host,
        run: Bytes,
        incarnation: u64,
        secret: Bytes,
    ) -> Option<Result<(), Status>> {
        let Host::Transmitter(k) = at else { return None };
        let mut client = TransmitterClient::new(self.dial(at).await?);
        let link = Link { run, incarnation, transmitter: k as u32, receiver: 0 };
        let requests = Some(Requests { ticks: Bytes::from_static(&[1]) });
        let turn = Turn { stamp: Some(link.stamp(When::round(0))), requests, secret, ..Turn::default() };
        match client.exchange(tokio_stream::once(turn)).await {
            Ok(features) => match features.into_inner().message().await {
                Ok(Some(_)) => Some(Ok(())),
                Ok(None) => None,
                Err(status) => Some(Err(status)),
            },
            Err(status) => Some(Err(status)),
        }
    }
}

/// A node's role and index in a message.
fn place_of(member: Host) -> (i32, u32) {
    match member {
        Host::Receiver(t) => (Role::Receiver.into(), t as u32),
        Host::Transmitter(k) => (Role::Transmitter.into(), k as u32),
        Host::Coordinator => unreachable!("the coordinator is no member"),
    }
}
