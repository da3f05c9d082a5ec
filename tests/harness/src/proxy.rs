use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// The longest piece that is forwarded at once, in bytes.
const LARGEST_PIECE: usize = 1 << 16;

/// The longest random delay of a piece, in microseconds.
const LONGEST_DELAY: u64 = 5000;

/// A slow or long network connection: forwards bytes late, in order and complete.
pub struct Proxy {
    address: SocketAddr,
    passage: Arc<Passage>,
}

/// State that all connections through a proxy share.
struct Passage {
    target: SocketAddr,
    manner: Manner,
    pieces: AtomicU64,
    cut: AtomicBool,
}

/// How bytes are delayed.
#[derive(Clone, Copy)]
enum Manner {
    /// One piece after the other, of random size and after a random delay.
    Halting { seed: u64 },
    /// All bytes by the same time, however many are under way, as on a long cable.
    Late(Duration),
}

impl Proxy {
    /// A slow connection: pieces of random size, each after a random delay, drawn from `seed`. Listens on a port of
    /// this machine (0 takes a free one) and forwards everything to `target`, which need not listen yet.
    pub fn start(port: u16, target: SocketAddr, seed: u64) -> Self {
        Proxy::open(port, target, Manner::Halting { seed })
    }

    /// A long connection: everything arrives this much later, in either direction, at full speed.
    pub fn late(target: SocketAddr, delay: Duration) -> Self {
        Proxy::open(0, target, Manner::Late(delay))
    }

    fn open(port: u16, target: SocketAddr, manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        let address = listener.local_addr().expect("a bound listener has an address");
        let passage =
            Arc::new(Passage { target, manner, pieces: AtomicU64::new(0), cut: AtomicBool::new(false) });
        let shared = passage.clone();
        thread::spawn(move || accept(&listener, &shared));
        Proxy { address, passage }
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the connection, or restores it: while it is cut nothing gets through, and neither end is notified.
    pub fn cut(&self, cut: bool) {
        self.passage.cut.store(cut, Ordering::Relaxed);
    }

    /// The number of forwarded pieces.
    pub fn pieces(&self) -> u64 {
        self.passage.pieces.load(Ordering::Relaxed)
    }
}

fn accept(listener: &TcpListener, passage: &Arc<Passage>) {
    for (number, caller) in (0u64..).zip(listener.incoming()) {
        let Ok(caller) = caller else { return };
        // The target does not listen yet: the caller sees the connection close.
        let Ok(target) = TcpStream::connect(passage.target) else { continue };
        for stream in [&caller, &target] {
            stream.set_nodelay(true).expect("an open stream takes options");
        }
        for (side, from, to) in [(0, double(&caller), double(&target)), (1, target, caller)] {
            let passage = passage.clone();
            thread::spawn(move || match passage.manner {
                Manner::Halting { seed } => {
                    let random = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(1000) + 2 * number + side);
                    passage.pass_on_haltingly(from, to, random);
                }
                Manner::Late(delay) => passage.pass_on_late(from, to, delay),
            });
        }
    }
}

fn double(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a handle can be doubled")
}

impl Passage {
    /// One direction of a connection, to its end.
    fn pass_on_haltingly(&self, mut from: TcpStream, mut to: TcpStream, mut random: ChaCha8Rng) {
        let mut piece = vec![0; LARGEST_PIECE];
        loop {
            let size = 1 + random.next_u64() as usize % LARGEST_PIECE;
            let read = from.read(&mut piece[..size]).unwrap_or(0);
            thread::sleep(Duration::from_micros(random.next_u64() % LONGEST_DELAY));
            if read == 0 || !self.pass_on(&piece[..read], &mut to) {
                break;
            }
        }
        close(&from, &to);
    }

    /// The same. The reader notes when each piece is due and continues reading; the writer waits for that time: so a
    /// delay holds up no later bytes.
    fn pass_on_late(&self, from: TcpStream, mut to: TcpStream, delay: Duration) {
        let (sender, pieces) = mpsc::channel();
        let source = double(&from);
        thread::spawn(move || read_ahead(source, delay, &sender));
        for (due, piece) in pieces {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if piece.is_empty() || !self.pass_on(&piece, &mut to) {
                break;
            }
        }
        close(&from, &to);
    }

    fn pass_on(&self, piece: &[u8], to: &mut TcpStream) -> bool {
        while self.cut.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        self.pieces.fetch_add(1, Ordering::Relaxed);
        to.write_all(piece).is_ok()
    }
}

/// Reads to the end, which is an empty piece and as late as all others.
fn read_ahead(mut from: TcpStream, delay: Duration, pieces: &mpsc::Sender<(Instant, Vec<u8>)>) {
    let mut buffer = vec![0; LARGEST_PIECE];
    loop {
        let read = from.read(&mut buffer).unwrap_or(0);
        let piece = (Instant::now() + delay, buffer[..read].to_vec());
        if pieces.send(piece).is_err() || read == 0 {
            return;
        }
    }
}

/// Ends one direction. The other side may be gone already.
fn close(from: &TcpStream, to: &TcpStream) {
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(30);

    #[test]
    fn a_late_proxy_passes_everything_on_in_order_and_not_before_it_is_due() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = Proxy::late(listener.local_addr().unwrap(), DELAY);
        let sent: Vec<u8> =
            (0u32..3_000_000).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let echo = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).unwrap();
            stream.write_all(&heard).unwrap();
        });

        let start = Instant::now();
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        stream.write_all(&sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();

        assert!(start.elapsed() >= 2 * DELAY, "{:?}", start.elapsed());
        assert!(heard == sent, "{} bytes of {} came back, or in another order", heard.len(), sent.len());
        assert!(proxy.pieces() > 2);
        echo.join().unwrap();
    }
}
