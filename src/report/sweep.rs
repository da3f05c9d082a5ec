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
    /// Mean sum-rate and N-CE, in nats.
    pub(crate) place: Option<(f64, f64)>,
    /// Whether no other line beats it in both.
    pub(crate) is_on_front: bool,
}

/// A self-contained page.
pub(crate) fn sweep_page(title: &str, columns: &[String], lines: &[Line], notes: &[String]) -> String {
    let title = escape(title);
    let cells = std::iter::once(String::new()).chain(columns.iter().map(|name| escape(name)));
    let rows = lines.iter().map(|line| {
        let name =
            if line.is_on_front { format!("<b>{}</b>", escape(&line.name)) } else { escape(&line.name) };
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
        plot(lines)
    )
}

/// A dot for each line; the front's are filled, and joined.
fn plot(lines: &[Line]) -> String {
    let places = || lines.iter().filter_map(|line| line.place);
    let (Some(rates), Some(gains)) = (range(places().map(|at| at.0)), range(places().map(|at| at.1))) else {
        return String::new();
    };
    let x = |rate: f64| LEFT + (rate - rates.start) / (rates.end - rates.start) * (WIDTH - LEFT - EDGE);
    let y = |gain: f64| {
        let share = (gain - gains.start) / (gains.end - gains.start);
        HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - EDGE)
    };
    let mut svg = axes(&rates, &gains, &x, &y);
    let mut front: Vec<(f64, f64)> =
        lines.iter().filter(|line| line.is_on_front).filter_map(|line| line.place).collect();
    front.sort_by(|one, other| one.0.total_cmp(&other.0));
    let stroke = colour(0);
    if front.len() > 1 {
        let path: Vec<String> = front.iter().map(|at| format!("{:.1} {:.1}", x(at.0), y(at.1))).collect();
        let _ = writeln!(svg, "<path class=\"way\" stroke=\"{stroke}\" d=\"M{}\"/>", path.join("L"));
    }
    for line in lines {
        let Some(at) = line.place else { continue };
        let fill = if line.is_on_front { stroke.as_str() } else { "none" };
        let _ = writeln!(
            svg,
            "<circle class=\"end\" stroke=\"{stroke}\" fill=\"{fill}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"><title>{}: rate {}, \
             N-CE {}</title></circle>",
            x(at.0),
            y(at.1),
            escape(&line.name),
            number(at.0),
            number(at.1)
        );
    }
    format!(
        "<figure><figcaption>N-CE over sum-rate, nats; the Pareto front is filled</figcaption><svg viewBox=\"0 0 {WIDTH} \
         {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"N-CE over sum-rate\">{svg}</svg></figure>\n"
    )
}
