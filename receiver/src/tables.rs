//! The tables of dithered features, or the code books, that a receiver has been sent, and what it reads with them, or
//! with a coding of a user's program.

use std::{collections::VecDeque, sync::Arc};

use dib::{
    CodedRows,
    coding::{CodeError, CodeVectors, Decoder, Encoder, EntryTable, SharedPrior, restore},
    dithers, simulation_keys,
};
use node::{Context, NodeError, OwnCoding};
use proto::{When, WireError, check_length, v1::Features};
use scenario::Coding;

use crate::emulation::moment;

/// How many sets of tables of a transmitter are kept: those in force, those that came ahead of their message, and one
/// to spare.
const KEPT: usize = 4;

/// Tables of a transmitter, by modality, as far as they have come.
#[derive(Clone)]
struct Set {
    number: u64,
    of: Vec<Option<Table>>,
}

/// What an entry is read with.
#[derive(Clone)]
enum Table {
    /// Dithered features.
    Dithered(Arc<EntryTable>),
    /// Simulated ones.
    Simulated(Arc<SharedPrior>),
    /// Indices.
    Book(Arc<CodeVectors>),
}

impl Table {
    fn from_bytes(context: &Context, bytes: &[u8]) -> Result<Self, CodeError> {
        let d = context.feature_dim();
        Ok(match context.scenario.train.coding() {
            Coding::Dithered => Table::Dithered(Arc::new(EntryTable::from_bytes(bytes, d)?)),
            Coding::CodeBook => {
                let shape = node::code_shape(&context.scenario);
                Table::Book(Arc::new(CodeVectors::from_bytes(bytes, shape)?))
            }
            _ => Table::Simulated(Arc::new(SharedPrior::from_bytes(bytes, d)?)),
        })
    }

    /// Reads so many rows of an entry [k, t, m] at a moment, behind others that are skipped. Where they travel as
    /// transport blocks, those of so many rows each.
    fn read(
        &self,
        context: &Context,
        (address, phase, moment, skipped): ([usize; 3], dib::Phase, u64, usize),
        (samples, blocks): (usize, &[usize]),
        decoder: &mut Decoder<'_>,
        into: &mut Read,
    ) -> Result<(), CodeError> {
        let d = context.feature_dim();
        match self {
            Table::Dithered(table) => {
                let drawn = dithers(context.seed, phase, address, moment, (skipped + samples) * d);
                let mut drawn = drawn[skipped * d..].iter();
                // What belongs to no transport block is read all the same.
                let whole = [samples];
                for rows in if blocks.is_empty() { &whole[..] } else { blocks } {
                    let mut alone = Encoder::default();
                    for (at, &dither) in drawn.by_ref().take(rows * d).enumerate() {
                        let integer = table.decode(at % d, dither, decoder)?;
                        into.values.push(restore(integer, table.step(at % d), dither));
                        if !blocks.is_empty() {
                            table.encode(at % d, dither, integer, &mut alone);
                        }
                    }
                    if !blocks.is_empty() {
                        into.blocks.push(alone.finish());
                    }
                }
            }
            Table::Simulated(prior) => {
                let [key, _] = simulation_keys(context.seed, address, moment);
                into.values.extend(prior.decode(samples, key, decoder)?);
            }
            Table::Book(book) => book.decode(samples, decoder, &mut into.values)?,
        }
        Ok(())
    }
}

/// What coded entries say.
#[derive(Default)]
pub(crate) struct Read {
    /// Of all entries, row after row. No more is set aside than the stream's bytes can hold.
    pub(crate) values: Vec<f32>,
    /// The transport blocks that the entries become, one after the other, each a stream by itself; none where no bits
    /// go over the air.
    pub(crate) blocks: Vec<Vec<u8>>,
}

/// The tables of all transmitters.
pub(crate) struct Tables {
    /// By transmitter, in the order in which they came last.
    of: Vec<VecDeque<Set>>,
    /// A coding that needs none.
    own: Option<OwnCoding>,
    /// How many pieces the evaluation pass that is due has.
    pieces: u64,
}

impl Tables {
    pub(crate) fn new(context: &Context, test_samples: usize) -> Result<Self, NodeError> {
        let of = vec![VecDeque::new(); context.scenario.transmitters()];
        let own = node::added_coding(&context.scenario, context.seed)?;
        Ok(Tables { of, own, pieces: context.pieces(test_samples) as u64 })
    }

    /// From now on a pass has pieces of so many samples in all.
    pub(crate) fn evaluate_samples(&mut self, context: &Context, samples: usize) {
        self.pieces = context.pieces(samples) as u64;
    }

    /// Takes what comes with a message of transmitter k, whatever becomes of the rest of it.
    pub(crate) fn take(&mut self, context: &Context, k: usize, features: &Features) -> Result<(), WireError> {
        let Some(tables) = &features.tables else { return Ok(()) };
        let train = &context.scenario.train;
        if !matches!(train.coding(), Coding::Dithered | Coding::CodeBook) && !train.simulates() {
            return Err(WireError::Missing("tables to expect: features are not coded with any"));
        }
        check_length("tables", "entries", tables.entries.len(), context.scenario.modalities(k))?;
        let sets = &mut self.of[k];
        // What does not come anew is as it was in the tables of that number, or else in the last ones.
        let before = sets.iter().position(|set| set.number == tables.number);
        let before = before.and_then(|place| sets.remove(place)).or_else(|| sets.back().cloned());
        let mut of = before.map_or_else(|| vec![None; tables.entries.len()], |set| set.of);
        for (m, bytes) in tables.entries.iter().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
            let table = Table::from_bytes(context, bytes).map_err(|error| WireError::Code {
                what: format!("the table of modality {m}"),
                problem: error.to_string(),
            })?;
            of[m] = Some(table);
        }
        sets.push_back(Set { number: tables.number, of });
        if sets.len() > KEPT {
            sets.pop_front();
        }
        Ok(())
    }

    /// What the entries (tick, modality) say that transmitter k's message brings, `samples` rows of d values each.
    /// Where they travel as transport blocks, `blocks` are how many of its rows each has.
    pub(crate) fn read(
        &self,
        context: &Context,
        k: usize,
        when: When,
        (granted, samples, blocks): (&[(usize, usize)], usize, &[usize]),
        features: &Features,
    ) -> Result<Read, WireError> {
        let coded = features.coded.as_ref().ok_or(WireError::Missing("coded features"))?;
        let code = |what: &str, problem: String| WireError::Code { what: what.into(), problem };
        if features.z.is_some() {
            return Err(code("z", "is there beside coded features".into()));
        }
        let stream = |error: dib::coding::CodeError| code("the stream of coded features", error.to_string());
        let mut decoder = Decoder::new(&coded.stream).map_err(stream)?;
        if granted.is_empty() {
            decoder.finish().map_err(stream)?;
            return Ok(Read::default());
        }
        if !is_dithered(context) && !coded.rates.is_empty() {
            return Err(code("the message", "tells rates beside features that are not dithered".into()));
        }
        let (phase, first, skipped) = self.address(context, when);
        let mut read = Read::default();
        if let Some(own) = &self.own {
            if coded.table != 0 {
                return Err(code("the message", "tells tables of a coding that has none".into()));
            }
            for &(tick, m) in granted {
                let rows = CodedRows {
                    phase,
                    transmitter: k,
                    receiver: context.index,
                    modality: m,
                    moment: first.wrapping_add(tick as u64),
                    first: skipped,
                };
                own.decode(&rows, samples, &mut decoder, &mut read.values).map_err(stream)?;
            }
            decoder.finish().map_err(stream)?;
            return Ok(read);
        }
        let missing = |what: String| code("the message", format!("is coded with {what}, which has not come"));
        let set = self.of[k].iter().find(|set| set.number == coded.table);
        let set = set.ok_or_else(|| missing(format!("table {}", coded.table)))?;
        for &(tick, m) in granted {
            let none = || missing(format!("table {} of modality {m}", coded.table));
            let table = set.of[m].as_ref().ok_or_else(none)?;
            let at = ([k, context.index, m], phase, first.wrapping_add(tick as u64), skipped);
            table.read(context, at, (samples, blocks), &mut decoder, &mut read).map_err(stream)?;
        }
        decoder.finish().map_err(stream)?;
        Ok(read)
    }

    /// Phase and first moment of a message's dithers, and for how many rows they are skipped.
    fn address(&self, context: &Context, when: When) -> (dib::Phase, u64, usize) {
        let (phase, _, first_tick) = moment(context, when);
        match when {
            When::Round { .. } => (phase, first_tick, 0),
            When::Piece { pass, piece } => (phase, context.feature_moment(pass, piece, self.pieces), 0),
            When::Served(served) => {
                let moment = context.feature_moment(served.pass, served.piece, self.pieces);
                (phase, moment, served.offset as usize)
            }
        }
    }
}

/// Whether integers travel.
pub(crate) fn is_dithered(context: &Context) -> bool {
    context.scenario.train.coding() == Coding::Dithered
}

/// Whether what is sent then are numbers of proposals.
pub(crate) fn is_simulated(context: &Context, when: When) -> bool {
    context.scenario.train.simulates() && matches!(when, When::Piece { .. })
}
