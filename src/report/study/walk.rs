//! The files of a folder.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// How many folders deep a study's files lie.
const DEEPEST: usize = 3;

/// More files than these are no study.
const MOST: usize = 20_000;

/// Every file below the folder in order of names, without links, hidden files, unfinished work, the
/// models of folds and reports.
///
/// # Errors
/// A data error if a folder cannot be read or holds too many files.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    visit(folder, 0, &mut files)?;
    Ok(files)
}

fn visit(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |e: std::io::Error| Error::reading(folder, &e);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        entries.push(entry.map_err(failed)?);
    }
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().map_err(failed)?;
        let is_aside = name.starts_with('.')
            || name.ends_with(".partial")
            || name.starts_with("folds-")
            || name == "report";
        if kind.is_dir() && !is_aside && depth < DEEPEST {
            visit(&entry.path(), depth + 1, files)?;
        } else if kind.is_file() && !name.starts_with('.') {
            files.push(entry.path());
        }
        if files.len() > MOST {
            return Err(Error::data(format!("the folder holds over {MOST} files"))
                .at(folder.display().to_string())
                .advise("name the folder of one study"));
        }
    }
    Ok(())
}
