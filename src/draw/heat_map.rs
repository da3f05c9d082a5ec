//! Heat maps of a selection over the rounds, as in the paper's Figs. 3 to 8.

use plotters::{
    coord::Shift,
    prelude::{DrawingArea, DrawingBackend, FontTransform, IntoFont, Rectangle},
    style::{
        Color,
        text_anchor::{HPos, Pos, VPos},
    },
};

use crate::draw::picture::{COLORS, Picture, TEXT, text};

/// Sizes in pixels.
const COLUMN: u32 = 20;
const HEIGHT: u32 = 240;
const LEFT: u32 = 64;
const GAP: u32 = 18;
const TITLE: u32 = 54;
const CHUNK_TITLE: u32 = 20;
const NAMES: u32 = 88;
const CAPTION: u32 = 56;

/// The key to colours and columns.
const KEY: &str = "empty: never granted; full blue: at every tick. Columns: transmitter and modality";

/// Strips below each other under a title.
pub(crate) struct HeatMaps {
    pub(crate) title: String,
    pub(crate) strips: Vec<Strip>,
}

/// One run: receivers from left to right, rounds from top to bottom.
pub(crate) struct Strip {
    /// Lines below the strip.
    pub(crate) caption: [String; 3],
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) rounds: u64,
}

/// The grants of one receiver.
pub(crate) struct Chunk {
    /// Its task.
    pub(crate) title: String,
    /// The entries.
    pub(crate) columns: Vec<String>,
    /// The granted share of every entry, from 0 to 1: a row for a group of rounds, the first on top.
    pub(crate) rows: Vec<Vec<f64>>,
}

/// Means of consecutive rounds, in at most `most` rows. Each item has one round's shares.
pub(crate) fn binned(rounds: &[Vec<f64>], most: usize) -> Vec<Vec<f64>> {
    let rows = rounds.len().min(most);
    let row = |at: usize| {
        let bin = &rounds[at * rounds.len() / rows..(at + 1) * rounds.len() / rows];
        let mean = |entry: usize| bin.iter().map(|shares| shares[entry]).sum::<f64>() / bin.len() as f64;
        (0..bin[0].len()).map(mean).collect()
    };
    (0..rows).map(row).collect()
}

impl Strip {
    fn width(&self) -> u32 {
        let chunks = self.chunks.iter().map(|chunk| GAP + COLUMN * chunk.columns.len() as u32);
        LEFT + chunks.sum::<u32>()
    }
}

const STRIP: u32 = CHUNK_TITLE + HEIGHT + NAMES + CAPTION;

impl Picture for HeatMaps {
    fn size(&self) -> (u32, u32) {
        let width = self.strips.iter().map(Strip::width).max().unwrap_or(0);
        (width.max(620), TITLE + STRIP * self.strips.len() as u32)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> anyhow::Result<()>
    where
        B::ErrorType: 'static,
    {
        let s = scale as i32;
        area.draw_text(&self.title, &text(16 * scale), (12 * s, 10 * s))?;
        area.draw_text(KEY, &text(11 * scale), (12 * s, 32 * s))?;
        let mut rest = area.clone().split_vertically(TITLE * scale).1;
        for strip in &self.strips {
            let (own, below) = rest.split_vertically(STRIP * scale);
            strip.draw(&own, scale)?;
            rest = below;
        }
        Ok(())
    }
}

impl Strip {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> anyhow::Result<()>
    where
        B::ErrorType: 'static,
    {
        let s = scale as i32;
        let top = CHUNK_TITLE as i32 * s;
        let bottom = top + HEIGHT as i32 * s;
        let to_the_left = text(11 * scale).pos(Pos::new(HPos::Right, VPos::Center));
        for (at, share) in [(0, 0.0), (1, 0.5), (2, 1.0)] {
            let y = top + (HEIGHT as i32 * s) * at / 2;
            let round = (self.rounds as f64 * share).round();
            area.draw_text(&format!("{round}"), &to_the_left, ((LEFT as i32 - 6) * s, y))?;
        }
        area.draw_text("round", &to_the_left, ((LEFT as i32 - 6) * s, top + HEIGHT as i32 * s / 4))?;
        let mut left = LEFT as i32 * s;
        for chunk in &self.chunks {
            chunk.draw(area, left, (top, bottom), scale)?;
            left += (COLUMN * chunk.columns.len() as u32 + GAP) as i32 * s;
        }
        for (line, words) in self.caption.iter().enumerate() {
            let y = bottom + (NAMES as i32 + 2 + 16 * line as i32) * s;
            area.draw_text(words, &text(12 * scale), (12 * s, y))?;
        }
        Ok(())
    }
}

impl Chunk {
    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        left: i32,
        (top, bottom): (i32, i32),
        scale: u32,
    ) -> anyhow::Result<()>
    where
        B::ErrorType: 'static,
    {
        let s = scale as i32;
        let column = COLUMN as i32 * s;
        area.draw_text(&self.title, &text(13 * scale), (left, top - 17 * s))?;
        let edge = |row: usize| top + (bottom - top) * row as i32 / self.rows.len() as i32;
        for (row, shares) in self.rows.iter().enumerate() {
            for (entry, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
                let x = left + entry as i32 * column;
                let cell = [(x, edge(row)), (x + column, edge(row + 1))];
                area.draw(&Rectangle::new(cell, COLORS[0].mix(share.min(1.0)).filled()))?;
            }
        }
        let font = ("sans-serif", 11 * scale).into_font().transform(FontTransform::Rotate270);
        let upright = font.color(&TEXT).pos(Pos::new(HPos::Right, VPos::Center));
        for (entry, name) in self.columns.iter().enumerate() {
            let x = left + entry as i32 * column + column / 2;
            area.draw_text(name, &upright, (x, bottom + 6 * s))?;
        }
        let right = left + self.columns.len() as i32 * column;
        area.draw(&Rectangle::new([(left, top), (right, bottom)], TEXT.mix(0.6).stroke_width(scale)))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::picture::{png, svg};

    #[test]
    fn rounds_are_put_together_in_order_and_none_is_lost() {
        let rounds: Vec<Vec<f64>> = (0..10).map(|round| vec![f64::from(round), 1.0]).collect();
        assert_eq!(binned(&rounds, 2), [[2.0, 1.0], [7.0, 1.0]]);
        assert_eq!(binned(&rounds, 100), rounds);
        assert_eq!(binned(&rounds, 3).iter().map(|row| row[0]).collect::<Vec<_>>(), [1.0, 4.0, 7.5]);
        assert!(binned(&[], 3).is_empty());
    }

    #[test]
    fn every_share_above_0_is_a_cell_and_everything_is_named() {
        let chunk = |title: &str| Chunk {
            title: title.into(),
            columns: vec!["0 fft".into(), "1 mel".into()],
            rows: vec![vec![0.5, 0.0], vec![1.0, 0.25]],
        };
        let caption = ["seed 1", "rate 93 nats", "expected entries 6"].map(str::to_owned);
        let strip = Strip { caption, chunks: vec![chunk("parity"), chunk("digit")], rounds: 2000 };
        let maps = HeatMaps { title: "Fig. 3".into(), strips: vec![strip] };
        let text = svg(&maps).unwrap();
        for word in
            ["Fig. 3", "parity", "digit", "1 mel", "2000", "seed 1", "rate 93 nats", "expected entries 6"]
        {
            assert!(text.contains(word), "{word}: {text}");
        }
        // Three cells in each chunk, and its frame.
        assert_eq!(text.matches("<rect").count(), 2 * 4, "{text}");
        assert!(png(&maps).unwrap().len() > 1000);
    }
}
