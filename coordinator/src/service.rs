use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use node::Role;
use proto::v1::{
    Join, LoadRequest, Order, Report, Saved, StatePiece, Welcome, coordinator_server::Coordinator, order,
    report,
};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    folder::{RunFolder, state_name},
    members::{Member, Members, Orders},
};

/// State travels in pieces of this many bytes.
const PIECE: usize = 1 << 20;

/// What happens at the coordinator's door.
#[derive(Debug)]
pub(crate) enum Event {
    /// A node said something.
    Report(Member, report::Report),
    /// A node's control stream has ended.
    Gone(Member, String),
    /// A node's state at a version lies in the folder, with this SHA-256.
    Saved { member: Member, version: u64, sha256: [u8; 32] },
}

/// What all handlers share.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) run: Bytes,
    pub(crate) incarnation: u64,
    pub(crate) scenario: Arc<str>,
    pub(crate) seed: [u8; 32],
    /// Where nodes restore their state from, if they do.
    pub(crate) restore: Option<PathBuf>,
    pub(crate) folder: RunFolder,
    pub(crate) members: Arc<Members>,
    pub(crate) events: mpsc::Sender<Event>,
}

#[tonic::async_trait]
impl Coordinator for Service {
    type ControlStream = ReceiverStream<Result<Order, Status>>;
    type LoadStream = ReceiverStream<Result<StatePiece, Status>>;

    async fn control(
        &self,
        request: Request<Streaming<Report>>,
    ) -> Result<Response<Self::ControlStream>, Status> {
        let (orders, stream) = mpsc::channel(64);
        tokio::spawn(self.clone().attend(request.into_inner(), orders));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn save(&self, request: Request<Streaming<StatePiece>>) -> Result<Response<Saved>, Status> {
        let mut pieces = request.into_inner();
        let first =
            pieces.message().await?.ok_or_else(|| Status::invalid_argument("a state without pieces"))?;
        let member = self.member(&first.run, first.role(), first.index)?;
        let version = first.version;
        let sha256 = self.store(member, first, &mut pieces).await?;
        self.tell(Event::Saved { member, version, sha256 }).await?;
        Ok(Response::new(Saved {}))
    }

    async fn load(&self, request: Request<LoadRequest>) -> Result<Response<Self::LoadStream>, Status> {
        let request = request.into_inner();
        let member = self.member(&request.run, request.role(), request.index)?;
        let checkpoint = self
            .restore
            .as_ref()
            .ok_or_else(|| Status::failed_precondition("this run starts from nothing"))?;
        let path = checkpoint.join(state_name(member));
        let file = tokio::fs::File::open(&path)
            .await
            .map_err(|error| Status::not_found(format!("{}: {error}", path.display())))?;
        let (pieces, stream) = mpsc::channel(4);
        tokio::spawn(send_state(file, pieces));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

impl Service {
    /// One node's control stream, from its join to its end.
    async fn attend(self, mut reports: Streaming<Report>, orders: Orders) {
        let member = match reports.message().await {
            Ok(Some(Report { report: Some(report::Report::Join(join)) })) => {
                self.welcome(&join, &orders).await
            }
            // Nobody we know: nothing that concerns the run.
            _ => Err(Status::invalid_argument("the first report must be Join")),
        };
        let member = match member {
            Ok(member) => member,
            Err(status) => {
                tracing::warn!(reason = status.message(), "a node was refused");
                let _ = orders.send(Err(status)).await;
                return;
            }
        };
        drop(orders);
        let end = loop {
            match reports.message().await {
                Ok(Some(Report { report: Some(report) })) => {
                    if self.events.send(Event::Report(member, report)).await.is_err() {
                        return;
                    }
                }
                Ok(Some(Report { report: None })) => break "it sent an empty report".to_owned(),
                Ok(None) => break "it closed the control stream".to_owned(),
                Err(status) => break format!("connection lost ({})", status.message()),
            }
        };
        let _ = self.events.send(Event::Gone(member, end)).await;
    }

    async fn welcome(&self, join: &Join, orders: &Orders) -> Result<Member, Status> {
        let member = self.members.admit(join, orders.clone())?;
        let welcome = Welcome {
            run: self.run.clone(),
            incarnation: self.incarnation,
            index: member.index as u32,
            scenario: self.scenario.to_string(),
            seed: Bytes::copy_from_slice(&self.seed),
            restore: self.restore.is_some(),
        };
        self.members.order_one(member, order::Order::Welcome(welcome)).await;
        Ok(member)
    }

    /// Who speaks, if it belongs to this run.
    fn member(&self, run: &Bytes, role: proto::v1::Role, index: u32) -> Result<Member, Status> {
        if *run != self.run {
            return Err(Status::permission_denied("the message is of another run"));
        }
        let role = match role {
            proto::v1::Role::Transmitter => Role::Transmitter,
            proto::v1::Role::Receiver => Role::Receiver,
            proto::v1::Role::Unspecified => return Err(Status::invalid_argument("the message has no role")),
        };
        let member = Member { role, index: index as usize };
        match self.members.all().any(|known| known == member) {
            true => Ok(member),
            false => Err(Status::invalid_argument(format!("there is no {member}"))),
        }
    }

    /// Writes a state to the folder piece by piece; it gets its name only when it is whole and its hash is right.
    async fn store(
        &self,
        member: Member,
        first: StatePiece,
        pieces: &mut Streaming<StatePiece>,
    ) -> Result<[u8; 32], Status> {
        let path = self.folder.state_path(first.version, member);
        let partial = path.with_extension("partial");
        let fail = |error: std::io::Error| Status::internal(format!("{}: {error}", partial.display()));
        tokio::fs::create_dir_all(partial.parent().expect("a state lies in a checkpoint's folder"))
            .await
            .map_err(fail)?;
        let mut file = tokio::fs::File::create(&partial).await.map_err(fail)?;
        let mut hash = Sha256::new();
        let mut piece = first;
        loop {
            hash.update(&piece.data);
            file.write_all(&piece.data).await.map_err(fail)?;
            if !piece.sha256.is_empty() {
                break;
            }
            piece =
                pieces.message().await?.ok_or_else(|| Status::invalid_argument("a state without an end"))?;
        }
        let digest: [u8; 32] = hash.finalize().into();
        if piece.sha256.as_ref() != digest {
            return Err(Status::invalid_argument(format!("the state of {member} does not match its hash")));
        }
        file.sync_all().await.map_err(fail)?;
        tokio::fs::rename(&partial, &path).await.map_err(fail)?;
        Ok(digest)
    }

    async fn tell(&self, event: Event) -> Result<(), Status> {
        self.events.send(event).await.map_err(|_| Status::aborted("the run is over"))
    }
}

async fn send_state(mut file: tokio::fs::File, pieces: mpsc::Sender<Result<StatePiece, Status>>) {
    let mut hash = Sha256::new();
    loop {
        let mut data = vec![0; PIECE];
        let read = match file.read(&mut data).await {
            Ok(read) => read,
            Err(error) => {
                let _ = pieces.send(Err(Status::internal(error.to_string()))).await;
                return;
            }
        };
        data.truncate(read);
        hash.update(&data);
        let end = read == 0;
        let sha256 = if end { hash.clone().finalize().to_vec().into() } else { Bytes::new() };
        let piece = StatePiece { data: data.into(), sha256, ..StatePiece::default() };
        if pieces.send(Ok(piece)).await.is_err() || end {
            return;
        }
    }
}
