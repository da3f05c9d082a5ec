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
    books::Indexed, dithered::Dithered, on_air::OnAir, priors::encoder_diverged, rates::GroupRates,
    round_groups::RoundGroups, simulated::SimulatedEntries,
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
    pub(crate) groups: RateGroups,
    pub(crate) rates: GroupRates,
    /// Those of what arrives, where they are counted.
    pub(crate) received_rates: Option<GroupRates>,
    /// What travels, if that is not the features themselves.
    pub(crate) dithered: Option<Dithered>,
    /// The same, of simulated features.
    pub(crate) simulated: Option<SimulatedEntries>,
    /// The same, of those with a code book.
    pub(crate) indexed: Option<Indexed>,
}

/// Whose rates make up those of the entries.
pub(crate) enum RateGroups {
    /// For every entry the sizes of its own groups: the tick; in evaluation several.
    Own(Vec<Vec<usize>>),
    /// Where a tick has one sample only, the round's: an entry has what it adds.
    Round(RoundGroups),
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
        let estimated = coded().flat_map(CodedModality::estimated);
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
                    coded.entry_rates(estimated.next().expect("it was asked for").f64s())
                }
                GroupRates::Known(rates) => coded.entry_rates(rates),
            };
            let rates = found(&coded.rates);
            let received_rates = coded.received_rates.as_ref().map(found);
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
                let (mut coded, bits) = dithered(t, &places, form);
                coded.rates = rates.into_iter().map(encode_rate).collect();
                Packed { coded: Some(coded), bits, ..packed }
            }
            Coding::Gaussian if form.simulates => Packed { coded: Some(simulated(&places)), rates, ..packed },
            Coding::Quantised => Packed { coded: Some(quantised(t, &places, form)?), rates, ..packed },
            Coding::CodeBook => Packed { coded: Some(indexed(t, &places)), rates, ..packed },
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

/// The stream of receiver t's entries, where they are dithered, and how many bits each took.
fn dithered(t: usize, places: &[CodedEntry<'_>], form: &Form) -> (proto::v1::Coded, Vec<(usize, u64)>) {
    let mut encoder = Encoder::default();
    let (mut table, mut bits) = (0, Vec::with_capacity(places.len()));
    for CodedEntry { m, coded, place, .. } in places {
        let dithered = coded.dithered.as_ref().expect("all of a run's features are dithered, or none");
        let first = encoder.symbols();
        dithered.encode((*m, t), *place, [form.samples, form.d], &mut encoder);
        bits.push((*m, encoder.ideal_bits_from(first).ceil() as u64));
        table = dithered.table();
    }
    let coded = proto::v1::Coded { table, stream: encoder.finish().into(), ..proto::v1::Coded::default() };
    (coded, bits)
}

/// The stream of simulated entries.
fn simulated(places: &[CodedEntry<'_>]) -> proto::v1::Coded {
    let mut encoder = Encoder::default();
    let mut table = 0;
    for CodedEntry { coded, place, .. } in places {
        let simulated =
            coded.simulated.as_ref().expect("all of an evaluation's features are simulated, or none");
        simulated.write(*place, &mut encoder);
        table = simulated.table();
    }
    proto::v1::Coded { table, stream: encoder.finish().into(), ..proto::v1::Coded::default() }
}

/// The stream of receiver t's entries, where indices travel.
fn indexed(t: usize, places: &[CodedEntry<'_>]) -> proto::v1::Coded {
    let mut encoder = Encoder::default();
    let mut table = 0;
    for CodedEntry { m, coded, place, .. } in places {
        let indexed = coded.indexed.as_ref().expect("all of a run's features are indices, or none");
        indexed.write((*m, t), *place, &mut encoder);
        table = indexed.table();
    }
    proto::v1::Coded { table, stream: encoder.finish().into(), ..proto::v1::Coded::default() }
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

    /// The rates that are where they were computed: of what is sent, then of what arrives.
    fn estimated(&self) -> impl Iterator<Item = &Tensor> {
        std::iter::once(&self.rates).chain(&self.received_rates).filter_map(|rates| match rates {
            GroupRates::Estimated(rates) => Some(rates),
            GroupRates::Known(_) => None,
        })
    }

    /// The rate of every entry in nats, given those of all groups (or rows): the mean over its own, by samples.
    fn entry_rates(&self, found: &[f64]) -> Vec<f64> {
        let groups = match &self.groups {
            RateGroups::Own(groups) => groups,
            RateGroups::Round(groups) => return groups.in_order_of_rows(found),
        };
        let mut rates = found.iter();
        let mean = |groups: &Vec<usize>| {
            let weighted: f64 =
                groups.iter().zip(rates.by_ref()).map(|(&size, &rate)| size as f64 * rate).sum();
            weighted / groups.iter().sum::<usize>() as f64
        };
        groups.iter().map(mean).collect()
    }
}
