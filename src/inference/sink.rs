//! Where coded rows go.

use std::io::Write;
use std::path::Path;

use super::budget::Worth;
use super::state::Counts;
use crate::corpus::{Format, Row, TableWriter};
use crate::error::{Error, Result};

/// A table of coded rows being written.
pub(super) trait Sink {
    /// Writes one row with its added cells.
    fn row(&mut self, row: &Row, cells: &[(&str, String)]) -> Result<()>;
    /// Notes what hand coding that row is worth, if it could be coded.
    fn worth(&mut self, worth: Option<Worth>) -> Result<()>;
    /// Adds a row to those that show a crisis, with its score.
    fn flagged(&mut self, row: &Row, score: f64) -> Result<()>;
    /// Makes a whole window durable.
    fn commit(&mut self, counts: &Counts) -> Result<()>;
}

/// A table that is written to a stream, beyond recall.
pub(super) struct StreamSink<'a> {
    writer: TableWriter<Box<dyn Write + 'a>>,
    name: &'a str,
}

impl<'a> StreamSink<'a> {
    pub fn new(
        sink: Box<dyn Write + 'a>,
        name: &'a str,
        format: Format,
        columns: &[String],
        harmless: bool,
    ) -> Result<Self> {
        let writer = TableWriter::new(sink, format, columns)
            .map_err(|e| Error::writing(Path::new(name), &e))?;
        Ok(Self { writer: writer.harmless(harmless), name })
    }
}

impl Sink for StreamSink<'_> {
    fn row(&mut self, row: &Row, cells: &[(&str, String)]) -> Result<()> {
        self.writer.write(row, cells).map_err(|e| Error::writing(Path::new(self.name), &e))
    }

    fn worth(&mut self, _: Option<Worth>) -> Result<()> {
        Ok(())
    }

    fn flagged(&mut self, _: &Row, _: f64) -> Result<()> {
        Ok(())
    }

    fn commit(&mut self, _: &Counts) -> Result<()> {
        self.writer.sink().flush().map_err(|e| Error::writing(Path::new(self.name), &e))
    }
}

/// The format of an output: its extension's, else that of the input.
///
/// A separator that was found in a CSV input stays; between `.csv` and `.tsv` the extension
/// decides. `flag` is the format that was named for the input.
///
/// # Errors
/// A usage error for an extension that is not known, unless a format was named.
pub(super) fn output_format(
    output: Option<&Path>,
    input: &Path,
    flag: Option<&str>,
    found: Format,
) -> Result<Format> {
    let Some(output) = output.filter(|path| path.extension().is_some()) else { return Ok(found) };
    let own = match (Format::of_path(output, None), flag) {
        (Err(_), Some(_)) => return Ok(found),
        (own, _) => own?,
    };
    let declared = Format::of_path(input, flag)?;
    let both_csv = matches!((own, found), (Format::Csv { .. }, Format::Csv { .. }));
    Ok(if both_csv && own == declared { found } else { own })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_is_as_its_name_says() {
        let csv = |delimiter| Format::Csv { delimiter };
        let of = |output: &str, input: &str, flag, found| {
            output_format(Some(Path::new(output)), Path::new(input), flag, found)
        };
        assert_eq!(of("o.csv", "i.csv", None, csv(b';')).unwrap(), csv(b';'));
        assert_eq!(of("o.tsv", "i.csv", None, csv(b';')).unwrap(), csv(b'\t'));
        assert_eq!(of("o.csv", "i.tsv", None, csv(b'\t')).unwrap(), csv(b','));
        assert_eq!(of("o.jsonl", "i.csv", None, csv(b',')).unwrap(), Format::Jsonl);
        assert_eq!(of("o.csv", "-", Some("jsonl"), Format::Jsonl).unwrap(), csv(b','));
        assert_eq!(of("o", "i.jsonl", None, Format::Jsonl).unwrap(), Format::Jsonl);
        assert_eq!(of("o.dat", "i.dat", Some("tsv"), csv(b'\t')).unwrap(), csv(b'\t'));
        assert_eq!(of("o.xlsx", "i.csv", None, csv(b',')).unwrap_err().exit_code(), 2);
        assert_eq!(output_format(None, Path::new("-"), None, csv(b';')).unwrap(), csv(b';'));
    }
}
