//! A body that does the 27 actions: angles of limbs, and the joints that follow from them.

use data::mmfi::{ACTIONS, JOINTS, scene};
use randomness::{Purpose, Seed};
use std::f64::consts::TAU;

/// A point or direction.
pub(super) type Vector = [f64; 3];

/// The joints of a pose in Human3.6M's order, in metres: x right, y down, z away from the camera.
pub(super) type Pose = [Vector; JOINTS];

/// The bones, by the joints at their ends.
pub(super) const BONES: [(usize, usize); 16] = [
    (0, 1),
    (1, 2),
    (2, 3),
    (0, 4),
    (4, 5),
    (5, 6),
    (0, 7),
    (7, 8),
    (8, 9),
    (9, 10),
    (8, 11),
    (11, 12),
    (12, 13),
    (8, 14),
    (14, 15),
    (15, 16),
];

/// Limbs at the height of an action, in radians but for the jump. An arm or leg is lifted by its first angle from
/// hanging down, into the direction of its second: 0 is forward, a quarter turn outward.
#[derive(Clone, Copy, Default)]
struct Posture {
    left_arm: [f64; 3],
    right_arm: [f64; 3],
    left_leg: [f64; 2],
    right_leg: [f64; 2],
    /// Trunk forward, and to the left.
    bend: [f64; 2],
    /// Shoulders, to the left.
    twist: f64,
    /// Thighs forward and shanks back.
    squat: f64,
    /// Metres off the ground.
    jump: f64,
}

const OUT: f64 = 1.57;

/// How an action looks at its height.
fn posture(action: u8) -> Posture {
    let rest = Posture { left_arm: [0.15, OUT, 0.1], right_arm: [0.15, OUT, 0.1], ..Posture::default() };
    let up = [2.8, OUT, 0.1];
    match action {
        1 => Posture { left_arm: up, right_arm: up, ..rest },
        2 => Posture { left_arm: [OUT, OUT, 0.1], right_arm: [OUT, OUT, 0.1], ..rest },
        3 => Posture { left_arm: [2.4, 0.0, 0.1], right_arm: [2.4, 0.0, 0.1], ..rest },
        4 => Posture { left_arm: [1.2, 0.3, 1.4], right_arm: [1.2, 0.3, 1.4], twist: 0.8, ..rest },
        6 => Posture { left_leg: [1.3, 0.0], right_arm: [0.8, 0.0, 0.6], left_arm: [-0.5, 0.0, 0.3], ..rest },
        7 => Posture { left_arm: [1.5, 0.4, 0.0], left_leg: [0.7, OUT], ..rest },
        9 => Posture { left_leg: [0.8, 0.8], squat: 0.4, left_arm: [1.0, 0.8, 0.1], ..rest },
        11 => Posture {
            left_arm: [1.6, 0.8, 0.0],
            right_arm: [1.6, 0.8, 0.0],
            left_leg: [0.4, OUT],
            right_leg: [0.4, OUT],
            ..rest
        },
        12 => Posture {
            squat: 1.3,
            left_arm: [1.5, 0.0, 0.0],
            right_arm: [1.5, 0.0, 0.0],
            bend: [0.3, 0.0],
            ..rest
        },
        13 => Posture { left_arm: [2.9, 0.3, 0.0], ..rest },
        15 => Posture {
            left_leg: [0.8, OUT],
            squat: 0.4,
            left_arm: [0.7, OUT, 1.2],
            right_arm: [0.7, OUT, 1.2],
            ..rest
        },
        17 => Posture { left_arm: [2.0, OUT, 1.0], ..rest },
        19 => Posture {
            bend: [1.2, 0.0],
            squat: 0.6,
            left_arm: [0.9, 0.0, 0.0],
            right_arm: [0.9, 0.0, 0.0],
            ..rest
        },
        20 => Posture { left_arm: [1.9, 0.9, 0.9], right_arm: [0.7, 0.2, 0.3], twist: 0.6, ..rest },
        22 => Posture { left_leg: [1.1, 0.2], left_arm: [0.6, OUT, 0.2], right_arm: [0.6, OUT, 0.2], ..rest },
        24 => Posture { bend: [0.0, 0.5], right_arm: up, ..rest },
        26 => {
            Posture { jump: 0.3, left_arm: [2.1, 0.0, 0.4], right_arm: [2.1, 0.0, 0.4], squat: 0.2, ..rest }
        }
        27 => Posture { bend: [0.8, 0.0], ..rest },
        // The rest are the same to the other side.
        5 | 8 | 10 | 14 | 16 | 18 | 21 | 23 | 25 => posture(action - 1).mirrored(),
        _ => rest,
    }
}

impl Posture {
    fn mirrored(self) -> Posture {
        Posture {
            left_arm: self.right_arm,
            right_arm: self.left_arm,
            left_leg: self.right_leg,
            right_leg: self.left_leg,
            bend: [self.bend[0], -self.bend[1]],
            twist: -self.twist,
            ..self
        }
    }

    /// So much of the way from standing still.
    fn scaled(self, share: f64) -> Posture {
        let arm = |[lift, direction, elbow]: [f64; 3]| [share * lift, direction, share * elbow];
        let leg = |[lift, direction]: [f64; 2]| [share * lift, direction];
        Posture {
            left_arm: arm(self.left_arm),
            right_arm: arm(self.right_arm),
            left_leg: leg(self.left_leg),
            right_leg: leg(self.right_leg),
            bend: self.bend.map(|angle| share * angle),
            twist: share * self.twist,
            squat: share * self.squat,
            jump: share * self.jump,
        }
    }
}

/// Somebody doing an action: what differs between people, and between times.
pub(super) struct Performance {
    action: u8,
    /// Of all bones.
    scale: f64,
    /// How far limbs go.
    vigour: f64,
    /// Turns a frame.
    tempo: f64,
    /// Where the first frame is in its turn.
    start: f64,
    /// Where the person faces, from the camera.
    yaw: f64,
    /// Where the person stands, x and z.
    place: [f64; 2],
}

impl Performance {
    pub(super) fn new(seed: Seed, subject: u8, action: u8) -> Self {
        debug_assert!((1..=ACTIONS).contains(&action));
        let mut person = seed.named_stream(Purpose::Content, "subject", &[subject.into()], 0);
        let mut time =
            seed.named_stream(Purpose::Content, "performance", &[subject.into(), action.into()], 0);
        Performance {
            action,
            scale: person.uniform_in(0.9, 1.1),
            vigour: person.uniform_in(0.9, 1.05),
            tempo: person.uniform_in(0.11, 0.15),
            start: time.uniform(),
            yaw: person.uniform_in(-0.2, 0.2) + time.uniform_in(-0.1, 0.1),
            place: [
                person.uniform_in(-0.2, 0.2) + time.uniform_in(-0.1, 0.1),
                3.0 + 0.2 * f64::from(scene(subject)) + time.uniform_in(-0.1, 0.1),
            ],
        }
    }

    /// The pose at a frame, which may lie between two.
    pub(super) fn pose(&self, frame: f64) -> Pose {
        // Never quite at rest: at rest, all actions are one.
        let turn = TAU * (self.start + self.tempo * frame);
        let share = self.vigour * (0.7 - 0.3 * libm::cos(turn));
        self.placed(&joints(&posture(self.action).scaled(share)))
    }

    /// From the body's own axes (right, up, forward; feet on the ground at 0) to the camera's.
    fn placed(&self, joints: &Pose) -> Pose {
        /// How far below the camera the ground is.
        const GROUND: f64 = 0.8;
        let (sine, cosine) = libm::sincos(self.yaw);
        joints.map(|[right, up, forward]| {
            let (right, up, forward) = (self.scale * right, self.scale * up, self.scale * forward);
            [
                self.place[0] - cosine * right - sine * forward,
                GROUND - up,
                self.place[1] + sine * right - cosine * forward,
            ]
        })
    }
}

/// The joints of a posture, on the body's own axes.
fn joints(posture: &Posture) -> Pose {
    const THIGH: f64 = 0.42;
    const SHANK: f64 = 0.40;
    let mut pose = [[0.0; 3]; JOINTS];
    let standing = (THIGH + SHANK) * libm::cos(0.8 * posture.squat) + posture.jump;
    pose[0] = [0.0, standing, 0.0];
    for (first, side, [lift, direction]) in [(1, 1.0, posture.right_leg), (4, -1.0, posture.left_leg)] {
        pose[first] = moved(pose[0], 0.12, [side, 0.0, 0.0]);
        pose[first + 1] = moved(pose[first], THIGH, limb(lift + 0.8 * posture.squat, direction, side, 0.0));
        pose[first + 2] =
            moved(pose[first + 1], SHANK, limb(lift - 0.8 * posture.squat, direction, side, 0.0));
    }
    let (sideways, upright) = libm::sincos(posture.bend[1]);
    let (forward, upward) = libm::sincos(posture.bend[0]);
    let trunk = [-sideways, upright * upward, upright * forward];
    for (joint, below, length) in [(7, 0, 0.22), (8, 7, 0.25), (9, 8, 0.13), (10, 9, 0.14)] {
        pose[joint] = moved(pose[below], length, trunk);
    }
    for (first, side, [lift, direction, elbow]) in
        [(11, -1.0, posture.left_arm), (14, 1.0, posture.right_arm)]
    {
        let (sine, cosine) = libm::sincos(posture.twist);
        pose[first] = moved(pose[8], 0.18, [side * cosine, 0.0, side * sine]);
        pose[first + 1] = moved(pose[first], 0.28, limb(lift, direction, side, posture.twist));
        pose[first + 2] = moved(pose[first + 1], 0.25, limb(lift + elbow, direction, side, posture.twist));
    }
    pose
}

/// The direction of a limb that is lifted, into a direction that turns with the shoulders.
fn limb(lift: f64, direction: f64, side: f64, twist: f64) -> Vector {
    let (out, down) = libm::sincos(lift);
    let (outward, forward) = libm::sincos(direction);
    let (sine, cosine) = libm::sincos(twist);
    let (right, forward) = (side * outward, forward);
    [out * (cosine * right - sine * forward), -down, out * (sine * right + cosine * forward)]
}

/// A point so far in a direction.
pub(super) fn moved(from: Vector, length: f64, direction: Vector) -> Vector {
    std::array::from_fn(|axis| from[axis] + length * direction[axis])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bones_keep_their_lengths_whatever_the_body_does() {
        let seed = Seed::from_number(3);
        let length = |pose: &Pose, (a, b): (usize, usize)| -> f64 {
            (0..3).map(|axis| (pose[a][axis] - pose[b][axis]).powi(2)).sum::<f64>().sqrt()
        };
        let still = Performance::new(seed, 12, 2).pose(0.0);
        for action in 1..=ACTIONS {
            for frame in 0..10 {
                let pose = Performance::new(seed, 12, action).pose(f64::from(frame));
                for bone in BONES {
                    assert!(
                        (length(&pose, bone) - length(&still, bone)).abs() < 1e-9,
                        "A{action:02} {bone:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_person_stands_upright_before_the_camera() {
        let pose = Performance::new(Seed::from_number(3), 1, 13).pose(0.0);
        let height = |joint: usize| -pose[joint][1];
        assert!(height(10) > height(8) && height(8) > height(0) && height(0) > height(3), "{pose:?}");
        // Who faces the camera has the left on the picture's right; the left hand is raised.
        assert!(pose[11][0] > pose[14][0] && height(13) > height(11) && height(16) < height(14));
        assert!(pose.iter().all(|joint| (2.0..5.0).contains(&joint[2])));
    }
}
