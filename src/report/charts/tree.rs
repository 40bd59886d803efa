//! How comments pass from answer to answer: a column per tier, each answer as high as it is frequent.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{Area, Chart, INK, MUTED, PAPER, SERIES, WIDTH, fitting, text};
use crate::error::Result;

/// An answer, and what was answered after it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Branch {
    /// The answer.
    pub name: String,
    /// Comments that gave it.
    pub count: u64,
    /// Whether it stands for comments that the next tier is not asked of.
    pub is_closed: bool,
    /// Answers to the next tier.
    pub next: Vec<Branch>,
}

const PLOT: i32 = 380;

/// Draws the tree under the headings of its columns.
///
/// # Errors
/// If it cannot be drawn.
pub fn tree(headings: &[String], branches: &[Branch], warning: Option<&str>) -> Result<Chart> {
    Chart::draw((PLOT + 28) as u32, warning, |area| {
        let width = (WIDTH as i32 - 8) / headings.len().max(1) as i32;
        for (at, heading) in headings.iter().enumerate() {
            let place = (4 + width * at as i32, 10);
            text(area, &fitting(heading, width - 6), place, HPos::Left, MUTED)?;
        }
        let all: u64 = branches.iter().map(|branch| branch.count).sum();
        let mut place = Place { x: 4, width, top: 22.0, height: f64::from(PLOT), all };
        column(area, branches, &mut place, 0)
    })
}

struct Place {
    x: i32,
    width: i32,
    top: f64,
    height: f64,
    all: u64,
}

fn column(
    area: &Area,
    branches: &[Branch],
    place: &mut Place,
    depth: usize,
) -> std::result::Result<(), String> {
    let said = |e: DrawingAreaErrorKind<_>| format!("{e}");
    let here: u64 = branches.iter().map(|branch| branch.count).sum();
    let mut top = place.top;
    for branch in branches.iter().filter(|branch| branch.count > 0) {
        let height = place.height * branch.count as f64 / here.max(1) as f64;
        let corners =
            [(place.x, top as i32), (place.x + place.width - 2, (top + height) as i32 - 1)];
        if !branch.is_closed {
            let shade = if depth.is_multiple_of(2) { 0.22 } else { 0.38 };
            let fill = SERIES[0].mix(shade).filled();
            area.draw(&Rectangle::new(corners, fill)).map_err(said)?;
            area.draw(&Rectangle::new(corners, PAPER.stroke_width(1))).map_err(said)?;
        }
        let share = 100.0 * branch.count as f64 / place.all.max(1) as f64;
        let (room, middle) = (place.width - 10, (top + height / 2.0) as i32);
        let colour = if branch.is_closed { MUTED } else { INK };
        let at = |y| (place.x + 5, y);
        if height >= 32.0 {
            text(area, &fitting(&branch.name, room), at(middle - 8), HPos::Left, colour)?;
            let share = format!("{} ({share:.0} %)", branch.count);
            text(area, &fitting(&share, room), at(middle + 8), HPos::Left, colour)?;
        } else if height >= 14.0 {
            let line = format!("{} {share:.0} %", branch.name);
            text(area, &fitting(&line, room), at(middle), HPos::Left, colour)?;
        }
        let mut next = Place { x: place.x + place.width, top, height, ..*place };
        column(area, &branch.next, &mut next, depth + 1)?;
        top += height;
    }
    Ok(())
}
