use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::{Name, counting::Counted, identity::Caller, places::Place};

/// A connection that is ready to be served, and its peer.
pub(crate) struct Accepted {
    stream: Stream,
    caller: Caller,
    /// Its place among the limited number of connections.
    place: Place,
}

/// Bytes are counted at the socket: under TLS, as encrypted.
enum Stream {
    Plain(Counted),
    Tls(Box<TlsStream<Counted>>),
}

impl Accepted {
    pub(crate) fn plain(stream: Counted, address: Option<SocketAddr>, place: Place) -> Self {
        let caller = Caller { address, name: None, standing: place.standing() };
        Accepted { stream: Stream::Plain(stream), caller, place }
    }

    pub(crate) fn tls(
        stream: TlsStream<Counted>,
        address: Option<SocketAddr>,
        name: Name,
        place: Place,
    ) -> Self {
        let caller = Caller { address, name: Some(name), standing: place.standing() };
        Accepted { stream: Stream::Tls(stream.into()), caller, place }
    }

    /// Ends a connection that has lost its place. Every read and write checks this first, so that a peer that sends
    /// single bytes, or reads nothing, gains no time.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.place.poll_lost(context) {
            Poll::Pending => Ok(()),
            Poll::Ready(reason) => Err(io::Error::new(io::ErrorKind::TimedOut, reason)),
        }
    }
}

impl Connected for Accepted {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

/// Calls the same method on either kind of stream.
macro_rules! either {
    ($accepted:ident, $stream:ident => $call:expr) => {
        match &mut $accepted.stream {
            Stream::Plain($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Stream::Tls($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        either!(self, stream => stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        either!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        either!(self, stream => stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        either!(self, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(context))
    }
}
