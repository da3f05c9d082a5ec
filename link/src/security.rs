use std::sync::Arc;

use tonic::service::interceptor::InterceptedService;

use crate::{
    LinkError, Name, Network, TlsFiles,
    tls::Tls,
    token::{Guard, Present, Token},
};

/// A way to a peer, on which every call shows the join token if there is one.
pub type Channel = InterceptedService<tonic::transport::Channel, Present>;

/// What a node proves itself with and asks of others, certificates, a join token, both, or nothing, and the network on
/// which it does so. Cheap to clone; clones share what they have read.
#[derive(Clone, Debug, Default)]
pub struct Security {
    tls: Option<Arc<Tls>>,
    token: Option<Token>,
    network: Network,
}

impl Security {
    /// The same with certificates, read from these files.
    pub fn with_tls(self, files: TlsFiles) -> Result<Self, LinkError> {
        Ok(Security { tls: Some(Tls::open(files)?.into()), ..self })
    }

    /// The same with a join token.
    pub fn with_token(self, token: Token) -> Self {
        Security { token: Some(token), ..self }
    }

    /// The same on another network than the system's.
    pub fn over(self, network: Network) -> Self {
        Security { network, ..self }
    }

    /// Whom this node's certificate is made out to, if it has one.
    pub fn name(&self) -> Option<Name> {
        self.tls.as_ref().map(|tls| tls.name())
    }

    /// Whether it shows a join token, and asks for one.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether it keeps anybody out.
    pub(crate) fn protects(&self) -> bool {
        self.tls.is_some() || self.token.is_some()
    }

    pub(crate) fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    /// Whether it dials the system's TCP without certificates.
    pub(crate) fn is_plain_tcp(&self) -> bool {
        self.tls.is_none() && matches!(self.network, Network::System)
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    pub(crate) fn guard(&self) -> Guard {
        Guard::new(self.token.as_ref())
    }

    pub(crate) fn present(&self, channel: tonic::transport::Channel) -> Channel {
        InterceptedService::new(channel, Present::new(self.token.as_ref()))
    }
}
