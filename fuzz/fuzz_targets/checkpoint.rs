//! The state of a node: whatever is in it, networks take it whole or not at all.
#![no_main]

use std::cell::RefCell;

use candle_core::{DType, Device};
use dib::{Network, ResidualMlp};
use libfuzzer_sys::fuzz_target;
use randomness::{Purpose, Seed};

thread_local! {
    static NETWORK: RefCell<Network> = RefCell::new(network());
}

fn network() -> Network {
    let stream = Seed::from_number(1).stream(Purpose::Test, &[], 0);
    Network::new("n", Box::new(ResidualMlp::new(1, 1)), stream, DType::F32, &Device::Cpu)
        .expect("a network can be made")
}

fuzz_target!(|content: &[u8]| {
    NETWORK.with_borrow_mut(|network| {
        let _ = node::restore(content, &Device::Cpu, std::iter::once(network));
    });
});
