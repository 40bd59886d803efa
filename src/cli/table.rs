//! Tables and figures on standard output.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use comfy_table::{CellAlignment, ContentArrangement, presets};

use crate::error::{Error, Result};
use crate::report::{Cell, Sheet};

/// A table for people; columns of figures stand to the right.
#[derive(Clone, Debug)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings and no rows.
    pub fn new<H: Into<String>>(header: impl IntoIterator<Item = H>) -> Self {
        Self { header: header.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row; a short one is filled with blanks.
    pub fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl From<&Sheet> for Table {
    fn from(sheet: &Sheet) -> Self {
        let mut table = Self::new(sheet.columns.iter().map(|(head, _)| head.as_str()));
        for cells in &sheet.rows {
            table.row(cells.iter().map(Cell::shown));
        }
        table
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(&self.header);
        table.add_rows(&self.rows);
        for at in 0..self.header.len() {
            let mut cells =
                self.rows.iter().filter_map(|row| row.get(at)).filter(|c| !c.is_empty());
            let figures = cells.clone().next().is_some() && cells.all(|cell| is_figure(cell));
            if let Some(column) = table.column_mut(at).filter(|_| figures) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        // Between rows no rules: only around the header and at the end.
        table.remove_style(comfy_table::TableComponent::HorizontalLines);
        table.remove_style(comfy_table::TableComponent::MiddleIntersections);
        table.remove_style(comfy_table::TableComponent::LeftBorderIntersections);
        table.remove_style(comfy_table::TableComponent::RightBorderIntersections);
        for line in table.lines() {
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn is_figure(cell: &str) -> bool {
    cell.bytes().any(|b| b.is_ascii_digit())
        && cell.chars().all(|c| c.is_ascii_digit() || " .,+-–%±()[]e×x".contains(c))
        || matches!(cell, "-" | "–" | "—")
}

/// A figure to three places.
pub fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "undefined".into(), |value| format!("{value:.3}"))
}

/// A share in per cent, blank where there is none.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(String::new, |share| format!("{:.1} %", 100.0 * share))
}

/// Writes findings to standard output; a reader that went away (`| head`) is no failure.
///
/// # Errors
/// A resource error if they cannot be written, for instance to a full disk.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::writing(Path::new("standard output"), &error))
        }
        _ => Ok(()),
    }
}

/// Writes one JSON document to standard output, with full precision.
///
/// # Errors
/// As [`print`].
pub fn print_json(document: &serde_json::Value) -> Result<()> {
    print(&format!("{document:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_to_the_right() {
        let mut table = Table::new(["label", "rows", "share"]);
        table.row(["a", "5", "0.50 [0.1, 0.9]"]);
        table.row(["longer", "1234", "–"]);
        let text = table.to_string();
        assert!(text.contains("    5 "), "{text}");
        assert!(text.contains(" a "), "{text}");
        assert_eq!(text.lines().count(), 6, "{text}");
    }
}
