//! Reading a table row by row, in constant memory.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use super::encoding::Decoded;
use super::format::{Format, ReadOptions};
use super::jsonl::Objects;
use super::records::Records;
use super::redaction::Redaction;
use super::roles::Roles;
use super::row::{Defect, Row};
use crate::error::{Error, Result, shown};

type Input = Decoded<Box<dyn Read + Send>>;

/// A table being read.
pub struct TableReader {
    name: String,
    columns: Vec<String>,
    body: Body,
    /// The text column, if its cells are masked as they are read.
    masked: Option<(usize, Redaction)>,
}

enum Body {
    Csv { records: Records<Input>, number: u64 },
    Jsonl(Objects<Input>),
}

impl TableReader {
    /// Opens a file, or standard input for `-`. A JSONL file is read through once first, to
    /// know all its columns.
    ///
    /// # Errors
    /// A data error if it cannot be read, is empty, or has columns of the same name.
    pub fn open(path: &Path, options: &ReadOptions) -> Result<Self> {
        let format = Format::of_path(path, options.format.as_deref())?;
        if path == Path::new("-") {
            return Self::start(Box::new(io::stdin()), "standard input", format, options, None);
        }
        let name = path.display().to_string();
        let open = || -> Result<Box<dyn Read + Send>> {
            let file = File::open(path).map_err(|error| Error::reading(path, &error))?;
            let about = file.metadata().map_err(|error| Error::reading(path, &error))?;
            if about.is_dir() {
                return Err(Error::data("this is a folder, not a table").at(name.clone()));
            }
            Ok(Box::new(file))
        };
        let mut columns = None;
        if format == Format::Jsonl {
            let input = Decoded::new(open()?, &name, options.encoding.as_deref())?;
            columns = Some(Objects::scan(input, &name)?.ok_or_else(|| empty(&name))?);
        }
        Self::start(open()?, &name, format, options, columns)
    }

    /// Reads a table from any source that can be read once; `name` stands in the messages and
    /// its extension tells the format where the options do not.
    ///
    /// # Errors
    /// As [`TableReader::open`].
    pub fn from_reader(
        input: impl Read + Send + 'static,
        name: &str,
        options: &ReadOptions,
    ) -> Result<Self> {
        let format = Format::of_path(Path::new(name), options.format.as_deref())?;
        Self::start(Box::new(input), name, format, options, None)
    }

    /// Reads a table from bytes in memory, as a file of that name.
    ///
    /// # Errors
    /// As [`TableReader::open`].
    pub fn from_bytes(
        bytes: impl AsRef<[u8]> + Send + 'static,
        name: &str,
        options: &ReadOptions,
    ) -> Result<Self> {
        let format = Format::of_path(Path::new(name), options.format.as_deref())?;
        let mut columns = None;
        if format == Format::Jsonl {
            let input = Decoded::new(bytes.as_ref(), name, options.encoding.as_deref())?;
            columns = Some(Objects::scan(input, name)?.ok_or_else(|| empty(name))?);
        }
        Self::start(Box::new(io::Cursor::new(bytes)), name, format, options, columns)
    }

    fn start(
        input: Box<dyn Read + Send>,
        name: &str,
        format: Format,
        options: &ReadOptions,
        columns: Option<Vec<String>>,
    ) -> Result<Self> {
        let input = Decoded::new(input, name, options.encoding.as_deref())?;
        let (columns, body) = match format {
            Format::Jsonl => {
                let objects = match columns {
                    Some(columns) => Objects::with_columns(input, name, columns),
                    None => {
                        let objects = Objects::look_ahead(input, name)?;
                        if objects.is_empty() {
                            return Err(empty(name));
                        }
                        objects
                    }
                };
                (objects.columns().to_vec(), Body::Jsonl(objects))
            }
            Format::Csv { delimiter } => {
                let mut records = Records::new(input, name, delimiter);
                records.sniff()?;
                let mut columns = Vec::new();
                if records.next(&mut columns)?.is_none() {
                    return Err(empty(name));
                }
                (columns, Body::Csv { records, number: 0 })
            }
        };
        check_columns(name, &columns)?;
        let text = Roles::find(&columns, options).ok().map(|roles| roles.text);
        let masked = text.zip(options.redaction.clone());
        Ok(Self { name: name.to_string(), columns, body, masked })
    }

    /// The file's name as messages show it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The columns in the order of the file.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The format, with the separator that was found.
    pub fn format(&self) -> Format {
        match &self.body {
            Body::Csv { records, .. } => Format::Csv { delimiter: records.delimiter() },
            Body::Jsonl(_) => Format::Jsonl,
        }
    }

    /// Which column is what.
    ///
    /// # Errors
    /// As [`Roles::find`], with the file named.
    pub fn roles(&self, options: &ReadOptions) -> Result<Roles> {
        Roles::find(&self.columns, options).map_err(|error| error.at(self.name.clone()))
    }

    /// The next row; a row with a defect is returned like any other.
    ///
    /// # Errors
    /// A data error for an undecodable byte, a quote that is never closed, or a failed read.
    pub fn next_row(&mut self) -> Result<Option<Row>> {
        let mut row = self.row()?;
        if let (Some(row), Some((text, redaction))) = (&mut row, &self.masked) {
            row.replace(*text, &self.columns[*text], |cell| redaction.redact(cell));
        }
        Ok(row)
    }

    /// Where the row that was read last stands in the decoded text, a byte-order mark not counted
    /// and its line end included.
    pub fn span(&self) -> Range<u64> {
        match &self.body {
            Body::Csv { records, .. } => records.span(),
            Body::Jsonl(objects) => objects.span(),
        }
    }

    fn row(&mut self) -> Result<Option<Row>> {
        match &mut self.body {
            Body::Jsonl(objects) => objects.next(),
            Body::Csv { records, number } => {
                let mut cells = Vec::with_capacity(self.columns.len());
                let Some(line) = records.next(&mut cells)? else { return Ok(None) };
                *number += 1;
                let defect = if let Some(at) = cells.iter().position(|c| c.contains('\0')) {
                    Some(Defect::NulByte {
                        column: self.columns.get(at).cloned().unwrap_or_default(),
                    })
                } else if cells.len() != self.columns.len() {
                    Some(Defect::Ragged { columns: self.columns.len(), cells: cells.len() })
                } else {
                    None
                };
                Ok(Some(Row { number: *number, line, cells, json: None, defect }))
            }
        }
    }
}

impl std::fmt::Debug for TableReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableReader").field("name", &self.name).finish_non_exhaustive()
    }
}

fn empty(name: &str) -> Error {
    Error::data("the file is empty")
        .at(name)
        .advise("a table begins with a header that names its columns")
}

fn check_columns(name: &str, columns: &[String]) -> Result<()> {
    if columns.iter().any(|column| column.contains('\0')) {
        return Err(Error::data("the header holds NUL bytes: perhaps UTF-16 without a mark")
            .at(format!("{name}:1"))
            .advise("save the file as UTF-8, or name its encoding: --encoding utf-16le"));
    }
    let mut known = HashSet::new();
    for column in columns {
        // Spreadsheets leave several columns without a name at the right edge.
        if !column.is_empty() && !known.insert(column) {
            return Err(Error::data(format!("two columns have the same name, {}", shown(column)))
                .at(format!("{name}:1"))
                .advise("rename one of them"));
        }
    }
    Ok(())
}

/// Bytes of a file that is read whole, at most.
const LONGEST_WHOLE: u64 = 4 << 30;

/// The whole of a file, or of standard input for `-`, with its name as messages show it.
///
/// # Errors
/// A data error if it cannot be read, is a folder, or too large for the memory.
pub fn contents(path: &Path) -> Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        let read = io::stdin().read_to_end(&mut bytes);
        read.map_err(|error| Error::reading(Path::new("standard input"), &error))?;
        return Ok(("-".into(), bytes));
    }
    let name = path.display().to_string();
    if path.is_dir() {
        return Err(Error::data("this is a folder, not a table").at(name));
    }
    let read =
        File::open(path).and_then(|file| file.take(LONGEST_WHOLE + 1).read_to_end(&mut bytes));
    read.map_err(|error| Error::reading(path, &error))?;
    if bytes.len() as u64 > LONGEST_WHOLE {
        return Err(Error::data("a file of more than 4 GB, which is read whole")
            .at(name)
            .advise("divide it, and give the parts"));
    }
    Ok((name, bytes))
}

/// A file, or standard input for `-`, to be read as it comes; with the name that messages show.
///
/// # Errors
/// A data error if it cannot be opened or is a folder.
pub fn open_input(path: &Path) -> Result<(String, Box<dyn Read>)> {
    if path == Path::new("-") {
        return Ok(("-".into(), Box::new(io::stdin())));
    }
    let name = path.display().to_string();
    if path.is_dir() {
        return Err(Error::data("this is a folder, not a file").at(name));
    }
    let file = File::open(path).map_err(|error| Error::reading(path, &error))?;
    Ok((name, Box::new(file)))
}

/// A failed read as the error it carries, or as a data error of its own.
pub(super) fn read_failure(name: &str, error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(own) => own,
        Err(error) => Error::reading(Path::new(name), &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bytes: &'static [u8], name: &str) -> Result<(TableReader, Vec<Row>)> {
        let mut reader = TableReader::from_bytes(bytes, name, &ReadOptions::default())?;
        let mut rows = Vec::new();
        while let Some(row) = reader.next_row()? {
            rows.push(row);
        }
        Ok((reader, rows))
    }

    #[test]
    fn ragged_rows_keep_their_fields() {
        let (reader, rows) = rows(b"id;text\n1;a\n2\n3;b;c\n", "t.csv").unwrap();
        assert_eq!(reader.format(), Format::Csv { delimiter: b';' });
        assert_eq!(rows[0].defect, None);
        assert_eq!(rows[1].cells, ["2"]);
        assert_eq!(rows[2].cells, ["3", "b", "c"]);
        assert_eq!(rows[2].defect, Some(Defect::Ragged { columns: 2, cells: 3 }));
    }

    #[test]
    fn empty_is_an_error_and_a_header_alone_is_not() {
        for bytes in [&b""[..], b"\xef\xbb\xbf", b"\n\n"] {
            assert_eq!(rows(bytes, "t.csv").unwrap_err().exit_code(), 3);
            assert_eq!(rows(bytes, "t.jsonl").unwrap_err().exit_code(), 3);
        }
        assert!(rows(b"id,text\n", "t.csv").unwrap().1.is_empty());
    }

    #[test]
    fn headers_are_checked() {
        let message = rows(b"id,text,id\n", "t.csv").unwrap_err().to_string();
        assert!(message.contains("'id'"), "{message}");
        assert!(rows(b"id,text,,\n1,a,,\n", "t.csv").is_ok());
        let message = rows(b"i\0d\0,\0t\0\n\0", "t.csv").unwrap_err().to_string();
        assert!(message.contains("utf-16le"), "{message}");
    }
}
