//! HTTP/1.1 for people's browsers and for scrapers, behind the same limits on connections as the nodes' doors.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::JoinSet,
    time::Sleep,
};
use tokio_stream::StreamExt;
use tonic::transport::server::Connected;
use tower::ServiceExt;

use crate::{LinkError, Listener, Security, accepted::Accepted, places::Limits};

/// Time limit for a request's headers.
const HEADERS: Duration = Duration::from_secs(10);

/// How long a response may wait for its reader to read anything.
const STALL: Duration = Duration::from_secs(30);

/// Upper limit on a request's head in bytes, and on what is kept of a response that its reader does not read.
const BUFFER: usize = 16 << 10;

/// The address of a request's caller, among the request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct CallerAddress(pub Option<SocketAddr>);

impl Listener {
    /// Binds to an address for a page. Its requests are checked where they are answered, also on addresses that other
    /// machines can reach.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn bind_for_page(address: SocketAddr) -> Result<Self, LinkError> {
        let mut listener = Listener::bind(address, &Security::default(), true).await?;
        listener.limits = Limits::of_page();
        Ok(listener)
    }

    /// Serves HTTP/1.1 until `stop` resolves, and then ends all connections. A connection carries one request, so that
    /// none is idle, and keeps its place once that has succeeded.
    pub async fn serve_http(self, router: Router, stop: impl Future<Output = ()>) {
        let mut arrivals = self.incoming();
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return,
                arrival = arrivals.next() => match arrival {
                    Some(Ok(stream)) => drop(connections.spawn(converse(stream, router.clone()))),
                    Some(Err(_)) => {}
                    None => return,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// Answers the request of a connection. What goes wrong with it is the caller's affair.
async fn converse(stream: Accepted, router: Router) {
    let caller = stream.connect_info();
    let answer = service_fn(move |request| {
        let (router, caller) = (router.clone(), caller.clone());
        async move {
            let mut request: Request = Request::map(request, Body::new);
            request.extensions_mut().insert(CallerAddress(caller.address));
            let response = router.oneshot(request).await?;
            if response.status().is_success() {
                caller.standing.accept();
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .keep_alive(false)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Patient { stream, stalled: None }), answer);
    if let Err(error) = connection.await {
        tracing::trace!(%error, "a connection to the page ended");
    }
}

/// A connection that ends when its peer reads nothing for too long.
struct Patient {
    stream: Accepted,
    /// Runs while a write waits for the peer.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn watch(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL)));
        std::task::ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the reader does not read")))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
