//! How strong links were in the evaluation, and which of them were used.

use coordinator::Strengths;

use super::{
    html::{head, mark, row, table},
    pictures::picture,
    recorded::Recorded,
};

/// Links by their strength, and of each step those over which anything was granted; nothing where no link changes.
pub(crate) fn strengths(at: usize, run: &Recorded) -> String {
    let Some(counts) = run.summary.as_ref().and_then(|summary| summary.strengths.as_ref()) else {
        return String::new();
    };
    let clear = match counts.strongest_requested {
        Some(share) => format!(
            "Of {} groups of test samples at which one link was stronger than the receiver's others by more than 1 dB, that one was \
             requested at {:.1} %. ",
            counts.clear,
            100.0 * share
        ),
        None => String::new(),
    };
    format!(
        "<p class=\"dim\">{clear}Links by |h|² Es/N0: {}all {}granted.</p>\n{}",
        mark(5),
        mark(0),
        picture("strengths", at, &by_step(counts))
    )
}

/// A row for each step that has any link.
fn by_step(counts: &Strengths) -> String {
    let mut rows = head(["dB", "links", "granted"].map(str::to_owned));
    for (step, links) in counts.links.iter().enumerate().filter(|(_, links)| **links > 0) {
        let low = counts.first_db + step as f64 * counts.step_db;
        let granted = counts.granted.get(step).copied().unwrap_or(0);
        let name = format!("{low} to {}", low + counts.step_db);
        rows += &row(&name, [links.to_string(), granted.to_string()]);
    }
    table("", &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_with_links_has_a_row() {
        let counts = Strengths {
            clear: 9,
            strongest_requested: Some(0.5),
            first_db: -4.0,
            step_db: 2.0,
            links: vec![0, 10, 20, 0],
            granted: vec![0, 0, 5],
        };
        let rows = by_step(&counts);
        assert_eq!(rows.matches("<tr>").count(), 3, "{rows}");
        assert!(rows.contains("0 to 2</th><td>20</td><td>5</td>"), "{rows}");
    }
}
