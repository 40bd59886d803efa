//! Bytes of a known encoding as UTF-8, strictly and in constant memory.

use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, REPLACEMENT, UTF_8};

use crate::error::{Error, Result};

const BLOCK: usize = 64 * 1024;

/// A reader that turns another's bytes into UTF-8 and fails at the first undecodable one.
///
/// A byte-order mark (UTF-8, UTF-16 LE or BE) decides the encoding and is removed; without
/// one it is the named encoding, else UTF-8.
pub(super) struct Decoded<R> {
    input: R,
    name: String,
    named: &'static Encoding,
    decoder: Option<Decoder>,
    encoding: &'static Encoding,
    raw: Vec<u8>,
    raw_at: usize,
    ended: bool,
    finished: bool,
    text: Vec<u8>,
    text_at: usize,
    /// Bytes of the input before `raw[raw_at]`.
    offset: u64,
    line: u64,
}

impl<R: Read> Decoded<R> {
    /// `name` is the file for messages, `encoding` the flag's value.
    pub fn new(input: R, name: &str, encoding: Option<&str>) -> Result<Self> {
        let named = match encoding {
            None => UTF_8,
            Some(label) => Encoding::for_label(label.as_bytes())
                .filter(|encoding| *encoding != REPLACEMENT)
                .ok_or_else(|| {
                    Error::usage(format!("unknown encoding '{label}'"))
                        .advise("name one as the web does: --encoding windows-1252, iso-8859-15, shift_jis, utf-16le")
                })?,
        };
        Ok(Self {
            input,
            name: name.to_string(),
            named,
            decoder: None,
            encoding: named,
            raw: Vec::new(),
            raw_at: 0,
            ended: false,
            finished: false,
            text: Vec::new(),
            text_at: 0,
            offset: 0,
            line: 1,
        })
    }

    fn fill_raw(&mut self) -> io::Result<()> {
        self.raw.drain(..self.raw_at);
        self.raw_at = 0;
        let kept = self.raw.len();
        self.raw.resize(kept + BLOCK, 0);
        let got = loop {
            match self.input.read(&mut self.raw[kept..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.raw.truncate(kept + *got.as_ref().unwrap_or(&0));
        self.ended = got? == 0;
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        while self.raw.len() < 3 && !self.ended {
            self.fill_raw()?;
        }
        if let Some((encoding, length)) = Encoding::for_bom(&self.raw) {
            self.encoding = encoding;
            self.raw_at = length;
            self.offset = length as u64;
        } else {
            self.encoding = self.named;
        }
        self.decoder = Some(self.encoding.new_decoder_without_bom_handling());
        Ok(())
    }

    fn decode_block(&mut self) -> io::Result<()> {
        if self.decoder.is_none() {
            self.begin()?;
        }
        let Some(decoder) = self.decoder.as_mut() else { return Ok(()) };
        self.text.resize(BLOCK, 0);
        let (result, read, written) = decoder.decode_to_utf8_without_replacement(
            &self.raw[self.raw_at..],
            &mut self.text,
            self.ended,
        );
        self.text.truncate(written);
        self.text_at = 0;
        self.raw_at += read;
        self.offset += read as u64;
        self.line += self.text.iter().filter(|&&b| b == b'\n').count() as u64;
        match result {
            DecoderResult::InputEmpty if self.ended => self.finished = true,
            DecoderResult::InputEmpty => self.fill_raw()?,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(bad, after) => {
                let at = self.offset.saturating_sub(u64::from(bad) + u64::from(after));
                return Err(io::Error::other(self.undecodable(at)));
            }
        }
        Ok(())
    }

    fn undecodable(&self, offset: u64) -> Error {
        let name = self.encoding.name();
        Error::data(format!("byte offset {offset} (counted from 0) is not {name}"))
            .at(format!("{}:{}", self.name, self.line))
            .advise("save the file as UTF-8, or name its encoding: --encoding windows-1252")
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.text_at == self.text.len() {
            if self.finished {
                return Ok(0);
            }
            self.decode_block()?;
        }
        let part = &self.text[self.text_at..];
        let count = part.len().min(into.len());
        into[..count].copy_from_slice(&part[..count]);
        self.text_at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], encoding: Option<&str>) -> io::Result<String> {
        let mut text = String::new();
        Decoded::new(bytes, "f", encoding).unwrap().read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn marks_are_recognised_and_removed() {
        assert_eq!(decode(b"\xef\xbb\xbfid", None).unwrap(), "id");
        assert_eq!(decode(b"\xff\xfei\0d\0\xe9\0", None).unwrap(), "idé");
        assert_eq!(decode(b"\xfe\xff\0i\0d", None).unwrap(), "id");
        assert_eq!(decode(b"", None).unwrap(), "");
        assert_eq!(decode(b"caf\xe9", Some("windows-1252")).unwrap(), "café");
        assert_eq!(decode(b"\xff\xfei\0", Some("windows-1252")).unwrap(), "i");
    }

    #[test]
    fn an_undecodable_byte_is_named_by_line_and_offset() {
        let mut bytes = "é\n".repeat(40_000).into_bytes();
        bytes.extend(b"ab\xe9cd\n");
        let message = decode(&bytes, None).unwrap_err().to_string();
        assert!(message.starts_with("f:40001: byte offset 120002 "), "{message}");
        assert!(message.contains("--encoding"), "{message}");
        // The decoder has read on when it sees that the first byte of four was wrong.
        let message = decode(b"ab\x81\x30a", Some("gb18030")).unwrap_err().to_string();
        assert!(message.contains("offset 2 "), "{message}");
        // A sequence that is cut by the end of the file, and half a UTF-16 unit.
        assert!(decode(b"ab\xc3", None).unwrap_err().to_string().contains("offset 2 "));
        assert!(decode(b"\xff\xfei\0d", None).unwrap_err().to_string().contains("offset 4 "));
    }

    #[test]
    fn unknown_encodings_are_usage_errors() {
        for label in ["ebcdic-odd", "iso-2022-kr"] {
            assert_eq!(Decoded::new(&b""[..], "f", Some(label)).err().unwrap().exit_code(), 2);
        }
    }

    #[test]
    fn block_borders_lose_nothing() {
        let text = "aé€😀".repeat(50_000);
        assert_eq!(decode(text.as_bytes(), None).unwrap(), text);
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(decode(&[b"\xff\xfe", wide.as_slice()].concat(), None).unwrap(), text);
    }
}
