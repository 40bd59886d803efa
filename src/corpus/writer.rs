//! Writing tables: CSV with every cell as it was, JSONL with every object untouched.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::format::Format;
use super::row::Row;
use super::spreadsheet::harmless;

/// A table being written to a sink, which should be buffered.
#[derive(Debug)]
pub struct TableWriter<W: Write> {
    sink: W,
    format: Format,
    columns: Vec<String>,
    /// Whether cells of a CSV table must not begin like a formula.
    harmless: bool,
}

impl<W: Write> TableWriter<W> {
    /// Begins a table of these columns (those of the input, then those that are added), with
    /// its header if the format has one.
    ///
    /// # Errors
    /// What the sink returns.
    pub fn new(mut sink: W, format: Format, columns: &[String]) -> io::Result<Self> {
        if let Format::Csv { delimiter } = format {
            write_record(&mut sink, delimiter, columns.iter().map(String::as_str))?;
        }
        Ok(Self::resume(sink, format, columns))
    }

    /// Goes on with a table that has its header already.
    pub fn resume(sink: W, format: Format, columns: &[String]) -> Self {
        Self { sink, format, columns: columns.to_vec(), harmless: false }
    }

    /// The same table, with all cells to come as [`harmless`] makes them if it is CSV. The heading is
    /// the caller's.
    pub fn harmless(self, harmless: bool) -> Self {
        Self { harmless, ..self }
    }

    /// Writes a row and the added cells, which are the last columns, in order.
    ///
    /// A row with too few cells is filled with blanks; cells beyond the columns are left out,
    /// since the row's defect tells of them. A JSONL row stays as it was in JSONL, with the
    /// added keys behind.
    ///
    /// # Errors
    /// What the sink returns.
    pub fn write(&mut self, row: &Row, extra: &[(&str, String)]) -> io::Result<()> {
        let own = self.columns.len().saturating_sub(extra.len());
        match self.format {
            Format::Csv { delimiter } => {
                let cells = (0..own).map(|column| row.cell(column));
                let cells = cells.chain(extra.iter().map(|(_, cell)| cell.as_str()));
                match self.harmless {
                    false => write_record(&mut self.sink, delimiter, cells),
                    true => {
                        let cells: Vec<_> = cells.map(harmless).collect();
                        let cells = cells.iter().map(|cell| cell.as_ref());
                        write_record(&mut self.sink, delimiter, cells)
                    }
                }
            }
            Format::Jsonl => {
                let mut object = match &row.json {
                    Some(object) => object.clone(),
                    None => self.object(row, own),
                };
                for (column, cell) in extra {
                    object.insert((*column).to_string(), Value::from(cell.as_str()));
                }
                serde_json::to_writer(&mut self.sink, &object)?;
                self.sink.write_all(b"\n")
            }
        }
    }

    /// Flushes and hands back the sink.
    ///
    /// # Errors
    /// What the sink returns.
    pub fn finish(mut self) -> io::Result<W> {
        self.sink.flush()?;
        Ok(self.sink)
    }

    /// The sink, for instance to flush it.
    pub fn sink(&mut self) -> &mut W {
        &mut self.sink
    }

    fn object(&self, row: &Row, own: usize) -> Map<String, Value> {
        let columns = self.columns[..own].iter().enumerate();
        columns.map(|(at, column)| (column.clone(), Value::from(row.cell(at)))).collect()
    }
}

fn write_record<'a>(
    sink: &mut impl Write,
    delimiter: u8,
    cells: impl Iterator<Item = &'a str>,
) -> io::Result<()> {
    let (mut first, mut only_blank) = (true, false);
    for cell in cells {
        if first {
            only_blank = cell.is_empty();
        } else {
            only_blank = false;
            sink.write_all(&[delimiter])?;
        }
        first = false;
        if needs_quotes(cell, delimiter) {
            sink.write_all(b"\"")?;
            sink.write_all(cell.replace('"', "\"\"").as_bytes())?;
            sink.write_all(b"\"")?;
        } else {
            sink.write_all(cell.as_bytes())?;
        }
    }
    // A single blank cell would be a blank line, which is no record.
    sink.write_all(if only_blank { b"\"\"\n" } else { b"\n" })
}

fn needs_quotes(cell: &str, delimiter: u8) -> bool {
    let edge = |c: Option<char>| c.is_some_and(char::is_whitespace);
    edge(cell.chars().next())
        || edge(cell.chars().next_back())
        // Any separator that a reader might guess, and a mark that it might take for its own.
        || cell.bytes().any(|b| matches!(b, b'"' | b'\n' | b'\r' | b',' | b';' | b'\t') || b == delimiter)
        || cell.starts_with('\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::super::format::ReadOptions;
    use super::super::reader::TableReader;
    use super::*;
    use proptest::prelude::*;

    use crate::properties::repeatable;

    fn row(cells: &[&str]) -> Row {
        let cells = cells.iter().map(|cell| cell.to_string()).collect();
        Row { number: 1, line: 2, cells, json: None, defect: None }
    }

    fn written(format: Format, columns: &[&str], rows: &[Row], extra: &[(&str, String)]) -> String {
        let columns: Vec<String> = columns.iter().map(|c| c.to_string()).collect();
        let mut writer = TableWriter::new(Vec::new(), format, &columns).unwrap();
        for row in rows {
            writer.write(row, extra).unwrap();
        }
        String::from_utf8(writer.finish().unwrap()).unwrap()
    }

    #[test]
    fn rows_are_rectangular() {
        let csv = Format::Csv { delimiter: b',' };
        let rows = [row(&["1"]), row(&["2", "b", "over"])];
        let text = written(csv, &["id", "text", "status"], &rows, &[("status", "ok".into())]);
        assert_eq!(text, "id,text,status\n1,,ok\n2,b,ok\n");
        assert_eq!(written(csv, &["text"], &[row(&[""])], &[]), "text\n\"\"\n");
    }

    #[test]
    fn objects_stay_untouched() {
        let line = "{\"z\":1.50,\"a\":[1,{\"b\":null}],\"n\":18446744073709551615}\n";
        let mut reader =
            TableReader::from_bytes(line.as_bytes(), "t.jsonl", &ReadOptions::default()).unwrap();
        let row = reader.next_row().unwrap().unwrap();
        let text = written(Format::Jsonl, &["z", "a", "n", "s"], &[row], &[("s", "ok".into())]);
        let expected =
            "{\"z\":1.5,\"a\":[1,{\"b\":null}],\"n\":18446744073709551615,\"s\":\"ok\"}\n";
        assert_eq!(text, expected);
    }

    fn table() -> impl Strategy<Value = (u8, Vec<Vec<String>>)> {
        let cell = prop_oneof![
            "[ -~\\n\\r\\t]{0,12}",
            "[\",;\\t\\n\\r a]{0,6}",
            any::<String>().prop_map(|s| s.replace('\0', "")),
        ];
        (1usize..5).prop_flat_map(move |width| {
            let rows =
                proptest::collection::vec(proptest::collection::vec(cell.clone(), width), 0..8);
            (proptest::sample::select(vec![b',', b';', b'\t']), rows)
        })
    }

    proptest! {
        #![proptest_config(repeatable())]

        #[test]
        fn any_table_reads_back(table in table()) {
            let (delimiter, rows) = table;
            let width = rows.first().map_or(2, Vec::len);
            let columns: Vec<String> = (0..width).map(|i| format!("c{i}")).collect();
            for format in [Format::Csv { delimiter }, Format::Jsonl] {
                let mut writer = TableWriter::new(Vec::new(), format, &columns).unwrap();
                for cells in &rows {
                    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
                    writer.write(&row(&cells), &[]).unwrap();
                }
                let bytes = writer.finish().unwrap();
                if bytes.is_empty() {
                    continue;
                }
                let name = if format == Format::Jsonl { "t.jsonl" } else { "t.csv" };
                let mut reader = TableReader::from_bytes(bytes, name, &ReadOptions::default()).unwrap();
                prop_assert_eq!(reader.columns(), &columns[..]);
                for (at, cells) in rows.iter().enumerate() {
                    let read = reader.next_row().unwrap().unwrap();
                    prop_assert_eq!(&read.cells, cells);
                    prop_assert_eq!(read.number, at as u64 + 1);
                    prop_assert_eq!(read.defect, None);
                }
                prop_assert!(reader.next_row().unwrap().is_none());
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for name in ["t.csv", "t.jsonl"] {
                let reader = TableReader::from_bytes(bytes.clone(), name, &ReadOptions::default());
                let Ok(mut reader) = reader else { continue };
                while let Ok(Some(_)) = reader.next_row() {}
            }
        }
    }
}
