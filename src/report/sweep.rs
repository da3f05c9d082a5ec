//! The page of a sweep: its table, and its points over rate and score.

use serde_json::json;

use super::{
    html::{escape, head, row, table},
    pictures::picture,
};

/// A row of the table: points that differ in the seed alone.
pub(crate) struct Line {
    pub(crate) name: String,
    /// As text, in the order of the columns.
    pub(crate) cells: Vec<String>,
    /// Its dots in the plots, in their order.
    pub(crate) dots: Vec<Option<Dot>>,
}

/// A line's dot in a plot of N-CE over what was spent for it.
#[derive(Clone, Copy)]
pub(crate) struct Dot {
    /// Mean N-CE, in nats.
    pub(crate) n_ce: f64,
    /// Half the width of its interval over seeds; none of a single seed.
    pub(crate) half_width: Option<f64>,
    /// The mean on the horizontal axis.
    pub(crate) spent: f64,
    /// Whether no other line beats it in both.
    pub(crate) is_on_front: bool,
}

impl Line {
    fn dot(&self, plot: usize) -> Option<Dot> {
        *self.dots.get(plot)?
    }
}

/// A self-contained page. `axes`: the titles of the plots' horizontal axes, of which the first is the sum-rate.
pub(crate) fn sweep_page(
    title: &str,
    columns: &[String],
    lines: &[Line],
    axes: &[&str],
    notes: &[String],
) -> String {
    let title = escape(title);
    let cells = std::iter::once(String::new()).chain(columns.iter().map(|name| escape(name)));
    let rows = lines.iter().map(|line| {
        let is_on_front = line.dot(0).is_some_and(|dot| dot.is_on_front);
        let name = if is_on_front { format!("<b>{}</b>", escape(&line.name)) } else { escape(&line.name) };
        row(&name, line.cells.iter().map(|cell| escape(cell)))
    });
    let rows: String = std::iter::once(head(cells)).chain(rows).collect();
    let notes: String =
        notes.iter().map(|note| format!("<p class=\"note\">{}</p>\n", escape(note))).collect();
    let fronts: Vec<_> = (axes.iter().enumerate())
        .map(|(plot, axis)| json!({ "axis": axis, "dots": dots(lines, plot) }))
        .filter(|front| front["dots"].as_array().is_some_and(|dots| !dots.is_empty()))
        .collect();
    let pictures: String = (0..fronts.len()).map(|at| picture("front", at, "")).collect();
    let body = format!(
        "{notes}{}<p class=\"dim\">Means over seeds with 95 % intervals, Student's t, which are those of N-CE in the pictures. In bold: the \
         Pareto front, which no other row beats in both N-CE and sum-rate.</p>\n<section class=\"beside\">{pictures}</section>\n",
        table("scores", &rows)
    );
    ::page::report(&title, &body, &json!({ "runs": [], "log": {}, "fronts": fronts }))
}

/// The dots of a plot, with the names of their lines.
fn dots(lines: &[Line], plot: usize) -> Vec<serde_json::Value> {
    let dot = |line: &Line| {
        let Dot { n_ce, half_width, spent, is_on_front } = line.dot(plot)?;
        Some(json!({
            "name": line.name, "n_ce": n_ce, "half_width": half_width, "spent": spent, "is_on_front": is_on_front,
        }))
    };
    lines.iter().filter_map(dot).collect()
}
