//! A data set of a few narrow samples with a task of each kind: epochs end within a round, and evaluation is quick.

use std::sync::Arc;

use data::{DataError, Dataset, Split, Targets};
use randomness::{Purpose, Seed, Stream};
use scenario::Scenario;

use crate::support::local_network::Setup;

/// Fewer than a round takes, and not a multiple of a tick.
const TRAIN_SAMPLES: usize = 10;
const TEST_SAMPLES: usize = 30;
const CLASSES: usize = 3;

/// Modalities `narrow` and `wide`, tasks `colour` (classification) and `place` (regression).
struct ToyData {
    seed: Seed,
}

/// Settings that tests fix, so that changed defaults do not affect them. Coders are small: what is checked has nothing
/// to do with their size, and the paper's are tried on digits.
const PLAIN: [&str; 11] = [
    "network.encoder.hidden=[40,24]",
    "network.joint.hidden=[40,24]",
    "network.local.hidden=[40,24]",
    "train.beta=1e-3",
    "train.gamma=0.0",
    "train.rate_estimator=per-dimension",
    "train.baseline=label-entropy",
    "train.credit=own",
    "train.log_mass=sequence",
    "train.entropy_bonus=0.0",
    "train.weight_decay=0.0",
];

/// A setup on toy data: a scenario with the simplest settings, changed by these assignments.
pub(crate) fn toy_setup(scenario: &str, assignments: &[&str]) -> Setup {
    let assignments: Vec<String> = PLAIN.iter().chain(assignments).map(|&text| text.to_owned()).collect();
    let scenario = Scenario::parse(scenario, "test", &assignments).expect("a valid scenario");
    let seed = Seed::from_number(scenario.seed);
    Setup { scenario: Arc::new(scenario), seed, dataset: Arc::new(ToyData { seed }) }
}

impl ToyData {
    fn stream(&self, name: &str, split: Split, sample: usize, epoch: u64) -> Stream {
        self.seed.named_stream(Purpose::Test, name, &[split as u64, sample as u64], epoch)
    }
}

impl Dataset for ToyData {
    fn samples(&self, split: Split) -> usize {
        match split {
            Split::Train => TRAIN_SAMPLES,
            Split::Test => TEST_SAMPLES,
        }
    }

    fn width(&self, modality: &str) -> Option<usize> {
        match modality {
            "narrow" => Some(3),
            "wide" => Some(6),
            _ => None,
        }
    }

    fn read(
        &self,
        modality: &str,
        split: Split,
        sample: usize,
        epoch: u64,
        out: &mut [f32],
    ) -> Result<(), DataError> {
        self.stream(modality, split, sample, epoch).fill_normal(out);
        Ok(())
    }

    fn targets(&self, task: &str, split: Split) -> Option<Targets> {
        let samples = 0..self.samples(split);
        match task {
            // Unequal frequencies: their entropy is not log 3.
            "colour" => Some(Targets::Classes {
                labels: samples.map(|sample| (sample % 4).min(CLASSES - 1) as u32).collect(),
                classes: CLASSES,
            }),
            "place" => Some(Targets::Values {
                width: 2,
                values: samples
                    .flat_map(|sample| {
                        let mut place = self.stream(task, split, sample, 0);
                        [place.normal() as f32, place.normal() as f32]
                    })
                    .collect(),
            }),
            _ => None,
        }
    }

    fn clusters(&self) -> Vec<u32> {
        (0..TEST_SAMPLES as u32).map(|sample| sample / 2).collect()
    }

    fn digest(&self) -> [u8; 32] {
        [0; 32]
    }
}
