use std::sync::Arc;

use tonic::service::interceptor::InterceptedService;

use crate::{
    LinkError, Name, Published, TlsFiles, Transport,
    own_token::{self, Finder},
    tls::Tls,
    token::{Guard, Present, Token},
};

/// A connection to a peer on which every call shows the join token, if there is one.
pub type Channel = InterceptedService<tonic::transport::Channel, Present>;

/// A node's credentials and its demands on others: certificates, a join token, both, or neither, and the network that
/// it uses. Cheap to clone; clones share what they have read.
#[derive(Clone, Debug, Default)]
pub struct Security {
    tls: Option<Arc<Tls>>,
    token: Option<Token>,
    /// Whether the token was generated here, so that this user's processes must be able to find it.
    is_own: bool,
    /// Looks up a token, if none was given.
    finder: Option<Finder>,
    network: Transport,
}

impl Security {
    /// The same with certificates from these files.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or used.
    pub fn with_tls(self, files: TlsFiles) -> Result<Self, LinkError> {
        Ok(Security { tls: Some(Tls::open(files)?.into()), ..self })
    }

    /// The same with a join token.
    pub fn with_token(self, token: Token) -> Self {
        Security { token: Some(token), ..self }
    }

    /// The same with a generated token, which this user's other processes can find.
    pub fn with_own_token(self, token: Token) -> Self {
        Security { token: Some(token), is_own: true, ..self }
    }

    /// The same with the token of the listener at that address, if it is on this machine and of this user, and no other
    /// credentials were given.
    pub fn finding_token_of(self, address: &str) -> Self {
        let finder = if self.protects() { None } else { Finder::of(address) };
        Security { finder, ..self }
    }

    /// Makes a generated token of a listener at this port available to this user's other processes, until the result is
    /// dropped. None if the token was given.
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

    /// Whether it looks up a token when it needs one.
    pub(crate) fn finds_token(&self) -> bool {
        self.finder.is_some()
    }

    /// The join token, if there is one.
    pub fn token(&self) -> Option<Token> {
        self.current_token()
    }

    fn current_token(&self) -> Option<Token> {
        self.token.clone().or_else(|| self.finder.as_ref()?.token())
    }

    /// The same on another network instead of the system's.
    pub fn over(self, network: Transport) -> Self {
        Security { network, ..self }
    }

    /// The name in this node's certificate, if it has one.
    pub fn name(&self) -> Option<Name> {
        self.tls.as_ref().map(|tls| tls.name())
    }

    /// Whether it shows a join token, and demands one.
    pub fn has_token(&self) -> bool {
        self.current_token().is_some()
    }

    /// Whether it has any access control.
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
