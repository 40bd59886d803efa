//! The pass over a coded table that marks the rows chosen among all (`--review-budget`).

use std::cmp::Reverse;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use crate::corpus::{Format, ReadOptions, Row, TableReader, TableWriter};
use crate::error::{Error, Result};

/// The reason of rows that are chosen.
const REASON: &str = "budget";

/// Copies a coded table whose last columns are those for status and reason, and marks the rows at
/// these places, from 0; how many were not for review before.
///
/// # Errors
/// If the table cannot be read or the copy not be written.
pub(super) fn mark_rows(
    from: &Path,
    to: &Path,
    format: Format,
    columns: &[String],
    chosen: &[u64],
) -> Result<u64> {
    let named = match format {
        Format::Csv { delimiter: b'\t' } => "tsv",
        Format::Csv { .. } => "csv",
        Format::Jsonl => "jsonl",
    };
    let options = ReadOptions { format: Some(named.to_owned()), ..ReadOptions::default() };
    let failed = |e: std::io::Error| Error::writing(to, &e);
    let sink = BufWriter::new(File::create(to).map_err(failed)?);
    let mut writer = TableWriter::new(sink, format, columns).map_err(failed)?;
    let mut new = 0;
    // A table of objects without a row has no column either.
    if std::fs::metadata(from).map_err(|e| Error::reading(from, &e))?.len() > 0 {
        let mut reader = TableReader::open(from, &options)?;
        let [.., status, reason] = columns else { return Ok(0) };
        let place = |name: &String| {
            reader.columns().iter().position(|column| column == name).ok_or_else(|| {
                Error::usage("the unfinished work is damaged: a column is missing")
                    .at(from.display().to_string())
                    .advise("--force discards it and begins anew")
            })
        };
        let (status, reason) =
            ((place(status)?, status.as_str()), (place(reason)?, reason.as_str()));
        let mut chosen = chosen.iter().peekable();
        while let Some(mut row) = reader.next_row()? {
            if chosen.next_if(|at| **at + 1 == row.number).is_some() {
                new += u64::from(mark(&mut row, status, reason));
            }
            writer.write(&row, &[]).map_err(failed)?;
        }
    }
    let sink = writer.finish().map_err(failed)?;
    sink.into_inner().map_err(|e| failed(e.into_error()))?.sync_all().map_err(failed)?;
    Ok(new)
}

/// Marks a row as chosen, in its cells for status and reason; whether it was not for review before.
fn mark(row: &mut Row, status: (usize, &str), reason: (usize, &str)) -> bool {
    let is_new = row.cell(status.0) != "review";
    row.replace(status.0, status.1, |_| "review".to_owned());
    row.replace(reason.0, reason.1, |old| {
        let mut all: Vec<&str> = old.split('|').filter(|reason| !reason.is_empty()).collect();
        all.push(REASON);
        // Reasons stand in the order of the statuses that they give.
        all.sort_by_key(|reason| Reverse(*reason != "truncated"));
        all.join("|")
    });
    is_new
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(table: &str, format: Format, columns: &[&str], chosen: &[u64]) -> (String, u64) {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("coded.part"), folder.path().join("chosen.part"));
        std::fs::write(&from, table).unwrap();
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        let new = mark_rows(&from, &to, format, &columns, chosen).unwrap();
        (std::fs::read_to_string(to).unwrap(), new)
    }

    #[test]
    fn chosen_rows_say_so_and_nothing_else_changes() {
        let columns = ["a, \"b\"", "text", "status__x", "reason"];
        let table = "\"a, \"\"b\"\"\";text;status__x;reason\n\" 1\";\"x;\n\"\"y\";ok;\n2;;empty;empty\n\
            3;z;truncated;truncated\n4;\"\r\";review;low_confidence|truncated\n";
        let expected = table
            .replace("y\";ok;", "y\";review;budget")
            .replace("z;truncated;", "z;review;budget|")
            .replace("confidence|", "confidence|budget|");
        let format = Format::Csv { delimiter: b';' };
        assert_eq!(marked(table, format, &columns, &[0, 2, 3]), (expected, 2));
        assert_eq!(marked(table, format, &columns, &[]), (table.to_owned(), 0));
    }

    #[test]
    fn objects_stay_as_they_were() {
        let columns = ["text", "n", "deep", "status", "reason"];
        let table = "{\"n\":1.5,\"text\":\"a\",\"status\":\"ok\",\"reason\":\"\"}\n\
            {\"deep\":{\"a\":[null]},\"status\":\"ok\",\"reason\":\"\"}\n";
        let expected =
            table.replacen("\"ok\",\"reason\":\"\"", "\"review\",\"reason\":\"budget\"", 1);
        assert_eq!(marked(table, Format::Jsonl, &columns, &[0]), (expected, 1));
        assert_eq!(marked("", Format::Jsonl, &columns, &[]), (String::new(), 0));
    }
}
