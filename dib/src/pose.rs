//! Errors of joint positions in a pose: MPJPE, and PA-MPJPE after the best rotation, scale and shift.

/// Millimetres in a metre.
const MILLIMETRES: f64 = 1000.0;

type Point = [f64; 3];
type Matrix4 = [[f64; 4]; 4];

/// The mean distance between the joints of two poses in millimetres: MPJPE. Both hold x, y and z of each joint in
/// metres.
///
/// # Panics
/// If they differ in length, or have no joints.
pub fn joint_error(prediction: &[f32], target: &[f32]) -> f64 {
    mean_distance(&points(prediction), &points(target))
}

/// The same after the prediction is rotated, scaled and shifted to the least sum of squared distances (Procrustes,
/// without reflection): PA-MPJPE.
///
/// The rotation is Horn's: the unit quaternion that is the leading eigenvector of a symmetric 4 x 4 matrix, made of the
/// products of both poses' coordinates about their means. Its eigenvalue is the sum of products after rotation, from
/// which the scale follows.
///
/// # Panics
/// As [`joint_error`].
pub fn aligned_joint_error(prediction: &[f32], target: &[f32]) -> f64 {
    let (prediction, _) = centred(points(prediction));
    let (target, middle) = centred(points(target));
    let spread: f64 = prediction.iter().flatten().map(|value| value * value).sum();
    let (product, quaternion) = leading_eigenvector(horn_matrix(&prediction, &target));
    // Joints that all coincide fit best at the target's mean, with any rotation.
    let scale = if spread > 0.0 { product / spread } else { 0.0 };
    let rotation = rotation(quaternion);
    let aligned: Vec<Point> = prediction
        .iter()
        .map(|point| {
            std::array::from_fn(|row| {
                let rotated: f64 = (0..3).map(|column| rotation[row][column] * point[column]).sum();
                middle[row] + scale * rotated
            })
        })
        .collect();
    let target: Vec<Point> =
        target.iter().map(|point| std::array::from_fn(|axis| middle[axis] + point[axis])).collect();
    mean_distance(&aligned, &target)
}

fn points(values: &[f32]) -> Vec<Point> {
    assert!(!values.is_empty() && values.len().is_multiple_of(3), "{} values are no joints", values.len());
    values.chunks_exact(3).map(|point| std::array::from_fn(|axis| point[axis].into())).collect()
}

fn mean_distance(one: &[Point], other: &[Point]) -> f64 {
    assert_eq!(one.len(), other.len(), "joints of two poses");
    let distance = |(one, other): (&Point, &Point)| {
        (0..3).map(|axis| (one[axis] - other[axis]) * (one[axis] - other[axis])).sum::<f64>().sqrt()
    };
    MILLIMETRES * one.iter().zip(other).map(distance).sum::<f64>() / one.len() as f64
}

/// The points minus their mean, and the mean.
fn centred(mut points: Vec<Point>) -> (Vec<Point>, Point) {
    let count = points.len() as f64;
    let middle: Point =
        std::array::from_fn(|axis| points.iter().map(|point| point[axis]).sum::<f64>() / count);
    for point in &mut points {
        point.iter_mut().zip(middle).for_each(|(value, middle)| *value -= middle);
    }
    (points, middle)
}

/// Horn's matrix: for a unit quaternion q, q' N q is the sum of products of the target's coordinates and the rotated
/// ones.
fn horn_matrix(from: &[Point], to: &[Point]) -> Matrix4 {
    let s = |a: usize, b: usize| -> f64 { from.iter().zip(to).map(|(from, to)| from[a] * to[b]).sum() };
    let (xx, yy, zz) = (s(0, 0), s(1, 1), s(2, 2));
    let (x, y, z) = (s(1, 2) - s(2, 1), s(2, 0) - s(0, 2), s(0, 1) - s(1, 0));
    let (xy, xz, yz) = (s(0, 1) + s(1, 0), s(0, 2) + s(2, 0), s(1, 2) + s(2, 1));
    [[xx + yy + zz, x, y, z], [x, xx - yy - zz, xy, xz], [y, xy, yy - xx - zz, yz], [z, xz, yz, zz - xx - yy]]
}

/// The largest eigenvalue of a symmetric matrix and its eigenvector, by Jacobi rotations, which always converge.
fn leading_eigenvector(mut matrix: Matrix4) -> (f64, [f64; 4]) {
    /// Upper limit on sweeps over all pairs; convergence is quadratic, and six usually suffice.
    const SWEEPS: usize = 20;
    let mut vectors: Matrix4 =
        std::array::from_fn(|row| std::array::from_fn(|column| f64::from(u8::from(row == column))));
    for _ in 0..SWEEPS {
        for p in 0..4 {
            for q in p + 1..4 {
                rotate(&mut matrix, &mut vectors, p, q);
            }
        }
    }
    let leading = (0..4).max_by(|&a, &b| matrix[a][a].total_cmp(&matrix[b][b])).unwrap_or(0);
    (matrix[leading][leading], vectors.map(|row| row[leading]))
}

/// Rotates rows and columns p and q so that the entry (p, q) becomes zero.
fn rotate(matrix: &mut Matrix4, vectors: &mut Matrix4, p: usize, q: usize) {
    if matrix[p][q] == 0.0 {
        return;
    }
    let theta = (matrix[q][q] - matrix[p][p]) / (2.0 * matrix[p][q]);
    // The smaller root: the angle is at most an eighth turn. If the square overflows the tangent is 0, which is right.
    let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    for row in matrix.iter_mut().chain(vectors) {
        (row[p], row[q]) = (cosine * row[p] - sine * row[q], sine * row[p] + cosine * row[q]);
    }
    let (above, below) = (matrix[p], matrix[q]);
    matrix[p] = std::array::from_fn(|column| cosine * above[column] - sine * below[column]);
    matrix[q] = std::array::from_fn(|column| sine * above[column] + cosine * below[column]);
}

fn rotation([w, x, y, z]: [f64; 4]) -> [[f64; 3]; 3] {
    [
        [w * w + x * x - y * y - z * z, 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), w * w - x * x + y * y - z * z, 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), w * w - x * x - y * y + z * z],
    ]
}
