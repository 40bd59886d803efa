//! The list of withdrawn ids.

use std::collections::BTreeSet;
use std::path::Path;

use crate::corpus::{Format, ReadOptions, TableReader, contents};
use crate::error::{Error, Result};

/// The ids of a list, one a line, or of a table's column of ids.
///
/// # Errors
/// If it cannot be read, or holds none.
pub fn read(path: &Path, options: &ReadOptions) -> Result<BTreeSet<String>> {
    let (name, bytes) = contents(path)?;
    let none = || Error::data("there are no ids in it").at(name.clone());
    if bytes.trim_ascii().is_empty() {
        return Err(none());
    }
    let own = ReadOptions { format: None, ..options.clone() };
    let known = Format::of_path(path, None).is_ok();
    let table_name = if known { name.as_str() } else { "ids.csv" };
    let mut ids = BTreeSet::new();
    let mut reader = TableReader::from_bytes(bytes.clone(), table_name, &own)
        .map_err(|error| error.at(name.clone()))?;
    if let Some(column) = id_column(reader.columns(), &own) {
        while let Some(row) = reader.next_row()? {
            ids.insert(row.cell(column).trim().to_owned());
        }
    } else if reader.format() == Format::Jsonl || reader.columns().len() > 1 {
        return Err(Error::data("there is no column of ids, and these are not ids, one a line")
            .at(name)
            .advise("--id NAME"));
    } else {
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::data("the list of ids is not UTF-8").at(name.clone()))?;
        let lines = text.trim_start_matches('\u{feff}').lines();
        ids.extend(lines.map(|line| line.trim().to_owned()));
    }
    ids.remove("");
    if ids.is_empty() { Err(none()) } else { Ok(ids) }
}

/// The column of ids, if there is one.
pub fn id_column(columns: &[String], options: &ReadOptions) -> Option<usize> {
    let name = options.id.as_deref().unwrap_or("id");
    columns.iter().position(|column| column == name)
}
