//! A small HandWritten folder, and the real one where there is one.

use flate2::{Compression, write::GzEncoder};
use pom2dib_data::{ArraySource, Chosen, DataError, Dataset, HandWritten, Needs, Settings};
use randomness::Seed;
use std::{fs, io::Write, path::Path};

/// Opens with seed 1 and what is needed.
pub(crate) fn opened(source: &Chosen, modalities: &[&str]) -> Result<Box<dyn Dataset>, DataError> {
    let modalities: Vec<String> = modalities.iter().map(|&name| name.into()).collect();
    source.open(Seed::from_number(1), &Needs { modalities: &modalities, tasks: &["digit".into()] })
}

/// The built-in digits.
pub(crate) fn digits() -> Chosen {
    Chosen::new(Settings::new("digits", None)).unwrap()
}

/// HandWritten as it is described.
pub(crate) fn handwritten(own: HandWritten) -> Chosen {
    let settings = Settings::new("handwritten", Some(own.folder));
    let settings = settings.with("validation", own.validation);
    let settings = match own.test_speaker {
        Some(speaker) => settings.with("test_speaker", speaker),
        None => settings,
    };
    Chosen::new(settings).unwrap()
}

/// Arrays as they are described.
pub(crate) fn arrays(own: ArraySource) -> Chosen {
    let settings = Settings { tasks: own.tasks, ..Settings::new("arrays", Some(own.folder)) };
    let normalisation = serde_json::to_value(own.normalisation).unwrap();
    Chosen::new(settings.with("normalisation", normalisation).with("noise_width", own.noise_width)).unwrap()
}

/// A folder like HandWritten's: 40 training and 20 test images, two speakers with 7 takes of each digit.
pub(crate) fn small_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mnist = folder.path().join("mnist");
    fs::create_dir_all(&mnist).unwrap();
    for (stem, count) in [("train", 40u8), ("t10k", 20)] {
        let labels: Vec<u8> = (0..count).map(|sample| sample * 7 % 10).collect();
        let pixels: Vec<u8> = (0..usize::from(count) * 784)
            .map(|at| (at * at / (57 + usize::from(count)) % 251) as u8)
            .collect();
        fs::write(mnist.join(format!("{stem}-labels-idx1-ubyte")), idx(0x801, &[count.into()], &labels))
            .unwrap();
        let images = idx(0x803, &[count.into(), 28, 28], &pixels);
        fs::write(mnist.join(format!("{stem}-images-idx3-ubyte.gz")), gzip(&images)).unwrap();
    }
    let recordings = folder.path().join("fsdd").join("recordings");
    fs::create_dir_all(&recordings).unwrap();
    for digit in 0..10 {
        for speaker in ["anna", "bert"] {
            for take in 0..7 {
                let samples =
                    (0..3000).map(|at: i32| (at * (digit + 3) * (take + 2) % 20_000 - 10_000) as i16);
                write_wav(&recordings.join(format!("{digit}_{speaker}_{take}.wav")), 8000, 1, samples);
            }
        }
    }
    folder
}

/// An idx file.
pub(crate) fn idx(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = [magic].iter().chain(sizes).flat_map(|word| word.to_be_bytes()).collect();
    bytes.extend(body);
    bytes
}

/// Compresses.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Writes a 16-bit wav file.
pub(crate) fn write_wav(path: &Path, sample_rate: u32, channels: u16, samples: impl Iterator<Item = i16>) {
    let sample_format = hound::SampleFormat::Int;
    let spec = hound::WavSpec { channels, sample_rate, bits_per_sample: 16, sample_format };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    samples.for_each(|sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
}
