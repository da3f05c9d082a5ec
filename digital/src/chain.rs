//! A transport block on its whole way.

use crate::{
    format::Format,
    ldpc::Codes,
    modulation::Heard,
    rate_matching::{places, shares},
    segments::Segments,
};

/// Sends transport blocks. It keeps the codes that it has needed; what becomes of a block depends on no other.
#[derive(Default)]
pub struct Chain {
    codes: Codes,
}

impl Chain {
    /// Sends a transport block of as many bytes as the format is for. `air` is given every symbol in order, and says
    /// what is heard of it. What is received; none if its check fails.
    ///
    /// # Panics
    /// If the format is for a transport block of another length.
    pub fn transmit(
        &mut self,
        payload: &[u8],
        format: &Format,
        mut air: impl FnMut([f64; 2]) -> Heard,
    ) -> Option<Vec<u8>> {
        assert_eq!(8 * payload.len(), format.payload_bits(), "the format is for another transport block");
        let bits: Vec<u8> =
            payload.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
        let segments = Segments::new(bits.len(), format.rate());
        let modulation = format.modulation;
        let mut decoded = Vec::with_capacity(segments.blocks);
        for (information, uses) in segments.cut(&bits).iter().zip(shares(format.uses(), segments.blocks)) {
            let places = places(&segments, uses * modulation.bits(), modulation);
            let word = self.codes.encode(segments.graph, segments.lifting, information);
            let sent: Vec<u8> = places.iter().map(|place| word[*place]).collect();
            let mut heard = Vec::with_capacity(sent.len());
            for bits in sent.chunks(modulation.bits()) {
                modulation.llrs(&air(modulation.symbol(bits)), &mut heard);
            }
            let mut llrs = vec![0.0; word.len()];
            places.iter().zip(heard).for_each(|(place, llr)| llrs[*place] += llr);
            decoded.push(self.codes.decode(segments.graph, segments.lifting, llrs, segments.filler()));
        }
        let bits = segments.join(&decoded)?;
        Some(bits.chunks(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit)).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::SQRT_2;

    use randomness::{Purpose, Seed, Stream};

    use super::*;
    use crate::Modulation;

    fn draws(number: u64) -> Stream {
        Seed::from_number(number).stream(Purpose::Test, &[], 0)
    }

    fn payload(bytes: usize, stream: &mut Stream) -> Vec<u8> {
        (0..bytes).map(|_| stream.below(256) as u8).collect()
    }

    /// White noise at Es/N0 = `snr`.
    fn awgn(snr: f64, stream: &mut Stream) -> impl FnMut([f64; 2]) -> Heard {
        let deviation = (0.5 / snr).sqrt();
        move |symbol| Heard {
            value: symbol.map(|value| value + deviation * stream.normal()),
            gain: [1.0, 0.0],
            noise: 1.0 / snr,
        }
    }

    /// How many of some transport blocks are not received.
    fn lost(format: &Format, bytes: usize, snr: f64, blocks: usize) -> usize {
        let (mut chain, mut stream) = (Chain::default(), draws(5));
        let is_lost = |_: &usize| {
            let payload = payload(bytes, &mut stream);
            chain.transmit(&payload, format, awgn(snr, &mut stream)).is_none_or(|heard| heard != payload)
        };
        (0..blocks).filter(is_lost).count()
    }

    #[test]
    fn blocks_of_all_sizes_and_modulations_arrive_where_there_is_little_noise() {
        let (mut chain, mut stream) = (Chain::default(), draws(6));
        for modulation in Modulation::ALL {
            for (bytes, rate) in [(3, 0.1), (3, 0.9), (60, 0.5), (300, 0.8), (1100, 0.925), (2500, 0.2)] {
                let payload = payload(bytes, &mut stream);
                let format = Format::new(bytes, 0, Some(modulation), Some(rate));
                let mut sent = 0;
                let mut air = awgn(1e4, &mut stream);
                let count = |symbol| {
                    sent += 1;
                    air(symbol)
                };
                let heard = chain.transmit(&payload, &format, count);
                assert_eq!(heard.as_ref(), Some(&payload), "{modulation:?}, {bytes} bytes at {rate}");
                assert_eq!(sent, format.uses());
            }
        }
    }

    #[test]
    fn a_gain_is_undone_and_silence_is_an_error() {
        let (mut chain, mut stream) = (Chain::default(), draws(7));
        let payload = payload(90, &mut stream);
        let format = Format::new(payload.len(), 240, None, None);
        let through = |gain: [f64; 2]| {
            move |[re, im]: [f64; 2]| {
                let [a, b] = gain;
                Heard { value: [a * re - b * im, a * im + b * re], gain, noise: 1e-3 }
            }
        };
        assert_eq!(chain.transmit(&payload, &format, through([-0.3, 0.7])), Some(payload.clone()));
        assert_eq!(chain.transmit(&payload, &format, through([0.0, 0.0])), None);
    }

    #[test]
    fn a_block_does_not_depend_on_those_before() {
        let outcomes = |chain: &mut Chain| {
            let mut stream = draws(8);
            let of_block = |_| {
                let payload = payload(40, &mut stream);
                let format = Format::new(payload.len(), 200, None, None);
                chain.transmit(&payload, &format, awgn(2.9, &mut stream)).is_some()
            };
            (0..60).map(of_block).collect::<Vec<bool>>()
        };
        let mut chain = Chain::default();
        let first = outcomes(&mut chain);
        assert_eq!(outcomes(&mut chain), first);
        // Where blocks are lost and received: the same on every machine.
        let received = first.iter().filter(|received| **received).count();
        assert_eq!(received, RECEIVED);
    }
    const RECEIVED: usize = 33;

    fn q(x: f64) -> f64 {
        0.5 * libm::erfc(x / SQRT_2)
    }

    /// Capacity and dispersion of a bit of QPSK at Es/N0 = `snr`, in bits and bits^2: integrals over what is heard.
    fn qpsk(snr: f64) -> (f64, f64) {
        let (mut mean, mut square, mut weights) = (0.0, 0.0, 0.0);
        for step in -4000..=4000 {
            let normal = f64::from(step) / 500.0;
            let weight = (-normal * normal / 2.0).exp();
            let heard = 1.0 + normal / snr.sqrt();
            let density = 1.0 - (-2.0 * heard * snr).exp().ln_1p() / std::f64::consts::LN_2;
            mean += weight * density;
            square += weight * density * density;
            weights += weight;
        }
        (mean / weights, square / weights - (mean / weights).powi(2))
    }

    /// The Es/N0 at which the normal approximation (Y. Polyanskiy, H. V. Poor and S. Verdu, 2010) has one of 100 blocks
    /// of `k` bits lost that are sent by `n` bits of QPSK.
    fn normal_approximation(k: f64, n: f64) -> f64 {
        let loss = |snr: f64| {
            let (capacity, dispersion) = qpsk(snr);
            q((n * capacity - k + 0.5 * n.log2()) / (n * dispersion).sqrt())
        };
        let (mut low, mut high) = (0.01, 100.0_f64);
        for _ in 0..60 {
            let middle = (low * high).sqrt();
            if loss(middle) > 0.01 { low = middle } else { high = middle }
        }
        low
    }

    /// Of k bits, check included: at 1 dB more than the normal approximation has it, at most one block of 100 is lost;
    /// and no code is better than that approximation by much.
    #[test]
    fn block_errors_are_within_1_db_of_the_normal_approximation() {
        const BLOCKS: usize = 2000;
        for (bytes, rate) in [(61, 0.5), (126, 1.0 / 3.0)] {
            let format = Format::new(bytes, 0, Some(Modulation::Qpsk), Some(rate));
            let (k, n) = (8 * bytes + 16, 2 * format.uses());
            assert!((k as f64 / n as f64 - rate).abs() < 1e-3);
            let snr = normal_approximation(k as f64, n as f64);
            let above = lost(&format, bytes, snr * 10.0_f64.powf(0.1), BLOCKS);
            let there = lost(&format, bytes, snr, BLOCKS / 10);
            println!(
                "k = {k}, n = {n}: 1 of 100 at {:.2} dB by the normal approximation; there {there} of {} are lost, 1 dB higher \
                 {above} of {BLOCKS}",
                10.0 * snr.log10(),
                BLOCKS / 10
            );
            assert!(above <= BLOCKS / 100, "{above} of {BLOCKS} blocks of {k} bits are lost");
            assert!(there > BLOCKS / 1000, "{there}");
        }
    }

    /// What arrives, in bits a channel use, is at no SNR more than the channel's capacity.
    #[test]
    fn nothing_arrives_beyond_capacity() {
        const BLOCKS: usize = 40;
        for (bytes, uses) in [(30, 240), (60, 240), (90, 240), (130, 240)] {
            let format = Format::new(bytes, uses, None, None);
            for snr_db in [-4.0, 0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0] {
                let snr = 10.0_f64.powf(snr_db / 10.0);
                let received = BLOCKS - lost(&format, bytes, snr, BLOCKS);
                let arrived = (8 * bytes * received) as f64 / (BLOCKS * format.uses()) as f64;
                assert!(arrived <= (1.0 + snr).log2(), "{arrived} bits a use arrive at {snr_db} dB");
            }
        }
    }
}
