use std::collections::VecDeque;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize},
    text::{Line, Span, Text},
    widgets::{LineGauge, Sparkline},
};
use scenario::Scenario;
use serde_json::Value;

use super::history::History;

/// Width of the names on the left.
const MARGIN: u16 = 24;

/// Width of a receiver's column.
const COLUMN: usize = 8;

/// The names of what a run consists of.
pub(super) struct Names {
    title: String,
    rounds: u64,
    /// Modalities of transmitters, in the order of the grants.
    entries: Vec<String>,
    receivers: Vec<String>,
    page: Option<String>,
}

/// What is drawn.
pub(super) struct Picture<'a> {
    pub(super) names: &'a Names,
    pub(super) history: &'a History,
    /// The status of the run, as `pom2dib status --json` has it.
    pub(super) status: &'a Value,
}

impl Names {
    pub(super) fn of(scenario: &Scenario, page: Option<String>) -> Self {
        let entries = scenario.transmitter.iter().enumerate().flat_map(|(k, transmitter)| {
            transmitter.modalities.iter().map(move |modality| format!("tx {k} · {modality}"))
        });
        let receivers = scenario.receiver.iter().enumerate();
        Names {
            title: format!("{} on {}, seed {}", scenario.train.method.name(), scenario.name, scenario.seed),
            rounds: scenario.train.rounds,
            entries: entries.collect(),
            receivers: receivers.map(|(t, receiver)| format!("rx {t} {}", receiver.task)).collect(),
            page,
        }
    }
}

/// Draws the table: progress, curves, grants, nodes. What does not fit is left out.
pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture<'_>) {
    let entries = picture.names.entries.len() as u16;
    let nodes = nodes(picture.status);
    let rows = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1 + History::NAMES.len() as u16),
        Constraint::Length(2 + entries),
        Constraint::Fill(1),
        Constraint::Length(1),
    ];
    let [title, progress, curves, grants, of_nodes, foot] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(heading(picture), title);
    frame.render_widget(gauge(picture), progress);
    draw_curves(frame, curves, picture.history);
    frame.render_widget(grants_of(picture, grants.width), grants);
    frame.render_widget(nodes, of_nodes);
    let page = picture.names.page.iter().map(|page| format!("page {page}   "));
    frame.render_widget(
        Line::from(page.chain(["Ctrl-C saves a checkpoint and ends".into()]).collect::<String>()).dim(),
        foot,
    );
}

fn heading(picture: &Picture<'_>) -> Line<'static> {
    let phase = if picture.status["paused"] == true { "paused" } else { text(&picture.status["phase"]) };
    Line::from(vec![picture.names.title.clone().bold(), "   ".into(), phase.to_owned().cyan()])
}

fn gauge(picture: &Picture<'_>) -> LineGauge<'static> {
    let (done, all) = (picture.status["round"].as_u64().unwrap_or(0), picture.names.rounds);
    let pace = picture.history.pace().map_or(String::new(), |seconds| {
        let left = (all.saturating_sub(done) as f64 * seconds).round() as u64;
        format!("  {:.2} rounds/s  {}:{:02} left", 1.0 / seconds, left / 60, left % 60)
    });
    let ratio = (done as f64 / all.max(1) as f64).clamp(0.0, 1.0);
    LineGauge::default()
        .ratio(ratio)
        .label(format!("{done} of {all}{pace}"))
        .filled_style(Style::new().fg(Color::Cyan))
        .unfilled_style(Style::new().fg(Color::DarkGray))
}

fn draw_curves(frame: &mut Frame<'_>, area: Rect, history: &History) {
    for (row, ((name, unit), curve)) in (1..).zip(History::NAMES.iter().zip(&history.curves)) {
        if row >= area.height {
            return;
        }
        let line = Rect { y: area.y + row, height: 1, ..area };
        let [label, bars] = Layout::horizontal([Constraint::Length(MARGIN), Constraint::Fill(1)]).areas(line);
        let last = curve.back().map_or("–".into(), |last| format!("{last:.3}"));
        frame.render_widget(Line::from(format!("{name:<9}{last:>9} {unit}")), label);
        let shown = bar_heights(curve, usize::from(bars.width));
        frame
            .render_widget(Sparkline::default().data(shown).max(8).style(Style::new().fg(Color::Cyan)), bars);
    }
}

/// The last values of a curve as eighths, from the least to the greatest that is shown; a value that is no number has
/// none.
fn bar_heights(curve: &VecDeque<f64>, width: usize) -> Vec<Option<u64>> {
    let shown: Vec<f64> = curve.iter().skip(curve.len().saturating_sub(width)).copied().collect();
    let finite = || shown.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let height = |value: &f64| {
        let part = if high > low { (value - low) / (high - low) } else { 0.5 };
        value.is_finite().then_some(1 + (7.0 * part).round() as u64)
    };
    shown.iter().map(height).collect()
}

/// A row for every entry and a column for every receiver: the share of the last round's ticks, in percent.
fn grants_of<'a>(picture: &Picture<'a>, width: u16) -> Text<'a> {
    let Names { entries, receivers, .. } = picture.names;
    let columns = (usize::from(width.saturating_sub(MARGIN)) / COLUMN).min(receivers.len());
    let cut = |name: &str, width: usize| name.chars().take(width).collect::<String>();
    let margin = usize::from(MARGIN);
    let mut head = vec![Span::from(format!("{:margin$}", "granted, % of ticks")).dim()];
    head.extend(receivers[..columns].iter().map(|name| {
        let name = cut(name, COLUMN - 1);
        Span::from(format!("{name:>COLUMN$}")).dim()
    }));
    if columns < receivers.len() {
        head.push(Span::from(format!(" + {}", receivers.len() - columns)).dim());
    }
    let mut lines = vec![Line::default(), Line::from(head)];
    for (e, entry) in entries.iter().enumerate() {
        let mut spans = vec![Span::from(format!("{:margin$}", cut(entry, margin - 1)))];
        let share = |t: usize| picture.history.granted.get(t).and_then(|shares| shares.get(e)).copied();
        spans.extend((0..columns).map(|t| cell(share(t).unwrap_or(0.0))));
        lines.push(Line::from(spans));
    }
    lines.into()
}

/// A share as a shade and a number.
fn cell(share: f64) -> Span<'static> {
    let shade = match share {
        share if share <= 0.0 => return Span::from(format!("{:>COLUMN$}", "·")).dim(),
        share if share < 0.25 => '░',
        share if share < 0.5 => '▒',
        share if share < 0.75 => '▓',
        _ => '█',
    };
    Span::from(format!(" {shade}{shade}{shade}{:>4}", (100.0 * share).round())).cyan()
}

/// What every node does, its memory and its round trip to the coordinator.
fn nodes(status: &Value) -> Text<'static> {
    let mut lines = vec![Line::default()];
    for node in status["nodes"].as_array().into_iter().flatten() {
        let memory = node["memory_bytes"].as_f64().map(|bytes| format!("{:.0} MB", bytes / 1e6));
        let trip = node["round_trip_seconds"].as_f64().map(|seconds| format!("{:.2} ms", 1e3 * seconds));
        let unknown = String::new;
        let (memory, trip) = (memory.unwrap_or_else(unknown), trip.unwrap_or_else(unknown));
        let figures = format!("{:<16}{memory:>9}{trip:>10}   ", text(&node["node"]));
        let is_well =
            node["joined"] == true && node["silent_seconds"].as_f64().is_some_and(|silent| silent <= 3.0);
        let doing = Span::from(text(&node["doing"]).to_owned());
        lines.push(Line::from(vec![figures.into(), if is_well { doing.green() } else { doing.red() }]));
    }
    lines.into()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};
    use serde_json::json;

    use super::*;

    fn names() -> Names {
        Names {
            title: "pom2dib on digits, seed 1".into(),
            rounds: 40,
            entries: vec!["tx 0 · sound".into(), "tx 1 · image".into()],
            receivers: vec!["rx 0 digit".into(), "rx 1 parity".into()],
            page: Some("http://127.0.0.1:7320/".into()),
        }
    }

    /// The lines of a terminal of this size.
    fn shown(width: u16, height: u16) -> Vec<String> {
        let (names, mut history) = (names(), History::default());
        for round in 0..10 {
            let share = if round == 9 { 0.6 } else { 0.0 };
            history.round([-f64::from(round), 3.5, f64::NAN, 0.5], &[vec![share, 0.0], vec![0.1, 1.0]]);
        }
        let status = json!({
            "phase": "training", "paused": false, "round": 10,
            "nodes": [
                {"node": "transmitter 0", "joined": true, "silent_seconds": 0.1, "doing": "computing (0.1 s)",
                 "memory_bytes": 85_000_000, "round_trip_seconds": 0.00025},
                {"node": "receiver 1", "joined": false, "doing": "is missing"},
            ],
        });
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let picture = Picture { names: &names, history: &history, status: &status };
        terminal.draw(|frame| draw(frame, &picture)).unwrap();
        let buffer = terminal.backend().buffer();
        let cells = buffer.content().chunks(usize::from(width));
        cells
            .map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned())
            .collect()
    }

    #[test]
    fn the_table_shows_progress_curves_grants_and_nodes() {
        let lines = shown(80, 20);
        let line = |begin: &str| {
            let found = lines.iter().find(|line| line.starts_with(begin));
            found.unwrap_or_else(|| panic!("{begin}: {lines:#?}")).clone()
        };
        assert_eq!(line("pom2dib"), "pom2dib on digits, seed 1   training");
        assert!(line("10 of 40").starts_with("10 of 40  2.00 rounds/s  0:15 left"));
        assert_eq!(line("N-CE"), "N-CE        -9.000 nats █▇▆▆▅▄▃▃▂▁");
        assert_eq!(line("sum-rate"), "sum-rate     3.500 nats ▅▅▅▅▅▅▅▅▅▅");
        assert_eq!(line("loss"), format!("{:<9}{:>9}", "loss", "NaN"), "no bar for what is no number");
        let row = |name: &str, cells: [&str; 2]| format!("{name:24}{:>8}{:>8}", cells[0], cells[1]);
        assert_eq!(line("granted"), row("granted, % of ticks", ["rx 0 di", "rx 1 pa"]));
        assert_eq!(line("tx 0 · sound"), row("tx 0 · sound", ["▓▓▓  60", "░░░  10"]));
        assert_eq!(line("tx 1 · image"), row("tx 1 · image", ["·", "███ 100"]));
        let node = |name: &str, figures: [&str; 2], doing: &str| {
            format!("{name:<16}{:>9}{:>10}   {doing}", figures[0], figures[1])
        };
        assert_eq!(line("transmitter 0"), node("transmitter 0", ["85 MB", "0.25 ms"], "computing (0.1 s)"));
        assert_eq!(line("receiver 1"), node("receiver 1", ["", ""], "is missing"));
        assert!(line("page http://127.0.0.1:7320/").contains("Ctrl-C"));
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let lines = shown(38, 14);
        assert_eq!(lines[0], "pom2dib on digits, seed 1   training");
        assert!(lines.iter().any(|line| line.ends_with("+ 1")), "one receiver of two: {lines:#?}");
        for (width, height) in [(1, 1), (3, 2), (25, 4), (200, 60)] {
            assert_eq!(shown(width, height).len(), usize::from(height));
        }
    }
}
