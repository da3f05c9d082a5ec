//! What cameras see: joints as points on the picture, and how far away everything is.

use crate::body::{BONES, Pose, Vector};
use data::mmfi::JOINTS;
use randomness::Stream;

/// Columns and rows of a picture.
pub(super) const WIDTH: usize = 640;
pub(super) const HEIGHT: usize = 480;

/// In pixels.
const FOCAL_LENGTH: f64 = 520.0;

/// The spread of what a detector of joints says, in pixels.
const DETECTION_SPREAD: f64 = 1.5;

/// Column and row of a point, seen from so far to the right.
fn project([x, y, z]: Vector, camera: f64) -> [f64; 2] {
    let scale = FOCAL_LENGTH / z.max(0.1);
    [WIDTH as f64 / 2.0 + scale * (x - camera), HEIGHT as f64 / 2.0 + scale * y]
}

/// What a detector of COCO's 17 joints finds on a picture.
pub(super) fn keypoints(pose: &Pose, camera: f64, stream: &mut Stream) -> [f32; 2 * JOINTS] {
    let mut found = [0.0; 2 * JOINTS];
    for (found, joint) in found.chunks_exact_mut(2).zip(coco(pose)) {
        let point = project(joint, camera);
        for (found, coordinate) in found.iter_mut().zip(point) {
            *found = (coordinate + DETECTION_SPREAD * stream.normal()) as f32;
        }
    }
    found
}

/// COCO's joints from Human3.6M's: the face is made up from neck and head.
fn coco(pose: &Pose) -> Pose {
    let (neck, head) = (pose[9], pose[10]);
    let face = |right: f64, up: f64| -> Vector {
        let at = |axis: usize| neck[axis] + up * (head[axis] - neck[axis]);
        [at(0) + right, at(1), at(2) - 0.08]
    };
    [
        face(0.0, 0.3),
        face(0.03, 0.5),
        face(-0.03, 0.5),
        face(0.07, 0.4),
        face(-0.07, 0.4),
        pose[11],
        pose[14],
        pose[12],
        pose[15],
        pose[13],
        pose[16],
        pose[4],
        pose[1],
        pose[5],
        pose[2],
        pose[6],
        pose[3],
    ]
}

/// Millimetres to what is seen at every pixel, row by row: a body before a wall, on a floor.
pub(super) fn depth(pose: &Pose, wall: f64) -> Vec<u16> {
    let mut picture = Vec::with_capacity(WIDTH * HEIGHT);
    for row in 0..HEIGHT {
        picture.resize(picture.len() + WIDTH, millimetres(background(row, wall)));
    }
    for (a, b) in BONES {
        // Closer together than they are wide.
        const STEPS: usize = 12;
        for step in 0..=STEPS {
            let share = step as f64 / STEPS as f64;
            let at = std::array::from_fn(|axis| pose[a][axis] + share * (pose[b][axis] - pose[a][axis]));
            ball(&mut picture, at, if (a, b) == (9, 10) { 0.1 } else { 0.06 });
        }
    }
    picture
}

/// Metres to the wall or the floor, the nearer one.
fn background(row: usize, wall: f64) -> f64 {
    const FLOOR: f64 = 0.85;
    let below = row as f64 - HEIGHT as f64 / 2.0;
    if below > 0.0 { wall.min(FLOOR * FOCAL_LENGTH / below) } else { wall }
}

fn ball(picture: &mut [u16], at: Vector, radius: f64) {
    let [column, row] = project(at, 0.0);
    let size = FOCAL_LENGTH * radius / at[2].max(0.1);
    let span = |middle: f64, end: usize| {
        let low = (middle - size).max(0.0) as usize;
        low.min(end)..((middle + size).max(0.0) as usize + 1).min(end)
    };
    for y in span(row, HEIGHT) {
        for x in span(column, WIDTH) {
            let away = (x as f64 - column).powi(2) + (y as f64 - row).powi(2);
            if away < size * size {
                let seen = at[2] - radius * (1.0 - away / (size * size)).sqrt();
                let pixel = &mut picture[y * WIDTH + x];
                *pixel = (*pixel).min(millimetres(seen));
            }
        }
    }
}

fn millimetres(metres: f64) -> u16 {
    (1000.0 * metres).clamp(0.0, f64::from(u16::MAX)) as u16
}
