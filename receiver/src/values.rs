//! The values of a message's features, however they travel.

use dib::coding::{CodeError, Decoder, Levels};
use node::Context;
use proto::{Payload, When, WireError, v1::Features};
use scenario::Coding;

use crate::tables::{Read, Tables, is_simulated};

/// The values of all granted entries of a message.
pub(crate) enum Values {
    /// As they were sent.
    Sent(Payload),
    /// Of coded features.
    Read(Read),
}

impl Values {
    pub(crate) fn check(
        context: &Context,
        k: usize,
        when: When,
        (granted, samples, blocks): (&[(usize, usize)], usize, &[usize]),
        features: &Features,
        tables: &Tables,
    ) -> Result<Self, WireError> {
        let read = || tables.read(context, k, when, (granted, samples, blocks), features).map(Values::Read);
        match context.scenario.travels_as() {
            Coding::Dithered | Coding::CodeBook | Coding::Own => return read(),
            Coding::Gaussian if is_simulated(context, when) => return read(),
            Coding::Quantised => {
                let values = levels(context, (granted, samples), features)?;
                return Ok(Values::Read(Read { values, blocks: Vec::new() }));
            }
            Coding::Gaussian | Coding::Deterministic => {}
        }
        if features.coded.is_some() {
            return Err(WireError::Missing("coded features to expect: features travel as f32"));
        }
        let shape = [granted.len(), samples, context.feature_dim()];
        Ok(Values::Sent(Payload::check("z", features.z.as_ref(), &shape)?))
    }

    /// The transport blocks that they become.
    pub(crate) fn blocks(&self) -> &[Vec<u8>] {
        match self {
            Values::Sent(_) => &[],
            Values::Read(read) => &read.blocks,
        }
    }

    /// Their bytes in the message.
    pub(crate) fn bytes(&self, features: &Features) -> u64 {
        match self {
            Values::Sent(payload) => payload.bytes(),
            Values::Read(_) => features.coded.as_ref().map_or(0, |coded| coded.stream.len() as u64),
        }
    }
}

/// The values of quantised features, `samples` rows of d values an entry.
fn levels(
    context: &Context,
    (granted, samples): (&[(usize, usize)], usize),
    features: &Features,
) -> Result<Vec<f32>, WireError> {
    let coded = features.coded.as_ref().ok_or(WireError::Missing("coded features"))?;
    let code = |what: &str, problem: String| WireError::Code { what: what.into(), problem };
    if features.z.is_some() {
        return Err(code("z", "is there beside coded features".into()));
    }
    if coded.table != 0 || !coded.rates.is_empty() {
        return Err(code("the message", "tells tables or rates beside quantised features".into()));
    }
    let stream = |error: CodeError| code("the stream of coded features", error.to_string());
    let mut decoder = Decoder::new(&coded.stream).map_err(stream)?;
    let mut levels = Levels::new(context.scenario.train.bits, context.feature_dim());
    let mut values = Vec::with_capacity(granted.len() * samples * context.feature_dim());
    for &(_, m) in granted {
        levels.decode(m, samples, &mut decoder, &mut values).map_err(stream)?;
    }
    decoder.finish().map_err(stream)?;
    Ok(values)
}
