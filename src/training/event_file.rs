//! Event files, as TensorBoard reads them.
//!
//! A file is a sequence of records in the framing of TFRecord
//! (<https://www.tensorflow.org/tutorials/load_data/tfrecord>), each an `Event` in the encoding of
//! Protocol Buffers
//! (<https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/event.proto> and
//! `tensorflow/core/framework/summary.proto` there).

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crc::{CRC_32_ISCSI, Crc, Table};
use serde_json::Value;

use crate::error::{Error, Result};

/// TensorBoard looks for `tfevents`; where other writers put time and host, nothing is told.
const NAME: &str = "events.out.tfevents.0000000000.confide";

/// The layout of event files that all present readers know.
const VERSION: &str = "brain.Event:2";

const CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// An event file with an event for every line of a log.
pub(super) struct EventFile {
    file: File,
    path: PathBuf,
}

impl EventFile {
    /// Opens the event file of a folder so that it holds the events of these lines and no other:
    /// what an earlier process wrote of them stays, with its times.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn follow(folder: &Path, lines: &[Value]) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::writing(folder, &e))?;
        let path = folder.join(NAME);
        let failed = |e: std::io::Error| Error::writing(&path, &e);
        let found = match std::fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            found => found.map_err(failed)?,
        };
        let wanted: Vec<Vec<u8>> =
            std::iter::once(version()).chain(lines.iter().map(content)).collect();
        let (mut kept, mut length) = (0, 0);
        for content in &wanted {
            let Some(record) = same(&found[length..], content) else { break };
            kept += 1;
            length += record;
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        file.set_len(length as u64).map_err(failed)?;
        let mut own = Self { file, path };
        wanted[kept..].iter().try_for_each(|content| own.event(content))?;
        Ok(own)
    }

    /// Adds the event of a line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&mut self, line: &Value) -> Result<()> {
        self.event(&content(line))
    }

    fn event(&mut self, content: &[u8]) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.file
            .write_all(&record(now.as_secs_f64(), content))
            .map_err(|e| Error::writing(&self.path, &e))
    }
}

/// The length of the record that `bytes` begin with, if it is whole and has this content, whatever
/// its time.
fn same(bytes: &[u8], content: &[u8]) -> Option<usize> {
    let time = bytes.get(LENGTH + 1..LENGTH + TIME)?;
    let expected = record(f64::from_le_bytes(time.try_into().ok()?), content);
    bytes.starts_with(&expected).then_some(expected.len())
}

/// Bytes before a record's event: its length, and the checksum of that.
const LENGTH: usize = 12;
/// Bytes of an event's time.
const TIME: usize = 9;

/// An event at this time, in seconds since 1970, as a record.
fn record(time: f64, content: &[u8]) -> Vec<u8> {
    let mut event = vec![key(1, 1)];
    event.extend(time.to_le_bytes());
    event.extend(content);
    let length = (event.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(checksum(&length));
    record.extend(&event);
    record.extend(checksum(&event));
    record
}

/// The masked CRC-32C of a record's part.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    CRC32C.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// The content of the event that begins a file.
fn version() -> Vec<u8> {
    block(3, VERSION.as_bytes())
}

/// The content of a line's event: its step and a summary of its other figures.
fn content(line: &Value) -> Vec<u8> {
    let mut summary = Vec::new();
    for (name, value) in line.as_object().into_iter().flatten() {
        let Some(value) = value.as_f64().filter(|_| name != "step") else { continue };
        let mut scalar = block(1, tag(name).as_bytes());
        scalar.push(key(2, 5));
        scalar.extend((value as f32).to_le_bytes());
        summary.extend(block(1, &scalar));
    }
    let mut content = Vec::new();
    let step = line["step"].as_u64().unwrap_or(0);
    if step > 0 {
        content.push(key(2, 0));
        content.extend(varint(step));
    }
    content.extend(block(5, &summary));
    content
}

/// The tag of a figure, as Hugging Face's `TensorBoardCallback` names it.
fn tag(name: &str) -> String {
    name.strip_prefix("eval_")
        .map_or_else(|| format!("train/{name}"), |figure| format!("eval/{figure}"))
}

/// The key of a field in its encoding: 0 a varint, 1 eight bytes, 2 a block, 5 four bytes.
fn key(field: u8, encoding: u8) -> u8 {
    field << 3 | encoding
}

fn block(field: u8, bytes: &[u8]) -> Vec<u8> {
    [vec![key(field, 2)], varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by tests/fixtures/tensorboard/make.py.
    const FIXTURE: &[u8] =
        include_bytes!("../../tests/fixtures/tensorboard/events.out.tfevents.fixture");
    const LOG: &str = include_str!("../../tests/fixtures/tensorboard/log.jsonl");

    fn lines() -> Vec<Value> {
        LOG.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn events_are_those_of_the_pip_package() {
        let lines = lines();
        let contents = std::iter::once(version()).chain(lines.iter().map(content));
        let own: Vec<u8> =
            contents.flat_map(|content| record(1_700_000_000.25, &content)).collect();
        assert!(own == FIXTURE);
    }

    #[test]
    fn what_follows_the_log_stays_and_all_else_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let follow = |lines: &[Value]| {
            EventFile::follow(folder.path(), lines).unwrap();
            std::fs::read(&path).unwrap()
        };
        let lines = lines();
        std::fs::write(&path, FIXTURE).unwrap();
        assert!(follow(&lines) == FIXTURE, "nothing is written twice");
        let cut = follow(&lines[..2]);
        assert!(
            cut.len() < FIXTURE.len() && FIXTURE.starts_with(&cut),
            "it goes back with the log"
        );
        for torn in [0, 5, 11, 20, cut.len() - 1, cut.len() + 3] {
            std::fs::write(&path, &FIXTURE[..torn]).unwrap();
            assert_eq!(follow(&lines).len(), FIXTURE.len(), "torn after {torn} bytes");
        }
        let mut damaged = FIXTURE.to_vec();
        damaged[cut.len() - 6] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let mended = follow(&lines);
        assert_eq!(mended.len(), FIXTURE.len());
        assert_eq!(mended[cut.len() - 6], FIXTURE[cut.len() - 6]);
    }

    #[test]
    fn events_join_as_they_come() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::follow(folder.path(), &[]).unwrap();
        lines().iter().for_each(|line| file.write(line).unwrap());
        let bytes = std::fs::read(folder.path().join(NAME)).unwrap();
        assert_eq!(bytes.len(), FIXTURE.len());
        EventFile::follow(folder.path(), &lines()).unwrap();
        assert!(std::fs::read(folder.path().join(NAME)).unwrap() == bytes);
    }
}
