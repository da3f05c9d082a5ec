//! What lidar, radar and WiFi get back of a body in a room.

use crate::body::{BONES, Pose, Vector};
use data::mmfi::{CSI_SHAPE, JOINTS, LIDAR_COLUMNS, RADAR_COLUMNS};
use randomness::{Purpose, Seed, Stream};
use std::f64::consts::TAU;

/// From the camera's axes to a ranging sensor's: x forward, y left, z up.
fn ranging([x, y, z]: Vector) -> Vector {
    [z, -x, -y]
}

/// 800 to 1300 points of the body's surface, in the order of a scan: ring by ring from above, each from the left.
pub(super) fn lidar(pose: &Pose, stream: &mut Stream) -> Vec<f64> {
    /// Radians between two rings.
    const RING: f64 = 0.01;
    let count = 800 + stream.below(501);
    let mut points: Vec<Vector> = (0..count)
        .map(|_| {
            let (a, b) = BONES[stream.below(BONES.len() as u64) as usize];
            let share = stream.uniform();
            let on_bone = |axis: usize| pose[a][axis] + share * (pose[b][axis] - pose[a][axis]);
            ranging(std::array::from_fn(|axis| on_bone(axis) + 0.03 * stream.normal()))
        })
        .collect();
    let place = |[x, y, z]: &Vector| ((-z / x / RING).floor() as i64, -y / x);
    points.sort_by(|one, other| {
        let ((ring, column), (other_ring, other_column)) = (place(one), place(other));
        ring.cmp(&other_ring).then(column.total_cmp(&other_column))
    });
    debug_assert_eq!(points[0].len(), LIDAR_COLUMNS);
    points.concat()
}

/// 4 to 70 points with intensity and radial velocity (metres a frame), from above; now and then none at all.
pub(super) fn radar(pose: &Pose, next: &Pose, stream: &mut Stream) -> Vec<f64> {
    /// How often no point is found.
    const MISSED: f64 = 0.02;
    if stream.uniform() < MISSED {
        return Vec::new();
    }
    let count = 4 + stream.below(67);
    let distance = |point: &Vector| point.iter().map(|value| value * value).sum::<f64>().sqrt();
    let mut points: Vec<[f64; RADAR_COLUMNS]> = (0..count)
        .map(|_| {
            let joint = stream.below(JOINTS as u64) as usize;
            let [x, y, z] = ranging(pose[joint]).map(|value| value + 0.03 * stream.normal());
            let velocity = distance(&next[joint]) - distance(&pose[joint]) + 0.01 * stream.normal();
            [x, y, z, 20.0 + 3.0 * stream.normal(), velocity]
        })
        .collect();
    points.sort_by(|one, other| other[2].total_cmp(&one[2]));
    points.concat()
}

/// A room's paths from the WiFi's sender to its receiver, but for the body's.
pub(super) struct Room {
    sender: Vector,
    receiver: Vector,
    /// Gain and length in metres.
    walls: Vec<[f64; 2]>,
}

impl Room {
    /// The room of a scene, 1 to 4.
    pub(super) fn new(seed: Seed, scene: u8) -> Self {
        let mut stream = seed.named_stream(Purpose::Content, "room", &[scene.into()], 0);
        Room {
            sender: [-1.5, 0.0, 3.0 + stream.uniform_in(-0.3, 0.3)],
            receiver: [1.5, 0.0, 3.0 + stream.uniform_in(-0.3, 0.3)],
            walls: (0..5).map(|_| [stream.uniform_in(0.1, 0.4), stream.uniform_in(4.0, 14.0)]).collect(),
        }
    }

    /// Amplitudes in decibels and phases in radians, in MATLAB's order. Ten packets go out while the body moves on by a
    /// tenth of a frame.
    pub(super) fn csi(&self, pose: &Pose, next: &Pose, stream: &mut Stream) -> [Vec<f64>; 2] {
        let [antennas, subcarriers, packets] = CSI_SHAPE;
        let size = CSI_SHAPE.iter().product();
        let (mut amplitudes, mut phases) = (Vec::with_capacity(size), Vec::with_capacity(size));
        for packet in 0..packets {
            let share = 0.1 * packet as f64 / packets as f64;
            let body: Pose = std::array::from_fn(|joint| {
                std::array::from_fn(|axis| {
                    pose[joint][axis] + share * (next[joint][axis] - pose[joint][axis])
                })
            });
            let channels: Vec<Vec<[f64; 2]>> =
                (0..antennas).map(|antenna| self.channel(&body, antenna, subcarriers)).collect();
            for subcarrier in 0..subcarriers {
                for channel in &channels {
                    let [real, imaginary] = channel[subcarrier].map(|value| value + 0.01 * stream.normal());
                    amplitudes.push(45.0 + 10.0 * libm::log10(real * real + imaginary * imaginary));
                    phases.push(libm::atan2(imaginary, real));
                }
            }
        }
        // A receiver sometimes loses a value: the logarithm of nothing.
        if stream.uniform() < 0.02 {
            amplitudes[stream.below(size as u64) as usize] = f64::NEG_INFINITY;
        }
        [amplitudes, phases]
    }

    /// The sum over all paths, of every subcarrier: real and imaginary part.
    fn channel(&self, body: &Pose, antenna: usize, subcarriers: usize) -> Vec<[f64; 2]> {
        /// Waves in a metre at the lowest subcarrier, 5.32 GHz, and how many more at each next one (312.5 kHz).
        const WAVES: f64 = 5.32e9 / 299_792_458.0;
        const MORE_WAVES: f64 = 312.5e3 / 299_792_458.0;
        let receiver = [self.receiver[0], self.receiver[1], self.receiver[2] + 0.027 * antenna as f64];
        let distance = |a: &Vector, b: &Vector| -> f64 {
            (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt()
        };
        let direct = [1.0, distance(&self.sender, &receiver)];
        let echoes =
            body.iter().map(|joint| [0.08, distance(&self.sender, joint) + distance(joint, &receiver)]);
        let mut sums = vec![[0.0; 2]; subcarriers];
        let walls = self.walls.iter().map(|[gain, length]| [*gain, length + 0.027 * antenna as f64]);
        for [gain, length] in std::iter::once(direct).chain(walls).chain(echoes) {
            let (sine, cosine) = libm::sincos(-TAU * (WAVES * length).fract());
            let (turn_sine, turn_cosine) = libm::sincos(-TAU * MORE_WAVES * length);
            let mut wave = [gain * cosine, gain * sine];
            for sum in &mut sums {
                sum[0] += wave[0];
                sum[1] += wave[1];
                wave = [
                    wave[0] * turn_cosine - wave[1] * turn_sine,
                    wave[0] * turn_sine + wave[1] * turn_cosine,
                ];
            }
        }
        sums
    }
}
