//! Samples and answers over gRPC.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use link::{Identity, LinkError, Listener};
use page::{AnswerFeed, AnswerReader, NextAnswer};
use proto::{
    Payload, WireError,
    v1::{
        self, Acknowledged, AnswerLine, AnswersRequest,
        serving_server::{Serving, ServingServer},
    },
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    Names, SampleSource,
    lines::{Given, LARGEST_SEQ, Line},
    observed::{Observed, Values},
    source::CALLERS,
};
use crate::{CoordinatorError, Options, invited};

/// Acknowledgements that a caller may leave unread; beyond that, nothing more is read from it.
const UNREAD: usize = 64;

/// The largest message of a sample, in bytes: as large as one modality can be, twice.
const LARGEST: usize = 8 << 20;

/// The time that callers have to see the end of a service.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(1);

/// Where samples from callers go in.
#[derive(Clone)]
pub(crate) struct Inlet {
    into: mpsc::Sender<Line>,
    /// None before the nodes are ready.
    names: watch::Receiver<Option<Arc<Names>>>,
}

/// How a caller is told what became of its message.
pub(crate) struct Reply {
    place: mpsc::OwnedPermit<Result<Acknowledged, Status>>,
    seq: u64,
    taken: Arc<AtomicU64>,
}

impl Reply {
    /// The message was taken, or refused for a reason.
    pub(crate) fn send(self, refused: Option<&str>) {
        let more = u64::from(refused.is_none());
        let taken = self.taken.fetch_add(more, Ordering::Relaxed) + more;
        let refused = refused.unwrap_or_default().to_owned();
        self.place.send(Ok(Acknowledged { seq: self.seq, refused, taken }));
    }
}

impl Inlet {
    pub(crate) fn new(into: mpsc::Sender<Line>, names: watch::Receiver<Option<Arc<Names>>>) -> Self {
        Inlet { into, names }
    }

    /// Takes a caller's messages until it has no more, or the service ends. `only` is the transmitter for which it may
    /// observe.
    async fn attend(
        mut self,
        who: String,
        only: Option<usize>,
        mut messages: Streaming<v1::Observed>,
        replies: mpsc::Sender<Result<Acknowledged, Status>>,
    ) {
        let names = match self.names.wait_for(Option::is_some).await {
            Ok(names) => names.clone(),
            Err(_) => return,
        };
        let Some(names) = names else { return };
        let taken = Arc::new(AtomicU64::new(0));
        for number in 1u64.. {
            // Nothing more is read from a caller that does not read its answers.
            let Ok(place) = replies.clone().reserve_owned().await else { return };
            let message = tokio::select! {
                () = self.into.closed() => return,
                message = messages.message() => message,
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => return,
                Err(status) => {
                    place.send(Err(status));
                    return;
                }
            };
            let reply = Reply { place, seq: message.seq, taken: taken.clone() };
            let (seq, from) = (message.seq, format!("{who}: message {number}"));
            let line = match observed(&message, &names, only) {
                Ok(observed) => Line::Given(Given { seq, from, observed }, Some(reply)),
                Err(what) => {
                    reply.send(Some(&what));
                    Line::Wrong(format!("{from}: {what}: dropped"))
                }
            };
            if self.into.send(line).await.is_err() {
                return;
            }
        }
    }
}

/// What a message brings, checked.
fn observed(message: &v1::Observed, names: &Names, only: Option<usize>) -> Result<Values, String> {
    if message.seq > LARGEST_SEQ {
        return Err("its seq is larger than 2^53".into());
    }
    let mut observed = Observed::new(names, only);
    for of in &message.values {
        let width = observed.width(&of.modality)?;
        let values = values(of, width).map_err(|error| format!("{}: {error}", of.modality))?;
        observed.take(&of.modality, values)?;
    }
    Ok(observed.values())
}

/// The values of a modality: of whatever shape, if they are as many as a sample has.
fn values(of: &v1::observed::Values, width: usize) -> Result<Vec<f32>, WireError> {
    const WHAT: &str = "tensor of values";
    let tensor = of.values.as_ref().ok_or(WireError::Missing(WHAT))?;
    let count = tensor.shape.iter().try_fold(1u64, |all, &size| all.checked_mul(size));
    if count != Some(width as u64) {
        let got = tensor.shape.iter().copied().take(8).collect();
        return Err(WireError::Shape { what: WHAT, got, expected: vec![width as u64] });
    }
    let shape: Vec<usize> = tensor.shape.iter().map(|&size| size as usize).collect();
    let payload = Payload::check(WHAT, Some(tensor), &shape)?;
    Ok(payload.values(0..width).collect())
}

/// The service of a stream. Clones share it.
#[derive(Clone)]
pub(crate) struct StreamService {
    inlet: Option<Inlet>,
    answers: Arc<AnswerFeed>,
    places: Arc<Semaphore>,
    /// How many have called.
    called: Arc<AtomicU64>,
}

impl StreamService {
    pub(crate) fn new(inlet: Option<Inlet>, answers: Arc<AnswerFeed>) -> Self {
        StreamService { inlet, answers, places: Semaphore::new(CALLERS).into(), called: Arc::default() }
    }

    /// For a server.
    pub(crate) fn server(self) -> ServingServer<Self> {
        ServingServer::new(self).max_decoding_message_size(LARGEST)
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Status> {
        let full =
            |_| Status::resource_exhausted(format!("{CALLERS} callers are there already: call again later"));
        self.places.clone().try_acquire_owned().map_err(full)
    }
}

#[tonic::async_trait]
impl Serving for StreamService {
    type ObserveStream = ReceiverStream<Result<Acknowledged, Status>>;
    type AnswersStream = ReceiverStream<Result<AnswerLine, Status>>;

    async fn observe(
        &self,
        request: Request<Streaming<v1::Observed>>,
    ) -> Result<Response<Self::ObserveStream>, Status> {
        let only = invited::observe(Identity::of(&request))?;
        let elsewhere =
            "this service takes no samples from callers: start it with --source grpc, or grpc:IP:PORT";
        let inlet = self.inlet.clone().ok_or_else(|| Status::failed_precondition(elsewhere))?;
        let place = self.place()?;
        let who = format!("caller {}", self.called.fetch_add(1, Ordering::Relaxed));
        let (replies, stream) = mpsc::channel(UNREAD);
        tokio::spawn(async move {
            inlet.attend(who, only, request.into_inner(), replies).await;
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn answers(
        &self,
        request: Request<AnswersRequest>,
    ) -> Result<Response<Self::AnswersStream>, Status> {
        let only = invited::answers(Identity::of(&request))?;
        let place = self.place()?;
        let reader = self.answers.follow();
        let (lines, stream) = mpsc::channel(1);
        tokio::spawn(async move {
            pass_on(reader, only, lines).await;
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// Sends the answers of one receiver, or of all, until the service ends or the caller leaves.
async fn pass_on(
    mut reader: AnswerReader,
    only: Option<usize>,
    lines: mpsc::Sender<Result<AnswerLine, Status>>,
) {
    let mut missed = 0;
    loop {
        let next = tokio::select! {
            () = lines.closed() => return,
            next = reader.next() => next,
        };
        let (json, is_last) = match next {
            NextAnswer::Missed(more) => {
                missed += more;
                continue;
            }
            NextAnswer::Answer { receiver, .. }
                if receiver.is_some_and(|t| only.is_some_and(|only| only != t)) =>
            {
                continue;
            }
            NextAnswer::Answer { json, .. } => (json.to_string(), false),
            NextAnswer::End if missed > 0 => (String::new(), true),
            NextAnswer::End => return,
        };
        let line = AnswerLine { json, missed: std::mem::take(&mut missed) };
        if lines.send(Ok(line)).await.is_err() || is_last {
            return;
        }
    }
}

/// A server of the stream at an address of its own.
pub(crate) struct Apart {
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    _token: Option<link::Published>,
}

impl Apart {
    /// Listens where --source says, if that is an address for callers. They show what all show who take part in the
    /// run.
    pub(crate) async fn serve(
        options: &Options,
        service: &StreamService,
    ) -> Result<Option<Self>, CoordinatorError> {
        let source = options.serve.as_ref().map(|serve| serve.stream.source);
        let Some(SampleSource::Grpc(Some(address))) = source else { return Ok(None) };
        let listener = Listener::bind(address, &options.security, options.insecure).await;
        let listener = listener.map_err(|error| match error {
            LinkError::Listen { error, .. } => CoordinatorError::Input(format!(
                "--source grpc:{address}: {error}; give an address of this machine and a free port"
            )),
            error => CoordinatorError::Input(format!("--source grpc: {error}")),
        })?;
        let own = listener.address();
        let _token = options.security.publish(own.port());
        eprintln!("taking samples at {own}");
        let (stop, stopped) = oneshot::channel::<()>();
        let router = listener.server().add_service(service.clone().server());
        let server = tokio::spawn(async move {
            if let Err(error) = listener.serve(router, async { drop(stopped.await) }).await {
                tracing::warn!(%error, "samples cannot be taken any more");
            }
        });
        Ok(Some(Apart { stop, server, _token }))
    }

    /// Ends it, once callers have seen the end of the service.
    pub(crate) async fn close(mut self) {
        drop(self.stop);
        if tokio::time::timeout(LAST_WORDS, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}
