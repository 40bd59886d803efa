//! A table that a command writes: a file that stands under its name only when it is whole, or standard
//! output.

use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::FalseyValueParser;

use crate::corpus::{Format, Row, TableWriter, WholeFile, harmless_heading};
use crate::error::{Error, Result};

/// Flags of commands that write tables with texts.
#[derive(Clone, Debug, Default, Args)]
pub struct SpreadsheetArgs {
    /// Put an apostrophe before cells of a CSV table that a spreadsheet could take for formulas: those
    /// that begin with = + - @, tab or line end, and those that begin with an apostrophe, so that the
    /// first one can be taken away again
    #[arg(long, env = "CONFIDE_SPREADSHEET_SAFE", value_parser = FalseyValueParser::new())]
    spreadsheet_safe: bool,
}

impl SpreadsheetArgs {
    /// Whether cells must not begin like formulas.
    pub fn is_safe(&self) -> bool {
        self.spreadsheet_safe
    }
}

/// A table being written.
pub struct NewTable {
    writer: TableWriter<Sink>,
    path: PathBuf,
    rows: u64,
}

enum Sink {
    File(WholeFile),
    Stream(BufWriter<Stdout>),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::File(file) => file.write(bytes),
            Sink::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::File(file) => file.flush(),
            Sink::Stream(stream) => stream.flush(),
        }
    }
}

/// Whether a path stands for standard output.
pub fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
}

impl NewTable {
    /// Begins a table of these columns; `-` is standard output, in `format` if it is given.
    ///
    /// # Errors
    /// If nothing can be written there, or the path's ending is that of no table.
    pub fn begin(path: &Path, columns: &[String], format: Option<Format>) -> Result<Self> {
        Self::begin_safe(path, columns, format, false)
    }

    /// The same, with cells that no spreadsheet takes for formulas if they are to be `harmless`.
    ///
    /// # Errors
    /// As [`NewTable::begin`].
    pub fn begin_safe(
        path: &Path,
        columns: &[String],
        format: Option<Format>,
        harmless: bool,
    ) -> Result<Self> {
        let format = match format {
            Some(format) => format,
            None => Format::of_path(path, None)?,
        };
        let sink = match is_stream(path) {
            true => Sink::Stream(BufWriter::new(io::stdout())),
            false => Sink::File(WholeFile::create(path)?),
        };
        let heading = if harmless { harmless_heading(columns, format) } else { columns.to_vec() };
        let writer = TableWriter::new(sink, format, &heading)
            .map_err(|error| Error::writing(path, &error))?
            .harmless(harmless);
        Ok(Self { writer, path: path.to_path_buf(), rows: 0 })
    }

    /// Adds a row of these cells.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn row(&mut self, cells: Vec<String>) -> Result<()> {
        let number = self.rows + 1;
        self.copy(&Row { number, line: number, cells, json: None, defect: None })
    }

    /// Adds a row that was read.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn copy(&mut self, row: &Row) -> Result<()> {
        self.rows += 1;
        self.writer.write(row, &[]).map_err(|error| Error::writing(&self.path, &error))
    }

    /// Ends the table, and gives a file its name.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self) -> Result<u64> {
        let failed = |error: io::Error| Error::writing(&self.path, &error);
        let mut sink = self.writer.finish().map_err(failed)?;
        sink.flush().map_err(failed)?;
        if let Sink::File(file) = sink {
            file.finish()?;
        }
        Ok(self.rows)
    }
}
