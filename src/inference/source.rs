//! Where the rows come from, and whether they can be read twice.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::codebook::hex;
use crate::corpus::{ReadOptions, TableReader};
use crate::error::{Error, Result};

/// A table to be coded.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    read: ReadOptions,
}

impl Source {
    /// A file, or standard input for `-`.
    pub fn new(path: &Path, read: ReadOptions) -> Self {
        Self { path: path.to_path_buf(), read }
    }

    /// Whether it can be read only once: standard input or a pipe, so that the work cannot be
    /// resumed.
    pub fn is_stream(&self) -> bool {
        let special =
            |path: &Path| path.metadata().is_ok_and(|about| !about.is_file() && !about.is_dir());
        self.path == Path::new("-") || special(&self.path)
    }

    /// The file, or `-`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is read.
    pub fn options(&self) -> &ReadOptions {
        &self.read
    }

    /// Opens the table.
    ///
    /// # Errors
    /// As [`TableReader::open`].
    pub(super) fn open(&self) -> Result<TableReader> {
        if self.is_stream() && self.path != Path::new("-") {
            let file = File::open(&self.path).map_err(|e| Error::reading(&self.path, &e))?;
            return TableReader::from_reader(file, &self.path.display().to_string(), &self.read);
        }
        TableReader::open(&self.path, &self.read)
    }

    /// SHA-256 of the content in hexadecimal; `None` for what can be read only once.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn digest(&self) -> Result<Option<String>> {
        if self.is_stream() {
            return Ok(None);
        }
        let failed = |e: std::io::Error| Error::reading(&self.path, &e);
        if self.path.is_dir() {
            let name = self.path.display().to_string();
            return Err(Error::data("this is a folder, not a table").at(name));
        }
        let mut file = File::open(&self.path).map_err(failed)?;
        let mut hash = Sha256::new();
        let mut block = vec![0; 1 << 16];
        loop {
            match file.read(&mut block) {
                Ok(0) => return Ok(Some(hex(&hash.finalize()))),
                Ok(n) => hash.update(&block[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_have_a_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, "abc").unwrap();
        let digest = Source::new(&path, ReadOptions::default()).digest().unwrap().unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let stdin = Source::new(Path::new("-"), ReadOptions::default());
        assert!(stdin.is_stream() && stdin.digest().unwrap().is_none());
        let absent = Source::new(&folder.path().join("absent.csv"), ReadOptions::default());
        assert_eq!(absent.open().unwrap_err().exit_code(), 3);
    }
}
