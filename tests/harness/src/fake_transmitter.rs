use std::sync::Arc;

use proto::v1::{Features, Turn, transmitter_server::Transmitter};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// A transmitter that computes nothing: it answers every turn as a test specifies.
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
            while let Ok(Some(turn)) = turns.message().await {
                // The first turn of a stream only identifies the receiver.
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
