use std::{ops::Range, sync::Arc};

use candle_core::{Device, Tensor};
use data::{Dataset, Split};
use dib::{
    Block, Coding, Encoder, Features, Grants, Input, Network, Phase, RateRows, RateTerm, RowAddresses,
    SampleAt, Segment, Trace, Upload, multicast_reparameterisation_from, reparameterisation_from,
    sensor_noise,
};
use node::{AirTime, Context, NodeError, Profiler, ProfilerPhase};
use proto::Served;

use crate::{
    averages::Averages,
    books::{BookLesson, Books, Indexed},
    coded::{Coded, CodedModality, RateGroups, owner},
    disturbed::{blur, blur_weights, lagging},
    dithered::{Dithered, Moment},
    gradient_feedback::GradientFeedback,
    observed::Observed,
    on_air::{OnAir, Sending},
    priors::{EntryRows, Lesson, Priors, backward_from_prior, values},
    rates::{GroupRates, group_rates},
    returned::Returned,
    round_groups::RoundGroups,
    simulated::SimulatedEntries,
    trunk::{Seen, Trunk},
};

/// The encoders f_k^m of a transmitter, one a modality.
pub(crate) struct Encoders {
    encoders: Vec<Encoder>,
    /// Of each encoder the part that sees a sample for all receivers alike, where it has one.
    trunks: Vec<Option<Trunk>>,
    coding: Coding,
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
    /// Where a channel's power is limited on average.
    averages: Option<Averages>,
}

/// What the encoder of a modality is to be given: numbers of what is uploaded, and where that stands.
struct Planned {
    m: usize,
    entries: Vec<(usize, usize)>,
    /// The ticks whose samples are read.
    ticks: Vec<usize>,
    x: usize,
    noise: Option<usize>,
    samples: Vec<Segment>,
    receivers: Vec<Segment>,
    /// Of the gains of the links to them, if the transmitter sees any.
    gains: Option<(usize, Vec<Segment>)>,
    rows: usize,
}

/// What to encode: where draws are addressed, and which samples belong to which tick.
struct Batch<'a> {
    phase: Phase,
    dataset: &'a dyn Dataset,
    split: Split,
    first_moment: u64,
    /// The evaluation pass; 0 in training.
    pass: u64,
    /// In training the first tick, in evaluation the first group of test samples; none of what is not sent.
    first_tick: Option<u64>,
    samples: &'a [Vec<SampleAt>],
    /// In service, where the batch lies.
    served: Option<Served>,
    /// What is observed, if that is no rows of the data set.
    given: Option<&'a Observed>,
}

impl Batch<'_> {
    /// When a group of samples of a tick meets its gains. What is not sent meets what would have been met then.
    fn time(&self, tick: usize, group: usize) -> AirTime {
        let first = self.first_tick.unwrap_or(self.first_moment);
        AirTime { phase: self.phase, pass: self.pass, tick: first }.later(tick + group)
    }

    /// How many of a tick's samples share a gain, one after the other.
    fn groups(&self, context: &Context, tick: usize) -> Vec<usize> {
        match self.served {
            Some(served) => context.served_groups(served).2,
            None => context.groups(self.samples[tick].len()),
        }
    }

    /// How many samples of its piece lie before it: what is drawn for them is skipped.
    fn skipped(&self) -> usize {
        self.served.map_or(0, |served| served.offset as usize)
    }

    /// Tick and sample of a row of a training round, of the rows of these (tick, receiver) entries.
    fn address(&self, entries: &[(usize, usize)], row: usize, samples: usize) -> (u64, u64) {
        let (tick, _) = entries[row / samples];
        (self.first_moment + tick as u64, (row % samples) as u64)
    }
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
        let coding = node::coding(&context.scenario.train);
        let (mut encoders, mut trunks) = (Vec::new(), Vec::new());
        for (m, modality) in modalities.iter().enumerate() {
            let axes = dataset.shape(modality).unwrap_or_else(|| vec![widths[m]]);
            let described = context.scenario.encoder(modality);
            let modules = node::encoder(&context.scenario, k, modality, &axes)?;
            let name = format!("transmitter{k}/encoder{m}");
            let head = if modules.trunk.is_some() { described.head() } else { described.clone() };
            let network = node::network(context, &head, &name, modules.head)?;
            encoders.push(Encoder::new(network, d, coding)?);
            let trunk = modules.trunk.map(|module| Trunk::new(context, &described, m, module));
            trunks.push(trunk.transpose()?);
        }
        let task_inputs = node::task_inputs(&context.scenario, context.seed);
        let task_inputs = Tensor::from_vec(task_inputs.concat(), (task_inputs.len(), d), &context.device)?;
        let priors = Priors::new(context)?;
        let books = Books::new(context)?;
        let averages = Averages::new(context);
        let lagging = lagging_rows(context, dataset.as_ref())?;
        let deviation = context.scenario.evaluation.blur;
        Ok(Encoders {
            encoders,
            trunks,
            coding,
            widths,
            dataset,
            validation: None,
            lagging,
            blur_weights: (deviation > 0.0).then(|| blur_weights(deviation)),
            task_inputs,
            priors,
            books,
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
        let (phase, pass) = (batch.phase, batch.pass);
        let rows_of_entry = rows / entries.len();
        if let Some(priors) = &self.priors {
            let rows = EntryRows { entries: &entries, rows: rows_of_entry, d: context.feature_dim() };
            let moment = Moment { phase, first: batch.first_moment, skipped: batch.skipped() };
            let (dithered, features) = match priors.in_force(phase) {
                Some(tables) => {
                    let (dithered, features) = Dithered::new(context, tables, m, moment, rows, &features.z)?;
                    (Some(dithered), features)
                }
                None => (None, features),
            };
            // What nobody gets need not be simulated.
            let (simulated, features) = match priors.shared(phase).filter(|_| batch.first_tick.is_some()) {
                Some(tables) => {
                    let at = (m, batch.first_moment);
                    let (simulated, features) = SimulatedEntries::new(context, tables, at, rows, &features)?;
                    (Some(simulated), features)
                }
                None => (None, features),
            };
            let found = priors.row_rates(m, rows, &features, dithered.is_some())?;
            let (groups, rates) = prior_rates(context, batch, &entries, &found);
            let on_air = OnAir { amplified: None, observed: None };
            let rates = GroupRates::Known(rates);
            return Ok(CodedModality {
                entries,
                features,
                on_air,
                encoded,
                seen,
                groups,
                rates,
                received_rates: None,
                dithered,
                simulated,
                indexed: None,
            });
        }
        let (indexed, features) = match self.books.as_ref().and_then(|books| books.in_force(phase)) {
            Some(tables) => {
                let rows = EntryRows { entries: &entries, rows: rows_of_entry, d: context.feature_dim() };
                let (indexed, features) = Indexed::new(context, tables, m, rows, &features.z)?;
                (Some(indexed), features)
            }
            None => (None, features),
        };
        let sending = Sending {
            context,
            phase,
            pass,
            // In service nobody asks for the rate of what arrives.
            first_tick: batch.first_tick.filter(|_| batch.served.is_none()),
            modality: m,
            entries: &entries,
            groups: batch.groups(context, 0),
            averages: self.averages.as_ref(),
        };
        let on_air = sending.send(&features)?;
        let features = on_air.sent(&features).clone();
        if batch.served.is_some() {
            // (17) is of groups of samples, and a batch is none.
            return Ok(CodedModality {
                entries,
                features,
                on_air,
                encoded,
                seen,
                groups: RateGroups::Own(Vec::new()),
                rates: GroupRates::Known(Vec::new()),
                received_rates: None,
                dithered: None,
                simulated: None,
                indexed,
            });
        }
        let (groups, found) = rates(context, batch, &entries, &features)?;
        let received_rates = match &on_air.observed {
            Some(observed) => Some(rates(context, batch, &entries, &observed.features)?.1),
            None => None,
        };
        Ok(CodedModality {
            entries,
            features,
            on_air,
            encoded,
            seen,
            groups,
            rates: found,
            received_rates,
            dithered: None,
            simulated: None,
            indexed,
        })
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

    /// Rows (x, embedding of t) of all entries' samples: what several receivers get of a tick is read once, and goes
    /// through the first linear maps once. And the noise of what is drawn.
    fn plan(
        &self,
        context: &Context,
        batch: &Batch<'_>,
        m: usize,
        entries: Vec<(usize, usize)>,
        upload: &mut Upload,
    ) -> Result<Planned, NodeError> {
        let width = self.widths[m];
        let (mut x, mut ticks) = (Vec::new(), Vec::new());
        let (mut samples, mut receivers) = (Vec::new(), Vec::new());
        let (mut source, mut target) = (0, 0);
        // Entries come tick by tick.
        for &(tick, t) in &entries {
            let rows = batch.samples[tick].len();
            if ticks.last() != Some(&tick) {
                ticks.push(tick);
                source = x.len() / width;
                match batch.given {
                    Some(given) => given.read(m, width, &mut x),
                    None => self.read_tick(context, m, batch, tick, &mut x)?,
                }
            }
            samples.push(Segment { source, target, rows, repeat: false });
            receivers.push(Segment { source: t, target, rows, repeat: true });
            target += rows;
        }
        let read = x.len() / width;
        let x = upload.add(x, (read, width));
        let draws = self.coding == Coding::Gaussian;
        let noise =
            draws.then(|| upload.add(noise(context, batch, m, &entries), (target, context.feature_dim())));
        let gains = plan_gains(context, batch, &entries, upload);
        Ok(Planned { m, entries, ticks, x, noise, samples, receivers, gains, rows: target })
    }

    /// The test row that sensors show in the place of another in a pass. Over validation rows they never lag behind: of
    /// those nobody has said that they follow each other.
    pub(crate) fn shown_row(&self, pass: u64, row: usize) -> usize {
        match &self.lagging {
            Some(lagging) if !node::is_validation(pass) => lagging[row],
            _ => row,
        }
    }

    /// Adds one tick's samples of a modality, row after row: in evaluation as disturbed sensors show them. Over
    /// validation rows they are noisy at most: they neither lag behind nor are blurred.
    fn read_tick(
        &self,
        context: &Context,
        m: usize,
        batch: &Batch<'_>,
        tick: usize,
        values: &mut Vec<f32>,
    ) -> Result<(), NodeError> {
        let (width, name) = (self.widths[m], &context.scenario.transmitter[context.index].modalities[m]);
        let (samples, start) = (&batch.samples[tick], values.len());
        values.resize(start + samples.len() * width, 0.0);
        let is_disturbed = batch.phase == Phase::Evaluate && batch.first_tick.is_some();
        for (out, at) in values[start..].chunks_exact_mut(width).zip(samples) {
            let row = if is_disturbed { self.shown_row(batch.pass, at.sample) } else { at.sample };
            batch.dataset.read(name, batch.split, row, at.epoch, out)?;
        }
        if let Some(weights) = &self.blur_weights
            && is_disturbed
            && !node::is_validation(batch.pass)
        {
            let axes = batch.dataset.shape(name).unwrap_or_else(|| vec![width]);
            values[start..].chunks_exact_mut(width).for_each(|sample| blur(sample, &axes, weights));
        }
        if is_disturbed {
            add_sensor_noise(context, batch, m, samples, &mut values[start..]);
        }
        Ok(())
    }

    /// Backward pass of a part of a round. `betas` has what a nat of rate costs, by receiver.
    pub(crate) fn backward(
        &mut self,
        context: &Context,
        coded: &Coded,
        grants: &Grants,
        feedback: &[GradientFeedback],
        betas: &[f64],
        profiler: &mut Profiler,
    ) -> Result<(), NodeError> {
        let train = &context.scenario.train;
        let estimator = node::rate_estimator(train.rate_estimator);
        let sent: Vec<Vec<(usize, usize)>> = (0..feedback.len()).map(|t| grants.for_receiver(t)).collect();
        profiler.turn_to(ProfilerPhase::Pack);
        let mut upload = Upload::new();
        let mut used = Vec::new();
        for (m, coded) in coded.modalities.iter().enumerate() {
            let Some(coded) = coded else { continue };
            let returned = Returned::new(context, &sent, feedback, m, &coded.entries);
            if !returned.is_empty() {
                let shape = (coded.entries.len() * context.samples(), context.feature_dim());
                upload.add(returned.z_gradient(context, feedback), shape);
                used.push((m, coded, returned));
            }
        }
        for ((m, coded, returned), gradient) in used.into_iter().zip(upload.send(&context.device)?) {
            let encoded =
                coded.encoded.as_ref().expect("a training round keeps what its backward pass needs");
            // Nobody pays for what nobody used, and what several used is paid for once.
            let is_used = |entry: usize| !returned.of(entry).is_empty();
            let beta_of = |entry: usize| betas[coded.entries[entry].1];
            let cost_of = |entry: usize| if is_used(entry) { beta_of(entry) } else { 0.0 };
            profiler.turn_to(ProfilerPhase::Backward);
            let (encoder, trunk) = (&mut self.encoders[m], &mut self.trunks[m]);
            if let Some(priors) = &mut self.priors {
                let rows =
                    EntryRows { entries: &coded.entries, rows: context.samples(), d: context.feature_dim() };
                let lesson = Lesson {
                    features: &coded.features,
                    noise: coded.dithered.as_ref().map(|dithered| dithered.noise.as_slice()),
                    dz: &values(&gradient)?,
                    weights: &(0..coded.entries.len()).map(cost_of).collect::<Vec<f64>>(),
                    used: &(0..coded.entries.len()).map(is_used).collect::<Vec<bool>>(),
                    ticks: grants.ticks().count(),
                };
                let (to_z, to_std) = priors.learn(context, m, rows, &lesson)?;
                let trunk = trunk.as_mut().zip(coded.seen.as_ref());
                let at_head = backward_from_prior(encoder, encoded, (to_z, to_std), trunk.is_some())?;
                if let Some((trunk, seen)) = trunk {
                    trunk.backward(seen, &at_head)?;
                }
                continue;
            }
            if let Some(books) = &mut self.books {
                let rows =
                    EntryRows { entries: &coded.entries, rows: context.samples(), d: context.feature_dim() };
                let lesson = BookLesson {
                    mu: &encoded.features.z,
                    dz: &values(&gradient)?,
                    used: &(0..coded.entries.len()).map(is_used).collect::<Vec<bool>>(),
                    ticks: grants.ticks().count(),
                };
                let to_mu = books.learn(context, m, rows, &lesson)?;
                let trunk = trunk.as_mut().zip(coded.seen.as_ref());
                let at_head = backward_from_prior(encoder, encoded, (to_mu, Vec::new()), trunk.is_some())?;
                if let Some((trunk, seen)) = trunk {
                    trunk.backward(seen, &at_head)?;
                }
                continue;
            }
            let mut backward = |way, gradient: &Tensor, rate| -> Result<(), NodeError> {
                let (Some(trunk), Some(seen)) = (&mut *trunk, &coded.seen) else {
                    return Ok(encoder.backward_through(way, encoded, gradient, Some(rate))?);
                };
                let at_head = encoder.backward_to_input(way, encoded, gradient, Some(rate))?;
                trunk.backward(seen, &at_head)
            };
            let way = coded.on_air.way(train.rate_at);
            if context.scenario.rates_over_rounds() {
                let groups = RoundGroups::new(&coded.entries);
                let (weights, paid) = groups.weights(is_used, beta_of);
                let rows = Some(RateRows { order: &groups.order, paid: paid.as_deref() });
                let rate = RateTerm { estimator, groups: &groups.sizes, weights: &weights, rows };
                backward(way, &gradient, rate)?;
                continue;
            }
            let groups = vec![context.samples(); coded.entries.len()];
            let weights: Vec<f64> = (0..coded.entries.len()).map(cost_of).collect();
            let rate = RateTerm { estimator, groups: &groups, weights: &weights, rows: None };
            backward(way, &gradient, rate)?;
        }
        Ok(())
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

    /// Moves the running means of power by a round whose parts were encoded so.
    pub(crate) fn learn_power<'a>(
        &mut self,
        context: &Context,
        parts: impl Iterator<Item = &'a Coded> + Clone,
    ) {
        if let Some(averages) = &mut self.averages {
            averages.learn(context.samples(), parts);
        }
    }

    /// The step of the encoders that took part in a round.
    pub(crate) fn step(&mut self, context: &Context, round: u64) -> Result<(), NodeError> {
        let train = &context.scenario.train;
        let optimizer = node::adamw(train.coding_lr_at(round), train.weight_decay);
        for encoder in &mut self.encoders {
            encoder.network_mut().step(&optimizer)?;
        }
        self.trunks.iter_mut().flatten().try_for_each(|trunk| trunk.step(&optimizer))?;
        let rate = train.prior_lr_at(round);
        self.books.iter_mut().try_for_each(|books| books.step(rate))?;
        match &mut self.priors {
            Some(priors) => priors.step(rate),
            None => Ok(()),
        }
    }
}

/// The values of samples [rows, width] in the input of an encoder's last part, given which rows of them (`samples`)
/// each entry takes and for which receiver: in one place for all receivers, or in one for each.
fn in_places(
    places: usize,
    x: &Tensor,
    samples: Vec<Segment>,
    receivers: &[Segment],
    learns: bool,
) -> Vec<Block> {
    let width = x.dims()[1];
    let block = |place: usize, segments| Block { values: x.clone(), column: place * width, segments, learns };
    if places == 1 {
        return vec![block(0, samples)];
    }
    let mut of_place = vec![Vec::new(); places];
    for (segment, receiver) in samples.into_iter().zip(receivers) {
        of_place[receiver.source].push(segment);
    }
    let filled = of_place.into_iter().enumerate().filter(|(_, segments)| !segments.is_empty());
    filled.map(|(place, segments)| block(place, segments)).collect()
}

/// What [`rates`] gives, of what every row adds against a prior: it is the row's own, and a group's rate their mean.
fn prior_rates(
    context: &Context,
    batch: &Batch<'_>,
    entries: &[(usize, usize)],
    found: &[f64],
) -> (RateGroups, Vec<f64>) {
    if batch.phase == Phase::Train && context.scenario.rates_over_rounds() {
        let groups = RoundGroups::new(entries);
        let by_group = groups.order.iter().map(|&row| found[row as usize]).collect();
        return (RateGroups::Round(groups), by_group);
    }
    let groups: Vec<Vec<usize>> = entries.iter().map(|(tick, _)| vec![batch.samples[*tick].len()]).collect();
    let mut start = 0;
    let mean = |&rows: &usize| {
        let own = &found[start..start + rows];
        start += rows;
        own.iter().sum::<f64>() / rows as f64
    };
    let rates = groups.iter().flatten().map(mean).collect();
    (RateGroups::Own(groups), rates)
}

/// The (tick, receiver) pairs that are granted modality m, in order. Where a feature knows no receiver, a tick has one
/// whose [owner] stands for all.
fn entries_of(context: &Context, grants: &Grants, m: usize) -> Vec<(usize, usize)> {
    let mut entries: Vec<(usize, usize)> = grants
        .ticks()
        .enumerate()
        .flat_map(|(tick, granted)| granted.iter().map(move |&(t, modality)| (tick, t, modality)))
        .filter(|&(_, _, modality)| modality == m)
        .map(|(tick, t, _)| (tick, owner(&context.scenario, t)))
        .collect();
    entries.dedup();
    entries
}

/// The gain of the link to each entry's receiver, for every group of its samples.
fn plan_gains(
    context: &Context,
    batch: &Batch<'_>,
    entries: &[(usize, usize)],
    upload: &mut Upload,
) -> Option<(usize, Vec<Segment>)> {
    let width = context.scenario.gains_at_transmitter(context.index);
    if width == 0 {
        return None;
    }
    let (mut values, mut segments, mut target) = (Vec::new(), Vec::new(), 0);
    for &(tick, t) in entries {
        for (group, rows) in batch.groups(context, tick).into_iter().enumerate() {
            segments.push(Segment { source: values.len() / width, target, rows, repeat: true });
            values.extend(context.gains_at_transmitter(context.index, t, batch.time(tick, group)));
            target += rows;
        }
    }
    let rows = values.len() / width;
    Some((upload.add(values, (rows, width)), segments))
}

/// Of every test row the one that sensors show under `evaluation.stale`; none where that is 0.
fn lagging_rows(context: &Context, dataset: &dyn Dataset) -> Result<Option<Vec<usize>>, NodeError> {
    let evaluation = &context.scenario.evaluation;
    if evaluation.stale == 0 {
        return Ok(None);
    }
    let none = || {
        let stale = evaluation.stale;
        NodeError::Input(format!("evaluation.stale is {stale}, but rows do not follow each other in time"))
    };
    let recordings = dataset.recordings(evaluation.recordings.as_deref())?.ok_or_else(none)?;
    Ok(Some(lagging(&recordings, evaluation.stale)))
}

/// Adds the noise of `evaluation.sensor_noise` to the samples of modality m at a tick, each of which has a draw of its
/// own in a pass.
fn add_sensor_noise(
    context: &Context,
    batch: &Batch<'_>,
    m: usize,
    samples: &[SampleAt],
    values: &mut [f32],
) {
    let level = context.scenario.evaluation.sensor_noise;
    if level == 0.0 || samples.is_empty() {
        return;
    }
    let width = values.len() / samples.len();
    for (sample, at) in values.chunks_exact_mut(width).zip(samples) {
        let squares: f64 = sample.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
        let deviation = level * (squares / width as f64).sqrt();
        let noise = sensor_noise(context.seed, [context.index, m], at.sample, batch.pass, width);
        sample.iter_mut().zip(&noise).for_each(|(value, noise)| *value += deviation as f32 * noise);
    }
}

/// The noise of the reparameterisation trick, addressed by entry, or by feature where that knows no receiver, and tick:
/// d values a sample.
fn noise(context: &Context, batch: &Batch<'_>, m: usize, entries: &[(usize, usize)]) -> Vec<f32> {
    let of_entry = |&(tick, t): &(usize, usize)| {
        let (moment, count) =
            (batch.first_moment + tick as u64, batch.samples[tick].len() * context.feature_dim());
        let range = (batch.skipped() * context.feature_dim(), count);
        let (seed, phase, k) = (context.seed, batch.phase, context.index);
        match context.scenario.network.multicast {
            true => multicast_reparameterisation_from(seed, phase, [k, m], moment, range),
            false => reparameterisation_from(seed, phase, [k, t, m], moment, range),
        }
    };
    node::in_parallel(entries, of_entry).concat()
}

/// The rates of all entries, or of the groups that make them up.
fn rates(
    context: &Context,
    batch: &Batch<'_>,
    entries: &[(usize, usize)],
    features: &Features,
) -> Result<(RateGroups, GroupRates), NodeError> {
    if batch.phase == Phase::Train && context.scenario.rates_over_rounds() {
        let groups = RoundGroups::new(entries);
        let rates = groups.rates(context, features)?;
        return Ok((RateGroups::Round(groups), rates));
    }
    let groups: Vec<Vec<usize>> =
        entries.iter().map(|(tick, _)| context.rate_groups(batch.samples[*tick].len())).collect();
    let estimator = node::rate_estimator(context.scenario.train.rate_estimator);
    let rates = group_rates(context, estimator, features, &groups.concat())?;
    Ok((RateGroups::Own(groups), rates))
}

/// The gradient blocks of an encoder's rows.
fn blocks(context: &Context, ticks: usize, entries: &[(usize, usize)]) -> Vec<usize> {
    let mut rows_of_tick = vec![0; ticks];
    for &(tick, _) in entries {
        rows_of_tick[tick] += context.samples();
    }
    context.gradient_blocks(&rows_of_tick)
}
