use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use link::{Identity, Name};
use node::{Context, NodeError};
use proto::{
    Incoming,
    v1::{Features, Turn, transmitter_server::Transmitter},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// The refusal of a caller that does not know the secret of the receiver as which it calls.
const STRANGER: &str =
    "the caller does not show the secret of this receiver, which the coordinator gives it at the start";

/// In which whoever opens a stream must have said who it is. A receiver does so at once.
const FIRST_WORD: Duration = Duration::from_secs(10);

/// The way back to a receiver.
type Back = mpsc::Sender<Result<Features, Status>>;

/// A receiver's place.
#[derive(Default)]
struct Slot {
    back: Option<Back>,
    /// Whether a message has said whose the stream is: the others need not.
    is_known: bool,
}

/// The ways back to the receivers, once they have dialled.
pub(crate) struct Outgoing {
    receivers: Vec<Mutex<Slot>>,
}

impl Outgoing {
    pub(crate) fn new(receivers: usize) -> Self {
        Outgoing { receivers: (0..receivers).map(|_| Mutex::default()).collect() }
    }

    /// Sends features to receiver t. A link that has ended says so among the turns.
    ///
    /// # Errors
    /// If the receiver has not read more of its features than it can have asked for.
    pub(crate) fn send(&self, t: usize, mut features: Features) -> Result<(), NodeError> {
        let mut slot = self.slot(t);
        if std::mem::replace(&mut slot.is_known, true) {
            proto::shorten(&mut features.stamp);
        }
        let Some(sender) = slot.back.as_ref() else { return Ok(()) };
        match sender.try_send(Ok(features)) {
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(NodeError::protocol(format!("receiver {t}"), "does not read its features"))
            }
            _ => Ok(()),
        }
    }

    /// Takes receiver t's place; a second claim while the first is alive is refused.
    fn claim(&self, t: usize, sender: &Back) -> bool {
        let mut slot = self.slot(t);
        if slot.back.is_some() {
            return false;
        }
        *slot = Slot { back: Some(sender.clone()), is_known: false };
        true
    }

    fn slot(&self, t: usize) -> std::sync::MutexGuard<'_, Slot> {
        self.receivers[t].lock().expect("no code panics while it holds this lock")
    }
}

/// The gRPC service that receivers dial.
pub(crate) struct Exchange {
    context: Context,
    outgoing: Arc<Outgoing>,
    arrived: mpsc::Sender<(usize, Result<Turn, NodeError>)>,
}

impl Exchange {
    pub(crate) fn new(
        context: &Context,
        outgoing: Arc<Outgoing>,
        arrived: mpsc::Sender<(usize, Result<Turn, NodeError>)>,
    ) -> Self {
        Exchange { context: context.clone(), outgoing, arrived }
    }

    pub(crate) fn largest_message(&self) -> usize {
        self.context.largest_message(self.context.index)
    }
}

#[tonic::async_trait]
impl Transmitter for Exchange {
    type ExchangeStream = ReceiverStream<Result<Features, Status>>;

    /// Returns its stream at once: the receiver's call returns only when headers arrive. Who is calling shows with
    /// the first turn.
    async fn exchange(
        &self,
        request: Request<Streaming<Turn>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let (sender, features) = mpsc::channel(self.context.messages_under_way());
        let caller = Caller {
            identity: Identity::of(&request),
            context: self.context.clone(),
            outgoing: self.outgoing.clone(),
            arrived: self.arrived.clone(),
        };
        tokio::spawn(caller.listen(request.into_inner(), sender));
        Ok(Response::new(ReceiverStream::new(features)))
    }
}

/// Somebody who has dialled.
struct Caller {
    identity: Identity,
    context: Context,
    outgoing: Arc<Outgoing>,
    arrived: mpsc::Sender<(usize, Result<Turn, NodeError>)>,
}

impl Caller {
    async fn listen(self, mut turns: Streaming<Turn>, sender: Back) {
        let first = match tokio::time::timeout(FIRST_WORD, turns.message()).await {
            Ok(Ok(Some(turn))) => turn,
            // Nobody we know: nothing that concerns the run.
            Ok(Ok(None) | Err(_)) => return,
            Err(_) => {
                let reason = format!("the caller has sent no turn within {} s", FIRST_WORD.as_secs());
                link::log_refusal("a caller", "a link", &reason);
                let _ = sender.send(Err(Status::deadline_exceeded(reason))).await;
                return;
            }
        };
        let t = match self.admit(&first, &sender) {
            Ok(t) => t,
            Err(refusal) => {
                link::log_refusal("a caller", "a link", refusal.message());
                let _ = sender.send(Err(refusal)).await;
                return;
            }
        };
        let link = (self.context.index, t);
        let mut incoming = Incoming::new(self.context.link(link.0, t));
        // It says whose the stream is; that is checked.
        incoming.complete(&mut first.stamp.clone());
        let arrives = |turn: &mut Turn| {
            incoming.complete(&mut turn.stamp);
            self.context.turn_seconds(link, payload(turn))
        };
        let first = (!is_greeting(&first)).then_some(first);
        node::pass_on((t, format!("receiver {t}")), first, turns, arrives, &self.arrived).await;
    }

    /// Who is calling: the receiver of its certificate if it has shown one, which knows the secret of its pair with
    /// this transmitter, and calls once. (That all its later turns are of the same receiver, the machine checks by
    /// their stamps.) A stranger, a late comer of an earlier incarnation or a node of another run is refused without
    /// disturbing the run, and learns nothing of it.
    fn admit(&self, turn: &Turn, sender: &Back) -> Result<usize, Status> {
        let Some(stamp) = &turn.stamp else { return Err(Status::permission_denied(STRANGER)) };
        let t = stamp.receiver;
        self.identity.check(Name::Receiver(t)).map_err(Status::permission_denied)?;
        // A pair that does not exist has a secret too, but one that nobody was given.
        let knows = self.context.secret.of_pair(t).is(&turn.secret);
        let t = t as usize;
        if !knows || t >= self.context.scenario.receivers() {
            return Err(Status::permission_denied(STRANGER));
        }
        let link = self.context.link(self.context.index, t);
        if let Err(error) = link.read(Some(stamp)) {
            tracing::warn!(%error, t, "a receiver speaks out of turn");
            return Err(Status::failed_precondition(
                "the turn is of another run, incarnation or transmitter",
            ));
        }
        match self.outgoing.claim(t, sender) {
            true => Ok(t),
            false => Err(Status::failed_precondition(format!("receiver {t} is connected already"))),
        }
    }
}

/// Whether a turn says nothing but who calls: the first orders may be long in coming.
fn is_greeting(first: &Turn) -> bool {
    first.requests.is_none() && first.gradients.is_none()
}

/// Bytes of gradients in a turn: what makes it long.
fn payload(turn: &Turn) -> usize {
    let z = turn.gradients.as_ref().and_then(|gradients| gradients.z.as_ref());
    z.map_or(0, |z| z.data.len() + z.scales.len())
}
