//! The encoders of a transmitter: from samples of what is granted to what is sent.

mod code;
mod learn;
mod plan;

use std::{ops::Range, sync::Arc};

use candle_core::{Device, Tensor};
use data::{Dataset, Split};
use dib::{
    Block, Encoder, EncoderKind, Grants, Input, Network, Phase, RowAddresses, SampleAt, Trace, Upload,
};
use node::{Context, NodeError, OwnCoding, Profiler, ProfilerPhase};
use proto::Served;

use self::{
    code::Made,
    plan::{Batch, Planned, blocks, entries_of, in_places, lagging_rows},
};
use crate::{
    averages::Averages,
    books::Books,
    coded::{Coded, CodedModality},
    disturbed::blur_weights,
    observed::Observed,
    priors::{EntryRows, Priors},
    trunk::{Seen, Trunk},
};

/// The encoders f_k^m of a transmitter, one a modality.
pub(crate) struct Encoders {
    encoders: Vec<Encoder>,
    /// Of each encoder the part that sees a sample for all receivers alike, where it has one.
    trunks: Vec<Option<Trunk>>,
    kind: EncoderKind,
    widths: Vec<usize>,
    dataset: Arc<dyn Dataset>,
    /// Validation rows, where there are any, in the place of the test split.
    validation: Option<Arc<dyn Dataset>>,
    /// Of every test row the one that sensors show, where they lag behind.
    lagging: Option<Vec<usize>>,
    /// The weights by which evaluations blur test rows, if they do.
    blur_weights: Option<Vec<f64>>,
    /// Of every receiver, [T, feature_dim]: an encoder's input says for whom it encodes.
    task_inputs: Tensor,
    /// Where rates are counted against priors.
    pub(crate) priors: Option<Priors>,
    /// Where indices travel.
    pub(crate) books: Option<Books>,
    /// Where a coding of a user's program makes symbols.
    own: Option<OwnCoding>,
    /// Where a channel's power is limited on average.
    averages: Option<Averages>,
}

impl Encoders {
    pub(crate) fn new(context: &Context, dataset: Arc<dyn Dataset>) -> Result<Self, NodeError> {
        let (k, d) = (context.index, context.feature_dim());
        let modalities = &context.scenario.transmitter[k].modalities;
        let widths = modalities
            .iter()
            .map(|modality| {
                let unknown =
                    || NodeError::Input(format!("the data set provides no modality \"{modality}\""));
                dataset.width(modality).ok_or_else(unknown)
            })
            .collect::<Result<Vec<usize>, NodeError>>()?;
        let kind = node::encoder_kind(&context.scenario)?;
        let (mut encoders, mut trunks) = (Vec::new(), Vec::new());
        for (m, modality) in modalities.iter().enumerate() {
            let axes = dataset.shape(modality).unwrap_or_else(|| vec![widths[m]]);
            let described = context.scenario.encoder(modality);
            let modules = node::encoder(&context.scenario, k, modality, &axes)?;
            let name = format!("transmitter{k}/encoder{m}");
            let head = if modules.trunk.is_some() { described.head() } else { described.clone() };
            let network = node::network(context, &head, &name, modules.head)?;
            encoders.push(Encoder::new(network, d, kind)?);
            let trunk = modules.trunk.map(|module| Trunk::new(context, &described, m, module));
            trunks.push(trunk.transpose()?);
        }
        let task_inputs = node::task_inputs(&context.scenario, context.seed);
        let task_inputs = Tensor::from_vec(task_inputs.concat(), (task_inputs.len(), d), &context.device)?;
        let priors = Priors::new(context)?;
        let books = Books::new(context)?;
        let own = node::added_coding(&context.scenario, context.seed)?;
        let averages = Averages::new(context);
        let lagging = lagging_rows(context, dataset.as_ref())?;
        let deviation = context.scenario.evaluation.blur;
        Ok(Encoders {
            encoders,
            trunks,
            kind,
            widths,
            dataset,
            validation: None,
            lagging,
            blur_weights: (deviation > 0.0).then(|| blur_weights(deviation)),
            task_inputs,
            priors,
            books,
            own,
            averages,
        })
    }

    pub(crate) fn validate_on(&mut self, validation: Option<Arc<dyn Dataset>>) {
        self.validation = validation;
    }

    /// The data set whose test split a pass is over.
    pub(crate) fn evaluated(&self, pass: u64) -> Result<&dyn Dataset, NodeError> {
        let none = || NodeError::protocol("the coordinator", "orders a validation, and no rows are held out");
        match node::is_validation(pass) {
            true => self.validation.as_deref().ok_or_else(none),
            false => Ok(self.dataset.as_ref()),
        }
    }

    pub(crate) fn networks(&self) -> impl Iterator<Item = &Network> {
        let trunks = self.trunks.iter().flatten().map(Trunk::network);
        let priors = self.priors.iter().flat_map(Priors::networks);
        let books = self.books.iter().flat_map(Books::networks);
        self.encoders.iter().map(Encoder::network).chain(trunks).chain(priors).chain(books)
    }

    pub(crate) fn networks_mut(&mut self) -> impl Iterator<Item = &mut Network> {
        let trunks = self.trunks.iter_mut().flatten().map(Trunk::network_mut);
        let priors = self.priors.iter_mut().flat_map(Priors::networks_mut);
        let books = self.books.iter_mut().flat_map(Books::networks_mut);
        self.encoders.iter_mut().map(Encoder::network_mut).chain(trunks).chain(priors).chain(books)
    }

    /// The number of the tables or code books that receivers are to have for a phase; none if they need none.
    pub(crate) fn number_of_tables(&self, phase: Phase) -> Option<u64> {
        let of_books = self.books.as_ref().and_then(|books| books.in_force(phase));
        let of_priors = self.priors.as_ref().and_then(|priors| priors.number(phase));
        of_books.map(|tables| tables.number).or(of_priors)
    }

    /// What a receiver is to have of a modality's entry, as it travels.
    pub(crate) fn table(&self, phase: Phase, (m, t): (usize, usize)) -> Vec<u8> {
        let of_books = self.books.as_ref().and_then(|books| books.in_force(phase));
        let of_priors = || self.priors.as_ref().map(|priors| priors.bytes(phase, (m, t)));
        of_books.map(|tables| tables.of[m][t].to_bytes()).or_else(of_priors).unwrap_or_default()
    }

    /// Encodes all granted entries of a part of a training round, with what the backward pass needs.
    pub(crate) fn encode(
        &self,
        context: &Context,
        first_tick: u64,
        samples: &[Vec<SampleAt>],
        grants: &Grants,
        profiler: &mut Profiler,
    ) -> Result<Coded, NodeError> {
        let batch = Batch {
            phase: Phase::Train,
            dataset: self.dataset.as_ref(),
            split: Split::Train,
            first_moment: first_tick,
            pass: 0,
            first_tick: Some(first_tick),
            samples,
            served: None,
            given: None,
        };
        self.encode_all(context, &batch, grants, profiler)
    }

    /// Encodes a piece of the test set, tape-free: under the one selection of a pass, or that of each of its ticks.
    pub(crate) fn encode_piece(
        &self,
        context: &Context,
        (pass, piece): (u64, u64),
        moment: u64,
        samples: Range<usize>,
        grants: &Grants,
        profiler: &mut Profiler,
    ) -> Result<Coded, NodeError> {
        let of_tick = samples.len() / context.ticks_of_piece(samples.len()).max(1);
        let all: Vec<SampleAt> = samples.map(|sample| SampleAt { sample, epoch: 0 }).collect();
        let samples: Vec<Vec<SampleAt>> = all.chunks(of_tick.max(1)).map(<[_]>::to_vec).collect();
        let batch = Batch {
            phase: Phase::Evaluate,
            dataset: self.evaluated(pass)?,
            split: Split::Test,
            first_moment: moment,
            pass,
            first_tick: Some(context.first_group(piece)),
            samples: &samples,
            served: None,
            given: None,
        };
        self.encode_all(context, &batch, grants, profiler)
    }

    /// Encodes a batch of a stream: rows of the test set, or what is given in their place. What is drawn is what
    /// [`Self::encode_piece`] draws for those rows; `moment` is that of their piece.
    pub(crate) fn encode_served(
        &self,
        context: &Context,
        (served, moment): (Served, u64),
        rows: Range<usize>,
        given: Option<&Observed>,
        grants: &Grants,
        profiler: &mut Profiler,
    ) -> Result<Coded, NodeError> {
        let samples = [rows.map(|sample| SampleAt { sample, epoch: 0 }).collect()];
        let batch = Batch {
            phase: Phase::Evaluate,
            dataset: self.dataset.as_ref(),
            split: Split::Test,
            first_moment: moment,
            pass: served.pass,
            first_tick: Some(context.served_groups(served).0),
            samples: &samples,
            served: Some(served),
            given,
        };
        self.encode_all(context, &batch, grants, profiler)
    }

    /// Values a sample, by modality.
    pub(crate) fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// Encodes rows of the training set as in an epoch that training never comes to, under the one selection of a pass,
    /// tape-free.
    pub(crate) fn encode_training_rows(
        &self,
        context: &Context,
        moment: u64,
        samples: &[usize],
        grants: &Grants,
        profiler: &mut Profiler,
    ) -> Result<Coded, NodeError> {
        let at = |&sample: &usize| SampleAt { sample, epoch: u64::MAX };
        let samples = [samples.iter().map(at).collect()];
        let batch = Batch {
            phase: Phase::Evaluate,
            dataset: self.dataset.as_ref(),
            split: Split::Train,
            first_moment: moment,
            pass: 0,
            first_tick: None,
            samples: &samples,
            served: None,
            given: None,
        };
        self.encode_all(context, &batch, grants, profiler)
    }

    fn encode_all(
        &self,
        context: &Context,
        batch: &Batch<'_>,
        grants: &Grants,
        profiler: &mut Profiler,
    ) -> Result<Coded, NodeError> {
        profiler.turn_to(ProfilerPhase::Read);
        let mut upload = Upload::new();
        let mut planned = Vec::new();
        for m in 0..self.encoders.len() {
            let entries = entries_of(context, grants, m);
            if !entries.is_empty() {
                planned.push(self.plan(context, batch, m, entries, &mut upload)?);
            }
        }
        let uploaded = upload.send(&context.device)?;
        let mut modalities: Vec<Option<CodedModality>> = (0..self.encoders.len()).map(|_| None).collect();
        for planned in planned {
            let m = planned.m;
            modalities[m] = Some(self.encode_modality(context, batch, planned, &uploaded, profiler)?);
        }
        Ok(Coded { modalities })
    }

    fn encode_modality(
        &self,
        context: &Context,
        batch: &Batch<'_>,
        planned: Planned,
        uploaded: &[Tensor],
        profiler: &mut Profiler,
    ) -> Result<CodedModality, NodeError> {
        profiler.turn_to(ProfilerPhase::Encode);
        let Planned { m, entries, ticks, x, noise, samples, receivers, gains, rows } = planned;
        let (x, seen) = self.see(context, batch, m, &ticks, &uploaded[x])?;
        let width = x.dim(1)?;
        let places = context.scenario.places();
        let mut given = in_places(places, &x, samples, &receivers, seen.is_some());
        let column = places * width;
        let values = self.task_inputs.clone();
        given.push(Block { values, column, segments: receivers, learns: false });
        given.extend(gains.map(|(values, segments)| Block {
            values: uploaded[values].clone(),
            column: column + context.feature_dim(),
            segments,
            learns: false,
        }));
        let input = Input::Blocks { rows, blocks: given };
        let noise = noise.map(|noise| &uploaded[noise]);
        let encoder = &self.encoders[m];
        let (features, encoded) = match batch.phase {
            Phase::Train => {
                let blocks = blocks(context, batch.samples.len(), &entries);
                let of_row = |row: usize| batch.address(&entries, row, context.samples());
                let rows = RowAddresses { seed: context.seed, of_row: &of_row };
                let encoded = encoder.encode(input, noise, &blocks, Some(rows))?;
                (encoded.features.clone(), Some(encoded))
            }
            Phase::Evaluate => (encoder.infer(input, noise)?, None),
        };
        profiler.turn_to(ProfilerPhase::Rate);
        let rows = EntryRows { entries: &entries, rows: rows / entries.len(), d: context.feature_dim() };
        let Made { features, on_air, travels, rated } = self.code(context, batch, m, rows, features)?;
        Ok(CodedModality { entries, features, on_air, encoded, seen, travels, rated })
    }

    /// What the encoder's head is given of samples [rows, width]: what its trunk makes of them, with what that needs
    /// for its backward pass; without a trunk, the samples.
    fn see(
        &self,
        context: &Context,
        batch: &Batch<'_>,
        m: usize,
        ticks: &[usize],
        x: &Tensor,
    ) -> Result<(Tensor, Option<Trace>), NodeError> {
        match (&self.trunks[m], batch.phase) {
            (None, _) => Ok((x.clone(), None)),
            (Some(trunk), Phase::Evaluate) => Ok((trunk.infer(x)?, None)),
            (Some(trunk), Phase::Train) => {
                let seen = Seen { first_moment: batch.first_moment, ticks, all_ticks: batch.samples.len() };
                let (values, trace) = trunk.forward(context, &seen, x.clone())?;
                Ok((values, Some(trace)))
            }
        }
    }

    /// What a state keeps beside networks.
    pub(crate) fn means(&self) -> Result<Vec<(String, Tensor)>, NodeError> {
        self.averages.iter().map(Averages::tensor).collect()
    }

    /// Takes it from a state.
    pub(crate) fn restore_means(&mut self, state: &[u8]) -> Result<(), NodeError> {
        match &mut self.averages {
            Some(averages) => averages.restore(&node::unpack_state(state, &Device::Cpu)?),
            None => Ok(()),
        }
    }
}
