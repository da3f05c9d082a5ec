//! Frames off the disk.

use super::{crop::Crop, files, index::INDEX_FILE, modality::Sensor, scale::Scale, selection::Selection};
use crate::{Split, error::DataError};
use randomness::{Purpose, Seed};

/// A frame of a sensor at its place in the order of training or testing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) sensor: Sensor,
    pub(crate) split: Split,
    pub(crate) sample: usize,
    /// 0 in the test split.
    pub(crate) epoch: u64,
}

/// Reads frames, each by itself: what comes of one depends on its address, the seed and its file alone.
pub(crate) struct Frames {
    pub(crate) seed: Seed,
    pub(crate) selection: Selection,
    /// Of the sensors whose values are scaled.
    pub(crate) scales: [Option<Scale>; Sensor::ALL.len()],
}

impl Frames {
    /// Reads a frame into `out`, as many values as the sensor's width.
    ///
    /// # Errors
    /// The file, and what is wrong with it.
    pub(crate) fn read(&self, address: Address, out: &mut [f32]) -> Result<(), DataError> {
        let Address { sensor, split, sample, .. } = address;
        let (place, frame) = self.selection.sample(split, sample);
        let path = place.folder.join(sensor.name()).join(sensor.file_name(frame));
        let content = files::read(&path, "it was there when the folder was indexed")?;
        if content.is_empty() {
            let problem = format!(
                "is empty, but was not when the folder was indexed: remove its {INDEX_FILE} and begin anew"
            );
            return Err(DataError::malformed(&path, problem));
        }
        let parsed = sensor.parse(&content, &mut self.crop(address), out);
        parsed.map_err(|problem| DataError::malformed(&path, problem))?;
        if let Some(scale) = &self.scales[sensor as usize] {
            scale.apply(out);
        }
        Ok(())
    }

    /// Where too long dimensions are cut: anew every epoch in training, and the same for whoever reads the sample.
    fn crop(&self, Address { sensor, split, sample, epoch }: Address) -> Crop {
        match split {
            Split::Train => {
                let address = [sample as u64];
                let stream = self.seed.named_stream(Purpose::Augmentation, sensor.name(), &address, epoch);
                Crop::Random(Box::new(stream))
            }
            Split::Test => Crop::Centred,
        }
    }
}
