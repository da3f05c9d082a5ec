use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// The longest piece that is passed on at once, in bytes.
const LARGEST_PIECE: usize = 1 << 16;

/// The longest delay of a piece, in microseconds.
const LONGEST_DELAY: u64 = 5000;

/// A slow stretch of network: passes bytes on in pieces of random size, each after a random delay.
pub struct Proxy {
    address: SocketAddr,
    passage: Arc<Passage>,
}

/// What all connections through a proxy share.
struct Passage {
    target: SocketAddr,
    pieces: AtomicU64,
}

impl Proxy {
    /// Listens on a port of this machine (0 takes a free one) and passes everything on to `target`, which need not
    /// listen yet. Sizes and delays come from `seed`.
    pub fn start(port: u16, target: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        let address = listener.local_addr().expect("a bound listener has an address");
        let passage = Arc::new(Passage { target, pieces: AtomicU64::new(0) });
        let shared = passage.clone();
        thread::spawn(move || accept(&listener, &shared, seed));
        Proxy { address, passage }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many pieces have gone through.
    pub fn pieces(&self) -> u64 {
        self.passage.pieces.load(Ordering::Relaxed)
    }
}

fn accept(listener: &TcpListener, passage: &Arc<Passage>, seed: u64) {
    for (number, caller) in (0u64..).zip(listener.incoming()) {
        let Ok(caller) = caller else { return };
        // Nobody listens there yet: the caller sees the connection close.
        let Ok(target) = TcpStream::connect(passage.target) else { continue };
        for stream in [&caller, &target] {
            stream.set_nodelay(true).expect("an open stream takes options");
        }
        let double = |stream: &TcpStream| stream.try_clone().expect("a handle can be doubled");
        for (side, from, to) in [(0, double(&caller), double(&target)), (1, target, caller)] {
            let passage = passage.clone();
            let random = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(1000) + 2 * number + side);
            thread::spawn(move || passage.pass_on(from, to, random));
        }
    }
}

impl Passage {
    /// One direction of a connection, to its end.
    fn pass_on(&self, mut from: TcpStream, mut to: TcpStream, mut random: ChaCha8Rng) {
        let mut piece = vec![0; LARGEST_PIECE];
        loop {
            let size = 1 + random.next_u64() as usize % LARGEST_PIECE;
            let read = from.read(&mut piece[..size]).unwrap_or(0);
            thread::sleep(Duration::from_micros(random.next_u64() % LONGEST_DELAY));
            if read == 0 || to.write_all(&piece[..read]).is_err() {
                break;
            }
            self.pieces.fetch_add(1, Ordering::Relaxed);
        }
        // The other side may be gone already.
        let _ = to.shutdown(Shutdown::Write);
        let _ = from.shutdown(Shutdown::Read);
    }
}
