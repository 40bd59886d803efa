//! The lines of a JSONL file, one at a time, however long the file is.

use std::io::{BufRead, BufReader, Read};
use std::ops::Range;

use serde_json::Value;

use crate::error::{Error, Result};

/// A longer line is none of these files'.
const LONGEST_LINE: u64 = 64 << 20;

/// One line that is not blank.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonLine {
    /// Its number, from 1.
    pub number: u64,
    /// Where it stands in the file, its line end included, in bytes.
    pub span: Range<u64>,
    /// What it says.
    pub value: Value,
}

/// Reads one line after another.
pub struct JsonLines<R> {
    input: BufReader<R>,
    name: String,
    number: u64,
    taken: u64,
    line: Vec<u8>,
}

impl<R: Read> JsonLines<R> {
    /// The lines of a file of that name; a byte-order mark before the first is passed over.
    pub fn new(input: R, name: &str) -> Self {
        let (input, name) = (BufReader::new(input), name.to_owned());
        Self { input, name, number: 0, taken: 0, line: Vec::new() }
    }

    /// The next line that is not blank.
    ///
    /// # Errors
    /// A data error if it is no JSON, which is named by its number, or cannot be read.
    pub fn next_line(&mut self) -> Result<Option<JsonLine>> {
        loop {
            self.line.clear();
            let got = (&mut self.input)
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut self.line)
                .map_err(|error| Error::reading(self.name.as_ref(), &error))?
                as u64;
            if got == 0 {
                return Ok(None);
            }
            self.number += 1;
            let span = self.taken..self.taken + got;
            self.taken += got;
            if got == LONGEST_LINE {
                return Err(
                    self.refused("a line of more than 64 MB", "each line is one JSON object")
                );
            }
            let marked = span.start == 0 && self.line.starts_with(b"\xef\xbb\xbf");
            let line = &self.line[if marked { 3 } else { 0 }..];
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            return match serde_json::from_slice(line) {
                Ok(value) => Ok(Some(JsonLine { number: self.number, span, value })),
                Err(error) if error.is_eof() && !line.ends_with(b"\n") => {
                    Err(self.refused("the file ends in the middle of a line", "download it again"))
                }
                Err(_) => Err(self
                    .refused("not JSON", "each line of a JSONL file is one JSON object, in UTF-8")),
            };
        }
    }

    fn refused(&self, what: &str, advice: &str) -> Error {
        Error::data(what).at(format!("{}, line {}", self.name, self.number)).advise(advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::Codebook;
    use crate::corpus::openai::{Line, read_answer, read_line};
    use proptest::prelude::*;

    use crate::properties::repeatable;

    #[test]
    fn lines_are_read_with_their_places() {
        let text = "\u{feff}{\"a\":1}\r\n\n \t\n[2]";
        let mut lines = JsonLines::new(text.as_bytes(), "f");
        let first = lines.next_line().unwrap().unwrap();
        assert_eq!((first.number, first.span, &first.value["a"]), (1, 0..12, &Value::from(1)));
        let second = lines.next_line().unwrap().unwrap();
        assert_eq!((second.number, second.span), (4, 16..19));
        assert_eq!(lines.next_line().unwrap(), None);
    }

    #[test]
    fn a_file_that_was_cut_off_is_told_from_one_that_is_no_json() {
        let of =
            |text: &'static [u8]| JsonLines::new(text, "f").next_line().unwrap_err().to_string();
        assert!(of(b"{\"a\":").contains("ends in the middle"));
        assert!(of(b"{\"a\":\n").contains("not JSON"));
        assert!(of(b"\"\xff\"").contains("not JSON"));
    }

    const LINE: &str = r#"{"custom_id":"7","error":null,"response":{"status_code":200,"body":{"choices":
        [{"message":{"content":"{\"use\": \"yes\"}","refusal":null},"finish_reason":"stop"}]}}}"#;

    proptest! {
        #![proptest_config(repeatable())]

        #[test]
        fn any_bytes_are_understood_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            at in 0usize..LINE.len(),
            cut in 0usize..40,
        ) {
            let whole = LINE.replace('\n', " ");
            let rest = &whole.as_bytes()[(at + cut).min(whole.len())..];
            let damaged = [&whole.as_bytes()[..at], &bytes, rest].concat();
            let book = Codebook::parse(crate::codebook::GATED, "b").unwrap();
            for input in [bytes.clone(), damaged] {
                let mut lines = JsonLines::new(&input[..], "f");
                loop {
                    match lines.next_line() {
                        Ok(None) => break,
                        Ok(Some(line)) => {
                            if let Line::Answered { reply, .. } = read_line(&line.value)
                                && let Some(said) = reply.said()
                            {
                                let found = read_answer(&book, None, &said.content, said.cut_off);
                                let nothing = found.cells.is_empty() && found.unmatched.is_empty();
                                prop_assert!(!nothing || found.cut_off);
                            }
                        }
                        Err(error) => {
                            prop_assert_eq!(error.exit_code(), 3);
                            break;
                        }
                    }
                }
            }
        }
    }
}
