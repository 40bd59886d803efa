//! Numbers of a JSON document as the texts that they are written as.

use std::io::{self, Read};

/// A JSON document in which every number stands as a string: `{"id":71}` reads as `{"id":"71"}`. Ids
/// are longer than what 64 bits or a floating-point number hold.
pub(super) struct QuotedNumbers<R> {
    input: R,
    state: State,
    /// Bytes read and not given yet.
    ready: Vec<u8>,
    at: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Between strings and numbers.
    Between,
    Number,
    String,
    /// After a backslash in a string.
    Escape,
}

/// Bytes that are read at once.
const BLOCK: usize = 64 * 1024;

impl<R: Read> QuotedNumbers<R> {
    pub fn new(input: R) -> Self {
        Self { input, state: State::Between, ready: Vec::new(), at: 0 }
    }

    /// Reads a block; nothing is ready after the last one.
    fn fill(&mut self) -> io::Result<()> {
        let mut raw = vec![0; BLOCK];
        let got = loop {
            match self.input.read(&mut raw) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.ready.clear();
        self.at = 0;
        if got == 0 && self.state == State::Number {
            self.state = State::Between;
            self.ready.push(b'"');
        }
        for &byte in &raw[..got] {
            self.take(byte);
        }
        Ok(())
    }

    fn take(&mut self, byte: u8) {
        if self.state == State::Number && !of_number(byte) {
            self.ready.push(b'"');
            self.state = State::Between;
        }
        self.state = match (self.state, byte) {
            (State::Between, b'"') => State::String,
            (State::Between, b'-' | b'0'..=b'9') => {
                self.ready.push(b'"');
                State::Number
            }
            (State::String, b'\\') => State::Escape,
            (State::String, b'"') => State::Between,
            (State::Escape, _) => State::String,
            (state, _) => state,
        };
        self.ready.push(byte);
    }
}

fn of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')
}

impl<R: Read> Read for QuotedNumbers<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.ready.len() {
            self.fill()?;
        }
        let count = out.len().min(self.ready.len() - self.at);
        out[..count].copy_from_slice(&self.ready[self.at..][..count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_strings_and_strings_stay() {
        let text = r#"{"id": 98765432109876543210987, "a":[-1.5e+3,2],"t":"3 \"4\" \\","n":null}5"#;
        let expected = r#"{"id": "98765432109876543210987", "a":["-1.5e+3","2"],"t":"3 \"4\" \\","n":null}"5""#;
        let mut found = String::new();
        QuotedNumbers::new(text.as_bytes()).read_to_string(&mut found).unwrap();
        assert_eq!(found, expected);
    }
}
