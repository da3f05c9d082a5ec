//! The one who feeds a service.

use std::{collections::BTreeSet, time::Duration};

use link::{Channel, Name, Security};
use proto::{
    Packer,
    v1::{
        Acknowledged, Action, ManageRequest, Observed, coordinator_client::CoordinatorClient,
        observed::Values, serving_client::ServingClient,
    },
};
use randomness::{Purpose, Seed, Stream as Draws};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::observed;
use crate::{
    hosts::PORT,
    ledger::{Host, Ledger},
    network::Connections,
    plan::Plan,
};
use coordinator::SampleSource;

/// Its host.
pub(crate) const SENSOR: &str = "sensor";

/// Pause between two attempts to reach the service, and two samples once all is calm.
const PAUSE: Duration = Duration::from_millis(200);

/// So many samples in succession, after the last fault, are to be answered by all receivers.
const STEADY: usize = 20;

/// Feeds the service with samples, some of them again, in parts or too late; and when all is calm and samples are
/// answered in succession, ends it.
pub(crate) async fn sense(plan: Plan, connections: Connections, ledger: Ledger) -> turmoil::Result {
    let draws = Seed::from_number(plan.seed).stream(Purpose::Test, &[10], 0);
    let security = Security::default().over(connections.seen_by(SENSOR));
    let mut sensor = Sensor { plan, security, ledger, draws, next: 0 };
    while !sensor.is_satisfied() {
        tokio::time::sleep(PAUSE).await;
        if sensor.feeds() {
            // The service is not there yet, or the call has been cut: it is made again.
            let _ = sensor.call().await;
        }
    }
    sensor.ledger.note("the stream is steady: its service is told to end");
    while sensor.stop().await.is_none() {
        tokio::time::sleep(PAUSE).await;
    }
    std::future::pending().await
}

struct Sensor {
    plan: Plan,
    security: Security,
    ledger: Ledger,
    draws: Draws,
    /// The number of its next sample.
    next: u64,
}

/// A call of the service.
struct Call {
    messages: mpsc::Sender<Observed>,
    replies: Streaming<Acknowledged>,
    /// What was sent on it and is not acknowledged, in order.
    open: Vec<(u64, BTreeSet<usize>)>,
}

impl Sensor {
    fn feeds(&self) -> bool {
        let service = self.plan.service.as_ref();
        service.is_some_and(|service| service.stream.source != SampleSource::Test)
    }

    fn is_calm(&self) -> bool {
        self.ledger.record().now >= self.plan.calm()
    }

    /// Whether all is calm, and samples are answered in succession.
    fn is_satisfied(&self) -> bool {
        let first = if self.feeds() { self.samples() } else { 0 };
        let record = self.ledger.record();
        record.now >= self.plan.calm()
            && record.stream.answered_since(first, self.plan.shape.receivers) >= STEADY
    }

    fn samples(&self) -> u64 {
        self.plan.service.as_ref().map_or(0, |service| service.samples)
    }

    async fn dial(&self) -> Option<Channel> {
        let address = format!("{}:{PORT}", Host::Coordinator);
        link::dial(Name::Coordinator, &address, &self.security, Duration::ZERO).await.ok()
    }

    async fn stop(&self) -> Option<()> {
        let mut client = CoordinatorClient::new(self.dial().await?);
        client.manage(ManageRequest { action: Action::Stop.into() }).await.ok().map(drop)
    }

    /// Sends samples over one call, until it breaks, this sensor breaks it, or it is satisfied.
    async fn call(&mut self) -> Option<()> {
        let (messages, outgoing) = mpsc::channel(1);
        let mut client = ServingClient::new(self.dial().await?);
        let replies = client.observe(ReceiverStream::new(outgoing)).await.ok()?.into_inner();
        let mut call = Call { messages, replies, open: Vec::new() };
        self.ledger.note("the sensor has called");
        loop {
            if self.is_satisfied() || self.draws.below(150) == 0 && !self.is_calm() {
                return Some(());
            }
            self.send_next(&mut call).await?;
            let pause = match self.next < self.samples() {
                true => Duration::from_millis([0, 0, 2, 20, 300][self.draws.below(5) as usize]),
                false => PAUSE,
            };
            call.wait(pause, &self.ledger).await?;
        }
    }

    /// Sends the next sample whole, in parts or with gaps; or an old one again.
    async fn send_next(&mut self, call: &mut Call) -> Option<()> {
        let all: BTreeSet<usize> = (0..self.plan.shape.transmitters).collect();
        let seq = match self.draws.below(12) {
            0 if !self.is_calm() => self.next.saturating_sub(1 + self.draws.below(3)),
            1 => self.next + self.draws.below(3),
            _ => self.next,
        };
        self.next = self.next.max(seq + 1);
        let joins = self.plan.service.as_ref().is_some_and(|service| service.stream.deadline.is_some());
        if !joins || self.draws.below(2) == 0 {
            return call.send(seq, all, &self.ledger).await;
        }
        for k in all {
            // What one transmitter observes may never come.
            if self.draws.below(10) > 0 {
                call.send(seq, [k].into(), &self.ledger).await?;
            }
        }
        Some(())
    }
}

impl Call {
    /// Sends what transmitters observe of a sample.
    async fn send(&mut self, seq: u64, transmitters: BTreeSet<usize>, ledger: &Ledger) -> Option<()> {
        let values = |k: &usize| {
            let mut packer = Packer::new(1);
            packer.extend([observed(seq)]);
            Values { modality: format!("{k}:fft"), values: Some(packer.pack(&[1])) }
        };
        let message = Observed { seq, values: transmitters.iter().map(values).collect() };
        ledger.record().stream.sent.entry(seq).or_default().extend(&transmitters);
        self.open.push((seq, transmitters));
        let messages = self.messages.clone();
        loop {
            // A service that takes nothing still acknowledges.
            tokio::select! {
                biased;
                reply = self.replies.message() => self.acknowledged(reply.ok()??, ledger),
                place = messages.reserve() => {
                    place.ok()?.send(message);
                    return Some(());
                }
            }
        }
    }

    /// Takes acknowledgements for a while.
    async fn wait(&mut self, pause: Duration, ledger: &Ledger) -> Option<()> {
        let end = tokio::time::sleep(pause);
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                biased;
                reply = self.replies.message() => self.acknowledged(reply.ok()??, ledger),
                () = &mut end => return Some(()),
            }
        }
    }

    fn acknowledged(&mut self, reply: Acknowledged, ledger: &Ledger) {
        let mut record = ledger.record();
        if self.open.first().is_none_or(|(seq, _)| *seq != reply.seq) {
            record.violation(format!("sample {} is acknowledged out of order", reply.seq));
            return;
        }
        let message = self.open.remove(0);
        if reply.refused.is_empty() {
            record.stream.taken.push(message);
        }
    }
}
