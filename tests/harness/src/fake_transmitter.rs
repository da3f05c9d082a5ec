use std::sync::Arc;

use proto::{
    Link,
    v1::{Features, Stamp, Turn, transmitter_server::Transmitter},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// The link of a stream that began with this stamp.
fn link(stamp: Option<&Stamp>) -> Link {
    let Stamp { run, incarnation, transmitter, receiver, .. } = stamp.cloned().unwrap_or_default();
    Link { run, incarnation, transmitter, receiver }
}

/// A transmitter that computes nothing: it answers every turn as a test says.
pub(crate) struct FakeTransmitter<A> {
    pub(crate) answer: Arc<A>,
}

#[tonic::async_trait]
impl<A: Fn(Turn) -> Features + Send + Sync + 'static> Transmitter for FakeTransmitter<A> {
    type ExchangeStream = ReceiverStream<Result<Features, Status>>;

    async fn exchange(
        &self,
        request: Request<Streaming<Turn>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let (features, stream) = mpsc::channel(2);
        let answer = self.answer.clone();
        let mut turns = request.into_inner();
        tokio::spawn(async move {
            let mut whose = None;
            while let Ok(Some(mut turn)) = turns.message().await {
                // A stream begins by saying whose it is.
                let link = whose.get_or_insert_with(|| link(turn.stamp.as_ref()));
                link.complete(&mut turn.stamp);
                if turn.requests.is_none() && turn.gradients.is_none() {
                    continue;
                }
                if features.send(Ok(answer(turn))).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}
