use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use proto::v1::{LookReply, LookRequest, probe_server};
use tonic::{Request, Response, Status};

/// The largest payload of a probe, in bytes.
const LARGEST_PAYLOAD: usize = 1 << 20;

/// Answers `pom2dib doctor` beside a service of this project, with the same access control as the service.
#[derive(Clone, Debug)]
pub struct Probe {
    who: String,
}

impl Probe {
    /// The probe service of the process with that name.
    pub fn of(who: impl std::fmt::Display) -> probe_server::ProbeServer<Probe> {
        probe_server::ProbeServer::new(Probe { who: who.to_string() })
    }
}

#[tonic::async_trait]
impl probe_server::Probe for Probe {
    async fn look(&self, request: Request<LookRequest>) -> Result<Response<LookReply>, Status> {
        let LookRequest { payload, answer } = request.into_inner();
        let answer = answer as usize;
        if payload.len().max(answer) > LARGEST_PAYLOAD {
            let message = format!("a look carries at most {LARGEST_PAYLOAD} bytes each way");
            return Err(Status::invalid_argument(message));
        }
        // A clock before 1970 is reported as zero, which shows that it is wrong.
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Ok(Response::new(LookReply {
            who: self.who.clone(),
            version: proto::VERSION.into(),
            protocol: Bytes::copy_from_slice(&proto::protocol_digest()),
            clock,
            payload: vec![0; answer].into(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use proto::v1::probe_server::Probe as _;

    use super::*;

    #[tokio::test]
    async fn a_probe_carries_the_requested_bytes_up_to_a_mebibyte() {
        let probe = Probe { who: "transmitter 1".into() };
        let look = |payload: usize, answer: usize| {
            probe.look(Request::new(LookRequest { payload: vec![0; payload].into(), answer: answer as u32 }))
        };
        let reply = look(LARGEST_PAYLOAD, 7).await.unwrap().into_inner();
        assert_eq!((reply.who.as_str(), reply.version.as_str()), ("transmitter 1", proto::VERSION));
        assert_eq!((reply.protocol.as_ref(), reply.payload.len()), (&proto::protocol_digest()[..], 7));
        assert!(look(LARGEST_PAYLOAD + 1, 0).await.is_err());
        assert!(look(0, LARGEST_PAYLOAD + 1).await.is_err());
    }
}
