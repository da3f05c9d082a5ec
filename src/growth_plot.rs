//! What `bench scale` found, as a table for programs and as a plot.

use std::path::Path;

use anyhow::Context;
use plotters::{
    chart::{ChartBuilder, SeriesLabelPosition},
    coord::Shift,
    prelude::{
        Circle, Color, DrawingArea, IntoDrawingArea, IntoFont, LineSeries, PathElement, RGBColor, SVGBackend,
        TextStyle,
    },
};

use crate::size_figures::SizeFigures;

/// Of the plot, in pixels.
const SIZE: (u32, u32) = (1020, 340);

/// Grey, blue and orange that can be read on white and on black: the plot has no background of its own.
const TEXT: RGBColor = RGBColor(128, 128, 128);
const LINES: [RGBColor; 2] = [RGBColor(59, 130, 246), RGBColor(217, 119, 6)];

/// A diagram: figures of all sizes, over the sizes.
struct Diagram {
    title: &'static str,
    /// Name and a value for every size; one that is not known leaves its line out.
    lines: [(&'static str, Vec<Option<f64>>); 2],
}

/// Writes growth.csv and growth.svg into a folder, which is made if it is not there.
pub(crate) fn write(folder: &Path, sizes: &[SizeFigures]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (name, text) in [("growth.csv", table(sizes)), ("growth.svg", plot(sizes)?)] {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// A line a size. What is not known stays empty.
fn table(sizes: &[SizeFigures]) -> String {
    let lines = sizes.iter().map(|size| {
        let (wire, operations) = (size.bytes_per_entry, size.operations_per_entry);
        let processor = size.processor_per_entry;
        let memory = size.peak_memory;
        let cells = [
            size.transmitters.to_string(),
            size.receivers.to_string(),
            size.rounds.to_string(),
            number(size.entries_per_round),
            number(size.round_seconds),
            number(size.seconds_per_entry),
            optional(processor.map(|seconds| seconds.transmitter)),
            optional(processor.map(|seconds| seconds.receiver)),
            optional(processor.map(|seconds| seconds.coordinator)),
            number(wire.payload),
            number(wire.requests),
            number(wire.costs),
            number(wire.rest),
            optional(memory.map(|bytes| bytes.transmitter as f64)),
            optional(memory.map(|bytes| bytes.receiver as f64)),
            optional(memory.map(|bytes| bytes.coordinator as f64)),
            number(operations.encoders),
            number(operations.local_decoders),
            number(operations.joint_decoders),
            number(operations.receiver_selectors),
            number(operations.transmitter_selectors),
        ];
        cells.join(",") + "\n"
    });
    std::iter::once(format!("{COLUMNS}\n")).chain(lines).collect()
}

/// Everything from `seconds_per_entry` on but the memory is for each granted entry.
const COLUMNS: &str = "transmitters,receivers,rounds,entries_per_round,round_seconds,seconds_per_entry,\
    processor_transmitters,processor_receivers,processor_coordinator,\
    bytes_payload,bytes_requests,bytes_costs,bytes_rest,\
    peak_bytes_transmitter,peak_bytes_receiver,peak_bytes_coordinator,\
    operations_encoders,operations_local_decoders,operations_joint_decoders,\
    operations_receiver_selectors,operations_transmitter_selectors";

/// Six digits that matter, which is more than was measured.
fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().expect("a number was written");
    rounded.to_string()
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(String::new, number)
}

fn plot(sizes: &[SizeFigures]) -> anyhow::Result<String> {
    let names: Vec<String> = sizes.iter().map(SizeFigures::name).collect();
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let root = root.titled("Growth: K transmitters x T receivers", text(17))?;
        for (area, diagram) in root.split_evenly((1, 3)).iter().zip(diagrams(sizes)) {
            draw(area, &diagram, &names)?;
        }
        root.present()?;
    }
    Ok(svg)
}

fn diagrams(sizes: &[SizeFigures]) -> [Diagram; 3] {
    let of = |figure: fn(&SizeFigures) -> Option<f64>| sizes.iter().map(figure).collect::<Vec<_>>();
    [
        Diagram {
            title: "time of a granted entry, ms",
            lines: [
                ("a round's time over its entries", of(|size| Some(1e3 * size.seconds_per_entry))),
                ("processor time", of(|size| Some(1e3 * size.processor_per_entry?.total()))),
            ],
        },
        Diagram {
            title: "wire of a granted entry, bytes",
            lines: [
                ("all that goes through sockets", of(|size| Some(size.bytes_per_entry.total()))),
                ("payload", of(|size| Some(size.bytes_per_entry.payload))),
            ],
        },
        Diagram {
            title: "peak memory of a node, MB",
            lines: [
                ("transmitter", of(|size| Some(size.peak_memory?.transmitter as f64 / 1e6))),
                ("receiver", of(|size| Some(size.peak_memory?.receiver as f64 / 1e6))),
            ],
        },
    ]
}

/// Draws lines over the sizes, each as far from the next as doubled sizes should be, from zero up.
fn draw(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    diagram: &Diagram,
    names: &[String],
) -> anyhow::Result<()> {
    let values = diagram.lines.iter().flat_map(|(_, values)| values).flatten();
    let top = 1.15 * values.copied().fold(f64::MIN_POSITIVE, f64::max);
    let last = names.len().saturating_sub(1) as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(diagram.title, text(14))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(46)
        .build_cartesian_2d(-0.3..last + 0.3, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TEXT.mix(0.0))
        .bold_line_style(TEXT.mix(0.3))
        .axis_style(TEXT)
        .label_style(text(12))
        .x_desc("network, K x T")
        .x_labels(names.len() + 1)
        .x_label_formatter(&|at| name_at(names, *at))
        .y_labels(6)
        .y_label_formatter(&|value| ((value * 100.0).round() / 100.0).to_string())
        .draw()?;
    for ((name, values), color) in diagram.lines.iter().zip(LINES) {
        let points = || (0u32..).zip(values).filter_map(|(at, value)| Some((f64::from(at), (*value)?)));
        if points().next().is_none() {
            continue;
        }
        chart
            .draw_series(LineSeries::new(points(), color.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color.stroke_width(2)));
        chart.draw_series(points().map(|point| Circle::new(point, 3, color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .label_font(text(12))
        .legend_area_size(18)
        .draw()?;
    Ok(())
}

/// The size at a place of the axis, if there is one.
fn name_at(names: &[String], at: f64) -> String {
    let nearest = at.round();
    let name = ((at - nearest).abs() < 1e-6 && nearest >= 0.0).then(|| names.get(nearest as usize)).flatten();
    name.cloned().unwrap_or_default()
}

fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size_figures::tests::figures;

    #[test]
    fn the_table_has_a_cell_for_every_column_known_or_not() {
        let text = table(&[figures(2, true), figures(4, false)]);
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{text}");
        let cell =
            |row: usize, column: &str| rows[row][rows[0].iter().position(|name| *name == column).unwrap()];
        assert_eq!(cell(1, "receivers"), "2");
        assert_eq!(cell(1, "seconds_per_entry"), "0.00125");
        assert_eq!(cell(1, "peak_bytes_receiver"), "134218000");
        assert_eq!(cell(2, "peak_bytes_receiver"), "");
    }

    #[test]
    fn the_plot_names_every_size_and_leaves_out_what_is_not_known() {
        let known = plot(&[figures(2, true), figures(4, true), figures(16, true)]).unwrap();
        for text in ["2x2", "4x4", "16x16", "time of a granted entry, ms", "processor time", "receiver"] {
            assert!(known.contains(text), "{text}");
        }
        let unknown = plot(&[figures(2, false)]).unwrap();
        assert!(unknown.contains("payload") && !unknown.contains("processor time"));
    }
}
