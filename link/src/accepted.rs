use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::Sleep,
};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::{counting::Counted, identity::Caller};

/// In which whoever connects without a handshake must have said something.
const FIRST_WORD: Duration = Duration::from_secs(10);

/// A connection that is ready to be served, and who is at its other end.
pub(crate) struct Accepted {
    stream: Stream,
    caller: Caller,
    /// Until the first word is there.
    silence: Option<Pin<Box<Sleep>>>,
    /// One of so many connections that there may be.
    _permit: Option<OwnedSemaphorePermit>,
}

/// Bytes are counted where they meet the socket: under TLS, as they are encrypted.
enum Stream {
    Plain(Counted),
    Tls(Box<TlsStream<Counted>>),
}

impl Accepted {
    pub(crate) fn plain(stream: Counted, caller: Caller, permit: Option<OwnedSemaphorePermit>) -> Self {
        let silence = Some(Box::pin(tokio::time::sleep(FIRST_WORD)));
        Accepted { stream: Stream::Plain(stream), caller, silence, _permit: permit }
    }

    pub(crate) fn tls(stream: TlsStream<Counted>, caller: Caller) -> Self {
        Accepted { stream: Stream::Tls(stream.into()), caller, silence: None, _permit: None }
    }

    /// Ends a connection over which nothing has been said in time.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.silence {
            None => Poll::Pending,
            Some(silence) => silence
                .as_mut()
                .poll(context)
                .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "it says nothing"))),
        }
    }
}

impl Connected for Accepted {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller
    }
}

/// Does the same with either kind of stream.
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
        let read = either!(self, stream => stream.poll_read(context, buffer));
        match read {
            Poll::Ready(read) => {
                self.silence = None;
                Poll::Ready(read)
            }
            Poll::Pending => self.poll_silence(context),
        }
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(context))
    }
}
