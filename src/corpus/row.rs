//! One row of a table, and what may be wrong with it.

use std::fmt;

use serde_json::{Map, Value};

/// One row as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Data row, counted from 1; blank lines do not count.
    pub number: u64,
    /// Physical line on which it begins, counted from 1.
    pub line: u64,
    /// The cells in the order of the columns; fewer or more than columns if ragged.
    pub cells: Vec<String>,
    /// The untouched object of a JSONL row.
    pub json: Option<Map<String, Value>>,
    /// Why the row cannot be used, if it cannot.
    pub defect: Option<Defect>,
}

impl Row {
    /// The cell of a column; blank where the row is too short.
    pub fn cell(&self, column: usize) -> &str {
        self.cells.get(column).map_or("", String::as_str)
    }

    /// Replaces the cell of a column, and what stands under its name in a JSONL row.
    pub fn replace(&mut self, column: usize, name: &str, with: impl FnOnce(&str) -> String) {
        let Some(cell) = self.cells.get_mut(column) else { return };
        *cell = with(cell);
        if let Some(value) = self.json.as_mut().and_then(|object| object.get_mut(name))
            && value.is_string()
        {
            *value = Value::from(cell.as_str());
        }
    }
}

/// Why a row cannot be used. Never holds the text of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Fewer or more cells than columns.
    Ragged {
        /// How many columns the header has.
        columns: usize,
        /// How many cells the row has.
        cells: usize,
    },
    /// A NUL byte, in the column of that name if it has one.
    NulByte {
        /// Name of the column, empty beyond the last.
        column: String,
    },
    /// Not valid JSON from this column of the line on (counted from 1).
    NotJson {
        /// Where reading failed.
        at: usize,
    },
    /// Valid JSON, but not an object.
    NotAnObject,
    /// Keys that the table's columns do not have.
    UnknownKeys {
        /// How many.
        count: usize,
    },
}

impl Defect {
    /// A short name for reasons and counts.
    pub fn code(&self) -> &'static str {
        match self {
            Defect::Ragged { .. } => "ragged_row",
            Defect::NulByte { .. } => "nul_byte",
            Defect::NotJson { .. } | Defect::NotAnObject => "not_json",
            Defect::UnknownKeys { .. } => "unknown_keys",
        }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Defect::Ragged { columns, cells } => {
                write!(f, "{cells} cells where the header has {columns}")
            }
            Defect::NulByte { .. } => write!(f, "a NUL byte"),
            Defect::NotJson { at } => write!(f, "not valid JSON from column {at} of the line on"),
            Defect::NotAnObject => write!(f, "not a JSON object"),
            Defect::UnknownKeys { count } => {
                write!(f, "{count} keys that none of the first rows has")
            }
        }
    }
}
