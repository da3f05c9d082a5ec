//! Normalisation, fitted on training rows.

use serde::{Deserialize, Serialize};

/// How values are normalised, each position of a row by itself, over the training rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalisation {
    /// Not at all.
    None,
    /// To mean 0 and standard deviation 1.
    #[default]
    Standard,
    /// To the range from 0 to 1.
    MinMax,
}

/// What was fitted: value x of position i becomes (x - `shift[i]`) / `scale[i]`. Positions that never vary have scale 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Map {
    pub(crate) shift: Vec<f64>,
    pub(crate) scale: Vec<f64>,
}

impl Map {
    /// Writes a row's normalised values.
    pub(crate) fn apply(&self, row: &[f64], out: &mut [f32]) {
        let parameters = self.shift.iter().zip(&self.scale);
        for ((out, value), (shift, scale)) in out.iter_mut().zip(row).zip(parameters) {
            *out = ((value - shift) / scale) as f32;
        }
    }

    /// Normalises a row in place.
    pub(crate) fn apply_in_place(&self, row: &mut [f32]) {
        for ((value, shift), scale) in row.iter_mut().zip(&self.shift).zip(&self.scale) {
            *value = ((f64::from(*value) - shift) / scale) as f32;
        }
    }
}

/// A fit under way: rows come in order, so that the sums are the same to the bit whoever fits.
pub(crate) struct Fit {
    kind: Normalisation,
    rows: f64,
    mean: Vec<f64>,
    /// Sums of squared distances from the mean (Welford's).
    spread: Vec<f64>,
    least: Vec<f64>,
    most: Vec<f64>,
}

impl Fit {
    pub(crate) fn new(kind: Normalisation, width: usize) -> Self {
        let of = |value| vec![value; width];
        Fit {
            kind,
            rows: 0.0,
            mean: of(0.0),
            spread: of(0.0),
            least: of(f64::INFINITY),
            most: of(f64::NEG_INFINITY),
        }
    }

    pub(crate) fn row(&mut self, row: &[f64]) {
        self.rows += 1.0;
        match self.kind {
            Normalisation::None => {}
            Normalisation::Standard => {
                for ((value, mean), spread) in row.iter().zip(&mut self.mean).zip(&mut self.spread) {
                    let before = value - *mean;
                    *mean += before / self.rows;
                    *spread += before * (value - *mean);
                }
            }
            Normalisation::MinMax => {
                for ((value, least), most) in row.iter().zip(&mut self.least).zip(&mut self.most) {
                    *least = least.min(*value);
                    *most = most.max(*value);
                }
            }
        }
    }

    pub(crate) fn finish(self) -> Map {
        // What never varies has nothing to be divided by.
        let scale = |width: f64| if width > 0.0 { width } else { 1.0 };
        match self.kind {
            Normalisation::None => {
                Map { shift: vec![0.0; self.mean.len()], scale: vec![1.0; self.mean.len()] }
            }
            Normalisation::Standard => {
                let deviations = self.spread.iter().map(|spread| scale((spread / self.rows).sqrt()));
                Map { scale: deviations.collect(), shift: self.mean }
            }
            Normalisation::MinMax => {
                let widths = self.least.iter().zip(&self.most).map(|(least, most)| scale(most - least));
                Map { scale: widths.collect(), shift: self.least }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [[f64; 3]; 4] = [[1.0, 5.0, -1.0], [2.0, 5.0, 3.0], [3.0, 5.0, 1.0], [6.0, 5.0, 5.0]];

    fn normalised(kind: Normalisation) -> Vec<Vec<f32>> {
        let mut fit = Fit::new(kind, 3);
        ROWS.iter().for_each(|row| fit.row(row));
        let map = fit.finish();
        let apply = |row: &[f64; 3]| {
            let mut out = vec![0.0; 3];
            map.apply(row, &mut out);
            out
        };
        ROWS.iter().map(apply).collect()
    }

    #[test]
    fn every_position_is_normalised_by_itself_and_what_never_varies_becomes_zero() {
        assert_eq!(normalised(Normalisation::None)[3], [6.0, 5.0, 5.0]);
        let ranged = normalised(Normalisation::MinMax);
        assert_eq!(ranged, [[0.0, 0.0, 0.0], [0.2, 0.0, 2.0 / 3.0], [0.4, 0.0, 1.0 / 3.0], [1.0, 0.0, 1.0]]);
        let standard = normalised(Normalisation::Standard);
        for position in [0, 2] {
            let values: Vec<f32> = standard.iter().map(|row| row[position]).collect();
            let mean: f32 = values.iter().sum::<f32>() / 4.0;
            let variance: f32 = values.iter().map(|value| value * value).sum::<f32>() / 4.0;
            assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-6, "{values:?}");
        }
        assert!(standard.iter().all(|row| row[1] == 0.0));
    }
}
