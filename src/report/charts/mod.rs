//! Charts in one plain style, drawn once as SVG: upright enough for a phone, readable in grey, with
//! colours that a page can replace by its own.

mod heat_map;
mod intervals;
mod lines;
mod raster;
mod tree;

pub use heat_map::{HeatMap, heat_map};
pub use intervals::{IntervalRow, Intervals, intervals};
pub use lines::{Line, Lines, lines};
pub use raster::Rasteriser;
pub use tree::{Branch, tree};

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::sheet::printable;
use crate::error::{Error, Result};

/// Width of every chart in pixels.
pub const WIDTH: u32 = 440;

/// Text and marks.
pub const INK: RGBColor = RGBColor(0x1b, 0x1f, 0x24);
/// Rules and what matters less.
pub const MUTED: RGBColor = RGBColor(0x57, 0x60, 0x6a);
/// Lines behind the data.
pub const GRID: RGBColor = RGBColor(0xd8, 0xde, 0xe4);
/// What it is drawn on.
pub const PAPER: RGBColor = RGBColor(0xfe, 0xfe, 0xfd);
/// Series, in order; their names always stand beside them.
pub const SERIES: [RGBColor; 6] = [
    RGBColor(0x0a, 0x5f, 0xb4),
    RGBColor(0xb4, 0x53, 0x0a),
    RGBColor(0x1f, 0x7a, 0x4d),
    RGBColor(0x8a, 0x2b, 0x8f),
    RGBColor(0x6b, 0x6b, 0x00),
    RGBColor(0xa3, 0x1d, 0x3b),
];

/// The colours above and the names that a page gives them.
const NAMES: [(RGBColor, &str); 10] = [
    (INK, "ink"),
    (MUTED, "muted"),
    (GRID, "grid"),
    (PAPER, "paper"),
    (SERIES[0], "series-1"),
    (SERIES[1], "series-2"),
    (SERIES[2], "series-3"),
    (SERIES[3], "series-4"),
    (SERIES[4], "series-5"),
    (SERIES[5], "series-6"),
];

/// How large text is, in pixels.
const TEXT: f64 = 13.0;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A chart: an SVG document without background.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    svg: String,
}

impl Chart {
    /// Draws on an area of this height. A warning stands below the drawing.
    fn draw(
        height: u32,
        warning: Option<&str>,
        content: impl FnOnce(&Area) -> std::result::Result<(), String>,
    ) -> Result<Self> {
        let mut svg = String::new();
        {
            let warned: Vec<String> = warning.map(|text| wrapped(text, 64)).unwrap_or_default();
            let below = 16 * warned.len() as u32;
            let area =
                SVGBackend::with_string(&mut svg, (WIDTH, height + below)).into_drawing_area();
            let (own, rest) = area.split_vertically(height);
            content(&own).map_err(failed)?;
            for (at, line) in warned.iter().enumerate() {
                let place = (WIDTH as i32 / 2, 16 * at as i32 + 8);
                text(&rest, line, place, HPos::Center, SERIES[5]).map_err(failed)?;
            }
            area.present().map_err(failed)?;
        }
        Ok(Self { svg })
    }

    /// The document as a file of its own, on paper, with a title and a description for those who
    /// do not see it.
    pub fn document(&self, title: &str, description: &str) -> String {
        let head = self.svg.find('>').map_or(0, |at| at + 1);
        let [title, description] = [title, description].map(escaped);
        format!(
            "{}\n<title>{title}</title>\n<desc>{description}</desc>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"{}\"/>{}",
            &self.svg[..head],
            hex(PAPER),
            &self.svg[head..]
        )
    }

    /// The document to stand in a page: as wide as there is room, in the page's colours, named by
    /// the element of this id.
    pub fn inline(&self, labelled_by: &str) -> String {
        let head = self.svg.find('>').map_or(0, |at| at + 1);
        let view =
            self.svg[..head].split("viewBox=\"").nth(1).and_then(|rest| rest.split('"').next());
        let view = view.unwrap_or_default();
        let mut out =
            format!("<svg role=\"img\" aria-labelledby=\"{labelled_by}\" viewBox=\"{view}\">");
        out.push_str(self.svg[head..].trim_end());
        for (colour, name) in NAMES {
            out = out.replace(&format!("\"{}\"", hex(colour)), &format!("\"var(--{name})\""));
        }
        out
    }
}

fn hex(colour: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn failed(what: impl std::fmt::Display) -> Error {
    Error::resource(format!("a figure cannot be drawn: {what}"))
}

/// Text at a place, its middle at that height; characters that no picture can hold are replaced.
fn text(
    area: &Area,
    content: &str,
    at: (i32, i32),
    to: HPos,
    colour: RGBColor,
) -> std::result::Result<(), String> {
    let style = font().color(&colour).pos(Pos::new(to, VPos::Center));
    area.draw(&Text::new(printable(content), at, style)).map_err(|e| e.to_string())
}

/// The font; the backend writes sizes in points of 1.24 pixels.
fn font() -> FontDesc<'static> {
    ("sans-serif", TEXT * 1.24).into_font()
}

/// About how wide a character is, in pixels.
const CHARACTER: f64 = TEXT * 0.54;

/// About how wide text is, in pixels.
fn width_of(text: &str) -> i32 {
    (text.chars().count() as f64 * CHARACTER).ceil() as i32
}

/// About how many characters fit into so many pixels.
fn characters_in(width: i32) -> usize {
    (f64::from(width.max(0)) / CHARACTER) as usize
}

/// As much of a text as fits into so many pixels.
fn fitting(text: &str, width: i32) -> String {
    let most = characters_in(width);
    match text.chars().count() <= most {
        true => text.to_owned(),
        false => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Lines of at most so many characters, broken between words.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Ticks of an axis from `low` to `high`: some five round numbers, and how many decimals they have.
fn ticks(low: f64, high: f64) -> (Vec<f64>, usize) {
    let rough = ((high - low) / 5.0).max(1e-9);
    let power = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|s| s * power).find(|s| *s >= rough * 0.99);
    let step = step.unwrap_or(rough);
    let first = (low / step - 1e-6).ceil() as i64;
    let last = (high / step + 1e-6).floor() as i64;
    let decimals = (0..6).find(|d| {
        let scaled = step * 10f64.powi(*d as i32);
        (scaled - scaled.round()).abs() < 1e-6
    });
    ((first..=last).map(|at| at as f64 * step).collect(), decimals.unwrap_or(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(ticks(0.0, 1.0), (vec![0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0], 1));
        let (at, decimals) = ticks(-0.03, 0.12);
        assert!(at.iter().all(|t| (-0.031..=0.121).contains(t)) && at.len() >= 3);
        assert!(decimals >= 2);
    }

    #[test]
    fn text_breaks_between_words_and_is_cut_with_a_mark() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert!(fitting("no_personal_use", 60).ends_with('…'));
        assert_eq!(fitting("no", 60), "no");
    }

    #[test]
    fn what_stands_in_a_chart_is_text() {
        let draw = |area: &Area| text(area, "<b>&\"\u{1}", (5, 5), HPos::Left, INK);
        let chart = Chart::draw(20, Some("<i>"), draw).unwrap();
        let document = chart.document("<t>", "</desc><script>");
        assert!(!document.contains("<b>") && !document.contains("<i>"));
        assert!(!document.contains("<script>") && !document.contains('\u{1}'));
        assert!(document.contains("&lt;b&gt;&amp;"));
        let inline = chart.inline("x");
        assert!(inline.contains("var(--ink)") && !inline.contains("#1B1F24"));
        assert!(inline.contains("viewBox=\"0 0 440 36\"") && !inline.contains("http"));
    }
}
