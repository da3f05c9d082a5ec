//! What the encoders have made of a part of a round, and how it goes to the receivers.

use candle_core::Tensor;
use dib::{Encoded, Features, Numbers, Trace, coding::Encoder};
use node::NodeError;
use proto::Packer;

use crate::{dithered::Dithered, on_air::OnAir, rates::GroupRates, round_groups::RoundGroups};

/// All granted entries of a part of a round (or of a piece), encoded: one batched pass a modality.
pub(crate) struct Coded {
    /// For every modality, what its encoder was given and gave; none where nobody was granted it.
    pub(crate) modalities: Vec<Option<CodedModality>>,
}

/// What one modality's encoder made of its granted entries.
pub(crate) struct CodedModality {
    /// The entries (tick, receiver), in the order of the encoder's rows.
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

/// What a receiver gets.
pub(crate) struct Packed {
    /// `samples` rows of d values an entry; none of dithered features.
    pub(crate) z: Option<proto::v1::Tensor>,
    /// The same, if it is dithered.
    pub(crate) coded: Option<proto::v1::Coded>,
    /// One an entry, in nats.
    pub(crate) rates: Vec<f64>,
    /// The same of what arrives at it; none if that is not counted.
    pub(crate) received_rates: Vec<f64>,
}

impl Coded {
    /// For every receiver, z and rates of its entries (tick, modality), in their order: `samples` rows of d values an entry. Which
    /// receivers get the rates of what arrives, `counts_received` says.
    pub(crate) fn pack(
        &self,
        entries: &[Vec<(usize, usize)>],
        (samples, d): (usize, usize),
        counts_received: impl Fn(usize) -> bool,
        is_dithered: bool,
    ) -> Result<Vec<Packed>, NodeError> {
        let coded = || self.modalities.iter().flatten();
        let z: Vec<Tensor> =
            coded().map(|coded| coded.sent().contiguous()).collect::<Result<_, candle_core::Error>>()?;
        let estimated = coded().flat_map(CodedModality::estimated);
        let wanted: Vec<&Tensor> = z.iter().chain(estimated).collect();
        let packed = dib::with_numbers(&wanted, |numbers| {
            let fetched = self.fetched(numbers.split_at(z.len()));
            let of_receiver = |(t, entries): (usize, &Vec<_>)| {
                self.packed(&fetched, (t, counts_received(t)), entries, [samples, d], is_dithered)
            };
            entries.iter().enumerate().map(of_receiver).collect()
        })?;
        Ok(packed)
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
        [samples, d]: [usize; 2],
        is_dithered: bool,
    ) -> Packed {
        let shape = [entries.len(), samples, d];
        // Where all is dithered, the stream of no entries is empty.
        let coded = is_dithered.then(|| self.stream(t, entries, [samples, d]));
        let mut packer = Packer::new(if is_dithered { 0 } else { shape.iter().product() });
        let mut rates = Vec::with_capacity(entries.len());
        let mut received_rates = Vec::new();
        for &(tick, m) in entries {
            let coded = self.modalities[m].as_ref().expect("a granted entry is encoded");
            let of_modality = fetched[m].as_ref().expect("a granted entry is encoded");
            let place = coded.entries.binary_search(&(tick, t)).expect("a granted entry is encoded");
            if !is_dithered {
                packer.extend(of_modality.z[place * samples * d..(place + 1) * samples * d].iter().copied());
            }
            rates.push(of_modality.rates[place]);
            if counts_received {
                received_rates.extend(of_modality.received_rates.as_ref().map(|rates| rates[place]));
            }
        }
        let z = (!is_dithered).then(|| packer.pack(&shape));
        Packed { z, coded, rates, received_rates }
    }

    /// The stream of a receiver's entries.
    fn stream(&self, t: usize, entries: &[(usize, usize)], shape: [usize; 2]) -> proto::v1::Coded {
        let mut encoder = Encoder::default();
        let mut table = 0;
        for &(tick, m) in entries {
            let coded = self.modalities[m].as_ref().expect("a granted entry is encoded");
            let place = coded.entries.binary_search(&(tick, t)).expect("a granted entry is encoded");
            let dithered = coded.dithered.as_ref().expect("all of a run's features are dithered, or none");
            dithered.encode((m, t), place, shape, &mut encoder);
            table = dithered.table();
        }
        proto::v1::Coded { table, stream: encoder.finish().into() }
    }
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
