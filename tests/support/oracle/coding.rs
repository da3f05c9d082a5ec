//! The objective of a receiver at a tick.

use candle_core::{DType, Device, Result, Tensor, Var};
use data::{Split, Targets};
use dib::{Phase, entry_embedding, receiver_embedding, reparameterisation};
use randomness::Purpose;
use scenario::{JointMap, Method, RateAt, RateEstimator, TaskInput};

use super::{
    Oracle,
    air::Sent,
    mean, network,
    rate::{rate, term},
    rows,
    sight::beside,
    sum,
};

/// What a receiver makes of a tick.
pub(crate) struct Judged {
    /// Mean over samples of the joint decoder's loss, plus beta x what each granted entry adds; a scalar.
    pub(crate) objective: Tensor,
    /// The joint decoder's part of it.
    pub(crate) cross_entropy: f64,
    /// The sum of the granted entries' rates.
    pub(crate) rate: f64,
}

/// An entry's features at a tick, each [samples, feature_dim].
#[derive(Clone)]
pub(crate) struct Coded {
    pub(crate) z: Tensor,
    /// Mean and deviation of Gaussian ones.
    pub(crate) posterior: Option<(Tensor, Tensor)>,
}

impl Oracle<'_> {
    /// Receiver t's objective at a tick of the round, where these entries (k, m) are granted.
    pub(crate) fn judge(&self, t: usize, tick: usize, granted: &[(usize, usize)]) -> Result<Judged> {
        let beta = self.beta();
        let mut features = Vec::new();
        let mut extras = Vec::new();
        let mut rates = 0.0;
        for k in 0..self.setup.scenario.transmitters() {
            for m in 0..self.setup.scenario.modalities(k) {
                if !granted.contains(&(k, m)) {
                    let shape = (self.samples[tick].len(), self.feature_dim());
                    features.push(Tensor::zeros(shape, DType::F64, &Device::Cpu)?);
                    continue;
                }
                let (sent, rate) = self.coded(k, t, m, tick)?;
                let rate = (rate / self.payers(k, m, tick))?;
                rates += rate.to_scalar::<f64>()?;
                let paid = match self.setup.scenario.train.rate_at {
                    RateAt::Received if sent.link.is_some() => self.rate_received(&[k, t, m, tick])?,
                    _ => rate,
                };
                let z = match self.setup.scenario.is_mac(k, t) {
                    true => self.heard([k, t, m, tick], granted)?,
                    false => sent.arrived()?,
                };
                let z = self.decoded([k, t, m, tick], z)?;
                extras.push((beta * (self.local_loss(t, tick, k, m, &z)? + paid)?)?);
                features.push(z);
            }
        }
        let described = self.setup.scenario.joint(&self.setup.scenario.receiver[t].task);
        let features = self.joined(&features, granted)?;
        let features = beside(features, &self.seen_by_receiver(t, tick)?)?;
        let features = beside(features, &self.mask(granted))?;
        let joint = network::described(
            &self.variables,
            &format!("receiver{t}/joint"),
            &described,
            &features,
            self.draws(tick),
        )?;
        let loss = self.loss(t, tick, &joint)?;
        Ok(Judged { cross_entropy: loss.to_scalar()?, objective: (loss + sum(&extras)?)?, rate: rates })
    }

    /// What a joint decoder is given of the features of all (k, m), in order, zeros where not granted: all side by side,
    /// or for each modality their sum and the sum of the embeddings of those granted.
    fn joined(&self, features: &[Tensor], granted: &[(usize, usize)]) -> Result<Tensor> {
        let scenario = &self.setup.scenario;
        if scenario.network.joint_map == JointMap::Own {
            return Tensor::cat(features, 1);
        }
        let mut sums: Vec<(&str, Tensor, Tensor)> = Vec::new();
        let mut features = features.iter();
        for (k, transmitter) in scenario.transmitter.iter().enumerate() {
            for (m, modality) in transmitter.modalities.iter().enumerate() {
                let z = features.next().expect("there is one for each (k, m)");
                let embedding = entry_embedding(self.setup.seed, k, m, self.feature_dim());
                let embedding = rows(&embedding, self.feature_dim())?.broadcast_as(z.shape())?;
                let sent = if granted.contains(&(k, m)) { 1.0 } else { 0.0 };
                let sender = (embedding * sent)?;
                match sums.iter_mut().find(|(name, ..)| name == modality) {
                    Some((_, values, senders)) => {
                        (*values, *senders) = (values.add(z)?, senders.add(&sender)?);
                    }
                    None => sums.push((modality.as_str(), z.clone(), sender)),
                }
            }
        }
        let parts: Vec<Tensor> =
            sums.into_iter().flat_map(|(_, values, senders)| [values, senders]).collect();
        Tensor::cat(&parts, 1)
    }

    /// Of every entry (k, m), in order, whether it is granted; nothing where decoders are not told.
    fn mask(&self, granted: &[(usize, usize)]) -> Vec<f64> {
        let mut mask = Vec::new();
        for k in 0..self.setup.scenario.transmitters() {
            for m in 0..self.setup.scenario.modalities(k) {
                mask.push(if granted.contains(&(k, m)) { 1.0 } else { 0.0 });
            }
        }
        if self.setup.scenario.network.mask { mask } else { Vec::new() }
    }

    /// What is decoded of an entry: a variable of its own where somebody asks for its gradient.
    fn decoded(&self, key: [usize; 4], z: Tensor) -> Result<Tensor> {
        let mut decoded = self.decoded.borrow_mut();
        let Some(variables) = decoded.as_mut() else { return Ok(z) };
        let variable = Var::from_tensor(&z.detach())?;
        let z = variable.as_tensor().clone();
        variables.insert(key, variable);
        Ok(z)
    }

    /// The weight of what an entry adds: it may rise geometrically.
    fn beta(&self) -> f64 {
        let train = &self.setup.scenario.train;
        match train.beta_start {
            Some(start) => start * (train.beta / start).powf(self.progress(train.beta_rise)),
            None => train.beta,
        }
    }

    /// What is sent of an entry, and its rate; of a tick's only sample, its term of the round's rate.
    fn coded(&self, k: usize, t: usize, m: usize, tick: usize) -> Result<(Sent, Tensor)> {
        let sent_now = self.send([k, t, m, tick])?;
        let own = &sent_now.rated;
        let estimator = self.setup.scenario.train.rate_estimator;
        if estimator == RateEstimator::Prior {
            let rate = self.prior_rate([k, t, m], own)?;
            if own.posterior.is_some() {
                return Ok((sent_now, rate));
            }
            // Of dithered features rates are told in 1024ths of a nat; what is learnt from them is not rounded.
            let told = (rate.to_scalar::<f64>()? * 1024.0).round() / 1024.0;
            let error = told - rate.to_scalar::<f64>()?;
            return Ok((sent_now, (rate + error)?));
        }
        let has_one_sample = self.samples.iter().all(|samples| samples.len() == 1);
        let Some(sent) = self.sent.as_ref().filter(|_| has_one_sample) else {
            let rate = match (&own.posterior, self.setup.scenario.train.method) {
                (Some((mu, std)), _) => rate(estimator, &own.z, mu, std)?,
                (None, _) if self.has_books() => self.index_bits()?,
                (None, Method::VDDIB) => self.bits()?,
                (None, _) => Tensor::new(mean(entropies(&own.z.to_vec2()?).into_iter()), &Device::Cpu)?,
            };
            return Ok((sent_now, rate));
        };
        let is_multicast = self.setup.scenario.network.multicast;
        // All that are sent a feature which knows no receiver meet the same marginal: over the ticks of any of them.
        let is_sent = |at: usize| match is_multicast {
            true => sent.iter().any(|sent| sent[at].contains(&(k, m))),
            false => sent[t][at].contains(&(k, m)),
        };
        let ticks: Vec<usize> = (0..self.samples.len()).filter(|&at| is_sent(at)).collect();
        let position = ticks.iter().position(|&at| at == tick).expect("what is granted was sent");
        let all = ticks.iter().map(|&at| Ok(self.send([k, t, m, at])?.rated)).collect::<Result<Vec<_>>>()?;
        let rate = match (&own.posterior, self.setup.scenario.train.method) {
            (Some(_), _) => {
                let posteriors = all.iter().filter_map(|coded| coded.posterior.clone());
                let (mu, std): (Vec<_>, Vec<_>) = posteriors.unzip();
                term(estimator, &own.z, &Tensor::cat(&mu, 0)?, &Tensor::cat(&std, 0)?, position)?
            }
            (None, _) if self.has_books() => self.index_bits()?,
            (None, Method::VDDIB) => self.bits()?,
            (None, _) => {
                let rows = all.iter().map(|coded| coded.z.get(0)?.to_vec1()).collect::<Result<Vec<_>>>()?;
                Tensor::new(entropies(&rows)[position], &Device::Cpu)?
            }
        };
        Ok((sent_now, rate))
    }

    /// The features of an entry at a tick.
    pub(crate) fn encode(&self, k: usize, t: usize, m: usize, tick: usize) -> Result<Coded> {
        let key = [k, t, m, tick];
        if let Some(coded) = self.encoded.borrow().as_ref().and_then(|encoded| encoded.get(&key)) {
            return Ok(coded.clone());
        }
        let coded = self.encode_anew(key)?;
        if let Some(encoded) = self.encoded.borrow_mut().as_mut() {
            encoded.insert(key, coded.clone());
        }
        Ok(coded)
    }

    /// What an entry's encoder puts out at a tick.
    pub(super) fn output(&self, [k, t, m, tick]: [usize; 4]) -> Result<Tensor> {
        let (d, seed) = (self.feature_dim(), self.setup.seed);
        let samples = self.samples[tick].len();
        let x = self.observe(k, m, tick)?;
        let task_input = self.setup.scenario.train.task_input;
        let scale = if task_input == TaskInput::Embedding { 1.0 } else { 10.0 };
        let scale = if self.setup.scenario.network.multicast { 0.0 } else { scale };
        let embedding = (rows(&receiver_embedding(seed, t, d), d)? * scale)?.broadcast_as((samples, d))?;
        let embedding = beside(embedding, &self.seen_by_transmitter(k, t, tick)?)?;
        let described = self.setup.scenario.encoder(&self.setup.scenario.transmitter[k].modalities[m]);
        let name = format!("transmitter{k}/encoder{m}");
        let draws = self.draws(tick);
        match described.model.outputs {
            Some(_) => {
                let seen = network::described(
                    &self.variables,
                    &format!("transmitter{k}/trunk{m}"),
                    &described,
                    &x,
                    draws,
                )?;
                match task_input {
                    TaskInput::Output => network::own_layer(&self.variables, &name, t, &seen, &embedding),
                    _ => {
                        let input = Tensor::cat(&[seen, embedding], 1)?;
                        network::described(&self.variables, &name, &described.head(), &input, draws)
                    }
                }
            }
            None => {
                let input = Tensor::cat(&[x, embedding], 1)?;
                network::described(&self.variables, &name, &described, &input, draws)
            }
        }
    }

    fn encode_anew(&self, [k, t, m, tick]: [usize; 4]) -> Result<Coded> {
        let (d, seed) = (self.feature_dim(), self.setup.seed);
        let (samples, is_multicast) = (self.samples[tick].len(), self.setup.scenario.network.multicast);
        let output = self.output([k, t, m, tick])?;
        if self.has_books() {
            return Ok(Coded { z: self.indexed([k, t, m], &output)?, posterior: None });
        }
        if self.setup.scenario.train.coding() == scenario::Coding::Dithered {
            return Ok(Coded { z: self.dither([k, t, m, tick], &output)?, posterior: None });
        }
        match self.setup.scenario.train.method {
            Method::VDDIB => return Ok(Coded { z: self.quantise(&output)?, posterior: None }),
            Method::DLSC => return Ok(Coded { z: output, posterior: None }),
            _ => {}
        }
        let (mu, raw) = (output.narrow(1, 0, d)?, output.narrow(1, d, d)?);
        let std = ((raw - 5.0)?.exp()? + 1.0)?.log()?;
        let moment = self.first_tick + tick as u64;
        let mut noise = reparameterisation(seed, Phase::Train, k, t, m, moment, samples * d);
        if is_multicast {
            seed.stream(Purpose::Reparameterisation, &[k as u64, m as u64], moment).fill_normal(&mut noise);
        }
        let z = (&mu + (&std * rows(&noise, d)?)?)?;
        Ok(Coded { z, posterior: Some((mu, std)) })
    }

    /// The nearest of 2^bits levels to the sigmoid, whose gradient it has.
    fn quantise(&self, output: &Tensor) -> Result<Tensor> {
        let bits = self.setup.scenario.train.bits;
        let top = f64::from(2u32.pow(bits) - 1);
        let sigmoid = (output.neg()?.exp()? + 1.0)?.recip()?;
        let level = ((&sigmoid * top)?.round()? / top)?;
        &sigmoid + (level - &sigmoid)?.detach()
    }

    /// The bits of a feature in nats.
    fn bits(&self) -> Result<Tensor> {
        let bits = f64::from(self.setup.scenario.train.bits);
        Tensor::new(self.feature_dim() as f64 * bits * 2f64.ln(), &Device::Cpu)
    }

    /// What transmitter k observes of a tick's samples in modality m.
    fn observe(&self, k: usize, m: usize, tick: usize) -> Result<Tensor> {
        let name = &self.setup.scenario.transmitter[k].modalities[m];
        let width = self.setup.dataset.width(name).expect("a modality of the data set");
        let mut values = vec![0.0; self.samples[tick].len() * width];
        for (at, out) in self.samples[tick].iter().zip(values.chunks_exact_mut(width)) {
            let read = self.setup.dataset.read(name, Split::Train, at.sample, at.epoch, out);
            read.expect("toy data is always there");
        }
        rows(&values, width)
    }

    /// What masks of a tick of the round are drawn from.
    fn draws(&self, tick: usize) -> network::Draws {
        network::Draws { seed: self.setup.seed, tick: self.first_tick + tick as u64 }
    }

    /// The loss of the local decoder on an entry, (18).
    fn local_loss(&self, t: usize, tick: usize, k: usize, m: usize, z: &Tensor) -> Result<Tensor> {
        let embedding = entry_embedding(self.setup.seed, k, m, self.feature_dim());
        let embedding = rows(&embedding, self.feature_dim())?.broadcast_as(z.shape())?;
        let gains = self.seen_by_receiver(t, tick)?;
        let own = gains.get(k).map_or(&[][..], std::slice::from_ref);
        let input = beside(Tensor::cat(&[z, &embedding], 1)?, own)?;
        let described = self.setup.scenario.local(&self.setup.scenario.receiver[t].task);
        let name = format!("receiver{t}/local");
        let output = network::described(&self.variables, &name, &described, &input, self.draws(tick))?;
        self.loss(t, tick, &output)
    }

    /// Mean over samples of the cross entropy, or of the squared error.
    fn loss(&self, t: usize, tick: usize, output: &Tensor) -> Result<Tensor> {
        let task = &self.setup.scenario.receiver[t].task;
        let samples = self.samples[tick].iter().map(|at| at.sample);
        match self.setup.dataset.targets(task, Split::Train).expect("a task of the data set") {
            Targets::Classes { labels, .. } => {
                let labels: Vec<u32> = samples.map(|sample| labels[sample]).collect();
                let labels = Tensor::new(labels, &Device::Cpu)?.unsqueeze(1)?;
                let right = output.gather(&labels, 1)?;
                (output.exp()?.sum_keepdim(1)?.log()? - right)?.mean_all()
            }
            Targets::Values { width, values } => {
                let targets: Vec<f32> = samples
                    .flat_map(|sample| values[sample * width..(sample + 1) * width].to_vec())
                    .collect();
                (output - rows(&targets, width)?)?.sqr()?.mean_all()
            }
        }
    }
}

/// What every row adds to Kozachenko and Leonenko's estimate, which is their mean: from its fifth neighbour (or the
/// last there is) in the maximum norm. A row alone says nothing.
fn entropies(rows: &[Vec<f64>]) -> Vec<f64> {
    let (n, d) = (rows.len(), rows[0].len() as f64);
    if n == 1 {
        return vec![0.0];
    }
    let k = 5.min(n - 1);
    let harmonic = |n: usize| (1..n).map(|i| 1.0 / i as f64).sum::<f64>();
    let radius = |row: &Vec<f64>| {
        let norm = |other: &Vec<f64>| row.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let mut distances: Vec<f64> = rows.iter().map(norm).collect();
        distances.sort_by(f64::total_cmp);
        // The first is the row's own.
        distances[k]
    };
    rows.iter().map(|row| harmonic(n) - harmonic(k) + d * (2.0 * radius(row)).ln()).collect()
}
