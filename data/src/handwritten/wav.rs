//! FSDD's recordings.

use crate::{content::Clip, error::DataError};
use hound::{SampleFormat, WavReader};
use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

const RATE: u32 = 8000;

/// Reads a recording: 8 kHz, mono, 16 bit, at least one sample.
pub(crate) fn read(path: &Path) -> Result<Clip, DataError> {
    let file = File::open(path).map_err(|source| DataError::io(path, source))?;
    parse(BufReader::new(file)).map_err(|problem| DataError::malformed(path, problem))
}

/// The number of samples of a recording in the content of a wav file.
///
/// # Errors
///
/// What is wrong with the file, as words that follow its name.
pub fn parse_wav(content: &[u8]) -> Result<usize, String> {
    parse(content).map(|clip| clip.samples.len())
}

/// The same from any bytes; the error says what is wrong with them.
pub(crate) fn parse(reader: impl Read) -> Result<Clip, String> {
    let mut wav = WavReader::new(reader).map_err(|error| unreadable(&error))?;
    let spec = wav.spec();
    if (spec.sample_rate, spec.channels, spec.bits_per_sample, spec.sample_format)
        != (RATE, 1, 16, SampleFormat::Int)
    {
        return Err(format!(
            "has {} Hz, {} channels and {} bits ({:?}), but 8000 Hz, 1 channel and 16 bits (Int) are needed",
            spec.sample_rate, spec.channels, spec.bits_per_sample, spec.sample_format
        ));
    }
    let samples: Vec<i16> = wav.samples().collect::<Result<_, _>>().map_err(|error| unreadable(&error))?;
    if samples.is_empty() {
        return Err("holds no samples".into());
    }
    Ok(Clip::new(samples))
}

fn unreadable(error: &hound::Error) -> String {
    match error {
        hound::Error::IoError(source) => format!("is truncated or unreadable ({source})"),
        hound::Error::FormatError(problem) => format!("is no sound wav file ({problem})"),
        _ => format!("is no wav file that can be read here ({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn file(sample_rate: u32, channels: u16, samples: u16) -> Vec<u8> {
        let spec =
            hound::WavSpec { channels, sample_rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        (0..samples * channels).for_each(|sample| writer.write_sample(sample as i16).unwrap());
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    #[test]
    fn sound_files_are_read_and_others_are_named_by_what_is_wrong() {
        assert_eq!(parse(&file(8000, 1, 5)[..]).unwrap().samples, [0, 1, 2, 3, 4]);
        let truncated = file(8000, 1, 5);
        for (bytes, problem) in [
            (&truncated[..truncated.len() - 3], "truncated"),
            (&file(16_000, 1, 5), "has 16000 Hz"),
            (&file(8000, 2, 5), "2 channels"),
            (&file(8000, 1, 0), "holds no samples"),
            (b"RIFX", "wav file"),
            (b"", "truncated"),
        ] {
            let error = parse(bytes).err().expect(problem);
            assert!(error.contains(problem) && !error.contains('\n'), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(changes in prop::collection::vec((0usize..64, any::<u8>()), 0..8), length in 0usize..64) {
            let mut bytes = file(8000, 1, 10);
            changes.into_iter().for_each(|(at, value)| bytes[at] = value);
            let _ = parse(&bytes[..length]);
            let _ = parse(&bytes[..]);
        }

        #[test]
        fn no_noise_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = parse(&bytes[..]);
        }
    }
}
