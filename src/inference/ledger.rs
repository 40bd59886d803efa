//! What hand coding each row is worth, kept on disk while a table is coded: 16 bytes a row, in memory
//! only once all are known.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::budget::Worth;
use crate::error::{Error, Result};

const BYTES: u64 = 16;

/// Stands for a row that nobody could code.
const NONE: f64 = -1.0;

/// The file being written.
pub(super) struct Ledger {
    file: BufWriter<File>,
    path: PathBuf,
}

impl Ledger {
    /// Begins the file, or goes on after so many rows.
    ///
    /// # Errors
    /// If it cannot be written, or holds fewer rows.
    pub fn open(path: &Path, rows: u64) -> Result<Self> {
        let failed = |e: std::io::Error| Error::writing(path, &e);
        let open = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let mut file = open.map_err(failed)?;
        if file.metadata().map_err(failed)?.len() < rows * BYTES {
            return Err(damaged(path));
        }
        file.set_len(rows * BYTES).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Self { file: BufWriter::new(file), path: path.to_path_buf() })
    }

    /// Adds the next row.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, worth: Option<Worth>) -> Result<()> {
        let Worth { wrong, text } = worth.unwrap_or(Worth { wrong: NONE, text: 0 });
        let written = self.file.write_all(&wrong.to_le_bytes());
        let written = written.and_then(|()| self.file.write_all(&text.to_le_bytes()));
        written.map_err(|e| Error::writing(&self.path, &e))
    }

    /// Makes what was added durable.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&mut self) -> Result<()> {
        let saved = self.file.flush().and_then(|()| self.file.get_mut().sync_data());
        saved.map_err(|e| Error::writing(&self.path, &e))
    }

    /// All rows, from first to last.
    ///
    /// # Errors
    /// If the file cannot be read, or does not have so many rows.
    pub fn read(path: &Path, rows: u64) -> Result<Vec<Option<Worth>>> {
        let bytes = std::fs::read(path).map_err(|e| Error::reading(path, &e))?;
        let (each, rest) = bytes.as_chunks::<{ BYTES as usize }>();
        if each.len() as u64 != rows || !rest.is_empty() {
            return Err(damaged(path));
        }
        let number = |bytes: &[u8]| u64::from_le_bytes(std::array::from_fn(|at| bytes[at]));
        let worth = |bytes: &[u8; BYTES as usize]| {
            let (wrong, text) = (f64::from_bits(number(&bytes[..8])), number(&bytes[8..]));
            (wrong >= 0.0).then_some(Worth { wrong, text })
        };
        Ok(each.iter().map(worth).collect())
    }
}

fn damaged(path: &Path) -> Error {
    Error::usage("the unfinished work is damaged: the file has another length")
        .at(path.display().to_string())
        .advise("--force discards it and begins anew")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_comes_after_the_last_window_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l");
        let worth = |text| Some(Worth { wrong: 0.1 * text as f64, text });
        let mut ledger = Ledger::open(&path, 0).unwrap();
        [worth(1), None, worth(u64::MAX)].into_iter().for_each(|row| ledger.add(row).unwrap());
        ledger.save().unwrap();
        assert_eq!(Ledger::read(&path, 3).unwrap(), [worth(1), None, worth(u64::MAX)]);
        let mut ledger = Ledger::open(&path, 2).unwrap();
        ledger.add(worth(5)).unwrap();
        ledger.save().unwrap();
        assert_eq!(Ledger::read(&path, 3).unwrap(), [worth(1), None, worth(5)]);
        assert_eq!(Ledger::read(&path, 4).unwrap_err().exit_code(), 2);
        assert_eq!(Ledger::open(&path, 9).err().map(|e| e.exit_code()), Some(2));
    }
}
