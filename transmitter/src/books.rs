//! The code books of a transmitter's entries: what encoders mean becomes indices of their vectors.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use dib::{
    Features, Network, Phase,
    coding::{CodeBook, CodeVectors, Encoder},
    initial_weights,
};
use node::{Context, NodeError};
use scenario::Coding;

use crate::priors::{EntryRows, Tables, encoder_diverged, entry_name, values};

/// The code book of every entry, learned with the encoders.
pub(crate) struct Books {
    /// By modality, then receiver.
    books: Vec<Vec<CodeBook>>,
    /// The vectors with which training goes on, and those of the evaluation under way.
    training: Option<Tables<CodeVectors>>,
    evaluation: Option<Tables<CodeVectors>>,
}

/// The indices of one modality's entries, in the order of the encoder's rows.
pub(crate) struct Indexed {
    /// By entry.
    indices: Vec<Vec<u32>>,
    tables: Tables<CodeVectors>,
}

/// What a modality's code books learn from.
pub(crate) struct BookLesson<'a> {
    /// What the encoder put out, [rows, d].
    pub(crate) mu: &'a Tensor,
    /// The indices that were sent of it.
    pub(crate) indexed: &'a Indexed,
    /// What receivers want of z, row after row.
    pub(crate) dz: &'a [f32],
    /// Which entries have arrived. A code book of which none has takes no part.
    pub(crate) used: &'a [bool],
    /// Of how many ticks the entries are.
    pub(crate) ticks: usize,
}

impl Books {
    /// Those of transmitter k, if features are coded by code books.
    pub(crate) fn new(context: &Context) -> Result<Option<Self>, NodeError> {
        let (scenario, k) = (&context.scenario, context.index);
        if scenario.train.coding() != Coding::CodeBook {
            return Ok(None);
        }
        let (shape, commitment) = (node::code_shape(scenario), scenario.train.commitment);
        let book = |m: usize, t: usize| {
            let name = format!("transmitter{k}/book{m}-{t}");
            CodeBook::new(&name, shape, commitment, DType::F32, initial_weights(context.seed, &name))
        };
        let of_modality = |m: usize| (0..scenario.receivers()).map(|t| book(m, t)).collect();
        let books = (0..scenario.modalities(k)).map(of_modality).collect::<Result<_, _>>()?;
        Ok(Some(Books { books, training: None, evaluation: None }))
    }

    pub(crate) fn networks(&self) -> impl Iterator<Item = &Network> {
        self.books.iter().flatten().map(CodeBook::network)
    }

    pub(crate) fn networks_mut(&mut self) -> impl Iterator<Item = &mut Network> {
        self.books.iter_mut().flatten().map(CodeBook::network_mut)
    }

    /// From now on a phase's features are coded by the vectors as they are, which messages call by this number.
    pub(crate) fn hold(&mut self, phase: Phase, number: u64) -> Result<(), NodeError> {
        let of_modality = |books: &Vec<CodeBook>| {
            books.iter().map(|book| book.vectors().map(Arc::new)).collect::<Result<_, _>>()
        };
        let of: Vec<Vec<_>> = self.books.iter().map(of_modality).collect::<Result<_, _>>()?;
        let tables = Some(Tables { number, of });
        match phase {
            Phase::Train => self.training = tables,
            Phase::Evaluate => self.evaluation = tables,
        }
        Ok(())
    }

    /// The vectors by which a phase's features are coded.
    pub(crate) fn in_force(&self, phase: Phase) -> Option<&Tables<CodeVectors>> {
        match phase {
            Phase::Train => self.training.as_ref(),
            Phase::Evaluate => self.evaluation.as_ref(),
        }
    }

    /// Adds the gradients of a modality's code books, given what receivers want of z; gives the whole gradient with
    /// respect to what the encoder put out, row after row.
    pub(crate) fn learn(
        &mut self,
        context: &Context,
        m: usize,
        rows: EntryRows<'_>,
        lesson: &BookLesson<'_>,
    ) -> Result<Vec<f32>, NodeError> {
        let mu = values(lesson.mu)?;
        let mut to_mu = vec![0.0; mu.len()];
        // The books take their step behind the round's last part: the vectors that were sent are still the nearest.
        let held = self.training.as_ref().map(|tables| tables.number);
        debug_assert_eq!(held, Some(lesson.indexed.table()), "indices of another round's vectors");
        for (t, book) in self.books[m].iter_mut().enumerate() {
            let positions = rows.of(t);
            if !positions.iter().any(|&position| lesson.used[position]) {
                continue;
            }
            let mut rows_of_tick = vec![0; lesson.ticks];
            positions.iter().for_each(|&position| rows_of_tick[rows.entries[position].0] += rows.rows);
            // Of an entry that was used the mean over its rows counts, and of others nothing.
            let weight = |&position: &usize| if lesson.used[position] { 1.0 / rows.rows as f32 } else { 0.0 };
            let weights: Vec<f32> =
                positions.iter().flat_map(|position| vec![weight(position); rows.rows]).collect();
            let weights = Tensor::from_vec(weights, (positions.len() * rows.rows, 1), &Device::Cpu)?;
            let (mu, dz) = (rows.gather(&mu, &positions)?, rows.gather(lesson.dz, &positions)?);
            let indices: Vec<u32> =
                positions.iter().flat_map(|&position| &lesson.indexed.indices[position]).copied().collect();
            let blocks = context.gradient_blocks(&rows_of_tick);
            let of_receiver = book.learn((&mu, &indices), &dz, &weights, &blocks)?;
            rows.scatter(&of_receiver, &positions, &mut to_mu)?;
        }
        Ok(to_mu)
    }

    /// The step of those that took part.
    pub(crate) fn step(&mut self, rate: f64) -> Result<(), NodeError> {
        Ok(self.books.iter_mut().flatten().try_for_each(|book| book.step(rate))?)
    }
}

impl Indexed {
    /// Of what modality m's encoder put out, [rows, d]; and the features that receivers will find.
    pub(crate) fn new(
        context: &Context,
        tables: &Tables<CodeVectors>,
        m: usize,
        rows: EntryRows<'_>,
        output: &Tensor,
    ) -> Result<(Self, Features), NodeError> {
        let means = values(output)?;
        let size = rows.rows * rows.d;
        for (&(_, t), means) in rows.entries.iter().zip(means.chunks_exact(size)) {
            let entry = [context.index, t, m];
            // A mean that is not finite would get an index all the same, and the receiver would detect no error.
            if let Some(&value) = means.iter().find(|value| !value.is_finite()) {
                return Err(encoder_diverged(&context.scenario, entry, value));
            }
            if !tables.of[m][t].is_finite() {
                let name = entry_name(&context.scenario, entry);
                return Err(NodeError::Diverged(format!("{name}: its code book is not finite")));
            }
        }
        let of_entries: Vec<(usize, &[f32])> =
            rows.entries.iter().map(|&(_, t)| t).zip(means.chunks_exact(size)).collect();
        let indices = node::in_parallel(&of_entries, |&(t, means)| tables.of[m][t].nearest(means));
        let z: Vec<f32> = indices
            .iter()
            .zip(rows.entries)
            .flat_map(|(indices, &(_, t))| tables.of[m][t].look_up(indices))
            .collect();
        let z = Tensor::from_vec(z, output.shape(), output.device())?;
        Ok((Indexed { indices, tables: tables.clone() }, Features { z, posterior: None }))
    }

    /// Adds the entry of receiver t that stands at a place to a stream.
    pub(crate) fn write(&self, (m, t): (usize, usize), place: usize, into: &mut Encoder) {
        self.tables.of[m][t].encode(&self.indices[place], into);
    }

    /// What its vectors are called.
    pub(crate) fn table(&self) -> u64 {
        self.tables.number
    }
}
