//! Diagrams side by side, with a legend of their lines and marks below.

use std::ops::Range;

use plotters::{
    chart::ChartBuilder,
    coord::{
        Shift,
        ranged1d::{DefaultFormatting, KeyPointHint, Ranged},
    },
    prelude::{Circle, DrawingArea, DrawingBackend, PathElement},
    style::{Color, RGBColor},
};

use crate::draw::picture::{COLORS, Picture, TEXT, range_of, text, ticks};

/// Size of one diagram, in pixels.
const SIZE: (u32, u32) = (420, 330);

const TITLE: u32 = 34;
const LEGEND_LINE: u32 = 20;

/// Approximate width of a letter of the legend.
const LETTER: u32 = 7;

/// Diagrams under one title.
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) diagrams: Vec<Diagram>,
}

/// Two axes and the series between them.
pub(crate) struct Diagram {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

/// An axis: its range and ticks.
pub(crate) struct Axis {
    pub(crate) title: String,
    pub(crate) range: Range<f64>,
    pub(crate) ticks: Vec<(f64, String)>,
}

/// A series of points. Series of the same name look the same in all diagrams.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    /// Error bars: start and end.
    pub(crate) bars: Vec<[(f64, f64); 2]>,
    pub(crate) look: Look,
}

/// The look of a series.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    /// Index of its colour; none: grey.
    pub(crate) color: Option<usize>,
    pub(crate) line: Line,
    pub(crate) mark: Mark,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    None,
    Solid,
    Dashed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    None,
    Small,
    Dot,
    Ring,
}

impl Axis {
    /// An axis with equal steps, wide enough for these values.
    pub(crate) fn linear(title: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let range = range_of(values);
        let ticks = ticks(&range, 6).into_iter().map(|tick| (tick, short(tick))).collect();
        Axis { title: title.into(), range, ticks }
    }

    /// An axis for values from 0 to very large, positioned by [`spread`].
    pub(crate) fn spread(title: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let range = range_of(values.into_iter().map(spread));
        let range = range.start.max(-0.1)..range.end;
        let steps = [0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5];
        let mut values: Vec<f64> = steps.into_iter().filter(|step| range.contains(&spread(*step))).collect();
        if values.len() < 3 {
            values = ticks(&(range.start.exp_m1()..range.end.exp_m1()), 4);
        }
        let ticks = values.into_iter().map(|value| (spread(value), short(value))).collect();
        Axis { title: title.into(), range, ticks }
    }

    /// An axis with a name for every integer from 0.
    pub(crate) fn named(title: &str, names: &[String]) -> Self {
        let ticks = names.iter().enumerate().map(|(at, name)| (at as f64, name.clone())).collect();
        Axis { title: title.into(), range: -0.4..names.len() as f64 - 0.6, ticks }
    }
}

/// The axis for plotters: with exactly these ticks.
impl Ranged for &Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (low, high): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        low + (f64::from(high - low) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(at, _)| *at).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// The position on the axis of a value from 0 to very large.
pub(crate) fn spread(value: f64) -> f64 {
    value.max(0.0).ln_1p()
}

fn short(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    // Axes show no -0.
    if rounded == 0.0 { "0".into() } else { rounded.to_string() }
}

impl Look {
    fn color(self) -> RGBColor {
        self.color.map_or(TEXT, |at| COLORS[at % COLORS.len()])
    }
}

impl Chart {
    /// Name and look of each distinct series, in lines that fit the width.
    fn legend(&self) -> Vec<Vec<(&str, Look)>> {
        let mut lines: Vec<Vec<(&str, Look)>> = vec![Vec::new()];
        let (mut seen, mut used) = (Vec::new(), 0);
        for series in self.diagrams.iter().flat_map(|diagram| &diagram.series) {
            if seen.contains(&series.name.as_str()) || series.points.is_empty() {
                continue;
            }
            seen.push(&series.name);
            let wide = legend_width(&series.name);
            if used + wide > self.width() && used > 0 {
                lines.push(Vec::new());
                used = 0;
            }
            used += wide;
            lines.last_mut().expect("there is one").push((&series.name, series.look));
        }
        lines
    }

    fn width(&self) -> u32 {
        SIZE.0 * self.diagrams.len() as u32
    }
}

fn legend_width(name: &str) -> u32 {
    40 + LETTER * name.chars().count() as u32
}

impl Picture for Chart {
    fn size(&self) -> (u32, u32) {
        (self.width(), TITLE + SIZE.1 + LEGEND_LINE * self.legend().len() as u32 + 8)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> anyhow::Result<()>
    where
        B::ErrorType: 'static,
    {
        let s = scale as i32;
        area.draw_text(&self.title, &text(16 * scale), (12 * s, 10 * s))?;
        let (rest, below) = area.split_vertically((TITLE + SIZE.1) * scale);
        let (_, diagrams) = rest.split_vertically(TITLE * scale);
        for (area, diagram) in diagrams.split_evenly((1, self.diagrams.len())).iter().zip(&self.diagrams) {
            diagram.draw(area, scale)?;
        }
        for (row, line) in self.legend().iter().enumerate() {
            let mut x = 12 * s;
            let y = row as i32 * LEGEND_LINE as i32 * s + 10 * s;
            for (name, look) in line {
                sample(&below, *look, (x, y), scale)?;
                below.draw_text(name, &text(12 * scale), (x + 26 * s, y - 6 * s))?;
                x += legend_width(name) as i32 * s;
            }
        }
        Ok(())
    }
}

/// Draws a sample of a series' look for the legend.
fn sample<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    look: Look,
    (x, y): (i32, i32),
    scale: u32,
) -> anyhow::Result<()>
where
    B::ErrorType: 'static,
{
    let s = scale as i32;
    let style = look.color().stroke_width(2 * scale);
    let ends: &[(i32, i32)] = match look.line {
        Line::None => &[],
        Line::Solid => &[(0, 20)],
        Line::Dashed => &[(0, 8), (12, 20)],
    };
    for (from, to) in ends {
        area.draw(&PathElement::new([(x + from * s, y), (x + to * s, y)], style))?;
    }
    match look.mark {
        Mark::None => {}
        Mark::Small => area.draw(&Circle::new((x + 10 * s, y), 2 * s, look.color().filled()))?,
        Mark::Dot => area.draw(&Circle::new((x + 10 * s, y), 4 * s, look.color().filled()))?,
        Mark::Ring => area.draw(&Circle::new((x + 10 * s, y), 5 * s, style))?,
    }
    Ok(())
}

impl Diagram {
    /// The nearest position inside the diagram: a bar beyond it ends at the edge.
    fn within(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let near = |value: f64, range: &Range<f64>| value.clamp(range.start, range.end);
        (near(x, &self.x.range), near(y, &self.y.range))
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> anyhow::Result<()>
    where
        B::ErrorType: 'static,
    {
        let name = |axis: &Axis, at: f64| {
            let nearest = axis.ticks.iter().find(|(tick, _)| (tick - at).abs() < 1e-9);
            nearest.map(|(_, name)| name.clone()).unwrap_or_default()
        };
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, text(14 * scale))
            .margin(10 * scale)
            .x_label_area_size(42 * scale)
            .y_label_area_size(56 * scale)
            .build_cartesian_2d(&self.x, &self.y)?;
        chart
            .configure_mesh()
            .light_line_style(TEXT.mix(0.0))
            .bold_line_style(TEXT.mix(0.25).stroke_width(scale))
            .axis_style(TEXT.stroke_width(scale))
            .set_all_tick_mark_size(5 * scale)
            .label_style(text(12 * scale))
            .x_desc(&self.x.title)
            .x_labels(self.x.ticks.len())
            .x_label_formatter(&|at| name(&self.x, *at))
            .y_desc(&self.y.title)
            .y_labels(self.y.ticks.len())
            .y_label_formatter(&|at| name(&self.y, *at))
            .draw()?;
        for series in &self.series {
            let look = series.look;
            let style = look.color().stroke_width(2 * scale);
            let inside =
                |point: &&(f64, f64)| self.x.range.contains(&point.0) && self.y.range.contains(&point.1);
            let points: Vec<(f64, f64)> = series.points.iter().filter(inside).copied().collect();
            match look.line {
                Line::None => {}
                // Segment by segment: the corners of a thick line that turns sharply would stick out.
                Line::Solid => {
                    let pieces = points.windows(2).map(|ends| PathElement::new([ends[0], ends[1]], style));
                    chart.draw_series(pieces)?;
                }
                Line::Dashed => {
                    let place = |point: &(f64, f64)| chart.backend_coord(point);
                    let pieces = dashes(&points, place, [6 * scale, 5 * scale].map(f64::from));
                    chart.draw_series(pieces.into_iter().map(|ends| PathElement::new(ends, style)))?;
                }
            }
            let mark = |size: u32, style: plotters::style::ShapeStyle| {
                points.iter().map(move |point| Circle::new(*point, size * scale, style))
            };
            let thin = look.color().stroke_width(scale);
            let bars = series.bars.iter().map(|ends| ends.map(|end| self.within(end)));
            chart.draw_series(bars.map(|ends| PathElement::new(ends, thin)))?;
            match look.mark {
                Mark::None => {}
                Mark::Small => drop(chart.draw_series(mark(2, look.color().filled()))?),
                Mark::Dot => drop(chart.draw_series(mark(4, look.color().filled()))?),
                Mark::Ring => drop(chart.draw_series(mark(5, style))?),
            }
        }
        Ok(())
    }
}

/// A line through points as dashes and gaps of these lengths in pixels; `place` is where a point is drawn.
fn dashes(
    points: &[(f64, f64)],
    place: impl Fn(&(f64, f64)) -> (i32, i32),
    [dash, gap]: [f64; 2],
) -> Vec<[(f64, f64); 2]> {
    let mut pieces = Vec::new();
    // Pixels of the line before this segment.
    let mut before = 0.0;
    for ends in points.windows(2) {
        let [from, to] = [place(&ends[0]), place(&ends[1])];
        if from == to {
            continue;
        }
        let [x, y] = [to.0 - from.0, to.1 - from.1].map(f64::from);
        let length = (x * x + y * y).sqrt();
        let at = |pixels: f64| {
            let share = ((pixels - before) / length).clamp(0.0, 1.0);
            let between = |from: f64, to: f64| from + share * (to - from);
            (between(ends[0].0, ends[1].0), between(ends[0].1, ends[1].1))
        };
        let mut start = (before / (dash + gap)).floor() * (dash + gap);
        while start < before + length {
            if start + dash > before {
                pieces.push([at(start), at(start + dash)]);
            }
            start += dash + gap;
        }
        before += length;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::picture::{png, svg};

    #[test]
    fn dashes_go_on_around_corners() {
        let place = |point: &(f64, f64)| (point.0 as i32, point.1 as i32);
        let pieces = dashes(&[(0.0, 0.0), (8.0, 0.0), (8.0, 12.0)], place, [6.0, 5.0]);
        let expected = [[(0.0, 0.0), (6.0, 0.0)], [(8.0, 3.0), (8.0, 9.0)]];
        assert_eq!(pieces, expected);
        assert_eq!(dashes(&[(0.0, 0.0), (8.0, 0.0), (8.0, 0.0), (8.0, 12.0)], place, [6.0, 5.0]), expected);
    }

    fn chart() -> Chart {
        let look = |color, line, mark| Look { color, line, mark };
        let points = vec![(spread(0.0), -2.0), (spread(30.0), -1.0), (spread(900.0), -0.5)];
        let bars = vec![[(spread(30.0), -1.4), (spread(30.0), -0.6)]];
        let series =
            |name: &str, look| Series { name: name.into(), points: points.clone(), bars: bars.clone(), look };
        let diagram = || Diagram {
            title: "one".into(),
            x: Axis::spread("rate, nats", [0.0, 900.0]),
            y: Axis::linear("N-CE, nats", [-2.0, -0.5]),
            series: vec![
                series("solid", look(Some(0), Line::Solid, Mark::Dot)),
                series("dashed", look(None, Line::Dashed, Mark::None)),
                series("rings", look(Some(3), Line::None, Mark::Ring)),
                Series {
                    name: "nothing".into(),
                    points: Vec::new(),
                    bars: Vec::new(),
                    look: look(Some(1), Line::Solid, Mark::Small),
                },
            ],
        };
        Chart { title: "A chart".into(), diagrams: vec![diagram(), diagram()] }
    }

    #[test]
    fn axes_ticks_and_each_series_once_in_the_legend() {
        let text = svg(&chart()).unwrap();
        for word in ["A chart", "rate, nats", "N-CE, nats", "300", "-1.5"] {
            assert!(text.contains(word), "{word}");
        }
        for word in ["solid", "dashed", "rings"] {
            assert_eq!(text.matches(&format!("\n{word}\n")).count(), 1, "{word}");
        }
        assert!(!text.contains("nothing"));
    }

    #[test]
    fn error_bars_are_drawn_and_end_at_the_edge() {
        let bars = |ends: [(f64, f64); 2]| {
            let mut chart = chart();
            for series in chart.diagrams.iter_mut().flat_map(|diagram| &mut diagram.series) {
                series.bars = vec![ends];
            }
            svg(&chart).unwrap()
        };
        let middle = spread(30.0);
        let (short, beyond) = (bars([(middle, -1.2), (middle, -1.0)]), bars([(middle, -9.0), (middle, 9.0)]));
        assert_ne!(short, beyond);
        let edge = chart().diagrams[0].y.range.clone();
        assert_eq!(beyond, bars([(middle, edge.start), (middle, edge.end)]));
    }

    #[test]
    fn it_can_be_had_in_dots() {
        let chart = chart();
        let bytes = png(&chart).unwrap();
        let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        assert_eq!(reader.info().width, 2 * chart.size().0);
    }
}
