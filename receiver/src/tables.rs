//! The tables of dithered features that a receiver has been sent, and what it reads with them.

use std::collections::BTreeMap;

use dib::{
    coding::{Decoder, EntryTable, restore},
    dithers,
};
use node::Context;
use proto::{When, WireError, check_length, v1::Features};

use crate::emulation::moment;

/// How many sets of tables of a transmitter are kept: those in force, those that came ahead of their message, and one to spare.
const KEPT: usize = 4;

/// The tables of all transmitters.
pub(crate) struct Tables {
    /// By transmitter: by number, those of its entries by modality.
    of: Vec<BTreeMap<u64, Vec<EntryTable>>>,
    /// How many pieces the evaluation pass that is due has.
    pieces: u64,
}

impl Tables {
    pub(crate) fn new(context: &Context, test_samples: usize) -> Self {
        let of = vec![BTreeMap::new(); context.scenario.transmitters()];
        Tables { of, pieces: context.pieces(test_samples) as u64 }
    }

    /// From now on a pass has pieces of so many samples in all.
    pub(crate) fn judge_samples(&mut self, context: &Context, samples: usize) {
        self.pieces = context.pieces(samples) as u64;
    }

    /// Takes what comes with a message of transmitter k, whatever becomes of the rest of it.
    pub(crate) fn take(&mut self, context: &Context, k: usize, features: &Features) -> Result<(), WireError> {
        let Some(tables) = &features.tables else { return Ok(()) };
        if !is_dithered(context) {
            return Err(WireError::Missing("tables to expect: features are not dithered"));
        }
        check_length("tables", "entries", tables.entries.len(), context.scenario.modalities(k))?;
        let read = |(m, bytes): (usize, &bytes::Bytes)| {
            EntryTable::from_bytes(bytes, context.feature_dim()).map_err(|error| WireError::Code {
                what: format!("the table of modality {m}"),
                problem: error.to_string(),
            })
        };
        let read = tables.entries.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        self.of[k].insert(tables.number, read);
        while self.of[k].len() > KEPT {
            self.of[k].pop_first();
        }
        Ok(())
    }

    /// The values of the entries (tick, modality) that transmitter k's message brings, `samples` rows of d values each.
    pub(crate) fn read(
        &self,
        context: &Context,
        k: usize,
        when: When,
        (granted, samples): (&[(usize, usize)], usize),
        features: &Features,
    ) -> Result<Vec<f32>, WireError> {
        let coded = features.coded.as_ref().ok_or(WireError::Missing("coded features"))?;
        let code = |what: &str, problem: String| WireError::Code { what: what.into(), problem };
        if features.z.is_some() {
            return Err(code("z", "is there beside coded features".into()));
        }
        let stream = |error: dib::coding::CodeError| code("the stream of coded features", error.to_string());
        let mut decoder = Decoder::new(&coded.stream).map_err(stream)?;
        if granted.is_empty() {
            decoder.finish().map_err(stream)?;
            return Ok(Vec::new());
        }
        let tables = self.of[k].get(&coded.table).ok_or_else(|| {
            code("the message", format!("is coded with table {}, which has not come", coded.table))
        })?;
        let (phase, first) = self.address(context, when);
        let (d, t) = (context.feature_dim(), context.index);
        // No more is set aside than the stream's bytes can hold.
        let mut values = Vec::new();
        for &(tick, m) in granted {
            let drawn = dithers(context.seed, phase, [k, t, m], first.wrapping_add(tick as u64), samples * d);
            for (at, &dither) in drawn.iter().enumerate() {
                let integer = tables[m].decode(at % d, dither, &mut decoder).map_err(stream)?;
                values.push(restore(integer, tables[m].step(at % d), dither));
            }
        }
        decoder.finish().map_err(stream)?;
        Ok(values)
    }

    /// Phase and first moment of a message's dithers.
    fn address(&self, context: &Context, when: When) -> (dib::Phase, u64) {
        let (phase, _, first_tick) = moment(context, when);
        match when {
            When::Round { .. } => (phase, first_tick),
            When::Piece { pass, piece } => (phase, context.feature_moment(pass, piece, self.pieces)),
        }
    }
}

/// Whether integers travel.
pub(crate) fn is_dithered(context: &Context) -> bool {
    context.scenario.train.coding() == scenario::Coding::Dithered
}
