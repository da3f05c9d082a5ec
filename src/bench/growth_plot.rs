//! The results of `bench scale` as a table for programs and as a plot.

use std::path::Path;

use crate::{
    bench::size_figures::SizeFigures,
    draw::plot::{self, Axis, Diagram},
};

/// Writes growth.csv and growth.svg into a folder, which is created if missing.
pub(crate) fn write(folder: &Path, sizes: &[SizeFigures]) -> anyhow::Result<()> {
    plot::write(folder, &[("growth.csv", table(sizes)), ("growth.svg", draw(sizes)?)])
}

/// One line for each size. Unknown values stay empty.
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
            optional(processor.map(|seconds| seconds.together)),
            optional(memory.map(|bytes| bytes.together as f64)),
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

/// Columns from `seconds_per_entry` on, except the memory, are divided by the granted entries.
const COLUMNS: &str = "transmitters,receivers,rounds,entries_per_round,round_seconds,seconds_per_entry,\
    processor_transmitters,processor_receivers,processor_coordinator,\
    bytes_payload,bytes_requests,bytes_costs,bytes_rest,\
    peak_bytes_transmitter,peak_bytes_receiver,peak_bytes_coordinator,\
    processor_together,peak_bytes_together,\
    operations_encoders,operations_local_decoders,operations_joint_decoders,\
    operations_receiver_selectors,operations_transmitter_selectors";

/// Six significant digits, more than the measurement's precision.
fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().expect("a number was written");
    rounded.to_string()
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(String::new, number)
}

/// Figures over the sizes, on an axis with equal steps for doubled sizes, from zero up.
fn draw(sizes: &[SizeFigures]) -> anyhow::Result<String> {
    let names: Vec<String> = sizes.iter().map(SizeFigures::name).collect();
    let last = names.len().saturating_sub(1) as f64;
    let axis = Axis {
        title: "network, K x T",
        range: -0.3..last + 0.3,
        labels: names.len() + 1,
        name: &|at| name_at(&names, at),
    };
    plot::side_by_side("Growth: K transmitters x T receivers", &diagrams(sizes), &axis)
}

fn diagrams(sizes: &[SizeFigures]) -> [Diagram; 3] {
    type Line = (&'static str, fn(&SizeFigures) -> Option<f64>);
    let diagram = |title: &str, lines: [Line; 2]| {
        let points = |(name, figure): Line| {
            let known = sizes.iter().enumerate().filter_map(|(at, size)| Some((at as f64, figure(size)?)));
            (name, known.collect::<Vec<_>>())
        };
        let lines = lines.map(points);
        let values = lines.iter().flat_map(|(_, points)| points).map(|(_, value)| *value);
        let top = 1.15 * values.fold(f64::MIN_POSITIVE, f64::max);
        Diagram { title: title.into(), lines: lines.into(), y: 0.0..top }
    };
    [
        diagram(
            "time of a granted entry, ms",
            [
                ("a round's time over its entries", |size| Some(1e3 * size.seconds_per_entry)),
                ("processor time", |size| Some(1e3 * size.processor_per_entry?.total())),
            ],
        ),
        diagram(
            "wire of a granted entry, bytes",
            [
                ("all that goes through sockets", |size| Some(size.bytes_per_entry.total())),
                ("payload", |size| Some(size.bytes_per_entry.payload)),
            ],
        ),
        diagram(
            "peak memory of a process, MB",
            [
                ("transmitter, or all nodes in one", |size| {
                    let peak = size.peak_memory?;
                    Some(peak.transmitter.max(peak.together) as f64 / 1e6)
                }),
                ("receiver", |size| {
                    Some(size.peak_memory?.receiver as f64 / 1e6).filter(|megabytes| *megabytes > 0.0)
                }),
            ],
        ),
    ]
}

/// The size at a position of the axis, if there is one.
fn name_at(names: &[String], at: f64) -> String {
    let nearest = at.round();
    let name = ((at - nearest).abs() < 1e-6 && nearest >= 0.0).then(|| names.get(nearest as usize)).flatten();
    name.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::size_figures::tests::figures;

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
    fn the_plot_names_every_size_and_leaves_out_unknown_figures() {
        let known = draw(&[figures(2, true), figures(4, true), figures(16, true)]).unwrap();
        for text in ["2x2", "4x4", "16x16", "time of a granted entry, ms", "processor time", "receiver"] {
            assert!(known.contains(text), "{text}");
        }
        let unknown = draw(&[figures(2, false)]).unwrap();
        assert!(unknown.contains("payload") && !unknown.contains("processor time"));
    }
}
