//! What the encoders have made of a part of a round, and how it goes to the receivers.

use std::sync::Arc;

use candle_core::Tensor;
use dib::{
    Encoded, Features, Numbers, Phase, Trace,
    coding::{Encoder, Levels},
};
use node::{Context, NodeError};
use proto::{Packer, encode_rate};
use scenario::{Coding, Scenario};

use crate::{
    books::Indexed,
    dithered::Dithered,
    on_air::OnAir,
    own::OwnEntries,
    priors::encoder_diverged,
    rates::{GroupRates, Rated},
    simulated::SimulatedEntries,
};

/// All granted entries of a part of a round (or of a piece), encoded: one batched pass a modality.
pub(crate) struct Coded {
    /// For every modality, what its encoder was given and gave; none where nobody was granted it.
    pub(crate) modalities: Vec<Option<CodedModality>>,
}

/// What one modality's encoder made of its granted entries.
pub(crate) struct CodedModality {
    /// The entries (tick, receiver), in the order of the encoder's rows. Under multicast a tick has a single entry, of
    /// its [`owner`].
    pub(crate) entries: Vec<(usize, usize)>,
    /// As the rate of what is sent is counted with them.
    pub(crate) features: Features,
    pub(crate) on_air: OnAir,
    /// What the backward pass needs; none in evaluation.
    pub(crate) encoded: Option<Encoded>,
    /// What the backward pass of the encoder's trunk needs, if it has one.
    pub(crate) seen: Option<Trace>,
    pub(crate) travels: Travels,
    pub(crate) rated: Rated,
}

/// As what a modality's entries travel.
pub(crate) enum Travels {
    /// As their values, or levels of these.
    Values,
    /// As integers.
    Dithered(Dithered),
    /// As numbers of proposals.
    Simulated(SimulatedEntries),
    /// As indices of a code book.
    Indexed(Indexed),
    /// As symbols of a coding of a user's program.
    Own(OwnEntries),
}

/// A modality's numbers, fetched from the device.
struct Fetched<'a> {
    /// All entries, `samples` rows of d values each.
    z: &'a [f32],
    /// One an entry, in nats.
    rates: Vec<f64>,
    /// Of what arrives, where that is counted.
    received_rates: Option<Vec<f64>>,
}

/// As what features travel, and how many values an entry has.
pub(crate) struct Form {
    coding: Coding,
    /// Whether Gaussian values travel as numbers of proposals.
    simulates: bool,
    /// Of a quantised value.
    bits: u32,
    samples: usize,
    d: usize,
    /// The transmitter, for errors.
    transmitter: usize,
    /// The names of its modalities, for errors, and who owns a feature.
    scenario: Arc<Scenario>,
}

impl Form {
    /// That of a run's features, of entries of so many samples.
    pub(crate) fn of(context: &Context, phase: Phase, samples: usize) -> Self {
        let train = &context.scenario.train;
        let coding = context.scenario.travels_as();
        let simulates = phase == Phase::Evaluate && train.simulates();
        Form {
            coding,
            simulates,
            bits: train.bits,
            samples,
            d: context.feature_dim(),
            transmitter: context.index,
            scenario: context.scenario.clone(),
        }
    }

    /// Values of an entry.
    fn size(&self) -> usize {
        self.samples * self.d
    }
}

/// What a receiver gets.
#[derive(Default)]
pub(crate) struct Packed {
    /// `samples` rows of d values an entry; none of features that are coded.
    pub(crate) z: Option<proto::v1::Tensor>,
    /// Those.
    pub(crate) coded: Option<proto::v1::Coded>,
    /// One an entry, in nats; of dithered features they are with what is coded.
    pub(crate) rates: Vec<f64>,
    /// The same of what arrives at it; none if that is not counted.
    pub(crate) received_rates: Vec<f64>,
    /// The sum of the rates, however they travel.
    pub(crate) sum: f64,
    /// Of dithered features, how many bits each of the entries took: (modality, bits).
    pub(crate) bits: Vec<(usize, u64)>,
}

/// The receiver of the encoded entry that receiver t gets: receiver t, or under multicast receiver 0, whose entry all
/// recipients get.
pub(crate) fn owner(scenario: &Scenario, t: usize) -> usize {
    if scenario.network.multicast { 0 } else { t }
}

impl Coded {
    /// For every receiver, features and rates of its entries (tick, modality), in their order. Which receivers get the
    /// rates of what arrives, `counts_received` says.
    pub(crate) fn pack(
        &self,
        entries: &[Vec<(usize, usize)>],
        form: &Form,
        counts_received: impl Fn(usize) -> bool,
    ) -> Result<Vec<Packed>, NodeError> {
        let coded = || self.modalities.iter().flatten();
        let z: Vec<Tensor> =
            coded().map(|coded| coded.sent().contiguous()).collect::<Result<_, candle_core::Error>>()?;
        let estimated = coded().flat_map(|coded| coded.rated.estimated());
        let wanted: Vec<&Tensor> = z.iter().chain(estimated).collect();
        dib::with_numbers(&wanted, |numbers| {
            let fetched = self.fetched(numbers.split_at(z.len()));
            let of_receiver = |(t, entries): (usize, &Vec<_>)| {
                self.packed(&fetched, (t, counts_received(t)), entries, form)
            };
            entries.iter().enumerate().map(of_receiver).collect()
        })?
    }

    /// By modality, given z of those that were encoded and the rates that were estimated on the device.
    fn fetched<'a>(&self, (z, estimated): (&'a [Numbers<'a>], &[Numbers<'_>])) -> Vec<Option<Fetched<'a>>> {
        let (mut z, mut estimated) = (z.iter(), estimated.iter());
        let mut of_modality = |coded: &CodedModality| {
            let mut found = |rates: &GroupRates| match rates {
                GroupRates::Estimated(_) => {
                    coded.rated.of_entries(estimated.next().expect("it was asked for").f64s())
                }
                GroupRates::Known(rates) => coded.rated.of_entries(rates),
            };
            let rates = found(&coded.rated.sent);
            let received_rates = coded.rated.received.as_ref().map(found);
            Fetched { z: z.next().expect("it was asked for").f32s(), rates, received_rates }
        };
        self.modalities.iter().map(|coded| coded.as_ref().map(&mut of_modality)).collect()
    }

    /// What receiver t gets.
    fn packed(
        &self,
        fetched: &[Option<Fetched<'_>>],
        (t, counts_received): (usize, bool),
        entries: &[(usize, usize)],
        form: &Form,
    ) -> Result<Packed, NodeError> {
        let owner = owner(&form.scenario, t);
        let places: Vec<CodedEntry<'_>> =
            entries.iter().map(|&(tick, m)| self.place(fetched, (tick, owner, m))).collect();
        // In service most features have no rate.
        let rates: Vec<f64> =
            places.iter().filter_map(|at| at.fetched.rates.get(at.place).copied()).collect();
        let received = |at: &CodedEntry<'_>| at.fetched.received_rates.as_ref().map(|rates| rates[at.place]);
        let received_rates = places.iter().filter(|_| counts_received).filter_map(received).collect();
        let packed = Packed { sum: rates.iter().sum(), received_rates, ..Packed::default() };
        Ok(match form.coding {
            Coding::Dithered => {
                let (mut coded, bits) = stream(t, &places, form);
                coded.rates = rates.into_iter().map(encode_rate).collect();
                Packed { coded: Some(coded), bits, ..packed }
            }
            Coding::Gaussian if form.simulates => {
                Packed { coded: Some(stream(t, &places, form).0), rates, ..packed }
            }
            Coding::CodeBook | Coding::Own => {
                Packed { coded: Some(stream(t, &places, form).0), rates, ..packed }
            }
            Coding::Quantised => Packed { coded: Some(quantised(t, &places, form)?), rates, ..packed },
            Coding::Gaussian | Coding::Deterministic => {
                let shape = [entries.len(), form.samples, form.d];
                let mut packer = Packer::new(shape.iter().product());
                places.iter().for_each(|at| packer.extend(at.values(form).iter().copied()));
                Packed { z: Some(packer.pack(&shape)), rates, ..packed }
            }
        })
    }

    /// Where the entry (tick, receiver, modality) stands.
    fn place<'a>(
        &'a self,
        fetched: &'a [Option<Fetched<'a>>],
        (tick, t, m): (usize, usize, usize),
    ) -> CodedEntry<'a> {
        let coded = self.modalities[m].as_ref().expect("a granted entry is encoded");
        let fetched = fetched[m].as_ref().expect("a granted entry is encoded");
        let place = coded.entries.binary_search(&(tick, t)).expect("a granted entry is encoded");
        CodedEntry { m, coded, fetched, place }
    }
}

/// An entry among those of its modality.
struct CodedEntry<'a> {
    m: usize,
    coded: &'a CodedModality,
    fetched: &'a Fetched<'a>,
    place: usize,
}

impl CodedEntry<'_> {
    /// Its values, row after row.
    fn values(&self, form: &Form) -> &[f32] {
        &self.fetched.z[self.place * form.size()..(self.place + 1) * form.size()]
    }
}

impl Travels {
    /// Adds the symbols of receiver t's entry that stands at a place, of `size` rows and values a row, to a stream;
    /// gives the number of the tables that it is read with, 0 if it is read with none.
    fn write(&self, (m, t): (usize, usize), place: usize, size: [usize; 2], into: &mut Encoder) -> u64 {
        match self {
            Travels::Dithered(dithered) => {
                dithered.encode((m, t), place, size, into);
                dithered.table()
            }
            Travels::Simulated(simulated) => {
                simulated.write(place, into);
                simulated.table()
            }
            Travels::Indexed(indexed) => {
                indexed.write((m, t), place, into);
                indexed.table()
            }
            Travels::Own(own) => {
                own.write(place, into);
                0
            }
            Travels::Values => unreachable!("all of a run's features travel as symbols, or none"),
        }
    }
}

/// The stream of receiver t's entries, where they travel as symbols; of dithered ones also how many bits each took.
fn stream(t: usize, places: &[CodedEntry<'_>], form: &Form) -> (proto::v1::Coded, Vec<(usize, u64)>) {
    let mut encoder = Encoder::default();
    let (mut table, mut bits) = (0, Vec::new());
    for CodedEntry { m, coded, place, .. } in places {
        let first = encoder.symbols();
        table = coded.travels.write((*m, t), *place, [form.samples, form.d], &mut encoder);
        if matches!(coded.travels, Travels::Dithered(_)) {
            bits.push((*m, encoder.ideal_bits_from(first).ceil() as u64));
        }
    }
    let coded = proto::v1::Coded { table, stream: encoder.finish().into(), ..proto::v1::Coded::default() };
    (coded, bits)
}

/// The stream of receiver t's quantised entries. The code of a level follows its count so far in its modality and
/// dimension.
fn quantised(t: usize, places: &[CodedEntry<'_>], form: &Form) -> Result<proto::v1::Coded, NodeError> {
    let mut encoder = Encoder::default();
    let mut levels = Levels::new(form.bits, form.d);
    for at in places {
        let values = at.values(form);
        // It would travel as a level, and the receiver would find no error.
        if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
            return Err(encoder_diverged(&form.scenario, [form.transmitter, t, at.m], value));
        }
        levels.encode(at.m, values, &mut encoder);
    }
    Ok(proto::v1::Coded { stream: encoder.finish().into(), ..proto::v1::Coded::default() })
}

impl CodedModality {
    /// What is sent, [rows, feature_dim].
    fn sent(&self) -> &Tensor {
        self.on_air.amplified.as_ref().map_or(&self.features.z, |amplified| &amplified.sent)
    }

    /// What the backward pass needs.
    pub(crate) fn trained(&self) -> &Encoded {
        self.encoded.as_ref().expect("a training round keeps what its backward pass needs")
    }
}
