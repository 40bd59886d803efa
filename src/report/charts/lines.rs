//! Lines over a common axis, named at their ends.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{Area, Chart, GRID, INK, MUTED, SERIES, WIDTH, fitting, text, ticks, width_of};
use crate::error::Result;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// A chart of lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines<'a> {
    /// The lines; each beyond the sixth shares a colour with an earlier one.
    pub lines: &'a [Line],
    /// What lies across.
    pub across: &'a str,
    /// What lies upwards.
    pub upwards: &'a str,
    /// The ends of both axes; without, as the points reach.
    pub ranges: [Option<(f64, f64)>; 2],
    /// Names for places across instead of numbers.
    pub names: Option<&'a [String]>,
    /// Whether the line from corner to corner is drawn.
    pub has_diagonal: bool,
    /// A warning to stand below.
    pub warning: Option<&'a str>,
}

const PLOT: i32 = 250;

/// Draws them.
///
/// # Errors
/// If it cannot be drawn.
pub fn lines(of: &Lines) -> Result<Chart> {
    Chart::draw((PLOT + 68) as u32, of.warning, |area| drawn(area, of))
}

fn range(of: &Lines, axis: usize) -> (f64, f64) {
    if let Some(range) = of.ranges[axis] {
        return range;
    }
    let values = || {
        let points = of.lines.iter().flat_map(|line| &line.points);
        points.map(move |(x, y)| if axis == 0 { *x } else { *y }).filter(|value| value.is_finite())
    };
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
    match low < high {
        true => (low, high),
        false if low > high => (0.0, 1.0),
        false => (low - 0.5, high + 0.5),
    }
}

fn drawn(area: &Area, of: &Lines) -> std::result::Result<(), String> {
    let said = |e: DrawingAreaErrorKind<_>| format!("{e}");
    let names = of.lines.iter().map(|line| width_of(&line.name)).max().unwrap_or(0).min(140);
    let (left, right) = (48, WIDTH as i32 - names - 22);
    let (top, bottom) = (24, 24 + PLOT);
    let (low, high) = (range(of, 0), range(of, 1));
    let x = |v: f64| left + ((v - low.0) / (low.1 - low.0) * f64::from(right - left)) as i32;
    let y = |v: f64| bottom - ((v - high.0) / (high.1 - high.0) * f64::from(bottom - top)) as i32;
    text(area, of.upwards, (4, 8), HPos::Left, MUTED)?;
    let (up, decimals) = ticks(high.0, high.1);
    for tick in up {
        let rule = vec![(left, y(tick)), (right, y(tick))];
        area.draw(&PathElement::new(rule, GRID.stroke_width(1))).map_err(said)?;
        text(area, &format!("{tick:.decimals$}"), (left - 6, y(tick)), HPos::Right, MUTED)?;
    }
    match of.names {
        None => {
            let (along, decimals) = ticks(low.0, low.1);
            for tick in along {
                let label = format!("{tick:.decimals$}");
                text(area, &label, (x(tick), bottom + 14), HPos::Center, MUTED)?;
            }
        }
        Some(names) => {
            let widest = names.iter().map(|name| width_of(name)).max().unwrap_or(1) + 8;
            let room = ((right - left) / widest.max(1)).max(1) as usize;
            for at in (0..names.len()).step_by(names.len().div_ceil(room).max(1)) {
                let place = (x(at as f64), bottom + 14);
                text(area, &names[at], place, HPos::Center, MUTED)?;
            }
        }
    }
    text(area, of.across, ((left + right) / 2, bottom + 34), HPos::Center, MUTED)?;
    if of.has_diagonal {
        let rule = vec![(left, bottom), (right, top)];
        area.draw(&PathElement::new(rule, MUTED.stroke_width(1))).map_err(said)?;
    }
    for (at, line) in of.lines.iter().enumerate() {
        let colour = SERIES[at % SERIES.len()];
        let finite = line.points.iter().filter(|(a, b)| a.is_finite() && b.is_finite());
        let points: Vec<(i32, i32)> = finite.map(|&(a, b)| (x(a), y(b))).collect();
        if points.len() > 1 {
            area.draw(&PathElement::new(points.clone(), colour.stroke_width(2))).map_err(said)?;
        }
        for point in points.iter().filter(|_| points.len() <= 20) {
            area.draw(&Circle::new(*point, 4, colour.filled())).map_err(said)?;
        }
    }
    for (name, y, colour) in places(of, y, top, bottom) {
        area.draw(&Circle::new((right + 10, y), 4, colour.filled())).map_err(said)?;
        text(area, &fitting(name, names), (right + 17, y), HPos::Left, INK)?;
    }
    Ok(())
}

/// Where each line's name stands: beside its end, moved so that none covers another.
fn places<'a>(
    of: &'a Lines,
    y: impl Fn(f64) -> i32,
    top: i32,
    bottom: i32,
) -> Vec<(&'a str, i32, RGBColor)> {
    let mut places: Vec<(&str, i32, RGBColor)> = Vec::new();
    for (at, line) in of.lines.iter().enumerate() {
        let end = line.points.iter().rev().map(|(_, v)| *v).find(|v| v.is_finite());
        places.push((&line.name, end.map_or(bottom, &y), SERIES[at % SERIES.len()]));
    }
    places.sort_by_key(|(_, y, _)| *y);
    let mut least = top;
    for (_, y, _) in &mut places {
        *y = (*y).max(least);
        least = *y + 16;
    }
    let mut most = bottom.max(top + 16 * places.len() as i32);
    for (_, y, _) in places.iter_mut().rev() {
        *y = (*y).min(most);
        most = *y - 16;
    }
    places
}
