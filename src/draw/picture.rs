//! Pictures as SVG and PNG, legible on white and on black: neither has a background.

use std::{ops::Range, path::Path, sync::Once};

use anyhow::Context;
use plotters::{
    coord::Shift,
    prelude::{
        BitMapBackend, DrawingArea, DrawingBackend, FontStyle, IntoDrawingArea, IntoFont, RGBColor,
        SVGBackend, TextStyle,
    },
    style::register_font,
};

/// Grey that is legible on white and on black: contrast 4.5 to 1 with both, as WCAG 2 requires for text (AA).
pub(crate) const TEXT: RGBColor = RGBColor(117, 117, 117);

/// Distinguishable colours, visible on white and on black: contrast 3 to 1, as WCAG 2 requires for graphics.
pub(crate) const COLORS: [RGBColor; 8] = [
    RGBColor(59, 130, 246),
    RGBColor(217, 119, 6),
    RGBColor(22, 163, 74),
    RGBColor(220, 38, 38),
    RGBColor(168, 85, 247),
    RGBColor(13, 148, 136),
    RGBColor(219, 39, 119),
    RGBColor(132, 120, 90),
];

/// PNG pixels for each SVG pixel.
const DOTS: u32 = 2;

/// Drawn pixels, in each direction, that are averaged for a PNG pixel, so that corners of thick lines fall on whole
/// pixels.
const FINER: u32 = 3;

/// A picture that can be drawn on any backend.
pub(crate) trait Picture {
    /// Width and height in pixels.
    fn size(&self) -> (u32, u32);

    /// Draws it, every length times `scale`.
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> anyhow::Result<()>
    where
        B::ErrorType: 'static;
}

/// The picture as SVG.
pub(crate) fn svg(picture: &impl Picture) -> anyhow::Result<String> {
    fonts();
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, picture.size()).into_drawing_area();
    picture.draw(&area, 1)?;
    area.present()?;
    drop(area);
    Ok(text)
}

/// The picture as PNG, transparent where nothing is drawn.
pub(crate) fn png(picture: &impl Picture) -> anyhow::Result<Vec<u8>> {
    fonts();
    let (width, height) = picture.size();
    let (width, height) = (width * DOTS, height * DOTS);
    let [on_black, on_white] = [0, 255].map(|ground| pixels(picture, width, height, ground));
    let (on_black, on_white) = (on_black?, on_white?);
    let dots = on_black.chunks_exact(3).zip(on_white.chunks_exact(3));
    let rgba: Vec<u8> = dots.flat_map(|(black, white)| through(black, white)).collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.write_header()?.write_image_data(&rgba)?;
    Ok(bytes)
}

/// Writes NAME.svg and NAME.png into a folder, which is created if missing.
pub(crate) fn write(folder: &Path, name: &str, picture: &impl Picture) -> anyhow::Result<()> {
    let files = [("svg", svg(picture)?.into_bytes()), ("png", png(picture)?)];
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (kind, content) in files {
        let path = folder.join(format!("{name}.{kind}"));
        std::fs::write(&path, content).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn pixels(picture: &impl Picture, width: u32, height: u32, ground: u8) -> anyhow::Result<Vec<u8>> {
    let size = (width * FINER, height * FINER);
    let mut pixels = vec![ground; (size.0 * size.1 * 3) as usize];
    let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
    picture.draw(&area, DOTS * FINER)?;
    area.present()?;
    drop(area);
    Ok(coarser(&pixels, size.0 as usize, FINER as usize))
}

/// Means over `finer` by `finer` pixels of an image that is `width` wide.
fn coarser(pixels: &[u8], width: usize, finer: usize) -> Vec<u8> {
    let mean = |rows: &[u8], at: usize, color: usize| {
        let own = rows.chunks_exact(3 * width).flat_map(|row| &row[3 * at * finer..][..3 * finer]);
        let sum: usize = own.skip(color).step_by(3).map(|&value| usize::from(value)).sum();
        ((sum + finer * finer / 2) / (finer * finer)) as u8
    };
    let of_rows = |rows| {
        (0..width / finer)
            .flat_map(move |at| (0..3).map(move |color| mean(rows, at, color)))
            .collect::<Vec<u8>>()
    };
    pixels.chunks_exact(3 * width * finer).flat_map(of_rows).collect()
}

/// Colour and opacity of a pixel that looks like `black` on black and like `white` on white.
fn through(black: &[u8], white: &[u8]) -> [u8; 4] {
    let alpha = (0..3).map(|c| 255 - white[c].saturating_sub(black[c])).max().unwrap_or(255);
    let color = |c: usize| match alpha {
        0 => 0,
        alpha => u8::try_from(u32::from(black[c]) * 255 / u32::from(alpha)).unwrap_or(255),
    };
    [color(0), color(1), color(2), alpha]
}

/// Text style of a picture, at a size in pixels.
pub(crate) fn text(size: u32) -> TextStyle<'static> {
    fonts();
    ("sans-serif", size).into_font().color(&TEXT)
}

/// Registers the fonts in the program: a machine need not have any.
pub(crate) fn fonts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let registered = register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular());
        assert!(registered.is_ok(), "the program's own font can be read");
    });
}

/// A range from the smallest to the largest of some numbers, with a margin.
pub(crate) fn range_of(values: impl IntoIterator<Item = f64>) -> Range<f64> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let (low, high) = finite
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return 0.0..1.0;
    }
    let room = (0.05 * (high - low)).max(1e-3 * high.abs()).max(1e-6);
    low - room..high + room
}

/// Round numbers within a range, about `count` of them.
pub(crate) fn ticks(range: &Range<f64>, count: usize) -> Vec<f64> {
    let rough = (range.end - range.start) / count.max(1) as f64;
    if !(rough > 0.0 && rough.is_finite()) {
        return Vec::new();
    }
    let power = 10_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(power * 10.0);
    let first = (range.start / step).ceil() as i64;
    (first..).map(|n| n as f64 * step).take_while(|tick| *tick <= range.end).take(1000).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use plotters::prelude::{Color, Rectangle};

    use super::*;

    struct Half;

    impl Picture for Half {
        fn size(&self) -> (u32, u32) {
            (40, 20)
        }

        fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> anyhow::Result<()>
        where
            B::ErrorType: 'static,
        {
            let corner = (20 * scale as i32, 20 * scale as i32);
            area.draw(&Rectangle::new([(0, 0), corner], COLORS[0].mix(0.5).filled()))
                .map_err(|error| anyhow::anyhow!("{error}"))?;
            area.draw_text("x", &text(10 * scale), (25 * scale as i32, 5 * scale as i32))
                .map_err(|error| anyhow::anyhow!("{error}"))
        }
    }

    /// The contrast of two colours, by WCAG 2.
    pub(crate) fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
        let linear = |value: u8| match f64::from(value) / 255.0 {
            low if low <= 0.04045 => low / 12.92,
            high => ((high + 0.055) / 1.055).powf(2.4),
        };
        let luminance =
            |[r, g, b]: [u8; 3]| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) + 0.05;
        let (one, other) = (luminance(one), luminance(other));
        one.max(other) / one.min(other)
    }

    #[test]
    fn text_and_lines_can_be_read_on_white_and_on_black() {
        assert!((contrast([0; 3], [255; 3]) - 21.0).abs() < 1e-9);
        let on_both =
            |RGBColor(r, g, b): RGBColor| contrast([r, g, b], [255; 3]).min(contrast([r, g, b], [0; 3]));
        assert!(on_both(TEXT) >= 4.5, "{}", on_both(TEXT));
        for color in COLORS {
            assert!(on_both(color) >= 3.0, "{color:?}: {}", on_both(color));
        }
    }

    /// The colours in which a text of an SVG may be drawn on white: what the file's own style says of it (of what it
    /// says of dark screens nothing is taken), or else its own attribute, or that of what it stands in.
    fn inks(text: roxmltree::Node<'_, '_>, style: &str) -> Vec<String> {
        let light = style.split("@media").next().unwrap_or_default();
        let rule = |rule: &str| {
            let (selector, body) = rule.split_once('{')?;
            let fill = body.split(';').find_map(|one| one.trim().strip_prefix("fill:"))?;
            Some((selector.trim().to_owned(), fill.trim().to_owned()))
        };
        let rules: Vec<(String, String)> = light.split('}').filter_map(rule).collect();
        let classes: Vec<String> = text
            .attribute("class")
            .unwrap_or_default()
            .split_whitespace()
            .map(|class| format!(".{class}"))
            .collect();
        let of = |is_meant: &dyn Fn(&str) -> bool| -> Vec<String> {
            rules.iter().filter(|(selector, _)| is_meant(selector)).map(|(_, fill)| fill.clone()).collect()
        };
        let by_class = of(&|selector: &str| classes.iter().any(|class| class == selector));
        let by_name = of(&|selector: &str| selector == "text");
        let own = text.ancestors().find_map(|node| node.attribute("fill")).unwrap_or("#000000");
        [by_class, by_name, vec![own.to_owned()]]
            .into_iter()
            .find(|inks| !inks.is_empty())
            .unwrap_or_default()
    }

    #[test]
    fn all_text_of_the_pictures_in_docs_can_be_read_on_white() {
        let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")];
        let mut read = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                if path.extension().is_none_or(|extension| extension != "svg") {
                    continue;
                }
                let content = std::fs::read_to_string(&path).unwrap();
                let document = roxmltree::Document::parse(&content).unwrap();
                let named = |name: &'static str| {
                    document
                        .descendants()
                        .filter(move |node| node.is_element() && node.tag_name().name() == name)
                };
                let style: String = named("style").filter_map(|node| node.text()).collect();
                for text in named("text").chain(named("tspan")) {
                    for ink in inks(text, &style) {
                        let byte = |at: usize| u8::from_str_radix(&ink[at..at + 2], 16).unwrap();
                        assert!(ink.len() == 7, "{}: {ink}", path.display());
                        let found = contrast([byte(1), byte(3), byte(5)], [255; 3]);
                        assert!(found >= 4.5, "{}: {ink} on white has {found:.2}", path.display());
                        read += 1;
                    }
                }
            }
        }
        assert!(read > 100, "only {read} texts were found");
    }

    #[test]
    fn a_png_is_transparent_and_has_text_without_system_fonts() {
        let bytes = png(&Half).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut dots = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut dots).unwrap();
        assert_eq!((info.width, info.height), (80, 40));
        let dot = |x: usize, y: usize| &dots[4 * (80 * y + x)..][..4];
        assert!(dot(10, 10)[3].abs_diff(128) <= 2 && dot(10, 10)[2].abs_diff(246) <= 4, "{:?}", dot(10, 10));
        assert_eq!(dot(45, 38)[3], 0);
        let letters =
            (0..40).flat_map(|y| (44..80).map(move |x| (x, y))).filter(|&(x, y)| dot(x, y)[3] > 200);
        assert!(letters.count() > 10);
        assert!(svg(&Half).unwrap().contains("<text"));
    }

    #[test]
    fn coarser_pixels_are_means_of_blocks() {
        let pixel = |value: u8| [value, 0, 255 - value];
        let rows = [[0, 100, 7, 7], [50, 50, 7, 9], [1, 1, 200, 200], [1, 1, 200, 200]];
        let pixels: Vec<u8> = rows.as_flattened().iter().flat_map(|&value| pixel(value)).collect();
        let expected = [50, 8, 1, 200].map(pixel);
        // 7.5 is rounded up, and so is its difference to 255.
        let mut expected = expected.as_flattened().to_vec();
        expected[5] = 248;
        assert_eq!(coarser(&pixels, 4, 2), expected);
    }

    #[test]
    fn ticks_are_round_numbers_in_the_range() {
        assert_eq!(ticks(&(-0.1..2.1), 4), [0.0, 1.0, 2.0]);
        assert_eq!(ticks(&(-3.0..0.0), 6), [-3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0]);
        assert_eq!(ticks(&(0.0..2000.0), 4), [0.0, 500.0, 1000.0, 1500.0, 2000.0]);
        assert_eq!(ticks(&(0.0..300.0), 5), [0.0, 100.0, 200.0, 300.0]);
        assert_eq!(ticks(&(1.0..1.0), 5), [0.0; 0]);
    }
}
