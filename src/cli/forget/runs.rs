//! The records of trainings, which know rows by keyed digests of their texts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::places::ROWS;
use super::tables::{Rewritten, Searched};
use crate::cli::classify::CODED_BY_FOLDS;
use crate::cli::evaluate::SCORED;
use crate::cli::training_rows::text_digest;
use crate::corpus::WholeFile;
use crate::corpus::redaction::Redaction;
use crate::error::{Error, Result};

/// How many rows of a training were withdrawn since, in the record of its rows.
const WITHDRAWN: &str = "withdrawn";
const SETS: [&str; 2] = ["train", "validation"];

/// One training's folder, as it is to become.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    rows: Value,
    removed: usize,
    scored: Option<Value>,
}

fn read(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok().filter(Value::is_object)
}

impl Run {
    /// Reads a training's records, and takes out what is known of withdrawn comments.
    ///
    /// # Errors
    /// If its digests cannot be understood.
    pub fn read(
        folder: &Path,
        texts: &BTreeSet<(String, String)>,
        tables: &[Searched],
    ) -> Result<Self> {
        let damaged = || {
            Error::model("the digests of a training's rows are damaged")
                .at(folder.join(ROWS).display().to_string())
                .advise("remove the run folder if the bundle is whole without it")
        };
        let mut rows = read(&folder.join(ROWS)).ok_or_else(damaged)?;
        let key = rows["key"].as_str().ok_or_else(damaged)?.to_owned();
        let masked = Redaction::new("", None)?;
        let mut removed = 0;
        for (_, text) in texts {
            // A training with --redact has seen the masked text alone.
            let mut digests = vec![text_digest(&key, text)?];
            digests.push(text_digest(&key, &masked.redact(text))?);
            removed += usize::from(take(&mut rows, &digests));
        }
        let scored = read(&folder.join(SCORED)).and_then(|scored| recount(scored, tables));
        Ok(Self { folder: folder.to_path_buf(), rows, removed, scored })
    }

    /// The bundle whose training it was.
    pub fn bundle(&self) -> PathBuf {
        self.folder.with_extension("")
    }

    /// Withdrawn rows among those that trained and those that validated, also of earlier calls.
    pub fn withdrawn(&self) -> [u64; 2] {
        SETS.map(|set| self.rows[WITHDRAWN][set].as_u64().unwrap_or(0))
    }

    /// Whether any of its rows was withdrawn.
    pub fn is_marked(&self) -> bool {
        self.withdrawn() != [0, 0]
    }

    /// Writes what has changed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self) -> Result<()> {
        let put = |name: &str, document: &Value| {
            WholeFile::write_all_to(&self.folder.join(name), format!("{document}\n").as_bytes())
        };
        if self.removed > 0 {
            put(ROWS, &self.rows)?;
        }
        self.scored.as_ref().map_or(Ok(()), |scored| put(SCORED, scored))
    }

    /// Notes that a table which the mean of the folds' models had coded has other bytes now.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn renamed(&self, digests: &Rewritten) -> Result<()> {
        let file = self.folder.join(CODED_BY_FOLDS);
        let Some(mut document) = read(&file) else { return Ok(()) };
        let mut changed = false;
        for digest in document["coded"].as_array_mut().into_iter().flatten() {
            if digest.as_str() == Some(&digests.before) {
                *digest = json!(digests.after);
                changed = true;
            }
        }
        match changed {
            true => WholeFile::write_all_to(&file, format!("{document:#}\n").as_bytes()),
            false => Ok(()),
        }
    }
}

/// Takes one of these digests out of the rows, and counts it; false if none is there.
fn take(rows: &mut Value, digests: &[String]) -> bool {
    for set in SETS {
        let Some(listed) = rows[set].as_array_mut() else { continue };
        let is_one = |own: &Value| digests.iter().any(|digest| own.as_str() == Some(digest));
        if let Some(at) = listed.iter().position(is_one) {
            listed.remove(at);
            let before = rows[WITHDRAWN][set].as_u64().unwrap_or(0);
            rows[WITHDRAWN][set] = json!(before + 1);
            return true;
        }
    }
    false
}

/// How often test rows were scored, under the digests of those that remain; nothing if all stays.
fn recount(mut scored: Value, tables: &[Searched]) -> Option<Value> {
    let mut changed = false;
    for table in tables {
        let (before, after) = &table.scored;
        let Some(times) = scored[before].as_u64().filter(|_| before != after) else { continue };
        let counts = scored.as_object_mut()?;
        counts.shift_remove(before);
        let own = counts.get(after).and_then(Value::as_u64).unwrap_or(0);
        counts.insert(after.clone(), json!(own + times));
        changed = true;
    }
    changed.then_some(scored)
}
