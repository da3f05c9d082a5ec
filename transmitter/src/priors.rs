//! The priors of a transmitter's entries: what their rate is counted against, and what dithered features are coded
//! with.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use dib::{
    Encoded, Encoder, Features, Network, Posterior, Way,
    coding::{EntryTable, Prior, PriorKind, SharedPrior, log_densities},
    initial_weights,
};
use node::{Context, NodeError};
use scenario::{Coding, Scenario};

/// The prior r of every entry, learned with the encoders.
pub(crate) struct Priors {
    /// By modality, then receiver.
    priors: Vec<Vec<Prior>>,
    /// Of dithered features, those in force in training, and in the evaluation under way.
    training: Option<Tables<EntryTable>>,
    evaluation: Option<Tables<EntryTable>>,
    /// Of simulated ones, the priors of the evaluation under way.
    shared: Option<Tables<SharedPrior>>,
    d: usize,
}

/// The tables of all entries.
#[derive(Clone)]
pub(crate) struct Tables<T> {
    /// What messages call them: twice the round in which any of them may have been made last; and 1 of those of an
    /// evaluation.
    pub(crate) number: u64,
    /// By modality, then receiver.
    pub(crate) of: Vec<Vec<Arc<T>>>,
}

/// How many bytes are coded with a table before another takes its place, for each of its own.
const WORTH: u64 = 10;

/// The rows of one modality's encoder: of entries (tick, receiver), so many rows each.
#[derive(Clone, Copy)]
pub(crate) struct EntryRows<'a> {
    pub(crate) entries: &'a [(usize, usize)],
    pub(crate) rows: usize,
    pub(crate) d: usize,
}

impl EntryRows<'_> {
    /// The entries of a receiver: their positions.
    pub(crate) fn of(&self, t: usize) -> Vec<usize> {
        (0..self.entries.len()).filter(|&position| self.entries[position].1 == t).collect()
    }

    /// The values of some entries, one after the other.
    pub(crate) fn gather(&self, values: &[f32], positions: &[usize]) -> Result<Tensor, NodeError> {
        let size = self.rows * self.d;
        let taken: Vec<f32> =
            positions.iter().flat_map(|&position| &values[position * size..][..size]).copied().collect();
        Ok(Tensor::from_vec(taken, (positions.len() * self.rows, self.d), &Device::Cpu)?)
    }

    /// Puts values back where [`EntryRows::gather`] found them.
    pub(crate) fn scatter(
        &self,
        taken: &Tensor,
        positions: &[usize],
        values: &mut [f32],
    ) -> Result<(), NodeError> {
        let size = self.rows * self.d;
        dib::with_values(taken, |taken| {
            for (of, &position) in taken.chunks_exact(size).zip(positions) {
                values[position * size..][..size].copy_from_slice(of);
            }
        })?;
        Ok(())
    }
}

/// What a modality's prior learns from.
pub(crate) struct Lesson<'a> {
    /// As they were sent.
    pub(crate) features: &'a Features,
    /// Of dithered features (z - mu) / step, row after row.
    pub(crate) noise: Option<&'a [f32]>,
    /// What receivers want of z, row after row.
    pub(crate) dz: &'a [f32],
    /// What a nat of each entry's rate, the mean over its rows, costs.
    pub(crate) weights: &'a [f64],
    /// Which entries have arrived. A prior of which none has takes no part.
    pub(crate) used: &'a [bool],
    /// Of how many ticks the entries are.
    pub(crate) ticks: usize,
}

impl Priors {
    /// Those of transmitter k, if the rate is counted against priors.
    pub(crate) fn new(context: &Context) -> Result<Option<Self>, NodeError> {
        let (scenario, k, d) = (&context.scenario, context.index, context.feature_dim());
        if !scenario.train.has_priors() {
            return Ok(None);
        }
        let is_dithered = scenario.train.coding() == Coding::Dithered;
        let kind = if is_dithered { PriorKind::Dithered } else { PriorKind::Density };
        let prior = |m: usize, t: usize| {
            let name = format!("transmitter{k}/prior{m}-{t}");
            Prior::new(&name, kind, d, DType::F32, initial_weights(context.seed, &name))
        };
        let of_modality = |m: usize| (0..scenario.receivers()).map(|t| prior(m, t)).collect();
        let priors = (0..scenario.modalities(k)).map(of_modality).collect::<Result<_, _>>()?;
        Ok(Some(Priors { priors, training: None, evaluation: None, shared: None, d }))
    }

    pub(crate) fn networks(&self) -> impl Iterator<Item = &Network> {
        self.priors.iter().flatten().map(Prior::network)
    }

    pub(crate) fn networks_mut(&mut self) -> impl Iterator<Item = &mut Network> {
        self.priors.iter_mut().flatten().map(Prior::network_mut)
    }

    /// Sees to the tables of a round: every `every` rounds, those that have been coded with for long enough are made
    /// anew, and those that nothing has been coded with. The state keeps the others. Gives (modality, receiver) of the
    /// new ones.
    pub(crate) fn tables_of_round(
        &mut self,
        round: u64,
        every: u64,
    ) -> Result<Vec<(usize, usize)>, NodeError> {
        let number = 2 * (round / every * every);
        let mut tables = match self.training.take() {
            Some(tables) if tables.number == number => {
                self.training = Some(tables);
                return Ok(Vec::new());
            }
            Some(tables) => tables,
            None => Tables { number, of: self.tables(Prior::held_table)? },
        };
        tables.number = number;
        let mut renewed = Vec::new();
        if round.is_multiple_of(every) {
            for (m, t) in self.entries() {
                let (prior, table) = (&mut self.priors[m][t], &mut tables.of[m][t]);
                let coded = prior.coded_bits()?;
                if coded == 0 || coded >= 8 * WORTH * table.to_bytes().len() as u64 {
                    prior.hold()?;
                    *table = Arc::new(prior.held_table()?);
                    renewed.push((m, t));
                }
            }
        }
        self.training = Some(tables);
        Ok(renewed)
    }

    /// Counts bits that were coded in training with the table of an entry.
    pub(crate) fn count(&mut self, (m, t): (usize, usize), bits: u64) -> Result<(), NodeError> {
        Ok(self.priors[m][t].count(bits)?)
    }

    /// The tables of an evaluation at a version, or what receivers of simulated features have of the priors: as they
    /// are.
    pub(crate) fn tables_of_evaluation(&mut self, version: u64, simulates: bool) -> Result<(), NodeError> {
        let number = 2 * version + 1;
        match simulates {
            true => self.shared = Some(Tables { number, of: self.tables(Prior::shared)? }),
            false => self.evaluation = Some(Tables { number, of: self.tables(Prior::table)? }),
        }
        Ok(())
    }

    /// What receivers have of the priors, where features are simulated.
    pub(crate) fn shared(&self, phase: dib::Phase) -> Option<&Tables<SharedPrior>> {
        self.shared.as_ref().filter(|_| phase == dib::Phase::Evaluate)
    }

    /// The number of what receivers are to have.
    pub(crate) fn number(&self, phase: dib::Phase) -> Option<u64> {
        let shared = self.shared(phase).map(|tables| tables.number);
        self.in_force(phase).map(|tables| tables.number).or(shared)
    }

    /// What a receiver is to have of a modality's entry, as it travels.
    pub(crate) fn bytes(&self, phase: dib::Phase, (m, t): (usize, usize)) -> Vec<u8> {
        let shared = || self.shared(phase).map(|tables| tables.of[m][t].to_bytes());
        self.in_force(phase).map(|tables| tables.of[m][t].to_bytes()).or_else(shared).unwrap_or_default()
    }

    /// (modality, receiver) of all priors.
    fn entries(&self) -> Vec<(usize, usize)> {
        let of_modality =
            |(m, priors): (usize, &Vec<Prior>)| (0..priors.len()).map(move |t| (m, t)).collect::<Vec<_>>();
        self.priors.iter().enumerate().flat_map(of_modality).collect()
    }

    fn tables<T>(&self, of: fn(&Prior) -> dib::Result<T>) -> Result<Vec<Vec<Arc<T>>>, NodeError> {
        let of_modality = |priors: &Vec<Prior>| {
            priors.iter().map(|prior| of(prior).map(Arc::new)).collect::<Result<_, _>>()
        };
        Ok(self.priors.iter().map(of_modality).collect::<Result<_, _>>()?)
    }

    /// The tables in force, if features are dithered.
    pub(crate) fn in_force(&self, phase: dib::Phase) -> Option<&Tables<EntryTable>> {
        match phase {
            dib::Phase::Train => self.training.as_ref(),
            dib::Phase::Evaluate => self.evaluation.as_ref(),
        }
    }

    /// log p(z|x) / r(z) of every row of a modality, in nats; of dithered features minus the logarithm of the prior's
    /// mass in their intervals.
    pub(crate) fn row_rates(
        &self,
        m: usize,
        rows: EntryRows<'_>,
        features: &Features,
        is_dithered: bool,
    ) -> Result<Vec<f64>, NodeError> {
        let z = values(&features.z)?;
        let mut masses = vec![0.0; z.len()];
        for (t, prior) in self.priors[m].iter().enumerate() {
            let positions = rows.of(t);
            if !positions.is_empty() {
                let of_receiver = prior.log_probability(&rows.gather(&z, &positions)?)?;
                rows.scatter(&of_receiver, &positions, &mut masses)?;
            }
        }
        let mut rates: Vec<f64> =
            masses.chunks_exact(self.d).map(|row| -row.iter().copied().map(f64::from).sum::<f64>()).collect();
        if let Some(posterior) = features.posterior.as_ref().filter(|_| !is_dithered) {
            let Posterior { mu, std } = posterior;
            let densities = log_densities([&z, &values(mu)?, &values(std)?], self.d);
            rates.iter_mut().zip(densities).for_each(|(rate, density)| *rate += density);
        }
        Ok(rates)
    }

    /// Adds the gradients of a modality's priors; gives the whole gradient with respect to z, and what the rate wants
    /// of the standard deviations where features are Gaussian.
    pub(crate) fn learn(
        &mut self,
        context: &Context,
        m: usize,
        rows: EntryRows<'_>,
        lesson: &Lesson<'_>,
    ) -> Result<FeatureGradients, NodeError> {
        let z = values(&lesson.features.z)?;
        let size = rows.rows * rows.d;
        let of_row = |weight: &f64| vec![-(*weight / rows.rows as f64) as f32; size];
        let dmass: Vec<f32> = lesson.weights.iter().flat_map(of_row).collect();
        let mut to_z = vec![0.0; z.len()];
        for (t, prior) in self.priors[m].iter_mut().enumerate() {
            let positions = rows.of(t);
            if !positions.iter().any(|&position| lesson.used[position]) {
                continue;
            }
            let mut rows_of_tick = vec![0; lesson.ticks];
            positions.iter().for_each(|&position| rows_of_tick[rows.entries[position].0] += rows.rows);
            let take = |values: &[f32]| rows.gather(values, &positions);
            let noise = lesson.noise.map(take).transpose()?;
            let blocks = context.gradient_blocks(&rows_of_tick);
            let of_receiver =
                prior.learn(&take(&z)?, noise.as_ref(), &take(lesson.dz)?, &take(&dmass)?, &blocks)?;
            rows.scatter(&of_receiver, &positions, &mut to_z)?;
        }
        // log p(z|x) at z = mu + std noise is - ln std and what does not change.
        let to_std = match (&lesson.features.posterior, lesson.noise) {
            (Some(Posterior { std, .. }), None) => {
                values(std)?.iter().zip(&dmass).map(|(std, dmass)| dmass / std).collect()
            }
            _ => Vec::new(),
        };
        Ok((to_z, to_std))
    }

    /// The step of those that took part.
    pub(crate) fn step(&mut self, rate: f64) -> Result<(), NodeError> {
        Ok(self.priors.iter_mut().flatten().try_for_each(|prior| prior.step(rate))?)
    }
}

/// The whole gradients with respect to z and, of Gaussian features, that of the rate with respect to std (of others it is
/// empty): rows x d each.
pub(crate) type FeatureGradients = (Vec<f32>, Vec<f32>);

/// Adds an encoder's gradients, given the whole ones with respect to z and, of Gaussian features, that of the rate with
/// respect to std: z = mu + std noise takes the former to mu and std. With `to_input`, gives what the blocks of the
/// input that learn want.
pub(crate) fn backward_from_prior(
    encoder: &mut Encoder,
    encoded: &Encoded,
    (to_z, to_std): FeatureGradients,
    to_input: bool,
) -> Result<Vec<Tensor>, NodeError> {
    let (shape, device) = (encoded.features.z.dims2()?, encoded.features.z.device());
    if to_std.is_empty() {
        let to_z = Tensor::from_vec(to_z, shape, device)?;
        return Ok(match to_input {
            true => encoder.backward_to_input(Way::default(), encoded, &to_z, None)?,
            false => encoder.backward(encoded, &to_z, None).map(|()| Vec::new())?,
        });
    }
    let to_mu = vec![0.0; to_z.len()];
    let packed = Tensor::from_vec([to_z, to_mu, to_std].concat(), (3, shape.0, shape.1), device)?;
    Ok(encoder.backward_packed(encoded, &packed, to_input)?)
}

/// The name of entry (k, t, m) in errors and warnings.
pub(crate) fn entry_name(scenario: &Scenario, [k, t, m]: [usize; 3]) -> String {
    format!("transmitter {k}, {} for receiver {t}", scenario.transmitter[k].modalities[m])
}

/// The error of entry (k, t, m) whose encoder gives a value that is not finite.
pub(crate) fn encoder_diverged(scenario: &Scenario, entry: [usize; 3], value: f32) -> NodeError {
    NodeError::Diverged(format!("{}: its encoder puts out {value}", entry_name(scenario, entry)))
}

/// The numbers of an f32 tensor, wherever it is.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f32>, NodeError> {
    Ok(dib::with_values(&tensor.contiguous()?, <[f32]>::to_vec)?)
}
