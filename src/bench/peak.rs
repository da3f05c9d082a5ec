//! The f32 matrix-product peak of this machine, measured with the crate that the program uses.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use candle_core::{Device, Tensor};
use data::Info;
use dib::nn::Product;
use kernels::product::{Transpose, accumulate_product};
use node::NodeError;
use scenario::Scenario;
use serde::Serialize;

use crate::bench::flops;

/// How long a product is repeated; the fastest repetition counts.
const EACH: Duration = Duration::from_millis(600);

/// A product `[rows, inner] x [inner, columns]` and the rate in operations a second that it reached on one core.
#[derive(Serialize)]
pub(crate) struct Shape {
    pub(crate) rows: usize,
    pub(crate) inner: usize,
    pub(crate) columns: usize,
    pub(crate) rate: f64,
}

/// Operations a second of products of 1024 x 1024, summed over `cores` independent threads.
pub(crate) fn square(cores: usize) -> f64 {
    let workers: Vec<_> = (0..cores).map(|_| std::thread::spawn(|| rate(1024, 1024, 1024))).collect();
    workers.into_iter().map(|worker| worker.join().unwrap_or(0.0)).sum()
}

/// The typical products of a round of the scenario: an encoder's for one entry forward, the widest modality's first,
/// and a block of ticks of a weight gradient.
///
/// # Errors
/// For a kind of network that this program does not know.
pub(crate) fn at_shapes(scenario: &Scenario, info: &Info) -> Result<Vec<Shape>, NodeError> {
    let rows = scenario.train.ticks_per_round * scenario.train.samples_per_tick;
    let block =
        scenario::GRADIENT_BLOCK_TICKS.min(scenario.train.ticks_per_round) * scenario.train.samples_per_tick;
    let modalities = scenario.transmitter.iter().enumerate();
    let modalities = modalities.flat_map(|(k, node)| node.modalities.iter().map(move |name| (k, name)));
    let width = |(_, modality): &(usize, &String)| flops::axes(info, modality).iter().product::<usize>();
    let Some((k, widest)) = modalities.max_by_key(width) else { return Ok(Vec::new()) };
    let modules = node::encoder(scenario, k, widest, &flops::axes(info, widest))?;
    let products = modules.trunk.unwrap_or(modules.head).products();
    let mut shapes: Vec<_> =
        products.iter().map(|product| (rows * product.rows, product.inner, product.columns)).collect();
    let size = |product: &&Product| product.inner * product.columns;
    let hidden = products.iter().filter(|product| !product.of_input).max_by_key(size);
    shapes.extend(hidden.map(|product| (product.inner, block * product.rows, product.columns)));
    let mut seen = HashSet::new();
    shapes.retain(|shape| seen.insert(*shape));
    let measured = |(rows, inner, columns)| Shape { rows, inner, columns, rate: rate(rows, inner, columns) };
    Ok(shapes.into_iter().map(measured).collect())
}

/// The best rate of a product on this thread.
fn rate(rows: usize, inner: usize, columns: usize) -> f64 {
    best(rows, inner, columns).unwrap_or(0.0)
}

fn best(rows: usize, inner: usize, columns: usize) -> candle_core::Result<f64> {
    let filled = |rows, columns| Tensor::ones((rows, columns), candle_core::DType::F32, &Device::Cpu);
    let (a, b, c) = (filled(rows, inner)?, filled(inner, columns)?, filled(rows, columns)?);
    let operations = 2.0 * (rows * inner * columns) as f64;
    let start = Instant::now();
    let mut best = f64::INFINITY;
    while start.elapsed() < EACH {
        let before = Instant::now();
        accumulate_product(&c, &a, &b, Transpose::Neither)?;
        best = best.min(before.elapsed().as_secs_f64());
    }
    Ok(operations / best)
}
