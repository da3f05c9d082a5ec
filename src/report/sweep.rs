//! The page of a sweep: its table, and its points over rate and score.

use std::fmt::Write;

use super::{
    html::{colour, escape, head, number, row, table},
    page::STYLE,
    plane::{BOTTOM, EDGE, HEIGHT, LEFT, WIDTH, axes, range},
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
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/><title>{title}</title>\
         <style>\n{STYLE}</style></head><body>\n<h1>{title}</h1>\n<p class=\"dim\">pom2dib {}</p>\n{notes}{}\
         <p class=\"dim\">Means over seeds with 95 % intervals, Student's t. In bold: the Pareto front, which no other row beats in \
         both N-CE and sum-rate.</p>\n{}</body></html>\n",
        env!("CARGO_PKG_VERSION"),
        table("scores", &rows),
        axes.iter().enumerate().map(|(at, axis)| plot(lines, at, axis)).collect::<String>()
    )
}

/// A dot for each line; the front's are filled, and joined.
fn plot(lines: &[Line], at: usize, axis: &str) -> String {
    let dots = || lines.iter().filter_map(|line| line.dot(at));
    let (Some(spent), Some(gains)) = (range(dots().map(|dot| dot.spent)), range(dots().map(|dot| dot.n_ce)))
    else {
        return String::new();
    };
    let x = |value: f64| LEFT + (value - spent.start) / (spent.end - spent.start) * (WIDTH - LEFT - EDGE);
    let y = |gain: f64| {
        let share = (gain - gains.start) / (gains.end - gains.start);
        HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - EDGE)
    };
    let mut svg = axes(&spent, &gains, &x, &y, axis);
    let mut front: Vec<Dot> = dots().filter(|dot| dot.is_on_front).collect();
    front.sort_by(|one, other| one.spent.total_cmp(&other.spent));
    let stroke = colour(0);
    if front.len() > 1 {
        let path: Vec<String> =
            front.iter().map(|dot| format!("{:.1} {:.1}", x(dot.spent), y(dot.n_ce))).collect();
        let _ = writeln!(svg, "<path class=\"way\" stroke=\"{stroke}\" d=\"M{}\"/>", path.join("L"));
    }
    for line in lines {
        let Some(dot) = line.dot(at) else { continue };
        let fill = if dot.is_on_front { stroke.as_str() } else { "none" };
        let _ = writeln!(
            svg,
            "<circle class=\"end\" stroke=\"{stroke}\" fill=\"{fill}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"><title>{}: {} ({axis}), \
             N-CE {}</title></circle>",
            x(dot.spent),
            y(dot.n_ce),
            escape(&line.name),
            number(dot.spent),
            number(dot.n_ce)
        );
    }
    format!(
        "<figure><figcaption>N-CE over {axis}; the Pareto front is filled</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"N-CE over {axis}\">{svg}</svg></figure>\n"
    )
}
