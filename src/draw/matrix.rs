//! A table of numbers with a bar of colour beside each.

use plotters::{
    coord::Shift,
    prelude::{DrawingArea, DrawingBackend, Rectangle},
    style::{
        Color,
        text_anchor::{HPos, Pos, VPos},
    },
};

use crate::draw::picture::{COLORS, Picture, TEXT, text};

/// Sizes in pixels.
const LEFT: u32 = 250;
const COLUMN: u32 = 150;
const ROW: u32 = 20;
const TOP: u32 = 64;
const BAR: u32 = 70;

/// The key to the bars.
const KEY: &str = "bar: full where the score is the undisturbed one, empty where it is the worst of all";

/// Rows of cells under a title.
pub(crate) struct Matrix {
    pub(crate) title: String,
    pub(crate) columns: Vec<String>,
    /// Each with its name.
    pub(crate) rows: Vec<(String, Vec<Cell>)>,
}

/// A number.
pub(crate) struct Cell {
    /// The filled part of its bar, from 0 to 1.
    pub(crate) share: f64,
    pub(crate) text: String,
}

impl Picture for Matrix {
    fn size(&self) -> (u32, u32) {
        ((LEFT + COLUMN * self.columns.len() as u32).max(620), TOP + ROW * self.rows.len() as u32 + 12)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> anyhow::Result<()>
    where
        B::ErrorType: 'static,
    {
        let s = scale as i32;
        area.draw_text(&self.title, &text(16 * scale), (12 * s, 10 * s))?;
        area.draw_text(KEY, &text(11 * scale), (12 * s, 30 * s))?;
        let left = |column: usize| (LEFT + COLUMN * column as u32) as i32 * s;
        for (column, name) in self.columns.iter().enumerate() {
            area.draw_text(name, &text(12 * scale), (left(column), 48 * s))?;
        }
        let in_the_middle = |horizontal| text(12 * scale).pos(Pos::new(horizontal, VPos::Center));
        for (row, (name, cells)) in self.rows.iter().enumerate() {
            let y = (TOP + ROW * row as u32 + ROW / 2) as i32 * s;
            area.draw_text(name, &in_the_middle(HPos::Left), (12 * s, y))?;
            for (column, cell) in cells.iter().enumerate() {
                let (x, half) = (left(column), (ROW as i32 / 2 - 3) * s);
                let width = |share: f64| (f64::from(BAR) * share.clamp(0.0, 1.0)).round() as i32 * s;
                if width(cell.share) > 0 {
                    let bar = [(x, y - half), (x + width(cell.share), y + half)];
                    area.draw(&Rectangle::new(bar, COLORS[0].filled()))?;
                }
                let frame = [(x, y - half), (x + width(1.0), y + half)];
                area.draw(&Rectangle::new(frame, TEXT.mix(0.6).stroke_width(scale)))?;
                area.draw_text(&cell.text, &in_the_middle(HPos::Left), (x + width(1.0) + 8 * s, y))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::picture::{png, svg};

    #[test]
    fn every_cell_has_its_number_and_a_bar_if_it_is_not_the_worst() {
        let cell = |share, text: &str| Cell { share, text: text.into() };
        let matrix = Matrix {
            title: "Grid".into(),
            columns: vec!["parity, top-1, %".into(), "digit, top-1, %".into()],
            rows: vec![
                ("as trained".into(), vec![cell(1.0, "99.00"), cell(1.0, "98.00")]),
                ("without 1/mel".into(), vec![cell(0.0, "50.00"), cell(0.5, "71.25")]),
            ],
        };
        let text = svg(&matrix).unwrap();
        for word in ["Grid", "digit, top-1, %", "without 1/mel", "99.00", "71.25", "50.00"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        // A frame for each cell, and three bars.
        assert_eq!(text.matches("<rect").count(), 4 + 3, "{text}");
        assert!(png(&matrix).unwrap().len() > 1000);
    }
}
