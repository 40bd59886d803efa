//! Tables of texts, as the screen sees them.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use confide::corpus::{ReadOptions, TableReader};
use confide::crisis::{Example, Kind, Sight};

/// A table whose rows are known to show a crisis or not.
pub struct Table {
    pub name: String,
    pub bytes: Vec<u8>,
    pub ids: Vec<String>,
    pub examples: Vec<Example>,
    /// What each row is like: its severity, or its kind.
    pub kinds: Vec<String>,
}

impl Table {
    pub fn read(path: &Path, sight: &Sight, kind: Kind) -> Self {
        let rows = Rows::read(path);
        let texts = rows.column("text");
        let seen = sight.see(&texts, &AtomicBool::new(false)).unwrap();
        let crises = rows.column("crisis");
        let examples = seen
            .into_iter()
            .zip(&crises)
            .map(|(seen, crisis)| Example { seen, crisis: *crisis == "crisis", kind })
            .collect();
        let column = if rows.has("severity") { "severity" } else { "kind" };
        let owned = |name: &str| rows.column(name).into_iter().map(str::to_owned).collect();
        Self {
            name: rows.name.clone(),
            ids: owned("id"),
            kinds: owned(column),
            bytes: std::fs::read(path).unwrap(),
            examples,
        }
    }

    /// The first rows of a table of ordinary texts.
    pub fn calm(path: &Path, sight: &Sight, most: usize) -> Self {
        let rows = Rows::read(path);
        let first = |name: &str| rows.column(name).into_iter().take(most).collect::<Vec<_>>();
        let seen = sight.see(&first("text"), &AtomicBool::new(false)).unwrap();
        let examples: Vec<Example> = seen
            .into_iter()
            .map(|seen| Example { seen, crisis: false, kind: Kind::Ordinary })
            .collect();
        Self {
            name: rows.name.clone(),
            ids: first("id").into_iter().map(str::to_owned).collect(),
            kinds: vec!["calm".to_owned(); examples.len()],
            bytes: std::fs::read(path).unwrap(),
            examples,
        }
    }
}

/// The rows of a table.
pub struct Rows {
    pub name: String,
    columns: Vec<String>,
    cells: Vec<Vec<String>>,
}

impl Rows {
    pub fn read(path: &Path) -> Self {
        let mut reader = TableReader::open(path, &ReadOptions::default()).unwrap();
        let mut cells = Vec::new();
        while let Some(row) = reader.next_row().unwrap() {
            cells.push(row.cells);
        }
        let parts: Vec<_> = path.components().rev().take(2).map(|c| c.as_os_str()).collect();
        let parts: Vec<_> = parts.iter().rev().map(|part| part.to_string_lossy()).collect();
        Self { name: parts.join("/"), columns: reader.columns().to_vec(), cells }
    }

    pub fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|own| own == column)
    }

    /// The cells of a column.
    ///
    /// # Panics
    /// If there is none.
    pub fn column(&self, name: &str) -> Vec<&str> {
        let at = self.columns.iter().position(|own| own == name).expect("such a column");
        self.cells.iter().map(|row| row[at].as_str()).collect()
    }
}
