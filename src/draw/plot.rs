//! Diagrams side by side, as SVG that is legible on white and on black.

use std::ops::Range;

use plotters::{
    chart::{ChartBuilder, SeriesLabelPosition},
    coord::Shift,
    prelude::{Circle, Color, DrawingArea, IntoDrawingArea, LineSeries, PathElement, RGBColor, SVGBackend},
};

use crate::draw::picture::{TEXT, text};

/// Size of one diagram, in pixels.
const SIZE: (u32, u32) = (340, 340);

/// Blue and orange that are visible on white and on black: the plot has no background.
const LINES: [RGBColor; 2] = [RGBColor(59, 130, 246), RGBColor(217, 119, 6)];

/// A diagram of up to two lines.
pub(crate) struct Diagram {
    pub(crate) title: String,
    /// Name and points of every line; a line without points is left out.
    pub(crate) lines: Vec<(&'static str, Vec<(f64, f64)>)>,
    pub(crate) y: Range<f64>,
}

/// The horizontal axis that the diagrams of a plot share.
pub(crate) struct Axis<'a> {
    pub(crate) title: &'a str,
    pub(crate) range: Range<f64>,
    pub(crate) labels: usize,
    /// The label at a position.
    pub(crate) name: &'a dyn Fn(f64) -> String,
}

impl<'a> Axis<'a> {
    /// An axis of so many things, at the whole numbers from 0 on, with their names.
    pub(crate) fn of_names(title: &'a str, count: usize, name: &'a dyn Fn(f64) -> String) -> Self {
        let range = -0.3..count.saturating_sub(1) as f64 + 0.3;
        // Also between them, where nothing is written: fewer labels than things would name none.
        Axis { title, range, labels: 2 * count + 1, name }
    }
}

/// Draws diagrams side by side under a title.
pub(crate) fn side_by_side(title: &str, diagrams: &[Diagram], axis: &Axis<'_>) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let size = (SIZE.0 * diagrams.len() as u32, SIZE.1);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let root = root.titled(title, text(17))?;
        for (area, diagram) in root.split_evenly((1, diagrams.len())).iter().zip(diagrams) {
            draw(area, diagram, axis)?;
        }
        root.present()?;
    }
    Ok(svg)
}

fn draw(area: &DrawingArea<SVGBackend<'_>, Shift>, diagram: &Diagram, axis: &Axis<'_>) -> anyhow::Result<()> {
    let mut chart = ChartBuilder::on(area)
        .caption(&diagram.title, text(14))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(46)
        .build_cartesian_2d(axis.range.clone(), diagram.y.clone())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TEXT.mix(0.0))
        .bold_line_style(TEXT.mix(0.3))
        .axis_style(TEXT)
        .label_style(text(12))
        .x_desc(axis.title)
        .x_labels(axis.labels)
        .x_label_formatter(&|at| (axis.name)(*at))
        .y_labels(6)
        .y_label_formatter(&|value| ((value * 100.0).round() / 100.0).to_string())
        .draw()?;
    for ((name, points), color) in diagram.lines.iter().zip(LINES) {
        if points.is_empty() {
            continue;
        }
        chart
            .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color.stroke_width(2)));
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .label_font(text(12))
        .legend_area_size(18)
        .draw()?;
    Ok(())
}

/// Writes files of these names into a folder, which is created if missing.
pub(crate) fn write(folder: &std::path::Path, files: &[(&str, String)]) -> anyhow::Result<()> {
    use anyhow::Context;
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
