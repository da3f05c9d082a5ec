//! Drawing a digit: a style's strokes, jittered, bent by an affine map, inked with a round pen.

use super::glyphs::{GLYPHS, Stroke};
use crate::content::SIDE;
use randomness::Stream;

/// Standard deviation of a control point's displacement, half the glyph's height being 1.
const JITTER: f64 = 0.075;

/// Rotation in radians and shear, either way.
const ROTATION: f64 = 0.3;
const SHEAR: f64 = 0.3;

/// Half the width and height of the writing, in pixels.
const HALF_WIDTH: (f64, f64) = (6.0, 9.5);
const HALF_HEIGHT: (f64, f64) = (7.5, 10.0);

/// How far the middle of the writing may lie from the image's, in pixels.
const OFFSET: f64 = 1.2;

/// The pen's radius in pixels, and how black it writes.
const PEN: (f64, f64) = (0.6, 1.6);
const INK: (f64, f64) = (0.7, 1.0);

/// The grain of the paper: up to this is added to or taken from each pixel, full black being 1.
const GRAIN: f64 = 0.06;

/// Straight pieces between two control points.
const PIECES: usize = 6;

/// A point in pixels.
type Point = (f32, f32);

/// Draws one of the ways of writing a digit over `image`, [`SIDE`] x [`SIDE`] bytes.
pub(super) fn digit(digit: u8, stream: &mut Stream, image: &mut [u8]) {
    let styles = GLYPHS[usize::from(digit)];
    let style = styles[stream.below(styles.len() as u64) as usize];
    let hand = Hand::draw(stream);
    let mut ink = [0f32; SIDE * SIDE];
    for stroke in style {
        let points = smooth(&hand.displace(stroke, stream));
        for ends in points.windows(2) {
            hand.line(ends[0], ends[1], &mut ink);
        }
    }
    for (pixel, ink) in image.iter_mut().zip(ink) {
        let grain = stream.uniform_in(-GRAIN, GRAIN) as f32;
        *pixel = ((hand.ink * ink + grain).clamp(0.0, 1.0) * 255.0) as u8;
    }
}

/// How somebody writes one digit.
struct Hand {
    /// From the glyph's square to pixels: rows of a matrix, and an offset.
    x: (f32, f32, f32),
    y: (f32, f32, f32),
    pen: f32,
    ink: f32,
}

impl Hand {
    fn draw(stream: &mut Stream) -> Self {
        let (sine, cosine) = libm::sincos(stream.uniform_in(-ROTATION, ROTATION));
        let shear = stream.uniform_in(-SHEAR, SHEAR);
        let width = stream.uniform_in(HALF_WIDTH.0, HALF_WIDTH.1);
        let height = stream.uniform_in(HALF_HEIGHT.0, HALF_HEIGHT.1);
        let middle = (SIDE as f64 - 1.0) / 2.0;
        let mut offset = || (middle + stream.uniform_in(-OFFSET, OFFSET)) as f32;
        // Scale, then shear along x, then rotate.
        Hand {
            x: ((cosine * width) as f32, ((shear * cosine - sine) * height) as f32, offset()),
            y: ((sine * width) as f32, ((shear * sine + cosine) * height) as f32, offset()),
            pen: stream.uniform_in(PEN.0, PEN.1) as f32,
            ink: stream.uniform_in(INK.0, INK.1) as f32,
        }
    }

    /// A stroke's control points in pixels, each a little off.
    fn displace(&self, stroke: Stroke, stream: &mut Stream) -> Vec<Point> {
        let mut displaced = |&(x, y): &Point| {
            let (x, y) = (x + (JITTER * stream.normal()) as f32, y + (JITTER * stream.normal()) as f32);
            (self.x.0 * x + self.x.1 * y + self.x.2, self.y.0 * x + self.y.1 * y + self.y.2)
        };
        stroke.iter().map(&mut displaced).collect()
    }

    /// Inks the pixels near a straight line, softly at its edge.
    fn line(&self, from: Point, to: Point, ink: &mut [f32; SIDE * SIDE]) {
        let reach = self.pen + 0.5;
        for y in pixels(from.1, to.1, reach) {
            for x in pixels(from.0, to.0, reach) {
                let covered = (reach - distance((x as f32, y as f32), from, to)).clamp(0.0, 1.0);
                let pixel = &mut ink[y * SIDE + x];
                *pixel = pixel.max(covered);
            }
        }
    }
}

/// The pixels of an axis that lie between two coordinates, or up to `reach` outside.
fn pixels(one: f32, other: f32, reach: f32) -> std::ops::Range<usize> {
    let first = (one.min(other) - reach).ceil().max(0.0) as usize;
    let end = (one.max(other) + reach).floor() + 1.0;
    first..(end.max(0.0) as usize).min(SIDE)
}

/// How far a point lies from a line with ends.
fn distance(point: Point, from: Point, to: Point) -> f32 {
    let along = (to.0 - from.0, to.1 - from.1);
    let away = (point.0 - from.0, point.1 - from.1);
    let length = along.0 * along.0 + along.1 * along.1;
    // Where the nearest point lies; on a line without length, at its start.
    let part = ((away.0 * along.0 + away.1 * along.1) / length.max(1e-6)).clamp(0.0, 1.0);
    let (x, y) = (away.0 - part * along.0, away.1 - part * along.1);
    (x * x + y * y).sqrt()
}

/// A Catmull-Rom spline through the points, in straight pieces.
fn smooth(points: &[Point]) -> Vec<Point> {
    let last = points.len() - 1;
    let mut out = vec![points[0]];
    for at in 0..last {
        // Ends have no neighbour beyond them: they stand in for it.
        let around = [points[at.saturating_sub(1)], points[at], points[at + 1], points[(at + 2).min(last)]];
        for piece in 1..=PIECES {
            let t = piece as f32 / PIECES as f32;
            let axis = |of: fn(Point) -> f32| spline(around.map(of), t);
            out.push((axis(|point| point.0), axis(|point| point.1)));
        }
    }
    out
}

/// One coordinate between the second and third of four points.
fn spline([before, from, to, after]: [f32; 4], t: f32) -> f32 {
    let (linear, quadratic, cubic) =
        (to - before, 2.0 * before - 5.0 * from + 4.0 * to - after, 3.0 * (from - to) + after - before);
    from + 0.5 * t * (linear + t * (quadratic + t * cubic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use randomness::{Purpose, Seed};

    #[test]
    fn every_digit_leaves_ink_on_clean_paper() {
        for style in 0..200 {
            let mut image = [0; SIDE * SIDE];
            digit(
                (style % 10) as u8,
                &mut Seed::from_number(1).stream(Purpose::Test, &[style], 0),
                &mut image,
            );
            let inked = image.iter().filter(|&&pixel| pixel > 128).count();
            assert!((15..350).contains(&inked), "{inked} pixels");
        }
    }

    #[test]
    fn a_spline_passes_through_its_points() {
        let points = [(0.0, 0.0), (1.0, 2.0), (3.0, 1.0)];
        let smooth = smooth(&points);
        assert_eq!((smooth[0], smooth[PIECES], smooth[2 * PIECES]), (points[0], points[1], points[2]));
    }
}
