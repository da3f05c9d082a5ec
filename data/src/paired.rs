//! The data set: images with clips of the same digit.

#[cfg(test)]
mod energy;
#[cfg(test)]
mod sharing;

use crate::{
    Dataset, Needs, Scaling, Settings, Split, Targets, Task,
    arrays::Map,
    augment::{Augmentation, COPIES, NoiseBank, plain_waveform},
    content::{Clip, ClipName, Content, PIXELS, Part, Wants},
    error::DataError,
    fft,
    held_out::Held,
    held_recordings::HeldRecordings,
    mel::{self, Mel, Scratch},
    modality::{MODALITY_NAMES, Modality, NOISE_NAMES},
    pairing::Pairing,
    preparation::{AudioScale, AugmentationKind, ImageScale, Preparation, standard_over},
    read_ahead::ReadAhead,
    shared::Open,
};
use randomness::{Purpose, Seed};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// Images paired with clips, whatever they were made from.
pub(crate) struct PairedDigits {
    rows: Arc<Rows>,
    /// From when it is first asked for; none if the system has no threads to give, and then whoever needs a row
    /// computes it.
    read_ahead: OnceLock<Option<ReadAhead<Address>>>,
}

/// A row that has to be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Address {
    /// Among the names.
    modality: usize,
    split: Split,
    sample: usize,
    epoch: u64,
}

/// What rows are made from.
struct Rows {
    seed: Seed,
    train_labels: Vec<u8>,
    test_labels: Vec<u8>,
    /// Of images that are not held out.
    train_pairing: Pairing,
    /// The clip of each training image that is.
    held_pairs: BTreeMap<u32, u32>,
    preparation: Preparation,
    /// The clip of each test sample.
    test_pairs: Vec<u32>,
    pixels: Option<Pixels>,
    spectra: Option<Spectra>,
    audio: Option<Audio>,
    digest: [u8; 32],
}

/// The images of both splits, [`PIXELS`] bytes a sample.
struct Pixels {
    train: Vec<u8>,
    test: Vec<u8>,
}

/// `fft` of both splits, [`fft::WIDTH`] values a sample.
struct Spectra {
    train: Vec<f32>,
    test: Vec<f32>,
    /// The constants of their scaling.
    scaling: Scaling,
}

/// What `mel` is computed from.
struct Audio {
    mel: Mel,
    scale: AudioScale,
    /// Where every position is standardised.
    positions: Option<Map>,
    bank: NoiseBank,
    clips: Vec<Clip>,
    /// Of each training clip that is held out.
    held: BTreeMap<u32, Vec<f32>>,
    /// [`mel::WIDTH`] values per test clip.
    test: Vec<f32>,
    /// Buffers not in use: as many as threads ever read at once.
    pool: Mutex<Vec<Scratch>>,
}

impl PairedDigits {
    /// Computes what does not change from epoch to epoch of the content that was loaded. Of training images that are
    /// held out nothing counts for the others.
    pub(crate) fn new(
        content: Content,
        wants: Wants,
        seed: Seed,
        preparation: Preparation,
        held: HeldRecordings,
    ) -> Self {
        let rows = Rows::new(content, wants, seed, preparation, held);
        PairedDigits { rows: Arc::new(rows), read_ahead: OnceLock::new() }
    }

    /// The data set of a node that shares rows with other nodes of this process. The shared rows have the modalities of
    /// all transmitters; a node without modalities, or with others, has rows of its own. `open` opens what is needed.
    ///
    /// # Errors
    /// Those of `open`.
    pub(crate) fn shared(
        settings: &Settings,
        seed: Seed,
        needs: &Needs,
        open: impl FnOnce(&Needs) -> Result<Self, DataError>,
    ) -> Result<Self, DataError> {
        let observed = settings.modalities();
        if needs.modalities.is_empty() || !needs.modalities.iter().all(|name| observed.contains(name)) {
            return open(needs);
        }
        let all = Needs { modalities: &observed, tasks: needs.tasks };
        let rows = OPEN.rows(settings, seed, || Ok(open(&all)?.rows))?;
        Ok(PairedDigits { rows, read_ahead: OnceLock::new() })
    }
}

/// The rows that nodes of this process share.
static OPEN: Open<Rows> = Open::new();

impl Rows {
    fn new(
        content: Content,
        wants: Wants,
        seed: Seed,
        preparation: Preparation,
        held: HeldRecordings,
    ) -> Self {
        let digest = digest(&content);
        let Content { train, test } = content;
        let HeldRecordings { rows, clips, pairs } = held;
        let images = train.images.zip(test.images);
        let spectra = images.as_ref().filter(|_| wants.spectra);
        Rows {
            seed,
            train_pairing: Pairing::among(&train.names, |clip| !clips.contains(clip)),
            preparation,
            test_pairs: Pairing::new(&test.names).cycled(&test.labels),
            spectra: spectra.map(|(train, test)| Spectra::new(train, test, &rows, preparation.image_scale)),
            pixels: images.filter(|_| wants.pixels).map(|(train, test)| Pixels { train, test }),
            audio: train.clips.zip(test.clips).map(|(train, test)| {
                let held = (&clips, &pairs);
                Audio::new(train, &test, held, preparation.audio_scale, seed)
            }),
            held_pairs: pairs,
            train_labels: train.labels,
            test_labels: test.labels,
            digest,
        }
    }

    fn labels(&self, split: Split) -> &[u8] {
        match split {
            Split::Train => &self.train_labels,
            Split::Test => &self.test_labels,
        }
    }

    fn read_image(&self, split: Split, sample: usize, out: &mut [f32]) {
        let pixels = self.pixels.as_ref().expect("image was not among the needs");
        let bytes = match split {
            Split::Train => &pixels.train,
            Split::Test => &pixels.test,
        };
        let bytes = &bytes[sample * PIXELS..][..PIXELS];
        out.iter_mut().zip(bytes).for_each(|(value, &pixel)| *value = fft::standardised(pixel));
    }

    fn read_fft(&self, split: Split, sample: usize, out: &mut [f32]) {
        let spectra = self.spectra.as_ref().expect("fft was not among the needs");
        let values = match split {
            Split::Train => &spectra.train,
            Split::Test => &spectra.test,
        };
        out.copy_from_slice(&values[sample * fft::WIDTH..][..fft::WIDTH]);
    }

    fn read_mel(&self, split: Split, sample: usize, epoch: u64, out: &mut [f32]) {
        let audio = self.audio.as_ref().expect("mel was not among the needs");
        match split {
            Split::Train if self.held_pairs.contains_key(&(sample as u32)) => {
                out.copy_from_slice(&audio.held[&self.held_pairs[&(sample as u32)]]);
            }
            Split::Train => {
                let epoch = if self.preparation.frozen_audio { 0 } else { epoch };
                let clip = self.train_pairing.drawn(self.seed, self.train_labels[sample], sample, epoch);
                audio.augmented(clip as usize, &self.augmentation(clip, sample, epoch), out);
            }
            Split::Test => {
                let clip = self.test_pairs[sample] as usize;
                out.copy_from_slice(&audio.test[clip * mel::WIDTH..][..mel::WIDTH]);
            }
        }
    }

    /// That of a training sample with a clip.
    fn augmentation(&self, clip: u32, sample: usize, epoch: u64) -> Augmentation {
        let mut stream = self.seed.stream(Purpose::Augmentation, &[sample as u64], epoch);
        match self.preparation.augmentation {
            AugmentationKind::Moderate => Augmentation::draw(&mut stream),
            AugmentationKind::None => Augmentation::none(),
            AugmentationKind::Script => {
                let copy = stream.below(COPIES);
                let of = |name: &str, address: &[u64]| {
                    self.seed.named_stream(Purpose::Augmentation, name, address, 0)
                };
                let mut augmentation = Augmentation::draw(&mut of("copy", &[u64::from(clip), copy]));
                augmentation.mask_as_the_script(&mut of("masks", &[u64::from(clip)]));
                augmentation
            }
        }
    }

    fn read_noise(&self, name: &str, split: Split, sample: usize, epoch: u64, out: &mut [f32]) {
        assert!(sample < self.labels(split).len(), "sample {sample} of {}", self.labels(split).len());
        let epoch = if split == Split::Train { epoch } else { 0 };
        let address = [split.index(), sample as u64];
        self.seed.named_stream(Purpose::Noise, name, &address, epoch).fill_normal(out);
    }

    fn read(&self, modality: &str, split: Split, sample: usize, epoch: u64, out: &mut [f32]) {
        let kind = Modality::named(modality).unwrap_or_else(|| panic!("no modality is called {modality:?}"));
        assert_eq!(out.len(), kind.width(), "values of {modality}");
        match kind {
            Modality::Image => self.read_image(split, sample, out),
            Modality::Fft => self.read_fft(split, sample, out),
            Modality::Mel => self.read_mel(split, sample, epoch, out),
            Modality::Noise => self.read_noise(modality, split, sample, epoch, out),
        }
    }
}

/// Computes rows ahead.
fn ahead(rows: Arc<Rows>) -> Option<ReadAhead<Address>> {
    let made = move |address: Address| {
        let name = MODALITY_NAMES[address.modality];
        let mut values = vec![0.0; Modality::named(name)?.width()];
        rows.read(name, address.split, address.sample, address.epoch, &mut values);
        Some(values)
    };
    ReadAhead::new(made).ok()
}

/// Which of the names it is, if its rows have to be computed and not only copied.
fn computed(modality: &str, split: Split) -> Option<usize> {
    let is_computed = match Modality::named(modality)? {
        Modality::Image | Modality::Fft => false,
        Modality::Mel => split == Split::Train,
        Modality::Noise => true,
    };
    MODALITY_NAMES.iter().position(|name| is_computed && *name == modality)
}

impl Dataset for PairedDigits {
    fn samples(&self, split: Split) -> usize {
        self.rows.labels(split).len()
    }

    fn width(&self, modality: &str) -> Option<usize> {
        Modality::named(modality).map(Modality::width)
    }

    fn shape(&self, modality: &str) -> Option<Vec<usize>> {
        Modality::named(modality).map(Modality::axes)
    }

    fn read(
        &self,
        modality: &str,
        split: Split,
        sample: usize,
        epoch: u64,
        out: &mut [f32],
    ) -> Result<(), DataError> {
        let address = computed(modality, split).map(|modality| Address { modality, split, sample, epoch });
        let ahead = self.read_ahead.get().and_then(Option::as_ref);
        match address.zip(ahead).and_then(|(address, ahead)| ahead.take(address)) {
            Some(values) => out.copy_from_slice(&values),
            None => self.rows.read(modality, split, sample, epoch, out),
        }
        Ok(())
    }

    fn scaling(&self, modality: &str) -> Option<Scaling> {
        match Modality::named(modality)? {
            Modality::Image => Some(fft::pixel_scaling()),
            Modality::Fft => self.rows.spectra.as_ref().map(|spectra| spectra.scaling.clone()),
            Modality::Mel => self.rows.audio.as_ref()?.positions.as_ref().map(Scaling::of),
            Modality::Noise => None,
        }
    }

    fn read_ahead(&self, modality: &str, split: Split, samples: &[(usize, u64)]) {
        let (Some(number), Some(kind)) = (computed(modality, split), Modality::named(modality)) else {
            return;
        };
        let addresses =
            samples.iter().map(|&(sample, epoch)| Address { modality: number, split, sample, epoch });
        if let Some(ahead) = self.read_ahead.get_or_init(|| ahead(self.rows.clone())) {
            ahead.expect(|address| address.modality == number, kind.width(), addresses);
        }
    }

    fn targets(&self, task: &str, split: Split) -> Option<Targets> {
        Task::named(task).map(|task| task.targets(self.rows.labels(split)))
    }

    fn clusters(&self) -> Vec<u32> {
        self.rows.test_pairs.clone()
    }

    fn digest(&self) -> [u8; 32] {
        self.rows.digest
    }
}

impl Spectra {
    fn new(train_images: &[u8], test_images: &[u8], held: &Held, scale: ImageScale) -> Self {
        let mut train = fft::magnitudes(train_images);
        let mut test = fft::magnitudes(test_images);
        if scale == ImageScale::Log {
            train.iter_mut().chain(&mut test).for_each(|value| *value = libm::log1pf(*value));
        }
        // The training set's range, or means and deviations, for all: what a receiver will see must depend neither on
        // the test set nor on what is held out.
        let images = train.chunks_exact(fft::WIDTH).enumerate().filter(|(row, _)| !held.contains(*row));
        let images = images.map(|(_, image)| image);
        let scaling = match scale {
            ImageScale::Range => {
                let range = fft::Range::of(images);
                range.scale(&mut train);
                range.scale(&mut test);
                range.scaling()
            }
            ImageScale::Standard | ImageScale::Log => {
                let positions = standard_over(fft::WIDTH, images);
                let rows = train.chunks_exact_mut(fft::WIDTH).chain(test.chunks_exact_mut(fft::WIDTH));
                rows.for_each(|row| positions.apply_in_place(row));
                Scaling::of(&positions)
            }
        };
        Spectra { train, test, scaling }
    }
}

impl Audio {
    /// `held_clips` and `held_pairs` say which clips are held out, and which training images have which of them.
    fn new(
        clips: Vec<Clip>,
        test_clips: &[Clip],
        (held_clips, held_pairs): (&Held, &BTreeMap<u32, u32>),
        scale: AudioScale,
        seed: Seed,
    ) -> Self {
        let mel = Mel::new();
        let mut scratch = mel.scratch();
        let mut unscaled = |clip: &Clip, out: &mut [f32]| {
            plain_waveform(clip, scratch.waveform());
            mel.spectrogram(&mut scratch, out);
            scale_clip(scale, out);
        };
        let positions = (scale == AudioScale::Standard).then(|| {
            let learnt = clips.iter().enumerate().filter(|(number, _)| !held_clips.contains(*number));
            let mut rows = Vec::new();
            for (_, clip) in learnt {
                let start = rows.len();
                rows.resize(start + mel::WIDTH, 0.0);
                unscaled(clip, &mut rows[start..]);
            }
            standard_over(mel::WIDTH, rows.chunks_exact(mel::WIDTH))
        });
        let mut plain = |clip: &Clip, out: &mut [f32]| {
            unscaled(clip, out);
            positions.iter().for_each(|positions| positions.apply_in_place(out));
        };
        let mut test = vec![0.0; test_clips.len() * mel::WIDTH];
        test_clips.iter().zip(test.chunks_exact_mut(mel::WIDTH)).for_each(|(clip, out)| plain(clip, out));
        let held: BTreeSet<u32> = held_pairs.values().copied().collect();
        let spectrogram = |clip: u32| {
            let mut out = vec![0.0; mel::WIDTH];
            plain(&clips[clip as usize], &mut out);
            (clip, out)
        };
        let held = held.into_iter().map(spectrogram).collect();
        let (bank, pool) = (NoiseBank::new(seed), Mutex::new(vec![scratch]));
        Audio { mel, scale, positions, bank, clips, held, test, pool }
    }

    fn augmented(&self, clip: usize, augmentation: &Augmentation, out: &mut [f32]) {
        // Buffers hold nothing that outlives a call, so those of a thread that panicked are as good as any.
        let pool = || self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = pool().pop();
        let mut scratch = spare.unwrap_or_else(|| self.mel.scratch());
        augmentation.waveform(&self.clips[clip], &self.bank, scratch.waveform());
        self.mel.spectrogram(&mut scratch, out);
        augmentation.masks(out);
        scale_clip(self.scale, out);
        self.positions.iter().for_each(|positions| positions.apply_in_place(out));
        pool().push(scratch);
    }
}

/// Scales the power spectrogram of a clip, as far as its scale depends on the clip alone.
fn scale_clip(scale: AudioScale, out: &mut [f32]) {
    if scale == AudioScale::Log {
        let mean = out.iter().map(|&power| f64::from(power)).sum::<f64>() / out.len() as f64;
        // Silence stays silent.
        let floor = if mean > 0.0 { 1e-3 * mean } else { 1.0 };
        out.iter_mut().for_each(|power| *power = libm::log(f64::from(*power) + floor) as f32);
    }
    mel::standardise(out);
}

/// What all nodes must agree on, whatever each of them has loaded.
pub(crate) fn digest(content: &Content) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"pom2dib data v1");
    for Part { labels, names, .. } in [&content.train, &content.test] {
        hash.update((labels.len() as u64).to_le_bytes());
        hash.update(labels);
        hash.update((names.len() as u64).to_le_bytes());
        for line in names.iter().map(ClipName::file_name) {
            hash.update(line);
            hash.update(b"\n");
        }
    }
    // Those that there were from the beginning: more of them make no other data of the same files.
    for name in ["fft", "mel"].iter().chain(&NOISE_NAMES) {
        let width = Modality::named(name).map_or(0, Modality::width);
        hash.update(format!("{name} {width}\n"));
    }
    hash.finalize().into()
}
