//! How the digits are pronounced: each word as sounds, each sound as formants, voice and hiss.

/// A sound, as its target; a voice glides from target to target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sound {
    /// Resonances of the mouth in Hz.
    pub(super) formants: [f64; 3],
    /// Strength of the voice.
    pub(super) voice: f64,
    /// Strength of the hiss.
    pub(super) hiss: f64,
    /// The hiss's centre in Hz.
    pub(super) pitch: f64,
    /// Milliseconds.
    pub(super) duration: f64,
}

/// A vowel, or a consonant that is sung like one.
const fn voiced(formants: [f64; 3], voice: f64, duration: f64) -> Sound {
    Sound { formants, voice, hiss: 0.0, pitch: 3000.0, duration }
}

/// A consonant of hissing air; the formants are where the mouth stands meanwhile.
const fn hissed(formants: [f64; 3], voice: f64, hiss: f64, pitch: f64, duration: f64) -> Sound {
    Sound { formants, voice, hiss, pitch, duration }
}

const AA: [f64; 3] = [730.0, 1090.0, 2440.0];
const AH: [f64; 3] = [640.0, 1190.0, 2390.0];
const AO: [f64; 3] = [570.0, 840.0, 2410.0];
const EH: [f64; 3] = [530.0, 1840.0, 2480.0];
const IH: [f64; 3] = [390.0, 1990.0, 2550.0];
const IY: [f64; 3] = [270.0, 2290.0, 3010.0];
const OH: [f64; 3] = [500.0, 900.0, 2300.0];
const UW: [f64; 3] = [300.0, 870.0, 2240.0];
const ER: [f64; 3] = [420.0, 1250.0, 1650.0];
const W: [f64; 3] = [300.0, 610.0, 2200.0];
const NASAL: [f64; 3] = [260.0, 1300.0, 2500.0];
const FRONT: [f64; 3] = [300.0, 1700.0, 2600.0];
const LIPS: [f64; 3] = [280.0, 1000.0, 2300.0];

const N: Sound = voiced(NASAL, 0.45, 75.0);
const R: Sound = voiced(ER, 0.7, 70.0);
const S: Sound = hissed(FRONT, 0.0, 0.5, 3600.0, 110.0);
const V: Sound = hissed(LIPS, 0.35, 0.08, 2800.0, 60.0);
const STOP: Sound = voiced(FRONT, 0.0, 50.0);
const T: Sound = hissed(FRONT, 0.0, 0.45, 3300.0, 35.0);

/// The words from zero to nine.
pub(super) const WORDS: [&[Sound]; 10] = [
    &[
        hissed(FRONT, 0.3, 0.25, 3500.0, 80.0),
        voiced(IH, 0.9, 80.0),
        R,
        voiced(OH, 1.0, 120.0),
        voiced(UW, 0.7, 70.0),
    ],
    &[voiced(W, 0.7, 70.0), voiced(AH, 1.0, 140.0), N],
    &[T, voiced(IH, 0.5, 40.0), voiced(UW, 1.0, 190.0)],
    &[hissed(FRONT, 0.0, 0.12, 2600.0, 80.0), R, voiced(IY, 1.0, 190.0)],
    &[hissed(LIPS, 0.0, 0.12, 2200.0, 90.0), voiced(AO, 1.0, 150.0), voiced(ER, 0.8, 90.0)],
    &[hissed(LIPS, 0.0, 0.12, 2200.0, 90.0), voiced(AA, 1.0, 110.0), voiced(IH, 0.9, 80.0), V],
    &[S, voiced(IH, 1.0, 100.0), STOP, hissed(IH, 0.0, 0.35, 1900.0, 30.0), S],
    &[S, voiced(EH, 1.0, 90.0), V, voiced(AH, 0.8, 70.0), N],
    &[voiced(EH, 1.0, 100.0), voiced(IY, 0.9, 90.0), STOP, T],
    &[N, voiced(AA, 1.0, 120.0), voiced(IH, 0.9, 80.0), N],
];
