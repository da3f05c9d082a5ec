use std::sync::Arc;

use tonic::service::interceptor::InterceptedService;

use crate::{
    LinkError, Name, Published, TlsFiles, Transport,
    own_token::{self, Finder},
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
    /// The token was made here, for want of any other: this user's processes are to find it.
    is_own: bool,
    /// Where a token is looked for, if none was given.
    finder: Option<Finder>,
    network: Transport,
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

    /// The same with a token that nobody was given, and that this user's other processes are to find.
    pub fn with_own_token(self, token: Token) -> Self {
        Security { token: Some(token), is_own: true, ..self }
    }

    /// The same with the token of whoever listens at that address, if that is on this machine and of this user, and nothing
    /// else was given to show.
    pub fn finding_token_of(self, address: &str) -> Self {
        let finder = if self.protects() { None } else { Finder::of(address) };
        Security { finder, ..self }
    }

    /// Leaves the token of a listener at this port for this user's other processes, if it was given none by hand; it is gone
    /// from there when the answer is dropped.
    pub fn publish(&self, port: u16) -> Option<Published> {
        if matches!(self.network, Transport::Simulated(_)) {
            return None;
        }
        let found = self.finder.as_ref().and_then(Finder::token);
        let token = self.token.clone().filter(|_| self.is_own).or(found);
        if token.is_none() {
            own_token::clear(port);
        }
        token.map(|token| Published::new(port, token))
    }

    /// Whether it looks for a token when it needs one.
    pub(crate) fn finds_token(&self) -> bool {
        self.finder.is_some()
    }

    fn current_token(&self) -> Option<Token> {
        self.token.clone().or_else(|| self.finder.as_ref()?.token())
    }

    /// The same on another network than the system's.
    pub fn over(self, network: Transport) -> Self {
        Security { network, ..self }
    }

    /// Whom this node's certificate is made out to, if it has one.
    pub fn name(&self) -> Option<Name> {
        self.tls.as_ref().map(|tls| tls.name())
    }

    /// Whether it shows a join token, and asks for one.
    pub fn has_token(&self) -> bool {
        self.current_token().is_some()
    }

    /// Whether it was given anything that keeps anybody out.
    pub fn protects(&self) -> bool {
        self.tls.is_some() || self.token.is_some()
    }

    pub(crate) fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    /// Whether it dials the system's TCP without certificates.
    pub(crate) fn is_plain_tcp(&self) -> bool {
        self.tls.is_none() && matches!(self.network, Transport::System)
    }

    pub(crate) fn network(&self) -> &Transport {
        &self.network
    }

    pub(crate) fn guard(&self) -> Guard {
        Guard::new(self.current_token().as_ref())
    }

    pub(crate) fn present(&self, channel: tonic::transport::Channel) -> Channel {
        InterceptedService::new(channel, Present::new(self.current_token().as_ref()))
    }
}
