//! MM-Fi as a data set.

use super::{
    MmFi,
    frames::{Address, Frames},
    index::{Index, read_poses},
    modality::{JOINTS, MODALITY_NAMES, NOISE_WIDTH, Sensor, is_noise},
    protocol::{ACTIONS, SCENES},
    scale::Scale,
    selection::{SampledRecording, Selection},
    tree::GROUND_TRUTH,
};
use crate::{
    Dataset, Needs, Scaling, Split, Targets, Task, error::DataError, held_out::HoldOut, read_ahead::ReadAhead,
};
use randomness::{Purpose, Seed};
use std::sync::Arc;

/// Values of a pose: 17 joints' x, y, z.
const POSE_WIDTH: usize = 3 * JOINTS;

/// The tasks of the authors' scenario.
pub(crate) const TASKS: [Task; 3] = [
    Task { name: "pose", classes: POSE_WIDTH },
    Task { name: "action", classes: ACTIONS as usize },
    Task { name: "scene", classes: SCENES as usize },
];

/// Their names, in the same order.
pub(crate) const TASK_NAMES: [&str; 3] = [TASKS[0].name, TASKS[1].name, TASKS[2].name];

struct MmFiDataset {
    frames: Arc<Frames>,
    /// None where no file will be read.
    read_ahead: Option<ReadAhead<Address>>,
    /// Of both splits, sample by sample in metres, if they are needed.
    poses: Option<[Vec<f32>; 2]>,
}

impl MmFi {
    /// Opens the data set: reads the index, the poses if they are needed, and no frame but those that scales are made
    /// from.
    ///
    /// # Errors
    /// One line: an unknown modality or task by its name, or the file that is missing, truncated or wrong.
    pub fn open(&self, seed: Seed, needs: &Needs) -> Result<Box<dyn Dataset>, DataError> {
        self.open_without(&HoldOut::nothing(), seed, needs)
    }

    /// The same for a run that holds recordings out: no scale is made from those.
    pub(crate) fn open_without(
        &self,
        hold_out: &HoldOut,
        seed: Seed,
        needs: &Needs,
    ) -> Result<Box<dyn Dataset>, DataError> {
        let source = self;
        if let Some(name) = needs.modalities.iter().find(|name| !MODALITY_NAMES.contains(&name.as_str())) {
            return Err(DataError::UnknownModality { name: name.clone(), known: MODALITY_NAMES.join(", ") });
        }
        if let Some(name) = needs.tasks.iter().find(|name| !TASK_NAMES.contains(&name.as_str())) {
            return Err(DataError::UnknownTask { name: name.clone(), known: TASK_NAMES.join(", ") });
        }
        let selection = Selection::new(source, &Index::open(&source.folder, &|_, _| {})?)?;
        let poses = needs.tasks.iter().any(|task| task == "pose").then(|| poses(&selection)).transpose()?;
        let mut frames = Frames { seed, selection, scales: [const { None }; Sensor::ALL.len()] };
        let sensors: Vec<Sensor> = needs.modalities.iter().filter_map(|name| Sensor::named(name)).collect();
        if source.standardise {
            let held = hold_out.rows(&recordings(&frames.selection, Split::Train));
            for &sensor in &sensors {
                frames.scales[sensor as usize] = Some(Scale::of(&frames, sensor, &held)?);
            }
        }
        let frames = Arc::new(frames);
        let read_ahead = (!sensors.is_empty()).then(|| ahead(frames.clone())).transpose();
        let read_ahead = read_ahead.map_err(|error| DataError::io(&source.folder, error))?;
        Ok(Box::new(MmFiDataset { frames, read_ahead, poses }))
    }
}

/// Reads frames ahead; which cannot be read, whoever needs them will say.
fn ahead(frames: Arc<Frames>) -> std::io::Result<ReadAhead<Address>> {
    ReadAhead::new(move |address: Address| {
        let mut values = vec![0.0; address.sensor.width()];
        frames.read(address, &mut values).ok().map(|()| values)
    })
}

/// The poses of all samples: 204 bytes each, the only thing that is held of every sample beside its place.
fn poses(selection: &Selection) -> Result<[Vec<f32>; 2], DataError> {
    let of_split = |split| {
        let mut poses = Vec::with_capacity(selection.samples(split).len() * POSE_WIDTH);
        for (place, frames) in selection.by_recording(split) {
            let (recording, _) = read_poses(&place.folder)?;
            for frame in frames {
                let pose =
                    recording.values.get(frame * POSE_WIDTH..(frame + 1) * POSE_WIDTH).ok_or_else(|| {
                        let problem = format!(
                            "has {} rows, fewer than when the folder was indexed",
                            recording.shape[0]
                        );
                        DataError::malformed(&place.folder.join(GROUND_TRUTH), problem)
                    })?;
                poses.extend_from_slice(pose);
            }
        }
        Ok(poses)
    };
    Ok([of_split(Split::Train)?, of_split(Split::Test)?])
}

/// The recording of each sample.
fn recordings(selection: &Selection, split: Split) -> Vec<u32> {
    selection.samples(split).iter().map(|(recording, _)| u32::from(*recording)).collect()
}

impl MmFiDataset {
    fn selection(&self) -> &Selection {
        &self.frames.selection
    }

    fn classes(&self, split: Split, classes: u8, class: impl Fn(&SampledRecording) -> u32) -> Targets {
        let samples = self.selection().samples(split);
        let labels =
            (0..samples.len()).map(|sample| class(self.selection().sample(split, sample).0)).collect();
        Targets::Classes { labels, classes: classes.into() }
    }

    fn read_noise(&self, name: &str, split: Split, sample: usize, epoch: u64, out: &mut [f32]) {
        assert!(sample < self.samples(split), "sample {sample} of {}", self.samples(split));
        let address = [split.index(), sample as u64];
        self.frames.seed.named_stream(Purpose::Noise, name, &address, epoch).fill_normal(out);
    }
}

impl Dataset for MmFiDataset {
    fn samples(&self, split: Split) -> usize {
        self.selection().samples(split).len()
    }

    fn width(&self, modality: &str) -> Option<usize> {
        match Sensor::named(modality) {
            Some(sensor) => Some(sensor.width()),
            None => is_noise(modality).then_some(NOISE_WIDTH),
        }
    }

    fn shape(&self, modality: &str) -> Option<Vec<usize>> {
        match Sensor::named(modality) {
            Some(sensor) => Some(sensor.axes()),
            None => Some(vec![self.width(modality)?]),
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
        assert_eq!(Some(out.len()), self.width(modality), "values of {modality}");
        let epoch = if split == Split::Train { epoch } else { 0 };
        let Some(sensor) = Sensor::named(modality) else {
            self.read_noise(modality, split, sample, epoch, out);
            return Ok(());
        };
        let address = Address { sensor, split, sample, epoch };
        match self.read_ahead.as_ref().and_then(|read_ahead| read_ahead.take(address)) {
            Some(values) => out.copy_from_slice(&values),
            // Not asked for before, or it cannot be read: then this says why.
            None => self.frames.read(address, out)?,
        }
        Ok(())
    }

    fn scaling(&self, modality: &str) -> Option<Scaling> {
        let sensor = Sensor::named(modality)?;
        self.frames.scales[sensor as usize].as_ref().map(Scale::scaling)
    }

    fn read_ahead(&self, modality: &str, split: Split, samples: &[(usize, u64)]) {
        if let (Some(read_ahead), Some(sensor)) = (&self.read_ahead, Sensor::named(modality)) {
            let epoch = |epoch| if split == Split::Train { epoch } else { 0 };
            let addresses =
                samples.iter().map(|&(sample, at)| Address { sensor, split, sample, epoch: epoch(at) });
            read_ahead.expect(|address| address.sensor == sensor, sensor.width(), addresses);
        }
    }

    fn targets(&self, task: &str, split: Split) -> Option<Targets> {
        match task {
            "pose" => {
                let poses = self.poses.as_ref().expect("pose was not among the needs");
                Some(Targets::Values { width: POSE_WIDTH, values: poses[split.index() as usize].clone() })
            }
            "action" => Some(self.classes(split, ACTIONS, |place| place.action_class())),
            "scene" => Some(self.classes(split, SCENES, |place| place.scene_class())),
            _ => None,
        }
    }

    fn is_pose(&self, task: &str) -> bool {
        task == "pose"
    }

    /// A recording is one subject's doing of one action: its frames resemble each other.
    fn clusters(&self) -> Vec<u32> {
        recordings(self.selection(), Split::Test)
    }

    /// The clusters: the frames of a recording are neighbours in order of time.
    fn recordings(&self, _named: Option<&str>) -> Result<Option<Vec<u32>>, DataError> {
        Ok(Some(self.clusters()))
    }

    /// Likewise of the training samples.
    fn groups(&self) -> Option<Vec<u32>> {
        Some(recordings(self.selection(), Split::Train))
    }

    fn digest(&self) -> [u8; 32] {
        self.selection().digest
    }
}
