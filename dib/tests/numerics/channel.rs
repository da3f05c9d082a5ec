//! Channels: symbol errors against closed forms, power, and gradients through all of the way.

mod errors;
mod gradients;
mod mac;
mod power;

use std::sync::LazyLock;

use pom2dib_dib::{Air, Crossing, Csi, Equaliser, Fading, FadingBlock, GainTrace, Phase, Snr};
use randomness::Seed;

/// A link of features of two symbols.
fn air(fading: Fading, snr: Option<Snr>, csi: Csi) -> Air {
    Air {
        seed: Seed::from_number(5),
        feature_dim: 4,
        ticks_per_round: 20,
        fading,
        block: FadingBlock::Tick,
        snr,
        csi,
    }
}

fn crossing(modality: usize, tick: u64) -> Crossing {
    Crossing { phase: Phase::Train, pass: 0, transmitter: 1, receiver: 2, modality, tick }
}

const ZERO_FORCING: Csi = Csi::Known(Equaliser::ZeroForcing);

/// Two symbols lie on two subcarriers.
const MULTIPATH: Fading = Fading::Multipath { taps: 2, decay: 0.7, subcarriers: 2, k_factor: 1.0 };

/// Of two transmitters and three receivers, at five times; no gain is 0.
static TRACE: LazyLock<GainTrace> = LazyLock::new(|| {
    let gain = |at: i32| [f64::from(at % 7) / 4.0 - 0.7, f64::from(at % 5) / 3.0 + 0.1];
    GainTrace::new(&[5, 2, 3], (0..5 * 2 * 3).map(gain).collect(), (2, 3)).expect("its shape fits")
});

fn kinds() -> [Fading; 7] {
    [
        MULTIPATH,
        Fading::None,
        Fading::Rayleigh,
        Fading::Rician { k_factor: 3.0 },
        Fading::Nakagami { shape: 2.0 },
        Fading::Trace(&TRACE),
        Fading::Erasure { probability: 0.5 },
    ]
}

const KNOWLEDGE: [Csi; 4] =
    [Csi::Known(Equaliser::Conjugate), ZERO_FORCING, Csi::Known(Equaliser::Mmse), Csi::Unknown];

#[test]
fn a_gain_is_shared_by_modalities_and_noise_by_nobody() {
    use pom2dib_dib::Channel;

    let air = air(Fading::Rayleigh, Some(Snr::Range(0.0, 20.0)), Csi::Unknown);
    let gain = |modality, tick| air.gains(&crossing(modality, tick), 0);
    assert_eq!(gain(0, 7), gain(1, 7));
    assert_ne!(gain(0, 7), gain(0, 8));
    assert_eq!(air.snr_db(&crossing(0, 7)), air.snr_db(&crossing(1, 7)));
    assert_ne!(air.snr_db(&crossing(0, 7)), air.snr_db(&crossing(0, 8)));
    let evaluated = Crossing { phase: Phase::Evaluate, ..crossing(0, 7) };
    assert_ne!(air.gains(&evaluated, 0), gain(0, 7));
    assert_ne!(air.gains(&Crossing { pass: 1, ..evaluated }, 0), air.gains(&evaluated, 0));
    let round = Air { block: FadingBlock::Round, ..air };
    assert_eq!(round.gains(&crossing(0, 20), 0), round.gains(&crossing(0, 39), 0));
    assert_ne!(round.gains(&crossing(0, 19), 0), round.gains(&crossing(0, 20), 0));
    let sample = Air { block: FadingBlock::Sample, ..air };
    assert_ne!(sample.gains(&crossing(0, 7), 0), sample.gains(&crossing(0, 7), 1));
    // Of nothing, what arrives is the noise.
    let noise = |modality, tick| {
        let mut values = [0.0; 8];
        air.send(&crossing(modality, tick), &mut values).unwrap();
        values
    };
    assert_eq!(noise(0, 7), noise(0, 7));
    assert_ne!(noise(0, 7), noise(1, 7));
    assert_ne!(noise(0, 7), noise(0, 8));
    assert!(noise(0, 7).iter().all(|value| *value != 0.0));
}

#[test]
fn a_row_does_not_depend_on_the_others() {
    use pom2dib_dib::Channel;

    for block in [FadingBlock::Tick, FadingBlock::Round, FadingBlock::Sample] {
        for fading in kinds() {
            let air = Air { block, ..air(fading, Some(Snr::Fixed(3.0)), ZERO_FORCING) };
            let mut all: Vec<f64> = (0..20).map(f64::from).collect();
            let mut first = all[..8].to_vec();
            air.send(&crossing(0, 3), &mut all).unwrap();
            air.send(&crossing(0, 3), &mut first).unwrap();
            assert_eq!(all[..8], first);
        }
    }
}

#[test]
fn symbols_of_bits_meet_what_values_of_features_would() {
    use pom2dib_dib::Channel;

    for block in [FadingBlock::Tick, FadingBlock::Sample] {
        for fading in kinds() {
            let air = Air { block, ..air(fading, Some(Snr::Range(0.0, 20.0)), Csi::Unknown) };
            let sent: Vec<f64> = (0..20).map(|value| f64::from(value) / 10.0 - 1.0).collect();
            let mut values = sent.clone();
            air.send(&crossing(1, 4), &mut values).unwrap();
            let mut symbols = air.symbols(&crossing(1, 4));
            for (number, (sent, heard)) in sent.chunks(2).zip(values.chunks(2)).enumerate() {
                let (value, gain, noise) = symbols.hear([sent[0], sent[1]]);
                assert_eq!(value[..], *heard, "symbol {number}, {fading:?}");
                let gains =
                    air.gains(&crossing(1, 4), if block == FadingBlock::Sample { number / 2 } else { 0 });
                assert_eq!(gain, gains[number % 2 % gains.len()]);
                assert!(noise > 0.0);
            }
        }
    }
}
