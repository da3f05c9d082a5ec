use super::messages::{Content, Image, Value};

/// Most columns of the picture.
const MOST: usize = 512;

/// Pixels of a cell, downwards.
const TALL: usize = 6;

/// The map of grants: a row for every entry of every receiver, a column for some rounds, the darker the more granted.
pub(crate) struct Picture {
    rows: usize,
    /// Rounds of a column.
    each: usize,
    /// Sums of shares, column by column.
    columns: Vec<Vec<f64>>,
    /// Rounds in the last column.
    filled: usize,
}

impl Picture {
    pub(crate) fn new(rows: usize) -> Self {
        Picture { rows, each: 1, columns: Vec::new(), filled: 0 }
    }

    /// Adds a round.
    pub(crate) fn push(&mut self, shares: impl Iterator<Item = f64>) {
        if self.columns.is_empty() || self.filled == self.each {
            if self.columns.len() == MOST {
                self.halve();
            }
            self.columns.push(vec![0.0; self.rows]);
            self.filled = 0;
        }
        if let Some(column) = self.columns.last_mut() {
            column.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share);
            self.filled += 1;
        }
    }

    /// Puts two columns together.
    fn halve(&mut self) {
        let add = |pair: &[Vec<f64>]| pair[0].iter().zip(&pair[1]).map(|(one, other)| one + other).collect();
        self.columns = self.columns.chunks_exact(2).map(add).collect();
        self.each *= 2;
    }

    /// The picture so far; none before the first round.
    pub(crate) fn value(&self) -> Option<Value> {
        let (width, height) = (self.columns.len(), self.rows * TALL);
        let shade = |row: usize, column: usize| {
            let rounds = if column + 1 == width { self.filled } else { self.each };
            let share = self.columns[column][row] / rounds as f64;
            (255.0 * (1.0 - share.clamp(0.0, 1.0))).round() as u8
        };
        let pixels: Vec<u8> = (0..height)
            .flat_map(|y| (0..width).map(move |x| (y, x)))
            .map(|(y, x)| shade(y / TALL, x))
            .collect();
        let mut encoded = Vec::new();
        let (wide, tall) = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
        let mut encoder = png::Encoder::new(&mut encoded, wide, tall);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().ok()?.write_image_data(&pixels).ok()?;
        let image = Image { height: tall as i32, width: wide as i32, colorspace: 1, encoded };
        Some(Value { tag: "selection/grants".into(), metadata: None, content: Some(Content::Image(image)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_fits_into_a_picture_of_means() {
        let mut picture = Picture::new(2);
        assert!(picture.value().is_none());
        (0..1500).for_each(|round| picture.push([f64::from(round % 2), 1.0].into_iter()));
        assert_eq!((picture.each, picture.columns.len(), picture.filled), (4, 375, 4));
        assert!(picture.columns.iter().all(|column| column == &[2.0, 4.0]));
        let Some(Content::Image(image)) = picture.value().unwrap().content else { panic!("an image") };
        assert_eq!((image.width, image.height), (375, 12));
        assert!(image.encoded.starts_with(b"\x89PNG"));
    }
}
