//! Values with their intervals, a row each, on one axis.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{Area, Chart, GRID, INK, MUTED, PAPER, SERIES, WIDTH, fitting, text, ticks, width_of};
use crate::error::Result;

/// One row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IntervalRow {
    /// Its name.
    pub label: String,
    /// A heading that stands above the first row that has it.
    pub heading: Option<String>,
    /// The value.
    pub value: Option<f64>,
    /// The ends of its interval.
    pub bounds: Option<(f64, f64)>,
    /// A second value to compare it with, drawn hollow.
    pub beside: Option<f64>,
    /// What stands at the right end.
    pub shown: String,
}

/// A chart of such rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Intervals<'a> {
    /// The rows.
    pub rows: &'a [IntervalRow],
    /// The ends of the axis; they grow to hold every value.
    pub range: (f64, f64),
    /// Whether ticks are per cent.
    pub is_percent: bool,
    /// What the axis shows.
    pub axis: &'a str,
    /// Places to mark, and what they mean.
    pub marks: &'a [(f64, String)],
    /// What the filled and the hollow mark are, if there are both.
    pub legend: Option<(&'a str, &'a str)>,
    /// A warning to stand below.
    pub warning: Option<&'a str>,
}

const ROW: i32 = 24;

/// Draws them.
///
/// # Errors
/// If it cannot be drawn.
pub fn intervals(of: &Intervals) -> Result<Chart> {
    let headings = headings(of.rows);
    let lines = of.rows.len() + headings.iter().filter(|heading| heading.is_some()).count();
    let above = if of.legend.is_some() { 24 } else { 4 } + 16 * i32::from(!of.marks.is_empty());
    let height = above + ROW * lines as i32 + 44;
    Chart::draw(height as u32, of.warning, |area| rows(area, of, &headings, above, lines))
}

/// The heading above each row, where it is not that of the row before.
fn headings(rows: &[IntervalRow]) -> Vec<Option<&str>> {
    let before = std::iter::once(None).chain(rows.iter().map(|row| row.heading.as_deref()));
    let pairs = rows.iter().zip(before);
    pairs.map(|(row, before)| row.heading.as_deref().filter(|own| before != Some(*own))).collect()
}

fn rows(
    area: &Area,
    of: &Intervals,
    headings: &[Option<&str>],
    above: i32,
    lines: usize,
) -> std::result::Result<(), String> {
    let said = |e: DrawingAreaErrorKind<_>| format!("{e}");
    let widest = of.rows.iter().map(|row| width_of(&row.label)).max().unwrap_or(0);
    let left = widest.clamp(60, 205) + 10;
    let shown = of.rows.iter().map(|row| width_of(&row.shown)).max().unwrap_or(0);
    let right = WIDTH as i32 - shown.min(130) - 12;
    let (mut low, mut high) = of.range;
    for row in of.rows {
        let ends = row.bounds.map(|(a, b)| [a, b]).into_iter().flatten();
        for value in row.value.into_iter().chain(row.beside).chain(ends) {
            low = low.min(value);
            high = high.max(value);
        }
    }
    let x = |value: f64| left + ((value - low) / (high - low) * f64::from(right - left)) as i32;
    let bottom = above + ROW * lines as i32;
    let (marks, decimals) = ticks(low, high);
    for tick in marks {
        let line = vec![(x(tick), above), (x(tick), bottom)];
        area.draw(&PathElement::new(line, GRID.stroke_width(1))).map_err(said)?;
        let label = match of.is_percent {
            true => format!("{:.0}\u{a0}%", 100.0 * tick),
            false => format!("{tick:.decimals$}"),
        };
        text(area, &label, (x(tick), bottom + 12), HPos::Center, MUTED)?;
    }
    text(area, of.axis, ((left + right) / 2, bottom + 30), HPos::Center, MUTED)?;
    for (value, meaning) in of.marks {
        let at = x(*value);
        for from in (above..bottom).step_by(8) {
            let dash = vec![(at, from), (at, (from + 4).min(bottom))];
            area.draw(&PathElement::new(dash, MUTED.stroke_width(1))).map_err(said)?;
        }
        text(area, meaning, (at, above - 8), HPos::Center, MUTED)?;
    }
    if let Some((filled, hollow)) = of.legend {
        area.draw(&Circle::new((left, 10), 5, SERIES[0].filled())).map_err(said)?;
        text(area, filled, (left + 10, 10), HPos::Left, INK)?;
        let at = left + width_of(filled) + 30;
        mark(area, (at, 10))?;
        text(area, hollow, (at + 10, 10), HPos::Left, INK)?;
    }
    let mut y = above + ROW / 2;
    for (row, heading) in of.rows.iter().zip(headings) {
        if let Some(heading) = heading {
            text(area, &fitting(heading, WIDTH as i32 - 8), (4, y), HPos::Left, MUTED)?;
            y += ROW;
        }
        text(area, &fitting(&row.label, left - 10), (left - 8, y), HPos::Right, INK)?;
        if let Some((lower, upper)) = row.bounds {
            let line = vec![(x(lower), y), (x(upper), y)];
            area.draw(&PathElement::new(line, SERIES[0].stroke_width(3))).map_err(said)?;
        }
        if let Some(beside) = row.beside {
            mark(area, (x(beside), y))?;
        }
        if let Some(value) = row.value {
            area.draw(&Circle::new((x(value), y), 5, SERIES[0].filled())).map_err(said)?;
        }
        let shown = fitting(&row.shown, WIDTH as i32 - right - 6);
        text(area, &shown, (WIDTH as i32 - 4, y), HPos::Right, INK)?;
        y += ROW;
    }
    Ok(())
}

/// A hollow diamond.
fn mark(area: &Area, (x, y): (i32, i32)) -> std::result::Result<(), String> {
    let corners = vec![(x - 6, y), (x, y - 6), (x + 6, y), (x, y + 6)];
    area.draw(&Polygon::new(corners.clone(), PAPER.filled())).map_err(|e| e.to_string())?;
    let around = corners.iter().copied().chain(corners.first().copied()).collect::<Vec<_>>();
    area.draw(&PathElement::new(around, SERIES[1].stroke_width(2))).map_err(|e| e.to_string())
}
