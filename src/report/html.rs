//! Pieces of HTML that is also well-formed XML.

/// Number of colours for runs and receivers; further ones repeat them, with dashes.
const COLOURS: usize = 8;

/// Lengths of pieces and gaps of a line, for the first, second, ... use of a colour.
const DASHES: [&[u32]; 4] = [&[], &[7, 4], &[2, 3], &[10, 3, 2, 3]];

/// Text escaped for an element or an attribute. Characters that XML forbids become a replacement character.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(letter),
            control if control.is_control() || matches!(control, '\u{fffe}' | '\u{ffff}') => {
                escaped.push(char::REPLACEMENT_CHARACTER);
            }
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// A small square of the colour of the n-th of several runs; for a repeated colour, a piece of its line. As `mark` in
/// the page's `words.js`.
pub(crate) fn mark(number: usize) -> String {
    let colour = format!("var(--c{})", number % COLOURS);
    let mut stops = String::new();
    let mut at = 0;
    for (piece, length) in DASHES[number / COLOURS % DASHES.len()].iter().enumerate() {
        let (comma, colour) =
            (if piece > 0 { "," } else { "" }, if piece % 2 > 0 { "transparent" } else { &colour });
        stops += &format!("{comma}{colour} {at}px {}px", at + length);
        at += length;
    }
    let (class, ground) = match stops.as_str() {
        "" => ("mark", colour),
        stops => ("mark long", format!("repeating-linear-gradient(90deg,{stops})")),
    };
    format!("<span class=\"{class}\" style=\"background:{ground}\"></span>")
}

/// The first row of a table, whose cells, already HTML, head the columns below. An empty corner is not a header.
pub(crate) fn head(cells: impl IntoIterator<Item = String>) -> String {
    let cell = |cell: String| match cell.is_empty() {
        true => "<td></td>".into(),
        false => format!("<th scope=\"col\">{cell}</th>"),
    };
    format!("<tr>{}</tr>\n", cells.into_iter().map(cell).collect::<String>())
}

/// A row of a table: its header and its cells, already HTML.
pub(crate) fn row(name: &str, cells: impl IntoIterator<Item = String>) -> String {
    let cells: String = cells.into_iter().map(|cell| format!("<td>{cell}</td>")).collect();
    format!("<tr><th scope=\"row\">{name}</th>{cells}</tr>\n")
}

/// A table that may be wider than the page.
pub(crate) fn table(class: &str, rows: &str) -> String {
    format!("<div class=\"card scroll\"><table class=\"{class}\"><tbody>\n{rows}</tbody></table></div>\n")
}

/// A number with four significant digits.
pub(crate) fn number(value: f64) -> String {
    let magnitude = value.abs();
    match magnitude {
        0.0 => "0".into(),
        _ if !(1e-3..1e6).contains(&magnitude) => format!("{value:.2e}"),
        _ => {
            let decimals = (3 - magnitude.log10().floor() as i32).clamp(0, 6) as usize;
            format!("{value:.decimals$}")
        }
    }
}

/// A number of bytes.
pub(crate) fn bytes(count: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes")];
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| count >= *unit).unwrap_or((1.0, "bytes"));
    format!("{} {name}", number(count / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_taken_for_markup() {
        assert_eq!(escape("a<b>&\"c'\u{1}\u{ffff}\n"), "a&lt;b&gt;&amp;&quot;c&#39;\u{fffd}\u{fffd}\n");
    }

    #[test]
    fn no_two_of_thirty_two_lines_look_the_same() {
        let marks: std::collections::BTreeSet<String> = (0..32).map(mark).collect();
        assert_eq!(marks.len(), 32);
    }

    #[test]
    fn numbers_keep_the_digits_that_matter() {
        let written = [0.0, 0.15171, -0.15171, 94.3214, 1234.5, 2e-5, 3e7].map(number);
        assert_eq!(written, ["0", "0.1517", "-0.1517", "94.32", "1234", "2.00e-5", "3.00e7"]);
        assert_eq!([0.0, 999.0, 61_800_000.0].map(bytes), ["0 bytes", "999.0 bytes", "61.80 MB"]);
    }
}
