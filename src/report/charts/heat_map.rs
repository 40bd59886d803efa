//! Counts of one answer by another, a cell each.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{
    Area, Chart, GRID, INK, MUTED, SERIES, WIDTH, characters_in, fitting, text, width_of, wrapped,
};
use crate::error::Result;

/// A table of cells.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap<'a> {
    /// What the rows are.
    pub of_rows: &'a str,
    /// What the columns are.
    pub of_columns: &'a str,
    /// Names of the rows.
    pub rows: &'a [String],
    /// Names of the columns.
    pub columns: &'a [String],
    /// How dark each cell is, from 0 to 1, row by row.
    pub shade: &'a [Vec<f64>],
    /// What stands in each cell.
    pub shown: &'a [Vec<String>],
    /// A warning to stand below.
    pub warning: Option<&'a str>,
}

const ROW: i32 = 26;

/// The darkest a cell gets, so that text stays readable on it in light and dark.
const DARKEST: f64 = 0.4;

/// Draws it; the names of columns are wrapped, and cut, to the width of their cells.
///
/// # Errors
/// If it cannot be drawn.
pub fn heat_map(of: &HeatMap) -> Result<Chart> {
    let widest = of.rows.iter().map(|row| width_of(row)).max().unwrap_or(0);
    let left = widest.clamp(50, 205) + 12;
    let column = (WIDTH as i32 - left - 4) / of.columns.len().max(1) as i32;
    let names = names(of.columns, column);
    let lines = names.iter().map(Vec::len).max().unwrap_or(1) as i32;
    let above = 22 + 16 * lines + 4;
    let height = above + ROW * of.rows.len() as i32 + 6;
    let size = Sizes { left, column, above };
    Chart::draw(height as u32, of.warning, |area| cells(area, of, &names, size))
}

struct Sizes {
    left: i32,
    column: i32,
    above: i32,
}

/// Each column's name in lines that fit, broken at underscores.
fn names(columns: &[String], width: i32) -> Vec<Vec<String>> {
    let most = characters_in(width);
    let broken = |name: &String| -> Vec<String> {
        let spaced = name.replace('_', "_ ");
        let lines = wrapped(&spaced, most.max(1));
        lines.into_iter().map(|line| fitting(&line.replace("_ ", "_"), width)).collect()
    };
    columns.iter().map(broken).collect()
}

fn cells(
    area: &Area,
    of: &HeatMap,
    names: &[Vec<String>],
    Sizes { left, column, above }: Sizes,
) -> std::result::Result<(), String> {
    let corner = format!("rows: {}, columns: {}", of.of_rows, of.of_columns);
    text(area, &fitting(&corner, WIDTH as i32 - 8), (4, 10), HPos::Left, MUTED)?;
    for (at, lines) in names.iter().enumerate() {
        let middle = left + column * at as i32 + column / 2;
        let from = above - 16 * lines.len() as i32 + 4;
        for (line, name) in lines.iter().enumerate() {
            text(area, name, (middle, from + 16 * line as i32), HPos::Center, INK)?;
        }
    }
    for (row, name) in of.rows.iter().enumerate() {
        let y = above + ROW * row as i32;
        text(area, &fitting(name, left - 12), (left - 8, y + ROW / 2), HPos::Right, INK)?;
        for (at, (shade, shown)) in of.shade[row].iter().zip(&of.shown[row]).enumerate() {
            let x = left + column * at as i32;
            let corners = [(x, y), (x + column, y + ROW)];
            let fill = SERIES[0].mix(DARKEST * shade.clamp(0.0, 1.0)).filled();
            area.draw(&Rectangle::new(corners, fill)).map_err(|e| e.to_string())?;
            let frame = GRID.stroke_width(1);
            area.draw(&Rectangle::new(corners, frame)).map_err(|e| e.to_string())?;
            let place = (x + column / 2, y + ROW / 2);
            text(area, &fitting(shown, column), place, HPos::Center, INK)?;
        }
    }
    Ok(())
}
