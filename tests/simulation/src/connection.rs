//! One end of a simulated connection: data is delayed, and the connection can be cut.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    time::Duration,
};

use randomness::Stream as Draws;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};
use turmoil::net::TcpStream;

use crate::network::{Connections, Trick};

/// The largest piece that is taken off the simulated network at once, in bytes.
const PIECE: usize = 64 << 10;

/// Whether an end of a connection is cut, and which tasks to wake. Clones share the state.
#[derive(Clone, Default)]
pub(crate) struct Cut(Arc<Mutex<(bool, Vec<Waker>)>>);

/// An end of a connection.
pub(crate) struct Connection {
    stream: TcpStream,
    connections: Connections,
    /// The host of this end, and that of the other.
    hosts: [String; 2],
    cut: Cut,
    draws: Draws,
    /// Received pieces and when they become visible. An empty piece is the end.
    under_way: VecDeque<(Instant, Vec<u8>)>,
    /// Until the first becomes visible.
    wait: Pin<Box<Sleep>>,
}

impl Cut {
    /// Cuts it permanently.
    pub(crate) fn cut(&self) {
        let wakers = {
            let mut cut = self.lock();
            cut.0 = true;
            std::mem::take(&mut cut.1)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// An error once it is cut; the reader is woken then.
    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        let mut cut = self.lock();
        if cut.0 {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "connection cut"));
        }
        if !cut.1.iter().any(|waker| waker.will_wake(context.waker())) {
            cut.1.push(context.waker().clone());
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, (bool, Vec<Waker>)> {
        self.0.lock().expect("nobody panics with it")
    }
}

impl Connection {
    pub(crate) fn new(
        stream: TcpStream,
        connections: Connections,
        hosts: [String; 2],
        cut: Cut,
        draws: Draws,
    ) -> Self {
        let wait = Box::pin(sleep_until(Instant::now()));
        Connection { stream, connections, hosts, cut, draws, under_way: VecDeque::new(), wait }
    }

    /// Takes everything that has arrived from the network, and draws its delay. The order is kept.
    fn take(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.under_way.back().is_none_or(|(_, piece)| !piece.is_empty()) {
            let mut piece = vec![0; PIECE];
            let mut buffer = ReadBuf::new(&mut piece);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Pending => return Ok(()),
                Poll::Ready(read) => read?,
            }
            let length = buffer.filled().len();
            piece.truncate(length);
            // The end can neither be repeated nor corrupted.
            let trick = (length > 0).then(|| self.connections.trick(&self.hosts)).flatten();
            match trick {
                Some(Trick::Double) => piece.extend_from_within(..),
                // The head of a frame: its reader must fail.
                Some(Trick::Garble) => piece.iter_mut().take(9).for_each(|byte| *byte ^= 0xa5),
                None => {}
            }
            let pause = self.draws.below(self.connections.latency(&self.hosts) + 1);
            let seen = Instant::now() + Duration::from_millis(pause);
            let seen = self.under_way.back().map_or(seen, |(before, _)| seen.max(*before));
            self.under_way.push_back((seen, piece));
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.cut.check(context)?;
        self.take(context)?;
        let Some((seen, _)) = self.under_way.front() else { return Poll::Pending };
        if *seen > Instant::now() {
            let seen = *seen;
            self.wait.as_mut().reset(seen);
            std::task::ready!(self.wait.as_mut().poll(context));
        }
        let (_, piece) = self.under_way.front_mut().expect("looked up just now");
        let rest = piece.split_off(piece.len().min(buffer.remaining()));
        buffer.put_slice(piece);
        if !rest.is_empty() {
            *piece = rest;
        } else if !piece.is_empty() {
            self.under_way.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.cut.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
