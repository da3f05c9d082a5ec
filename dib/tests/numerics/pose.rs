//! Errors of joints, against closed forms and against an independent implementation.

use pom2dib_dib::{aligned_joint_error, joint_error};
use randomness::{Purpose, Seed};

fn random_pose(tick: u64) -> Vec<f32> {
    let mut pose = vec![0.0; 51];
    Seed::from_number(11).stream(Purpose::Test, &[], tick).fill_normal(&mut pose);
    pose
}

/// Rotated by these angles about z, then x; scaled; shifted.
fn moved(pose: &[f32], [about_z, about_x]: [f64; 2], scale: f64, shift: [f64; 3]) -> Vec<f32> {
    let turned = |point: &[f32]| -> Vec<f32> {
        let [x, y, z] = [point[0], point[1], point[2]].map(f64::from);
        let (sine, cosine) = about_z.sin_cos();
        let (x, y) = (cosine * x - sine * y, sine * x + cosine * y);
        let (sine, cosine) = about_x.sin_cos();
        let (y, z) = (cosine * y - sine * z, sine * y + cosine * z);
        [x, y, z].iter().zip(shift).map(|(value, shift)| (scale * value + shift) as f32).collect()
    };
    pose.chunks_exact(3).flat_map(turned).collect()
}

#[test]
fn joints_are_off_by_the_length_of_a_shift_in_millimetres() {
    let pose = random_pose(0);
    let shifted = moved(&pose, [0.0; 2], 1.0, [0.03, 0.0, -0.04]);
    assert!((joint_error(&shifted, &pose) - 50.0).abs() < 1e-3);
}

#[test]
fn turning_scaling_and_shifting_are_forgiven_and_a_mirror_image_is_not() {
    for tick in 0..20 {
        let pose = random_pose(tick);
        let angles = [0.3 * tick as f64, 3.0 - 0.7 * tick as f64];
        let moved = moved(&pose, angles, 0.2 + 0.1 * tick as f64, [1.0, -2.0, 3.0]);
        assert!(aligned_joint_error(&moved, &pose) < 1e-3, "{tick}");
        let mirrored: Vec<f32> =
            pose.chunks_exact(3).flat_map(|point| [-point[0], point[1], point[2]]).collect();
        assert!(aligned_joint_error(&mirrored, &pose) > 100.0);
    }
}

/// For points in a plane the best fit is a regression in complex numbers: t = m + (p - n) a, with a = <p, t> / <p, p>.
#[test]
fn flat_poses_are_fitted_as_by_complex_regression() {
    let mut stream = Seed::from_number(12).stream(Purpose::Test, &[], 0);
    for _ in 0..10 {
        let target: Vec<[f64; 2]> = (0..17).map(|_| [stream.normal(), stream.normal()]).collect();
        let near: Vec<[f64; 2]> =
            target.iter().map(|point| point.map(|value| value + 0.2 * stream.normal())).collect();
        let middle = |points: &[[f64; 2]]| -> [f64; 2] {
            std::array::from_fn(|axis| points.iter().map(|point| point[axis]).sum::<f64>() / 17.0)
        };
        let (m, n) = (middle(&target), middle(&near));
        let about = |points: &[[f64; 2]], middle: [f64; 2]| -> Vec<[f64; 2]> {
            points.iter().map(|point| [point[0] - middle[0], point[1] - middle[1]]).collect()
        };
        let (t, p) = (about(&target, m), about(&near, n));
        let norm: f64 = p.iter().map(|[x, y]| x * x + y * y).sum();
        let real: f64 = p.iter().zip(&t).map(|(p, t)| p[0] * t[0] + p[1] * t[1]).sum::<f64>() / norm;
        let imaginary: f64 = p.iter().zip(&t).map(|(p, t)| p[0] * t[1] - p[1] * t[0]).sum::<f64>() / norm;
        let off = |(p, t): (&[f64; 2], &[f64; 2])| {
            let x = real * p[0] - imaginary * p[1] - t[0];
            let y = real * p[1] + imaginary * p[0] - t[1];
            x.hypot(y)
        };
        let expected = 1000.0 * p.iter().zip(&t).map(off).sum::<f64>() / 17.0;
        let flat = |points: &[[f64; 2]]| -> Vec<f32> {
            points.iter().flat_map(|point| [point[0] as f32, 0.5, point[1] as f32]).collect()
        };
        let found = aligned_joint_error(&flat(&near), &flat(&target));
        assert!((found - expected).abs() < 1e-3, "{found} and {expected}");
    }
}

/// By NumPy's singular value decomposition with the usual correction of reflections:
///
/// ```python
/// i = np.arange(51); p = np.sin(1.7 * i).reshape(17, 3); t = np.cos(0.9 * i * i).reshape(17, 3)
/// P = p - p.mean(0); T = t - t.mean(0); u, s, vt = np.linalg.svd(P.T @ T)
/// d = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]); a = np.trace(np.diag(s) @ d) / (P ** 2).sum()
/// 1000 * np.linalg.norm(a * P @ u @ d @ vt - T, axis=1).mean()
/// ```
#[test]
fn poses_are_fitted_as_by_singular_values() {
    let value = |index: i32| f64::from(index);
    let prediction: Vec<f32> = (0..51).map(|index| (1.7 * value(index)).sin() as f32).collect();
    let target: Vec<f32> = (0..51).map(|index| (0.9 * value(index) * value(index)).cos() as f32).collect();
    assert!((joint_error(&prediction, &target) - PLAIN).abs() < 1e-2);
    assert!((aligned_joint_error(&prediction, &target) - ALIGNED).abs() < 1e-2);
}

const PLAIN: f64 = 1572.2826;
const ALIGNED: f64 = 1080.2932;

#[test]
fn joints_in_one_point_fit_best_at_the_middle() {
    let target = random_pose(3);
    let collapsed = vec![7.0; 51];
    let middle: Vec<f32> =
        (0..51).map(|index| target.iter().skip(index % 3).step_by(3).sum::<f32>() / 17.0).collect();
    assert!((aligned_joint_error(&collapsed, &target) - joint_error(&middle, &target)).abs() < 1e-2);
    assert_eq!(aligned_joint_error(&collapsed, &collapsed), 0.0);
}
