//! The files of one coding: the output, its list of rejected rows, and the unfinished work.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::state::Counts;
use crate::corpus::sync_folder_of;
use crate::error::{Error, Result};

const STATE: &str = "state.json";
const PART: &str = "coded.part";
const REJECTS: &str = "rejects.part";
const WORTH: &str = "worth.part";
const CHOSEN: &str = "chosen.part";
const CRISIS: &str = "crisis.part";
const CRISIS_INDEX: &str = "crisis.index";

/// The names that one coding uses.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub output: PathBuf,
    pub rejects: PathBuf,
    /// The rows that show a crisis.
    pub crisis: PathBuf,
    pub folder: PathBuf,
}

/// Opens a file of the unfinished work with what stands in it, or begins it.
///
/// # Errors
/// If it cannot be written.
pub(super) fn open_part(path: &Path) -> Result<File> {
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    open.map_err(|e| Error::writing(path, &e))
}

impl Places {
    /// The names that follow from the output's; the file of a crisis may have one of its own.
    pub fn new(output: &Path, crisis: Option<&Path>) -> Self {
        let beside = |suffix: &str| {
            let mut name = output.file_name().unwrap_or_default().to_os_string();
            name.push(suffix);
            output.with_file_name(name)
        };
        Self {
            output: output.to_path_buf(),
            rejects: beside(".rejects.csv"),
            crisis: crisis.map_or_else(|| beside(".crisis.csv"), Path::to_path_buf),
            folder: beside(".partial"),
        }
    }

    /// Refuses an output that would replace the input, even with `--force`.
    ///
    /// # Errors
    /// A usage error that names the file.
    pub fn spare(&self, input: &Path) -> Result<()> {
        let Ok(input) = input.canonicalize() else { return Ok(()) };
        for path in [&self.output, &self.rejects, &self.crisis] {
            if path.canonicalize().is_ok_and(|path| path == input) {
                return Err(Error::usage("this is the input, which is never replaced")
                    .at(path.display().to_string())
                    .advise("choose another name for the output"));
            }
        }
        Ok(())
    }

    /// The output while it grows.
    pub fn part(&self) -> PathBuf {
        self.folder.join(PART)
    }

    /// The list of rejected rows while it grows.
    pub fn list(&self) -> PathBuf {
        self.folder.join(REJECTS)
    }

    /// What hand coding each row is worth.
    pub fn worth(&self) -> PathBuf {
        self.folder.join(WORTH)
    }

    /// The output with the rows marked that were chosen among all.
    pub fn chosen(&self) -> PathBuf {
        self.folder.join(CHOSEN)
    }

    /// The rows that show a crisis, in the order of the table.
    pub fn crisis_part(&self) -> PathBuf {
        self.folder.join(CRISIS)
    }

    /// Where each of them ends.
    pub fn crisis_index(&self) -> PathBuf {
        self.folder.join(CRISIS_INDEX)
    }

    /// How far the work has come.
    pub fn state(&self) -> PathBuf {
        self.folder.join(STATE)
    }

    /// Removes the unfinished work; what is not ours stays.
    pub fn discard(&self) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_ours =
                [PART, REJECTS, WORTH, CHOSEN, CRISIS, CRISIS_INDEX].contains(&name.as_ref());
            if is_ours || name.starts_with(STATE) {
                // What cannot be removed keeps the folder in place, where the user sees it.
                let _ = std::fs::remove_file(entry.path());
            }
        }
        let _ = std::fs::remove_dir(&self.folder);
    }

    /// Gives finished files their names: the list of rejected rows first, so that an output
    /// that stands has all that belongs to it. A kill in between is mended by doing it again. If they
    /// take the place of earlier ones, a list of rejected rows that is no longer true is removed.
    pub fn settle(&self, counts: &Counts, replaces: bool) -> Result<()> {
        let rename = |from: PathBuf, to: &Path| match std::fs::rename(&from, to) {
            Err(_) if !from.exists() => Ok(()),
            other => other.map_err(|e| Error::writing(to, &e)),
        };
        if counts.rejected > 0 {
            rename(self.list(), &self.rejects)?;
        }
        rename(self.chosen(), &self.part())?;
        rename(self.part(), &self.output)?;
        if replaces && counts.rejected == 0 && self.rejects.symlink_metadata().is_ok() {
            std::fs::remove_file(&self.rejects).map_err(|e| Error::writing(&self.rejects, &e))?;
        }
        sync_folder_of(&self.output);
        self.discard();
        Ok(())
    }

    /// Takes the part file for this process alone, as long as it is open.
    pub fn lock(&self) -> Result<File> {
        let path = self.part();
        let file = open_part(&path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Error::usage("this output is being written")
                .at(self.output.display().to_string())
                .advise("wait for the other run, or choose another name")),
            // File systems without locks are used as they are.
            _ => Ok(file),
        }
    }
}
