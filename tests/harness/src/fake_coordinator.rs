use proto::v1::{
    Abort, LoadRequest, ManageRequest, Order, Report, RunStatus, Saved, StatePiece,
    coordinator_server::Coordinator, order,
};
use tonic::{Request, Response, Status, Streaming};

/// A coordinator that only sends fixed messages.
pub(crate) struct FakeCoordinator {
    pub(crate) words: String,
}

type Answers<T> = tokio_stream::Once<Result<T, Status>>;

#[tonic::async_trait]
impl Coordinator for FakeCoordinator {
    type ControlStream = Answers<Order>;
    type LoadStream = Answers<StatePiece>;

    async fn control(&self, _: Request<Streaming<Report>>) -> Result<Response<Self::ControlStream>, Status> {
        let abort = order::Order::Abort(Abort { reason: self.words.clone() });
        Ok(Response::new(tokio_stream::once(Ok(Order { order: Some(abort) }))))
    }

    async fn save(&self, _: Request<Streaming<StatePiece>>) -> Result<Response<Saved>, Status> {
        Err(Status::aborted(self.words.clone()))
    }

    async fn load(&self, _: Request<LoadRequest>) -> Result<Response<Self::LoadStream>, Status> {
        Err(Status::aborted(self.words.clone()))
    }

    async fn manage(&self, _: Request<ManageRequest>) -> Result<Response<RunStatus>, Status> {
        let words = || self.words.clone();
        let status = RunStatus {
            scenario: words(),
            phase: words(),
            trouble: words(),
            rollbacks: 1,
            ..RunStatus::default()
        };
        Ok(Response::new(status))
    }
}
