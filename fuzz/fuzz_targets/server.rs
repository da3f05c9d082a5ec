//! The doors of a coordinator and of a transmitter that waits for its receiver: bytes, as they are or as messages of a
//! call. Time is simulated, so whoever is let wait costs none. Whatever comes, nothing panics, and the coordinator goes
//! on answering.
#![no_main]

#[path = "support/doors.rs"]
mod doors;

use std::cell::RefCell;

use doors::{Doors, Network};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A run that waits for its receiver, and how often somebody has called.
struct World {
    runtime: tokio::runtime::Runtime,
    doors: Doors,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Calls that there are, and at which door.
const CALLS: [(u16, &str); 5] = [
    (doors::COORDINATOR, "/pom2dib.v1.Coordinator/Control"),
    (doors::COORDINATOR, "/pom2dib.v1.Coordinator/Save"),
    (doors::COORDINATOR, "/pom2dib.v1.Coordinator/Load"),
    (doors::COORDINATOR, "/pom2dib.v1.Coordinator/Manage"),
    (doors::TRANSMITTER, "/pom2dib.v1.Transmitter/Exchange"),
];

fuzz_target!(|content: &[u8]| {
    let Some((kind, content)) = content.split_first() else { return };
    WORLD.with_borrow_mut(|world| {
        let World { runtime, doors } = world.get_or_insert_with(World::new);
        runtime.block_on(async {
            match kind % 8 {
                0 => call(&doors.network, doors::COORDINATOR, content.to_vec()).await,
                1 => call(&doors.network, doors::TRANSMITTER, content.to_vec()).await,
                // Something after a good beginning of a connection.
                2 => call(&doors.network, doors::COORDINATOR, [&preface()[..], content].concat()).await,
                call_of => {
                    let (door, path) = CALLS[usize::from(call_of) - 3];
                    call(&doors.network, door, request(path, kind & 128 != 0, content)).await;
                }
            }
        });
        // What a node says that has been let in may end the run; then there is another.
        if !runtime.block_on(doors.answers()) {
            *world = None;
        }
    });
});

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime can be started");
        let doors = runtime.block_on(Doors::open());
        World { runtime, doors }
    }
}

/// Says something at a door, and hears what is said to that until the other side hangs up.
async fn call(network: &Network, door: u16, words: Vec<u8>) {
    let Some(stream) = network.dial(door) else { return };
    let (mut from, mut to) = tokio::io::split(stream);
    let say = async {
        // The other side may hang up before it has heard all.
        let _ = to.write_all(&words).await;
        std::future::pending().await
    };
    let hear = async { while from.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {} };
    tokio::select! { () = say => {}, () = hear => {}, () = tokio::time::sleep(doors::LONG_ENOUGH) => {} }
}

/// What a connection of HTTP/2 begins with: the preface, and no settings of its own.
fn preface() -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[])].concat()
}

/// A connection with one call, which may end: its messages stand in `content`, each after its length in two bytes.
fn request(path: &str, ends: bool, mut content: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "here"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ] {
        // A literal field that is not indexed, and not coded.
        block.extend(
            [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat(),
        );
    }
    let mut words = [preface(), frame(1, 4, 1, &block)].concat();
    while let [low, high, rest @ ..] = content {
        let (message, rest) = rest.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(rest.len()));
        let length = (message.len() as u32).to_be_bytes();
        words.extend(frame(0, 0, 1, &[&[0], &length[..], message].concat()));
        content = rest;
    }
    words.extend(ends.then(|| frame(0, 1, 1, &[])).unwrap_or_default());
    words
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = &(payload.len() as u32).to_be_bytes()[1..];
    [length, &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
