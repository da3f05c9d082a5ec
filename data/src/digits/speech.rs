//! Speaking a digit: a pulse train and noise through three gliding resonances, 8 kHz.

use super::words::{Sound, WORDS};
use randomness::Stream;

const RATE: f64 = 8000.0;

/// Samples between two settings of the mouth: 5 ms.
const STEP: usize = 40;

/// How much of the way to its target the mouth moves in a step: a time constant of some 15 ms.
const GLIDE: f64 = 0.28;

/// Bandwidths of the three resonances in Hz, and of the hiss.
const WIDTHS: [f64; 3] = [80.0, 110.0, 160.0];
const HISS_WIDTH: f64 = 700.0;

/// How much one take of a voice differs from another, as fractions: speed, pitch, a sound's length, a formant.
const SPEED: f64 = 0.2;
const PITCH: f64 = 0.12;
const LENGTH: f64 = 0.25;
const FORMANT: f64 = 0.1;

/// And by which factors: the strength of each sound, and of all hisses of a take.
const STRESS: (f64, f64) = (0.6, 1.5);
const HISSING: (f64, f64) = (0.25, 1.5);

/// How loud voice and hiss are beside each other, given that their filters ring by some tens of decibels.
const VOICE_GAIN: f64 = 4.0;
const HISS_GAIN: f64 = 0.03;

/// Up to this many samples of silence come before a word: 150 ms.
const LEAD: u64 = 1200;

/// The recording's own noise, and its loudest sample, full scale being 1.
const FLOOR: f64 = 0.004;
const PEAK: (f64, f64) = (0.2, 0.9);

/// Somebody who speaks.
pub(super) struct Voice {
    /// Pitch in Hz.
    pitch: f64,
    /// By how much the resonances lie higher than a large man's.
    scale: f64,
    /// By how much the words are shorter.
    speed: f64,
    /// Air in the voice.
    breath: f64,
}

impl Voice {
    pub(super) fn draw(stream: &mut Stream) -> Self {
        let height = stream.uniform();
        Voice {
            pitch: 85.0 * libm::exp2(1.4 * height),
            // High voices come from small heads.
            scale: 0.9 + 0.25 * height + stream.uniform_in(-0.06, 0.06),
            speed: stream.uniform_in(0.7, 1.3),
            breath: stream.uniform_in(0.01, 0.08),
        }
    }
}

/// Speaks a digit once.
pub(super) fn say(digit: u8, voice: &Voice, stream: &mut Stream) -> Vec<i16> {
    let pitch = around(voice.pitch, PITCH, stream);
    let sounds = take(WORDS[usize::from(digit)], voice, stream);
    let waveform =
        Throat { pitch, breath: voice.breath, ..Throat::at_rest(sounds[0]) }.speak(&sounds, stream);
    record(&waveform, stream)
}

/// The sounds of a word as this voice speaks them this time.
fn take(word: &[Sound], voice: &Voice, stream: &mut Stream) -> Vec<Sound> {
    let speed = around(voice.speed, SPEED, stream);
    let hissing = stream.uniform_in(HISSING.0, HISSING.1);
    let sound = |sound: &Sound| {
        let stress = stream.uniform_in(STRESS.0, STRESS.1);
        Sound {
            formants: sound.formants.map(|formant| around(formant * voice.scale, FORMANT, stream)),
            voice: sound.voice * stress,
            hiss: sound.hiss * stress * hissing,
            pitch: around(sound.pitch, FORMANT, stream),
            duration: around(sound.duration / speed, LENGTH, stream),
        }
    };
    word.iter().map(sound).collect()
}

/// A value that differs from `value` by up to the fraction `spread`.
fn around(value: f64, spread: f64, stream: &mut Stream) -> f64 {
    value * (1.0 + stream.uniform_in(-spread, spread))
}

/// Brings a waveform to some loudness, adds the recording's noise and cuts to 16 bit.
fn record(waveform: &[f64], stream: &mut Stream) -> Vec<i16> {
    let peak = waveform.iter().fold(1e-9, |peak: f64, value| peak.max(value.abs()));
    let gain = stream.uniform_in(PEAK.0, PEAK.1) / peak;
    let mut sample = |value: &f64| ((gain * value + stream.uniform_in(-FLOOR, FLOOR)) * 32767.0) as i16;
    waveform.iter().map(&mut sample).collect()
}

/// The state of a speaking throat.
struct Throat {
    /// Where the mouth is on its way to the next target.
    mouth: Sound,
    pitch: f64,
    breath: f64,
    /// Of the current pulse, 0 to 1.
    phase: f64,
    /// The pulse after the vocal cords' low-pass filters.
    pulse: [f64; 2],
    resonances: [Resonance; 3],
    hiss: Resonance,
    /// The last value before the lips.
    inside: f64,
}

impl Throat {
    fn at_rest(first: Sound) -> Self {
        Throat {
            mouth: Sound { voice: 0.0, hiss: 0.0, ..first },
            pitch: 0.0,
            breath: 0.0,
            phase: 0.0,
            pulse: [0.0; 2],
            resonances: Default::default(),
            hiss: Resonance::default(),
            inside: 0.0,
        }
    }

    fn speak(mut self, sounds: &[Sound], stream: &mut Stream) -> Vec<f64> {
        let steps = |sound: &Sound| ((sound.duration / 1000.0 * RATE) as usize / STEP).max(2);
        let total: usize = sounds.iter().map(steps).sum();
        let mut out = vec![0.0; stream.below(LEAD + 1) as usize];
        let mut spoken = 0;
        for sound in sounds {
            for _ in 0..steps(sound) {
                self.step(sound, 1.1 - 0.3 * spoken as f64 / total as f64, stream, &mut out);
                spoken += 1;
            }
        }
        // Let the last sound die away.
        let end = Sound { voice: 0.0, hiss: 0.0, ..self.mouth };
        (0..8).for_each(|_| self.step(&end, 0.8, stream, &mut out));
        out
    }

    /// 5 ms of sound; the melody falls towards the end of a word.
    fn step(&mut self, target: &Sound, melody: f64, stream: &mut Stream, out: &mut Vec<f64>) {
        self.glide(target);
        // No two pulses of a throat come equally fast.
        let advance = self.pitch * melody * stream.uniform_in(0.97, 1.03) / RATE;
        for _ in 0..STEP {
            let noise = stream.uniform_in(-1.0, 1.0);
            let voice = self.mouth.voice * (self.cords(advance) + self.breath * noise);
            let voice = self.resonances.iter_mut().fold(voice, |value, resonance| resonance.pass(value));
            let hiss = self.hiss.pass(self.mouth.hiss * noise);
            let inside = VOICE_GAIN * voice + HISS_GAIN * hiss;
            // Lips radiate changes of pressure.
            out.push(inside - 0.9 * self.inside);
            self.inside = inside;
        }
    }

    fn glide(&mut self, target: &Sound) {
        let towards = |value: &mut f64, target: f64| *value += GLIDE * (target - *value);
        for (formant, target) in self.mouth.formants.iter_mut().zip(target.formants) {
            towards(formant, target);
        }
        towards(&mut self.mouth.voice, target.voice);
        towards(&mut self.mouth.hiss, target.hiss);
        towards(&mut self.mouth.pitch, target.pitch);
        for ((resonance, formant), width) in self.resonances.iter_mut().zip(self.mouth.formants).zip(WIDTHS) {
            resonance.tune(formant, width);
        }
        self.hiss.tune(self.mouth.pitch, HISS_WIDTH);
    }

    /// The vocal cords: an impulse per period, softened twice.
    fn cords(&mut self, advance: f64) -> f64 {
        self.phase += advance;
        let mut value = 0.0;
        if self.phase >= 1.0 {
            self.phase -= 1.0;
            value = 1.0;
        }
        for state in &mut self.pulse {
            *state += 0.35 * (value - *state);
            value = *state;
        }
        value
    }
}

/// A two-pole resonator whose gain at 0 Hz is 1.
#[derive(Default)]
struct Resonance {
    gain: f64,
    first: f64,
    second: f64,
    before: [f64; 2],
}

impl Resonance {
    fn tune(&mut self, centre: f64, width: f64) {
        let radius = libm::exp(-std::f64::consts::PI * width / RATE);
        // Above 3900 Hz it would fold back.
        let angle = std::f64::consts::TAU * centre.min(3900.0) / RATE;
        self.first = 2.0 * radius * libm::cos(angle);
        self.second = -radius * radius;
        self.gain = 1.0 - self.first - self.second;
    }

    fn pass(&mut self, value: f64) -> f64 {
        let out = self.gain * value + self.first * self.before[0] + self.second * self.before[1];
        self.before = [out, self.before[0]];
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use randomness::{Purpose, Seed};

    #[test]
    fn every_digit_is_heard_and_fits_a_second_or_little_more() {
        for take in 0..100 {
            let mut stream = Seed::from_number(1).stream(Purpose::Test, &[take], 0);
            let voice = Voice::draw(&mut stream);
            let clip = say((take % 10) as u8, &voice, &mut stream);
            assert!((1500..10_000).contains(&clip.len()), "{} samples", clip.len());
            let loudest = clip.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
            assert!((6000..30_500).contains(&loudest), "{loudest}");
        }
    }
}
