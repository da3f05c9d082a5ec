//! A program with a data set of its own: points on two rings, of which one transmitter sees the x and another the y,
//! and a receiver is to tell the inner ring from the outer one.
//!
//! ```sh
//! cargo run --release --example own_dataset -- run examples/own_dataset.toml
//! cargo run --release --example own_dataset -- data info rings
//! ```
//!
//! It has all the commands of `pom2dib`, and its nodes are processes of this same program, which knows the data set.

use std::process::ExitCode;

use pom2dib::{
    Program,
    data::{DataError, Dataset, Needs, Settings, Source, Split, Targets},
    randomness::{Purpose, Seed},
};

fn main() -> ExitCode {
    Program::new().data("rings", Rings).run()
}

/// What scenarios call "rings": the names of its parts, and how it is opened.
struct Rings;

impl Source for Rings {
    fn modalities(&self) -> Vec<String> {
        vec!["x".into(), "y".into()]
    }

    fn tasks(&self) -> Vec<String> {
        vec!["ring".into()]
    }

    /// What may stand in the scenario's `[data]`. Any other key is refused before the run.
    fn keys(&self) -> Vec<String> {
        vec!["noise".into()]
    }

    /// Every node opens the data set for itself. Files would be read here, under `settings.files()?`.
    fn open(&self, settings: &Settings, seed: Seed, _: &Needs) -> Result<Box<dyn Dataset>, DataError> {
        let noise = settings.key("noise")?.unwrap_or(0.1);
        if !(0.0..=1.0).contains(&noise) {
            return Err(settings.invalid("noise", format!("is {noise}; it must be from 0 to 1")));
        }
        Ok(Box::new(Points { seed, noise }))
    }
}

/// The data set, opened: points are made as they are asked for.
struct Points {
    seed: Seed,
    /// Standard deviation of what is added to each coordinate.
    noise: f32,
}

impl Points {
    /// The class of a sample: 0 the inner ring, 1 the outer one.
    fn ring(sample: usize) -> u32 {
        sample as u32 % 2
    }

    /// Its two coordinates. All that is random comes from an address (here the split and the sample), so that every
    /// node sees the same point, in whatever order samples are read.
    fn point(&self, split: Split, sample: usize) -> [f32; 2] {
        let address = [u64::from(split == Split::Test), sample as u64];
        let mut normals = [0.0; 4];
        self.seed.named_stream(Purpose::Noise, "rings", &address, 0).fill_normal(&mut normals);
        let [a, b, noise_x, noise_y] = normals;
        // The direction of two standard normals is uniform.
        let radius = (1.0 + Self::ring(sample) as f32) / (a * a + b * b).sqrt().max(1e-6);
        [radius * a + self.noise * noise_x, radius * b + self.noise * noise_y]
    }
}

impl Dataset for Points {
    fn samples(&self, split: Split) -> usize {
        if split == Split::Train { 4000 } else { 1000 }
    }

    /// Values a sample; `None` would say that there is no such modality.
    fn width(&self, modality: &str) -> Option<usize> {
        ["x", "y"].contains(&modality).then_some(1)
    }

    fn read(
        &self,
        modality: &str,
        split: Split,
        sample: usize,
        _epoch: u64,
        out: &mut [f32],
    ) -> Result<(), DataError> {
        let [x, y] = self.point(split, sample);
        out[0] = if modality == "x" { x } else { y };
        Ok(())
    }

    fn targets(&self, task: &str, split: Split) -> Option<Targets> {
        let labels = (0..self.samples(split)).map(Self::ring).collect();
        (task == "ring").then_some(Targets::Classes { labels, classes: 2 })
    }

    /// Every test row is independent of the others: each is a cluster by itself.
    fn clusters(&self) -> Vec<u32> {
        (0..self.samples(Split::Test) as u32).collect()
    }

    /// Something of everything that all nodes must agree on: a node that comes to another digest is refused.
    fn digest(&self) -> [u8; 32] {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&self.noise.to_le_bytes());
        digest
    }
}
