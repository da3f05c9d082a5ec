//! Transmitters announce to their data set the rows that they read later.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use data::{DataError, Dataset, Split, Targets};

use crate::rounds::{evaluate, play, train};
use crate::setup_with;
use crate::support::local_network::{Setup, Shuffled};

/// Modalities and rows.
type Rows = Mutex<BTreeSet<(String, usize)>>;

/// A data set that notes which test rows are announced and read. They are one recording.
struct Noted {
    inner: Arc<dyn Dataset>,
    announced: Rows,
    read: Rows,
}

impl Dataset for Noted {
    fn samples(&self, split: Split) -> usize {
        self.inner.samples(split)
    }

    fn width(&self, modality: &str) -> Option<usize> {
        self.inner.width(modality)
    }

    fn read(
        &self,
        modality: &str,
        split: Split,
        sample: usize,
        epoch: u64,
        out: &mut [f32],
    ) -> Result<(), DataError> {
        if split == Split::Test {
            self.read.lock().unwrap().insert((modality.to_owned(), sample));
        }
        self.inner.read(modality, split, sample, epoch, out)
    }

    fn read_ahead(&self, modality: &str, split: Split, samples: &[(usize, u64)]) {
        if split == Split::Test {
            let rows = samples.iter().map(|&(sample, _)| (modality.to_owned(), sample));
            self.announced.lock().unwrap().extend(rows);
        }
    }

    fn targets(&self, task: &str, split: Split) -> Option<Targets> {
        self.inner.targets(task, split)
    }

    fn clusters(&self) -> Vec<u32> {
        self.inner.clusters()
    }

    fn recordings(&self, _named: Option<&str>) -> Result<Option<Vec<u32>>, DataError> {
        Ok(Some(vec![0; self.samples(Split::Test)]))
    }

    fn digest(&self) -> [u8; 32] {
        self.inner.digest()
    }
}

#[test]
fn rows_that_are_announced_are_those_that_lagging_sensors_show() {
    for stale in [0_usize, 2] {
        let setup = setup_with(&["data.source=mine", &format!("evaluation.stale={stale}")]);
        let noted = Noted { inner: setup.dataset.clone(), announced: Rows::default(), read: Rows::default() };
        let noted = Arc::new(noted);
        let setup = Setup { dataset: noted.clone(), ..setup };
        play(&setup, None, &[train(1), evaluate()], &mut Shuffled::new(0));
        let (announced, read) = (noted.announced.lock().unwrap(), noted.read.lock().unwrap());
        assert!(!announced.is_empty(), "a pass of one piece: the test has lost its point");
        assert!(announced.is_subset(&read), "{stale}: {:?}", announced.difference(&read).collect::<Vec<_>>());
        // All rows but those that only the first of two pieces shows.
        let second = setup.dataset.samples(Split::Test) / 2;
        let mut later = read.iter().filter(|(_, row)| row + stale >= second);
        assert!(later.all(|row| announced.contains(row)), "{stale}: {announced:?} of {read:?}");
    }
}
