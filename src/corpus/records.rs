//! CSV records (RFC 4180, leniently) from UTF-8, knowing the physical line of everything.

use std::io::Read;
use std::ops::Range;

use super::reader::read_failure;
use crate::error::{Error, Result};

const BLOCK: usize = 64 * 1024;
/// A record longer than this is taken for a quote that was never closed.
const LONGEST_RECORD: usize = 64 << 20;
/// Cells of a record, and columns of a table, at most: each takes memory of its own, even a blank one.
pub(super) const MOST_CELLS: usize = 10_000;
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// Reads one record after another.
///
/// A field is quoted only if it begins with a quote; quotes further in stand for themselves,
/// and so does what follows a closing quote. Lines end with LF, CRLF or CR; blank lines are
/// no records.
pub(super) struct Records<R> {
    input: R,
    name: String,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
    line: u64,
    delimiter: u8,
    /// Bytes taken so far.
    taken: u64,
    span: Range<u64>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    FieldStart,
    Bare,
    Quoted,
    /// After a quote within a quoted field: closed, or the first of a doubled quote.
    QuoteSeen,
}

impl<R: Read> Records<R> {
    pub fn new(input: R, name: &str, delimiter: u8) -> Self {
        let name = name.to_string();
        let (buffer, at, ended, line) = (Vec::new(), 0, false, 1);
        Self { input, name, buffer, at, ended, line, delimiter, taken: 0, span: 0..0 }
    }

    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// Takes the separator that stands most often in the first record, outside quotes; if
    /// there is none, or as many, the one expected so far.
    pub fn sniff(&mut self) -> Result<()> {
        let mut counts = [0usize; 3];
        let (mut quoted, mut begun, mut at) = (false, false, 0);
        loop {
            if at == self.buffer.len() {
                if self.ended || at > (1 << 20) {
                    break;
                }
                self.fill()?;
                continue;
            }
            match self.buffer[at] {
                b'"' => quoted = !quoted,
                b'\n' | b'\r' if !quoted && begun => break,
                b'\n' | b'\r' => {}
                byte if !quoted => {
                    begun = true;
                    if let Some(which) = SEPARATORS.iter().position(|&s| s == byte) {
                        counts[which] += 1;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        let most = counts.iter().copied().max().unwrap_or(0);
        let expected = SEPARATORS.iter().position(|&s| s == self.delimiter).unwrap_or(0);
        if counts[expected] < most {
            let which = counts.iter().position(|&count| count == most).unwrap_or(expected);
            self.delimiter = SEPARATORS[which];
        }
        Ok(())
    }

    /// Reads the next record into `fields` and returns the line it begins on.
    pub fn next(&mut self, fields: &mut Vec<String>) -> Result<Option<u64>> {
        loop {
            fields.clear();
            let (line, begin) = (self.line, self.taken);
            match self.record(fields)? {
                Ended::Nothing => return Ok(None),
                Ended::Blank => {}
                Ended::Record => {
                    self.span = begin..self.taken;
                    return Ok(Some(line));
                }
            }
        }
    }

    /// Where the record that was read last stands in the input, its line end included.
    pub fn span(&self) -> Range<u64> {
        self.span.clone()
    }

    fn record(&mut self, fields: &mut Vec<String>) -> Result<Ended> {
        let mut state = State::FieldStart;
        let mut field = Vec::new();
        let (mut size, mut quote_line, mut any_quoted) = (0usize, self.line, false);
        let began = self.line;
        loop {
            let Some(byte) = self.take()? else {
                if state == State::Quoted {
                    return Err(self.open_quote(quote_line));
                }
                if size == 0 {
                    return Ok(Ended::Nothing);
                }
                return Ok(close(fields, field, any_quoted));
            };
            size += 1;
            if size > LONGEST_RECORD {
                return Err(match state {
                    State::Quoted => self.open_quote(quote_line),
                    _ => {
                        Error::data("a row of more than 64 MB").at(format!("{}:{began}", self.name))
                    }
                });
            }
            if byte == b'\n' {
                self.line += 1;
            }
            match (state, byte) {
                (State::Quoted, b'"') => state = State::QuoteSeen,
                (State::Quoted, _) => field.push(byte),
                (State::QuoteSeen, b'"') => {
                    field.push(b'"');
                    state = State::Quoted;
                }
                (State::FieldStart, b'"') => {
                    quote_line = self.line;
                    any_quoted = true;
                    state = State::Quoted;
                }
                (_, b'\n') => return Ok(close(fields, field, any_quoted)),
                (_, b'\r') => {
                    if self.peek()? == Some(b'\n') {
                        self.at += 1;
                        self.taken += 1;
                    }
                    self.line += 1;
                    return Ok(close(fields, field, any_quoted));
                }
                (_, byte) if byte == self.delimiter => {
                    if fields.len() + 1 == MOST_CELLS {
                        return Err(too_many().at(format!("{}:{began}", self.name)));
                    }
                    fields.push(text(std::mem::take(&mut field)));
                    state = State::FieldStart;
                }
                (_, byte) => {
                    field.push(byte);
                    state = State::Bare;
                }
            }
        }
    }

    fn open_quote(&self, line: u64) -> Error {
        Error::data("a quote opens here and is never closed")
            .at(format!("{}:{line}", self.name))
            .advise("close the quote; a quote within a quoted cell is written twice")
    }

    fn peek(&mut self) -> Result<Option<u8>> {
        while self.at == self.buffer.len() && !self.ended {
            self.buffer.clear();
            self.at = 0;
            self.fill()?;
        }
        Ok(self.buffer.get(self.at).copied())
    }

    fn take(&mut self) -> Result<Option<u8>> {
        let byte = self.peek()?;
        self.at += usize::from(byte.is_some());
        self.taken += u64::from(byte.is_some());
        Ok(byte)
    }

    fn fill(&mut self) -> Result<()> {
        let kept = self.buffer.len();
        self.buffer.resize(kept + BLOCK, 0);
        let got = self.input.read(&mut self.buffer[kept..]);
        self.buffer.truncate(kept + *got.as_ref().unwrap_or(&0));
        self.ended = got.map_err(|error| read_failure(&self.name, error))? == 0;
        Ok(())
    }
}

/// A row of more cells, or a table of more columns, than any table has.
pub(super) fn too_many() -> Error {
    Error::data(format!("more than {MOST_CELLS} cells in a row"))
        .advise("mend the row, or take columns out that coding does not need")
}

enum Ended {
    Nothing,
    Blank,
    Record,
}

fn close(fields: &mut Vec<String>, field: Vec<u8>, any_quoted: bool) -> Ended {
    if fields.is_empty() && field.is_empty() && !any_quoted {
        return Ended::Blank;
    }
    fields.push(text(field));
    Ended::Record
}

fn text(bytes: Vec<u8>) -> String {
    // The input is UTF-8 and is cut at ASCII bytes only, so nothing is ever replaced here.
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<(u64, Vec<String>)>> {
        let mut records = Records::new(text.as_bytes(), "f", b',');
        records.sniff()?;
        let (mut found, mut fields) = (Vec::new(), Vec::new());
        while let Some(line) = records.next(&mut fields)? {
            found.push((line, fields.clone()));
        }
        Ok(found)
    }

    fn cells(text: &str) -> Vec<Vec<String>> {
        all(text).unwrap().into_iter().map(|(_, fields)| fields).collect()
    }

    #[test]
    fn quoting_follows_rfc_4180() {
        assert_eq!(cells("a,\"b,\"\"c\"\"\"\n"), [["a", "b,\"c\""]]);
        assert_eq!(cells("\"a\r\rb\",x"), [["a\r\rb", "x"]]);
        assert_eq!(cells("5\" tape,say \"hi\""), [["5\" tape", "say \"hi\""]]);
        assert_eq!(cells("\"a\" b,c"), [["a b", "c"]]);
        assert_eq!(cells("a,\n"), [["a", ""]]);
        assert_eq!(cells("\"\"\n"), [[""]]);
    }

    #[test]
    fn lines_are_physical_and_blank_ones_no_records() {
        let found = all("h,i\r\n\r\n\"a\nb\",2\r3,4").unwrap();
        let lines: Vec<u64> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 3, 5]);
    }

    #[test]
    fn spans_are_whole_records() {
        let text = "h,i\r\n\r\n\"a\nb\",2\r3,4";
        let mut records = Records::new(text.as_bytes(), "f", b',');
        let (mut found, mut fields) = (Vec::new(), Vec::new());
        while records.next(&mut fields).unwrap().is_some() {
            let span = records.span();
            found.push(&text[span.start as usize..span.end as usize]);
        }
        assert_eq!(found, ["h,i\r\n", "\"a\nb\",2\r", "3,4"]);
    }

    #[test]
    fn an_open_quote_is_named_where_it_opens() {
        let error = all("h,i\n1,2\n3,\"x\n4,5\n").unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().starts_with("f:3: "), "{error}");
    }

    #[test]
    fn cells_and_bytes_of_a_record_are_bounded() {
        let rows = |cells: usize| format!("a,b\n{}\n", vec![""; cells].join(","));
        assert_eq!(cells(&rows(MOST_CELLS))[1].len(), MOST_CELLS);
        let error = all(&rows(MOST_CELLS + 1)).unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().starts_with("f:2: "), "{error}");
        let long = format!("a,b\n{}", "x".repeat(LONGEST_RECORD + 1));
        assert!(all(&long).unwrap_err().to_string().starts_with("f:2: a row of more than 64 MB"));
    }

    #[test]
    fn separators_are_found_outside_quotes() {
        assert_eq!(cells("\"a,b,c\";d\n1;2"), [["a,b,c", "d"], ["1", "2"]]);
        assert_eq!(cells("a\tb,c\td\n"), [["a", "b,c", "d"]]);
        assert_eq!(cells("text\n1;2"), [["text"], ["1;2"]]);
    }
}
