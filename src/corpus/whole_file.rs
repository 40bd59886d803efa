//! Files that stand under their final name only when they are whole.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A file being written under a temporary name beside its final one; dropped unfinished, it
/// is removed.
#[derive(Debug)]
pub struct WholeFile {
    sink: Option<BufWriter<File>>,
    path: PathBuf,
    temporary: PathBuf,
}

/// Refuses an output that exists, unless `force`.
///
/// # Errors
/// A usage error that names the file.
pub fn refuse_existing(path: &Path, force: bool) -> Result<()> {
    if !force && path.symlink_metadata().is_ok() {
        return Err(Error::usage("the output exists already")
            .at(path.display().to_string())
            .advise("choose another name, or --force to replace it"));
    }
    Ok(())
}

impl WholeFile {
    /// Begins a file; its folder must exist.
    ///
    /// # Errors
    /// A resource error if nothing can be written there.
    pub fn create(path: &Path) -> Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        remove_abandoned(path);
        let failed = |error: io::Error| Error::writing(path, &error);
        let open = || OpenOptions::new().write(true).create_new(true).open(&temporary);
        let file = match open() {
            // Left by a killed process of the same number, or a link that somebody laid there.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                std::fs::remove_file(&temporary).and_then(|()| open()).map_err(failed)?
            }
            opened => opened.map_err(failed)?,
        };
        // Where there are no locks, what a killed process leaves is left to the user.
        let _ = file.try_lock();
        Ok(Self { sink: Some(BufWriter::new(file)), path: path.to_path_buf(), temporary })
    }

    /// Writes a whole file at once.
    ///
    /// # Errors
    /// A resource error; nothing is left behind.
    pub fn write_all_to(path: &Path, bytes: &[u8]) -> Result<()> {
        let mut file = Self::create(path)?;
        file.write_all(bytes).map_err(|error| Error::writing(path, &error))?;
        file.finish()
    }

    /// Makes what was written durable and gives it its final name, which is durable, too.
    ///
    /// # Errors
    /// A resource error; nothing is left behind.
    pub fn finish(mut self) -> Result<()> {
        let failed = |error: io::Error| Error::writing(&self.path, &error);
        if let Some(sink) = self.sink.take() {
            let file = sink.into_inner().map_err(|error| failed(error.into_error()))?;
            file.sync_all().map_err(failed)?;
        }
        std::fs::rename(&self.temporary, &self.path).map_err(failed)?;
        self.temporary.clear();
        sync_folder_of(&self.path);
        Ok(())
    }
}

/// Removes what killed processes left of this file: nobody would look for texts in it. A living
/// process holds a lock on its own.
fn remove_abandoned(path: &Path) {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).into_iter().flatten();
    let own = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix(&own).and_then(|rest| rest.strip_prefix('.'));
        let number = number.and_then(|rest| rest.strip_suffix(".tmp"));
        let is_temporary = number
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
        if !is_temporary || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        if File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            // The next run tries again.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Makes the names in the folder of a path durable: without it a power cut may take back a rename.
/// Not every system can; the names stand without it.
pub fn sync_folder_of(path: &Path) {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Ok(folder) = File::open(parent.unwrap_or(Path::new("."))) {
        let _ = folder.sync_all();
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Some(sink) => sink.write(bytes),
            None => Ok(0),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        self.sink = None;
        if !self.temporary.as_os_str().is_empty() {
            // Nothing more can be done where even the removal fails.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mut file = WholeFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        WholeFile::write_all_to(&path, b"whole").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(refuse_existing(&path, false).unwrap_err().exit_code(), 2);
        assert!(refuse_existing(&path, true).is_ok());
        let below = path.join("b.csv");
        assert_eq!(WholeFile::create(&below).unwrap_err().exit_code(), 5);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        for name in ["a.csv.123.tmp", "a.csv.x.tmp", "b.csv.123.tmp"] {
            std::fs::write(folder.path().join(name), b"half").unwrap();
        }
        let living = File::create(folder.path().join("a.csv.4.tmp")).unwrap();
        living.try_lock().unwrap();
        WholeFile::write_all_to(&path, b"whole").unwrap();
        let entries = std::fs::read_dir(folder.path()).unwrap().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.sort();
        assert_eq!(names, ["a.csv", "a.csv.4.tmp", "a.csv.x.tmp", "b.csv.123.tmp"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_place_of_the_temporary_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["a.csv", "other"].map(|name| folder.path().join(name));
        std::fs::write(&other, b"other").unwrap();
        let temporary = folder.path().join(format!("a.csv.{}.tmp", std::process::id()));
        std::os::unix::fs::symlink(&other, &temporary).unwrap();
        WholeFile::write_all_to(&path, b"whole").unwrap();
        assert_eq!(std::fs::read(&other).unwrap(), b"other");
        assert!(std::fs::read(&path).unwrap() == b"whole" && !path.is_symlink());
    }
}
