//! Sobol's sequence: points that fill a cube evenly, however many of them are taken.

use randomness::{Purpose, Seed};

/// The most dimensions.
pub(crate) const MOST: usize = 16;

const BITS: usize = 32;

/// For each dimension but the first: the degree and the inner coefficients of its primitive polynomial, and its first
/// direction numbers, after S. Joe and F. Y. Kuo, "Constructing Sobol sequences with better two-dimensional
/// projections", SIAM J. Sci. Comput. 30 (2008).
const DIRECTIONS: [(usize, u32, &[u32]); MOST - 1] = [
    (1, 0, &[1]),
    (2, 1, &[1, 3]),
    (3, 1, &[1, 3, 1]),
    (3, 2, &[1, 1, 1]),
    (4, 1, &[1, 1, 3, 3]),
    (4, 4, &[1, 3, 5, 13]),
    (5, 2, &[1, 1, 5, 5, 17]),
    (5, 4, &[1, 1, 5, 5, 5]),
    (5, 7, &[1, 1, 7, 11, 19]),
    (5, 11, &[1, 1, 5, 1, 1]),
    (5, 13, &[1, 1, 1, 3, 11]),
    (5, 14, &[1, 3, 5, 5, 31]),
    (6, 1, &[1, 3, 3, 9, 7, 49]),
    (6, 13, &[1, 1, 1, 15, 21, 21]),
    (6, 16, &[1, 3, 1, 13, 27, 49]),
];

/// A sequence of points in a cube of at most [`MOST`] dimensions, shifted by an amount that its seed decides.
pub(crate) struct Sobol {
    directions: Vec<[u32; BITS]>,
    shifts: Vec<u32>,
}

impl Sobol {
    pub(crate) fn new(dimensions: usize, seed: u64) -> Self {
        let directions = (0..dimensions.min(MOST)).map(directions).collect();
        let shift = |dimension: usize| {
            // A purpose of statistics, and a name of its own.
            let mut stream = Seed::from_number(seed).named_stream(
                Purpose::Bootstrap,
                "shift of a search",
                &[dimension as u64],
                0,
            );
            stream.below(1 << BITS) as u32
        };
        Sobol { directions, shifts: (0..dimensions.min(MOST)).map(shift).collect() }
    }

    /// Point `index`: a number from 0 to below 1 for each dimension.
    pub(crate) fn point(&self, index: u32) -> Vec<f64> {
        // Gray's code: consecutive points differ in one direction.
        let code = index ^ (index >> 1);
        let of_dimension = |(directions, shift): (&[u32; BITS], &u32)| {
            let bits = directions.iter().enumerate().filter(|(bit, _)| code >> bit & 1 == 1);
            let place = bits.fold(*shift, |place, (_, direction)| place ^ direction);
            f64::from(place) / (u64::from(u32::MAX) + 1) as f64
        };
        self.directions.iter().zip(&self.shifts).map(of_dimension).collect()
    }
}

/// The direction numbers of a dimension, the first for the lowest bit of an index.
fn directions(dimension: usize) -> [u32; BITS] {
    let mut directions = [0; BITS];
    let Some((degree, inner, first)) = dimension.checked_sub(1).map(|at| DIRECTIONS[at]) else {
        for (bit, direction) in directions.iter_mut().enumerate() {
            *direction = 1 << (BITS - 1 - bit);
        }
        return directions;
    };
    for bit in 0..BITS {
        directions[bit] = match first.get(bit) {
            Some(number) => number << (BITS - 1 - bit),
            None => {
                let mut direction = directions[bit - degree] ^ (directions[bit - degree] >> degree);
                for term in 1..degree {
                    if inner >> (degree - 1 - term) & 1 == 1 {
                        direction ^= directions[bit - term];
                    }
                }
                direction
            }
        };
    }
    directions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dimension_has_one_of_any_64_points_in_each_of_64_equal_parts() {
        for seed in 0..3 {
            let sobol = Sobol::new(MOST, seed);
            for block in 0..4 {
                for dimension in 0..MOST {
                    let mut taken = [0; 64];
                    for index in 64 * block..64 * (block + 1) {
                        taken[(sobol.point(index)[dimension] * 64.0) as usize] += 1;
                    }
                    assert_eq!(taken, [1; 64], "dimension {dimension}, block {block}");
                }
            }
        }
    }

    #[test]
    fn the_first_dimensions_are_even_in_pairs_too() {
        let sobol = Sobol::new(3, 7);
        let mut taken = [0; 64];
        for index in 0..64 {
            let point = sobol.point(index);
            taken[(point[0] * 8.0) as usize * 8 + (point[1] * 8.0) as usize] += 1;
        }
        assert_eq!(taken, [1; 64]);
    }

    #[test]
    fn a_seed_has_its_own_points() {
        assert_ne!(Sobol::new(2, 1).point(3), Sobol::new(2, 2).point(3));
        assert_eq!(Sobol::new(2, 1).point(3), Sobol::new(2, 1).point(3));
    }
}
