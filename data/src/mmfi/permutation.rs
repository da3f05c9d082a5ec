//! NumPy's legacy permutation, with which the data set's toolbox splits subjects: MT19937 seeded by one number, and a
//! shuffle from the end with masked rejection.

/// Words of the generator's state.
const SIZE: usize = 624;
/// How far ahead the recurrence looks.
const SHIFT: usize = 397;

/// The generator MT19937.
struct Mersenne {
    state: [u32; SIZE],
    next: usize,
}

impl Mersenne {
    fn new(seed: u32) -> Self {
        let mut state = [seed; SIZE];
        for i in 1..SIZE {
            let last = state[i - 1];
            state[i] = 1_812_433_253u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(i as u32);
        }
        Mersenne { state, next: SIZE }
    }

    fn refill(&mut self) {
        for i in 0..SIZE {
            let word = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % SIZE] & 0x7fff_ffff);
            let twist = if word & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + SHIFT) % SIZE] ^ (word >> 1) ^ twist;
        }
        self.next = 0;
    }

    fn word(&mut self) -> u32 {
        if self.next == SIZE {
            self.refill();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// A uniform number from 0 to `most`.
    fn up_to(&mut self, most: u32) -> u32 {
        let mask = u32::MAX.checked_shr(most.leading_zeros()).unwrap_or(0);
        loop {
            let word = self.word() & mask;
            if word <= most {
                return word;
            }
        }
    }
}

/// `numpy.random.RandomState(seed).permutation(length)`.
pub(crate) fn permutation(seed: u32, length: usize) -> Vec<usize> {
    let mut generator = Mersenne::new(seed);
    let mut order: Vec<usize> = (0..length).collect();
    for last in (1..length).rev() {
        order.swap(last, generator.up_to(last as u32) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As NumPy gives them.
    #[test]
    fn permutations_are_numpys() {
        let expected = [
            22, 20, 25, 4, 10, 15, 28, 11, 18, 29, 27, 35, 37, 2, 39, 30, 34, 16, 36, 8, 13, 5, 17, 14, 33,
            7, 32, 1, 26, 12, 31, 24, 6, 23, 21, 19, 9, 38, 3, 0,
        ];
        assert_eq!(permutation(0, 40), expected);
        for (seed, expected) in [
            (1, [1, 6, 9, 10, 12, 13, 16, 38]),
            (2, [8, 9, 12, 16, 19, 23, 32, 36]),
            (3, [1, 4, 9, 11, 20, 22, 25, 34]),
            (13, [3, 11, 14, 17, 19, 26, 27, 35]),
            (26, [2, 5, 7, 14, 18, 20, 27, 33]),
        ] {
            let mut last: Vec<usize> = permutation(seed, 40)[32..].iter().map(|n| n + 1).collect();
            last.sort_unstable();
            assert_eq!(last, expected, "seed {seed}");
        }
    }
}
