//! A tree of files in MM-Fi's formats, made by code: bodies of a few lines do the 27 actions before modelled sensors.
//!
//! It stands in for the real data where that cannot be had, for tests and to try the program. What a network scores on
//! it says nothing of what it would score on MM-Fi.

mod body;
mod camera;
mod echoes;
mod formats;

pub use formats::mat_file;

use body::{Performance, Pose};
use data::{
    DataError,
    mmfi::{
        ACTIONS, CSI_SHAPE, GROUND_TRUTH, JOINTS, SCENES, SUBJECTS, SYNTHETIC_MARK, Sensor,
        parallel::{self, Progress},
        scene,
    },
};
use echoes::Room;
use formats::{bin_file, npy_file, png_file};
use randomness::{Purpose, Seed};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Counted up when the same plan gives other files.
const VERSION: u32 = 1;

/// Everything in a tree derives from this: the same plan gives the same files.
const SEED: u64 = 0x3d_f1;

/// How large a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Subjects in each of the four scenes, 1 to 10.
    pub subjects_per_scene: u8,
    /// Actions, from A01: 1 to 27.
    pub actions: u8,
    /// Frames of every recording.
    pub frames: u16,
}

impl Default for Plan {
    fn default() -> Self {
        Plan { subjects_per_scene: 3, actions: ACTIONS, frames: 12 }
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Plan { subjects_per_scene, actions, frames } = self;
        write!(formatter, "{} subjects, {actions} actions, {frames} frames each", SCENES * subjects_per_scene)
    }
}

/// Content of the file that marks a synthetic tree.
#[derive(PartialEq, Serialize, Deserialize)]
struct Mark {
    note: String,
    version: u32,
    plan: Plan,
}

impl Mark {
    fn new(plan: Plan) -> Self {
        let note = "This tree was made by pom2dib. It is synthetic: not MM-Fi's data.".into();
        Mark { note, version: VERSION, plan }
    }
}

/// Makes a tree, whole or not at all; one of the same plan that is there already is kept.
///
/// # Errors
///
/// A plan out of range, a folder that holds something else, or what the system said.
pub fn synthesise(folder: &Path, plan: Plan, progress: Progress<'_>) -> Result<(), DataError> {
    let subjects = SUBJECTS / SCENES;
    if !(1..=subjects).contains(&plan.subjects_per_scene)
        || !(1..=ACTIONS).contains(&plan.actions)
        || !(1..=999).contains(&plan.frames)
    {
        let problem =
            format!("cannot hold {plan}: at most {SUBJECTS} subjects, {ACTIONS} actions and 999 frames");
        return Err(DataError::malformed(folder, problem));
    }
    let kept = fs::read(folder.join(SYNTHETIC_MARK))
        .ok()
        .and_then(|content| serde_json::from_slice::<Mark>(&content).ok());
    if kept.is_some_and(|mark| mark == Mark::new(plan)) {
        return Ok(());
    }
    if folder.exists() {
        let problem =
            format!("is there and is no synthetic tree of {plan}: name another folder, or remove it");
        return Err(DataError::malformed(folder, problem));
    }
    let unfinished = unfinished(folder);
    let made = make(&unfinished, plan, progress)
        .and_then(|()| fs::rename(&unfinished, folder).map_err(|source| DataError::io(folder, source)));
    if made.is_err() {
        // What is left of it is of no use to anybody.
        let _ = fs::remove_dir_all(&unfinished);
    }
    made
}

/// Beside the folder, so that it can be renamed to it.
fn unfinished(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(format!(".{}.unfinished", std::process::id()));
    name.into()
}

fn make(root: &Path, plan: Plan, progress: Progress<'_>) -> Result<(), DataError> {
    let subjects = (0..SCENES).flat_map(|scene| {
        let first = scene * (SUBJECTS / SCENES) + 1;
        first..first + plan.subjects_per_scene
    });
    let recordings: Vec<(u8, u8)> =
        subjects.flat_map(|subject| (1..=plan.actions).map(move |action| (subject, action))).collect();
    let each = |index: usize| {
        let (subject, action) = recordings[index];
        write_recording(root, subject, action, usize::from(plan.frames))
    };
    parallel::map(recordings.len(), progress, each)?;
    let mark = serde_json::to_vec(&Mark::new(plan)).expect("a mark has only strings and numbers");
    write(&root.join(SYNTHETIC_MARK), &mark)
}

fn write_recording(root: &Path, subject: u8, action: u8, frames: usize) -> Result<(), DataError> {
    let seed = Seed::from_number(SEED);
    let folder = root.join(format!("E{:02}/S{subject:02}/A{action:02}", scene(subject)));
    for sensor in Sensor::ALL {
        let folder = folder.join(sensor.name());
        fs::create_dir_all(&folder).map_err(|source| DataError::io(&folder, source))?;
    }
    let performance = Performance::new(seed, subject, action);
    let poses: Vec<Pose> = (0..=frames).map(|frame| performance.pose(frame as f64)).collect();
    let truth: Vec<f32> = poses[..frames].iter().flatten().flatten().map(|&value| value as f32).collect();
    write(&folder.join(GROUND_TRUTH), &npy_file(&[frames, JOINTS, 3], &truth))?;
    let room = Room::new(seed, scene(subject));
    for frame in 0..frames {
        for sensor in Sensor::ALL {
            let address = [subject.into(), action.into(), frame as u64];
            let mut stream = seed.named_stream(Purpose::Content, sensor.name(), &address, 0);
            let content = file(sensor, [&poses[frame], &poses[frame + 1]], &room, subject, &mut stream);
            write(&folder.join(sensor.name()).join(sensor.file_name(frame)), &content)?;
        }
    }
    Ok(())
}

/// What a sensor writes of a body that is about to move on.
fn file(
    sensor: Sensor,
    [pose, next]: [&Pose; 2],
    room: &Room,
    subject: u8,
    stream: &mut randomness::Stream,
) -> Vec<u8> {
    let keypoints = |camera, stream: &mut _| npy_file(&[JOINTS, 2], &camera::keypoints(pose, camera, stream));
    match sensor {
        Sensor::Rgb => keypoints(0.0, stream),
        Sensor::Infra1 => keypoints(-0.05, stream),
        Sensor::Infra2 => keypoints(0.05, stream),
        Sensor::Depth => png_file(&camera::depth(pose, 4.0 + 0.4 * f64::from(scene(subject)))),
        Sensor::Lidar => bin_file(&echoes::lidar(pose, stream)),
        Sensor::Radar => bin_file(&echoes::radar(pose, next, stream)),
        Sensor::Csi => {
            let [amplitudes, phases] = room.csi(pose, next, stream);
            mat_file(&[("CSIamp", &amplitudes), ("CSIphase", &phases)], CSI_SHAPE)
        }
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), DataError> {
    fs::write(path, content).map_err(|source| DataError::io(path, source))
}
