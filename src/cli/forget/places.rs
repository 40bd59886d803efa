//! What is searched for withdrawn comments.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::corpus::Format;
use crate::error::{Error, Result};
use crate::training::RunFolder;

/// The file of a run folder with the keyed digests of its rows.
pub const ROWS: &str = "rows.json";
const UNFINISHED: &str = ".partial";
const BUNDLE: &str = "manifest.json";
/// Endings of tables; others are searched only if they are named.
const ENDINGS: [&str; 5] = ["csv", "tsv", "tab", "jsonl", "ndjson"];

/// A table to be searched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether the user named it, and not a folder above it.
    pub named: bool,
}

/// All that the user's places hold.
#[derive(Debug, Default)]
pub struct Found {
    /// Tables.
    pub tables: Vec<TableFile>,
    /// Folders of trainings.
    pub runs: Vec<PathBuf>,
    /// Folders of unfinished codings.
    pub unfinished: Vec<PathBuf>,
    /// What is not searched, and why.
    pub passed_over: Vec<(PathBuf, String)>,
}

impl Found {
    /// Looks through files and folders; the list of ids itself is left alone.
    ///
    /// # Errors
    /// If a place is not there.
    pub fn of(places: &[PathBuf], ids: &Path) -> Result<Self> {
        let mut found = Self::default();
        let list = ids.canonicalize().ok();
        let mut seen = BTreeSet::new();
        for place in places {
            // A link would be replaced, and what it leads to would stay.
            let real = place.canonicalize().map_err(|e| Error::reading(place, &e))?;
            let path = if place.is_symlink() { real } else { place.clone() };
            if path.is_dir() {
                found.folder(&path, &mut seen);
                let run = RunFolder::of(&path);
                if path.join(BUNDLE).is_file() && run.path().is_dir() {
                    found.folder(run.path(), &mut seen);
                }
            } else {
                Format::of_path(&path, None)?;
                found.file(&path, true, &mut seen);
                let mut unfinished = path.into_os_string();
                unfinished.push(UNFINISHED);
                if Path::new(&unfinished).is_dir() {
                    found.folder(Path::new(&unfinished), &mut seen);
                }
            }
        }
        found.tables.retain(|file| list.is_none() || file.path.canonicalize().ok() != list);
        Ok(found)
    }

    fn file(&mut self, path: &Path, named: bool, seen: &mut BTreeSet<PathBuf>) {
        if seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_path_buf())) {
            self.tables.push(TableFile { path: path.to_path_buf(), named });
        }
    }

    fn folder(&mut self, folder: &Path, seen: &mut BTreeSet<PathBuf>) {
        if !seen.insert(folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf())) {
            return;
        }
        if folder.to_string_lossy().ends_with(UNFINISHED) {
            self.unfinished.push(folder.to_path_buf());
            return;
        }
        if folder.join(ROWS).is_file() {
            self.runs.push(folder.to_path_buf());
        }
        let Ok(entries) = std::fs::read_dir(folder) else {
            self.passed_over.push((folder.to_path_buf(), "cannot be opened".into()));
            return;
        };
        let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
            let is = |known: &str| ending.as_deref() == Some(known);
            if path.is_symlink() {
                self.passed_over.push((path, "a link, which is not followed".into()));
            } else if path.is_dir() {
                self.folder(&path, seen);
            } else if ENDINGS.iter().any(|known| is(known)) {
                self.file(&path, false, seen);
            } else if is("tmp") {
                self.passed_over.push((path, "what a killed process left".into()));
            }
        }
    }
}
