use proto::{Payload, WireError, decode_bits, v1::Observation};

/// What this transmitter observes of the samples of a batch: they are no rows of a data set.
pub(crate) struct Observed {
    /// By modality, row by row; none of which nothing came.
    values: Vec<Option<Vec<f32>>>,
    /// By modality, for every sample.
    has: Vec<Vec<bool>>,
}

impl Observed {
    /// Checks what came of so many samples of modalities of these widths.
    pub(crate) fn check(rows: usize, widths: &[usize], observed: &[Observation]) -> Result<Self, WireError> {
        let mut found =
            Observed { values: vec![None; widths.len()], has: vec![vec![false; rows]; widths.len()] };
        for observation in observed {
            let m = observation.modality as usize;
            let width = widths.get(m).ok_or(WireError::Missing("modality of that number to observe"))?;
            let payload = Payload::check("values", observation.values.as_ref(), &[rows, *width])?;
            let values = payload.values(0..rows * width).collect();
            let absent = match observation.absent.is_empty() {
                true => vec![false; rows],
                false => decode_bits("absent", &observation.absent, rows)?,
            };
            found.has[m] = absent.into_iter().map(|absent| !absent).collect();
            found.values[m] = Some(values);
        }
        Ok(found)
    }

    /// Lets each sample's values of every modality become what encoders are given.
    pub(crate) fn each(&mut self, widths: &[usize], mut of: impl FnMut(usize, &mut [f32])) {
        for (m, values) in self.values.iter_mut().enumerate() {
            for values in values.iter_mut().flat_map(|values| values.chunks_exact_mut(widths[m])) {
                of(m, values);
            }
        }
    }

    /// Whether a modality of a sample was observed.
    pub(crate) fn has(&self, m: usize, row: usize) -> bool {
        self.has[m][row]
    }

    /// The values of a modality, row by row, appended; zeros where it was not observed.
    pub(crate) fn read(&self, m: usize, width: usize, into: &mut Vec<f32>) {
        match &self.values[m] {
            Some(values) => into.extend_from_slice(values),
            None => into.resize(into.len() + self.has[m].len() * width, 0.0),
        }
    }
}
