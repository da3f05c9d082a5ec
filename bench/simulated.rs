//! What simulating Gaussian features takes on one core: bits and time over KL, and how far it is feasible. A
//! measurement, not a test: it asserts nothing.
//!
//! What a choice takes grows with D_inf alone, so two tables suffice: of single blocks, by their dimensions and
//! deviations, and of whole entries, which are cut into blocks as an evaluation does it.

use std::{process::ExitCode, time::Instant};

use clap::Parser;
use dib::coding::{
    Block, Component, Encoder, Gaussian, Marginal, Numbers, SharedPrior, bias_of, divergence, percentile_99,
};
use randomness::{Purpose, Seed, Stream};

/// Samples of a line at least, whatever they take.
const FEWEST: usize = 200;
/// Rows of an entry: as many samples as a message of an evaluation has by default.
const ROWS: usize = 400;

/// Logits, locations and logarithms of scales of three components: a dimension with something to tell ...
const ACTIVE: [[f32; 3]; 3] = [[-0.3, -1.2, -0.9], [-1.0, 0.3, 2.0], [-0.9, 0.0, -1.2]];
/// ... and one whose samples all have about this prior itself, whose deviation is 1.
const IDLE: [[f32; 3]; 3] = [[0.0; 3], [0.0; 3], [-0.5955; 3]];

/// Blocks: how many dimensions, and the deviation of each.
const BLOCKS: [(usize, f64); 19] = [
    (1, 0.5),
    (1, 0.2),
    (1, 0.1),
    (1, 0.03),
    (1, 0.01),
    (1, 1e-3),
    (1, 1e-4),
    (1, 1e-5),
    (1, 1e-6),
    (2, 0.5),
    (2, 0.2),
    (2, 0.1),
    (2, 0.03),
    (2, 0.01),
    (2, 3e-3),
    (4, 0.5),
    (4, 0.3),
    (4, 0.2),
    (4, 0.1),
];

/// Entries: dimensions, how many of them are active, and the deviation of those.
const ENTRIES: [(usize, usize, f64); 8] = [
    (8, 2, 0.1),
    (8, 4, 0.1),
    (8, 8, 0.3),
    (8, 8, 0.1),
    (24, 4, 0.1),
    (24, 8, 0.1),
    (24, 24, 0.3),
    (24, 24, 0.1),
];

/// What the columns are.
const NOTES: &str = "\
Of a sample, on one core. Target: KL + log2(KL + 1) + 2.5 bits a block. D_inf: what 99 % of the choices do not exceed.
Bias: by how much log r of what is found lies above its mean over the Gaussian. Apart: the largest distance between the
distributions of (z - mu) / sigma and of as many normal draws, in parts of what chance alone exceeds once in a million
(Kolmogorov and Smirnov): above 1 they differ.";

/// Measure what simulating Gaussian features takes: bits and time over KL.
#[derive(Parser)]
#[command(name = "cargo bench --bench simulated --")]
struct Arguments {
    /// Samples of a line
    #[arg(long, default_value_t = 4000, value_name = "N")]
    samples: usize,

    /// Seconds after which a line ends with fewer samples, though with 200 at least
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    seconds: f64,

    /// What cargo bench says
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    /// Whether a line that began then wants more than the samples that it has.
    fn want_more(&self, found: usize, begin: Instant) -> bool {
        found < FEWEST || (found < self.samples && begin.elapsed().as_secs_f64() < self.seconds)
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    println!("Blocks:");
    println!();
    println!("| dimensions | deviation | {} |", Found::HEAD);
    println!("| --- | --- | {} |", Found::RULE);
    for (dimensions, deviation) in BLOCKS {
        let found = of_block(dimensions, deviation, arguments);
        println!("| {dimensions} | {deviation} | {} |", found.line());
    }
    println!();
    println!("Entries:");
    println!();
    println!("| dimensions | active | deviation | blocks | {} |", Found::HEAD);
    println!("| --- | --- | --- | --- | {} |", Found::RULE);
    for (dimensions, active, deviation) in ENTRIES {
        let found = of_entry(dimensions, active, deviation, arguments)?;
        let blocks = found.choices as f64 / found.samples as f64;
        println!("| {dimensions} | {active} | {deviation} | {blocks:.1} | {} |", found.line());
    }
    println!();
    println!("{NOTES}");
    Ok(())
}

/// What a line is made of: sums over the samples.
#[derive(Default)]
struct Found {
    samples: usize,
    choices: usize,
    inexact: usize,
    /// Seconds of choosing.
    seconds: f64,
    /// Of the streams.
    bits: f64,
    /// KL in nats.
    divergence: f64,
    /// In bits.
    target: f64,
    /// In nats.
    bias: f64,
    /// D_inf of every choice, or what 99 % of an entry's do not exceed, in nats.
    log_weights: Vec<f64>,
    /// (z - mu) / sigma of every value.
    noise: Vec<f64>,
}

impl Found {
    const HEAD: &str =
        "samples | KL, nats | D_inf, nats | bits | target | ms | not exact, % | bias, nats | apart";
    const RULE: &str = "--- | --- | --- | --- | --- | --- | --- | --- | ---";

    /// Adds KL and the target of samples, given KL of each block in nats.
    fn aim(&mut self, samples: usize, divergences: &[f64]) {
        for divergence in divergences {
            let bits = divergence / std::f64::consts::LN_2;
            self.divergence += samples as f64 * divergence;
            self.target += samples as f64 * (bits + (bits + 1.0).log2() + 2.5);
        }
    }

    fn line(&self) -> String {
        let mean = |sum: f64| sum / self.samples as f64;
        format!(
            "{} | {:.2} | {:.1} | {:.2} | {:.2} | {:.3} | {:.2} | {:+.2} | {:.2}",
            self.samples,
            mean(self.divergence),
            percentile_99(&self.log_weights),
            mean(self.bits),
            mean(self.target),
            1e3 * mean(self.seconds),
            100.0 * self.inexact as f64 / self.choices as f64,
            mean(self.bias),
            apart(&self.noise)
        )
    }
}

/// Simulates a block of equal dimensions, sample by sample.
fn of_block(dimensions: usize, deviation: f64, arguments: &Arguments) -> Found {
    let prior = marginal(ACTIVE);
    let block = Block::new(vec![prior.clone(); dimensions]);
    let mut stream = draws(dimensions, deviation);
    let mut drawn = Vec::new();
    let begin = Instant::now();
    while arguments.want_more(drawn.len(), begin) {
        let target: Vec<Gaussian> =
            (0..dimensions).map(|_| Gaussian { mean: mean(&prior, &mut stream).into(), deviation }).collect();
        let number = drawn.len() as u64;
        let chosen = block.choose(&target, 2 * number, 2 * number + 1);
        drawn.push((target, chosen));
    }
    let samples = drawn.len();
    let mut found =
        Found { samples, choices: samples, seconds: begin.elapsed().as_secs_f64(), ..Found::default() };
    let (mut encoder, mut numbers) = (Encoder::default(), Numbers::default());
    let mut sum = 0.0;
    for (target, chosen) in &drawn {
        numbers.encode(chosen.number, &mut encoder);
        found.inexact += usize::from(!chosen.is_exact);
        found.log_weights.push(chosen.largest_log_weight);
        for (gaussian, value) in target.iter().zip(&chosen.values) {
            let (divergence, value) = (divergence(&prior, *gaussian), f64::from(*value));
            sum += divergence;
            found.bias += bias_of(&prior, *gaussian, divergence, value);
            found.noise.push((value - gaussian.mean) / gaussian.deviation);
        }
    }
    found.bits = 8.0 * encoder.finish().len() as f64;
    found.aim(samples, &[sum / samples as f64]);
    found
}

/// Entries of some active dimensions and others that tell nothing, as an evaluation sends them.
fn of_entry(
    dimensions: usize,
    active: usize,
    deviation: f64,
    arguments: &Arguments,
) -> anyhow::Result<Found> {
    let numbers = |at: usize| if at < active { ACTIVE } else { IDLE };
    let row = |row: usize| (0..dimensions).map(move |at| numbers(at)[row / 3][row % 3]);
    let shared = SharedPrior::new(&(0..9).flat_map(row).collect::<Vec<f32>>(), dimensions)?;
    let prior = marginal(ACTIVE);
    let mut stream = draws(dimensions + active, deviation);
    let mut found = Found::default();
    let begin = Instant::now();
    while arguments.want_more(found.samples, begin) {
        let (mut means, mut deviations) = (Vec::new(), Vec::new());
        for at in (0..ROWS).flat_map(|_| 0..dimensions) {
            let is_active = at < active;
            means.push(if is_active { mean(&prior, &mut stream) } else { 0.0 });
            deviations.push(if is_active { deviation as f32 } else { 1.0 });
        }
        let number = found.samples as u64;
        let start = Instant::now();
        let simulated = shared.simulate(&means, &deviations, [2 * number, 2 * number + 1]);
        found.seconds += start.elapsed().as_secs_f64();
        let mut encoder = Encoder::default();
        simulated.write(&mut encoder);
        found.bits += 8.0 * encoder.finish().len() as f64;
        found.samples += ROWS;
        found.choices += simulated.choices();
        found.inexact += simulated.inexact;
        found.bias += ROWS as f64 * simulated.bias;
        found.log_weights.push(simulated.log_weight_99());
        found.aim(ROWS, &simulated.block_divergences());
        let values = simulated.values.iter().zip(means.iter().zip(&deviations));
        found
            .noise
            .extend(values.map(|(value, (mean, deviation))| f64::from(value - mean) / f64::from(*deviation)));
    }
    Ok(found)
}

/// The prior of a dimension in f64, of the same numbers as a [`SharedPrior`]'s.
fn marginal([logits, locations, log_scales]: [[f32; 3]; 3]) -> Marginal {
    let component = |at: usize| Component {
        weight: f64::from(logits[at]).exp(),
        location: locations[at].into(),
        scale: f64::from(log_scales[at]).exp(),
    };
    Marginal::new((0..3).map(component).collect())
}

/// A mean of a posterior: where the prior has its mass.
fn mean(prior: &Marginal, stream: &mut Stream) -> f32 {
    prior.sample(stream.uniform(), stream.uniform()) as f32
}

/// The draws of a line.
fn draws(number: usize, deviation: f64) -> Stream {
    Seed::from_number(1).stream(Purpose::Test, &[number as u64], deviation.to_bits())
}

/// The largest distance between the distributions of these numbers and of as many normal draws, in parts of the one
/// that chance alone exceeds once in a million.
fn apart(noise: &[f64]) -> f64 {
    let mut stream = Seed::from_number(2).stream(Purpose::Test, &[], 0);
    let mut found = noise.to_vec();
    let mut drawn: Vec<f64> = noise.iter().map(|_| stream.normal()).collect();
    found.sort_by(f64::total_cmp);
    drawn.sort_by(f64::total_cmp);
    let count = noise.len() as f64;
    let below = |sorted: &[f64], value: f64| sorted.partition_point(|other| *other <= value) as f64 / count;
    let largest = found
        .iter()
        .chain(&drawn)
        .map(|value| (below(&found, *value) - below(&drawn, *value)).abs())
        .fold(0.0, f64::max);
    largest / (-(0.5e-6_f64).ln() / count).sqrt()
}
