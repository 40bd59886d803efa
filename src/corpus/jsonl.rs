//! Tables with one JSON object a line.

use std::collections::{HashSet, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::ops::Range;

use serde_json::{Map, Value};

use super::reader::read_failure;
use super::records::{MOST_CELLS, too_many};
use super::row::{Defect, Row};
use crate::error::{Error, Result};

/// A line longer than this is no row of a table.
const LONGEST_LINE: u64 = 64 << 20;
/// How many rows tell the columns of an input that can be read only once.
const ROWS_AHEAD: usize = 1000;
/// Bytes after which fewer rows do.
const BYTES_AHEAD: u64 = 16 << 20;

/// Reads one object after another; blank lines are no rows.
pub(super) struct Objects<R> {
    input: BufReader<R>,
    name: String,
    line: u64,
    number: u64,
    columns: Vec<String>,
    known: HashSet<String>,
    ahead: VecDeque<Parsed>,
    /// Bytes taken so far.
    taken: u64,
    span: Range<u64>,
}

struct Parsed {
    line: u64,
    span: Range<u64>,
    object: std::result::Result<Map<String, Value>, Defect>,
}

impl<R: Read> Objects<R> {
    /// A reader whose columns are the keys of the first thousand rows.
    pub fn look_ahead(input: R, name: &str) -> Result<Self> {
        let mut objects = Self::with_columns(input, name, Vec::new());
        while objects.ahead.len() < ROWS_AHEAD
            && objects.taken < BYTES_AHEAD
            && let Some(parsed) = objects.parse()?
        {
            objects.learn(&parsed)?;
            objects.ahead.push_back(parsed);
        }
        Ok(objects)
    }

    /// A reader of a table whose columns are known.
    pub fn with_columns(input: R, name: &str, columns: Vec<String>) -> Self {
        let known = columns.iter().cloned().collect();
        let (input, name) = (BufReader::new(input), name.to_string());
        let (line, number, ahead) = (0, 0, VecDeque::new());
        Self { input, name, line, number, columns, known, ahead, taken: 0, span: 0..0 }
    }

    /// Every key of the whole input, in the order of first appearance; `None` if the input
    /// has no row at all.
    pub fn scan(input: R, name: &str) -> Result<Option<Vec<String>>> {
        let mut objects = Self::with_columns(input, name, Vec::new());
        let mut any = false;
        while let Some(parsed) = objects.parse()? {
            any = true;
            objects.learn(&parsed)?;
        }
        Ok(any.then_some(objects.columns))
    }

    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Where the row that was read last stands in the input, its line end included.
    pub fn span(&self) -> Range<u64> {
        self.span.clone()
    }

    /// Whether the rows read ahead are none at all.
    pub fn is_empty(&self) -> bool {
        self.ahead.is_empty()
    }

    pub fn next(&mut self) -> Result<Option<Row>> {
        let parsed = match self.ahead.pop_front() {
            Some(parsed) => parsed,
            None => match self.parse()? {
                Some(parsed) => parsed,
                None => return Ok(None),
            },
        };
        self.number += 1;
        let (line, number) = (parsed.line, self.number);
        self.span = parsed.span;
        let object = match parsed.object {
            Ok(object) => object,
            Err(defect) => {
                let cells = vec![String::new(); self.columns.len()];
                return Ok(Some(Row { number, line, cells, json: None, defect: Some(defect) }));
            }
        };
        let cells: Vec<String> =
            self.columns.iter().map(|key| object.get(key).map_or(String::new(), cell)).collect();
        let unknown = object.keys().filter(|key| !self.known.contains(*key)).count();
        let defect = if unknown > 0 {
            Some(Defect::UnknownKeys { count: unknown })
        } else {
            let nul = cells.iter().position(|cell| cell.contains('\0'));
            nul.map(|column| Defect::NulByte { column: self.columns[column].clone() })
        };
        Ok(Some(Row { number, line, cells, json: Some(object), defect }))
    }

    fn learn(&mut self, parsed: &Parsed) -> Result<()> {
        let Ok(object) = &parsed.object else { return Ok(()) };
        for key in object.keys() {
            if !self.known.contains(key) {
                if self.columns.len() == MOST_CELLS {
                    return Err(too_many().at(format!("{}:{}", self.name, parsed.line)));
                }
                self.known.insert(key.clone());
                self.columns.push(key.clone());
            }
        }
        Ok(())
    }

    fn parse(&mut self) -> Result<Option<Parsed>> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let got = (&mut self.input)
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut bytes)
                .map_err(|error| read_failure(&self.name, error))?;
            if got == 0 {
                return Ok(None);
            }
            self.line += 1;
            self.taken += got as u64;
            if got as u64 == LONGEST_LINE {
                return Err(Error::data("a row of more than 64 MB")
                    .at(format!("{}:{}", self.name, self.line))
                    .advise("JSONL holds one object a line"));
            }
            if bytes.iter().any(|byte| !byte.is_ascii_whitespace()) {
                break;
            }
        }
        // Parsed as any value first: a type error of serde_json would quote the cell.
        let object = match serde_json::from_slice(&bytes) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(Defect::NotAnObject),
            Err(error) => Err(Defect::NotJson { at: error.column() }),
        };
        let span = self.taken - bytes.len() as u64..self.taken;
        Ok(Some(Parsed { line: self.line, span, object }))
    }
}

/// A JSON value as a cell: strings as they are, null as blank, lists of strings joined with
/// `|`, everything else as JSON.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_string) => {
            let parts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            parts.join("|")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_the_union_of_keys() {
        let text = "{\"a\":1,\"b\":[\"x\",\"y\"]}\n\n{\"c\":null,\"a\":\"t\"}\r\n";
        let mut objects = Objects::look_ahead(text.as_bytes(), "f").unwrap();
        assert_eq!(objects.columns(), ["a", "b", "c"]);
        let first = objects.next().unwrap().unwrap();
        assert_eq!((first.line, first.cells), (1, vec!["1".into(), "x|y".into(), String::new()]));
        let second = objects.next().unwrap().unwrap();
        assert_eq!((second.number, second.line, second.cell(0)), (2, 3, "t"));
        assert_eq!(objects.span(), text.find("{\"c\"").unwrap() as u64..text.len() as u64);
        assert!(objects.next().unwrap().is_none());
        let scanned = Objects::scan(text.as_bytes(), "f").unwrap().unwrap();
        assert_eq!(scanned, ["a", "b", "c"]);
    }

    #[test]
    fn what_is_no_object_is_a_defect_and_no_end() {
        let text = "{\"a\":1}\n{\"a\":\n\"a secret\"\n{\"a\":\"x\\u0000\"}\n{\"a\":2}";
        let mut objects = Objects::look_ahead(text.as_bytes(), "f").unwrap();
        let mut codes = Vec::new();
        while let Some(row) = objects.next().unwrap() {
            codes.push(row.defect.map(|defect| defect.code()));
        }
        assert_eq!(codes, [None, Some("not_json"), Some("not_json"), Some("nul_byte"), None]);
    }

    #[test]
    fn keys_and_nesting_are_bounded() {
        let keys = |count: usize| -> String {
            (0..count).map(|key| format!("{{\"k{key}\":1}}\n")).collect()
        };
        let scan = |text: &str| Objects::scan(text.as_bytes(), "f");
        assert_eq!(scan(&keys(MOST_CELLS)).unwrap().unwrap().len(), MOST_CELLS);
        let error = scan(&keys(MOST_CELLS + 1)).unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().starts_with("f:10001: "), "{error}");
        let deep = format!("{{\"a\":{}1{}}}\n", "[".repeat(100_000), "]".repeat(100_000));
        let mut objects = Objects::look_ahead(deep.as_bytes(), "f").unwrap();
        let row = objects.next().unwrap().unwrap();
        assert_eq!(row.defect.map(|defect| defect.code()), Some("not_json"));
    }

    #[test]
    fn long_rows_ahead_are_few() {
        let lines = format!("{{\"a\":\"{}\"}}\n", "x".repeat(1 << 20)).repeat(40);
        let objects = Objects::look_ahead(lines.as_bytes(), "f").unwrap();
        assert!((16..=17).contains(&objects.ahead.len()), "{}", objects.ahead.len());
    }

    #[test]
    fn a_late_key_is_not_lost_silently() {
        let mut text = "{\"a\":1}\n".repeat(ROWS_AHEAD);
        text.push_str("{\"a\":1,\"late\":2}\n");
        let mut objects = Objects::look_ahead(text.as_bytes(), "f").unwrap();
        let mut last = None;
        while let Some(row) = objects.next().unwrap() {
            last = Some(row);
        }
        assert_eq!(last.unwrap().defect, Some(Defect::UnknownKeys { count: 1 }));
    }
}
