//! The texts that answers belong to: of files only where they stand, so that a file of any length is
//! read in little memory.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::corpus::{Line, read_line};
use crate::error::{Error, Result};

/// Where a text is.
#[derive(Clone, Debug, PartialEq)]
pub struct TextPlace(Place);

#[derive(Clone, Debug, PartialEq)]
enum Place {
    /// In memory: standard input is read once.
    Held(Box<str>),
    /// In a line of a file.
    Line { file: u32, at: u64, length: u32 },
}

/// All texts.
#[derive(Default)]
pub struct Texts {
    files: Vec<PathBuf>,
    open: Option<(u32, BufReader<File>)>,
}

impl Texts {
    /// The number of a file that texts are in.
    pub fn file(&mut self, path: &Path) -> u32 {
        self.files.push(path.to_path_buf());
        (self.files.len() - 1) as u32
    }

    /// Where this text, which stands in that line, is to be found again; an empty one is none.
    pub fn keep(&self, file: u32, line: Range<u64>, text: String) -> Option<TextPlace> {
        if text.is_empty() {
            return None;
        }
        // Short texts take no more room than their places.
        let short = text.len() <= 8 || self.files[file as usize] == Path::new("-");
        Some(TextPlace(match short {
            true => Place::Held(text.into()),
            false => Place::Line { file, at: line.start, length: (line.end - line.start) as u32 },
        }))
    }

    /// A text.
    ///
    /// # Errors
    /// A data error if its file is no longer what it was.
    pub fn get(&mut self, place: &TextPlace) -> Result<String> {
        let (file, at, length) = match &place.0 {
            Place::Held(text) => return Ok(text.to_string()),
            Place::Line { file, at, length } => (*file, *at, *length),
        };
        let path = &self.files[file as usize];
        let changed = || {
            Error::data("the file changed while it was read")
                .at(path.display().to_string())
                .advise("run the same command again")
        };
        if self.open.as_ref().is_none_or(|(open, _)| *open != file) {
            let opened = File::open(path).map_err(|error| Error::reading(path, &error))?;
            self.open = Some((file, BufReader::new(opened)));
        }
        let Some((_, reader)) = &mut self.open else { return Err(changed()) };
        let mut line = vec![0; length as usize];
        // Texts are mostly asked for in their order: what is in the buffer is not read again.
        let here = reader.stream_position().map_err(|error| Error::reading(path, &error))?;
        reader
            .seek_relative(at as i64 - here as i64)
            .and_then(|()| reader.read_exact(&mut line))
            .map_err(|error| Error::reading(path, &error))?;
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
        let value = serde_json::from_slice(line).map_err(|_| changed())?;
        match read_line(&value) {
            Line::Asked { text, .. } | Line::Example { text, .. } => Ok(text),
            _ => Err(changed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_again_where_they_stand() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.jsonl");
        let line = |id: u8| {
            format!("{{\"custom_id\":\"{id}\",\"body\":{{\"input\":\"the text {id}\"}}}}\n")
        };
        std::fs::write(&path, format!("\u{feff}{}{}", line(1), line(2))).unwrap();
        let mut texts = Texts::default();
        let file = texts.file(&path);
        let end = 3 + line(1).len() as u64;
        let first = texts.keep(file, 0..end, "the text 1".into()).unwrap();
        let second =
            texts.keep(file, end..end + line(2).len() as u64, "the text 2".into()).unwrap();
        for _ in 0..2 {
            assert_eq!(texts.get(&second).unwrap(), "the text 2");
            assert_eq!(texts.get(&first).unwrap(), "the text 1");
        }
        assert_eq!(texts.keep(file, 0..1, String::new()), None);
        std::fs::write(&path, "[]").unwrap();
        assert_eq!(Texts { open: None, ..texts }.get(&second).unwrap_err().exit_code(), 3);
    }
}
