//! Cells of tables for people.

use crate::statistics::Mean;

/// A number, if there is one.
pub(super) fn optional(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// A mean in its display unit.
pub(crate) fn written(name: &str, mean: Mean) -> String {
    let scaled = |factor: f64| Mean {
        mean: mean.mean * factor,
        half_width: mean.half_width.map(|half| half * factor),
        ..mean
    };
    match name {
        _ if name.ends_with(".top1") || name == "noise_share" => scaled(100.0).written(2) + " %",
        _ if name.ends_with("mpjpe") => mean.written(1) + " mm",
        "n_ce" => mean.written(3),
        "sum_rate" | "joint_rate" | "coded_bits" | "seconds" => mean.written(1),
        "snr_db" => mean.written(1) + " dB",
        "entries" => mean.written(2),
        _ => mean.written(4),
    }
}

/// Rows of cells in columns: the first aligned left, the others right.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("  {cell:>width$}"),
        });
        text += cells.collect::<String>().trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["".into(), "n".into()],
            vec!["long name".into(), "1".into()],
            vec!["x".into(), "-10".into()],
        ];
        assert_eq!(aligned(&rows), "             n\nlong name    1\nx          -10\n");
    }
}
