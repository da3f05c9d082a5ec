use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the ports that systems use for outgoing connections, so that none is taken by chance.
const FIRST: u16 = 15_000;
const COUNT: u16 = 15_000;

/// A free port of this machine, for programs that must know their port before they listen.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test binaries that run at the same time start their search at different ports.
    let start = std::process::id().wrapping_mul(97) as u16;
    loop {
        let port = FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
