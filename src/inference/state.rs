//! `state.json`: how far a coding has come, and of what it is made.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::columns::ColumnOptions;
use super::crisis_file::CrisisFile;
use super::source::Source;
use crate::bundle::Bundle;
use crate::corpus::WholeFile;
use crate::crisis::Screen;
use crate::error::{Error, Result};

/// How many rows ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All rows.
    pub rows: u64,
    /// Rows that cannot be used.
    pub rejected: u64,
    /// Rows without a text.
    pub empty: u64,
    /// Rows for review.
    pub review: u64,
    /// Rows whose text is longer than the encoder takes.
    pub truncated: u64,
    /// Rows whose text was coded already within its window.
    pub duplicates: u64,
    /// Rows that show a crisis.
    #[serde(default)]
    pub crisis: u64,
    /// Rows that could not be screened for one, or were not tested for their language.
    #[serde(default)]
    pub not_screened: u64,
}

/// Everything that the output's bytes follow from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WorkPlan {
    version: String,
    kernel: String,
    /// SHA-256 of the input; absent for what can be read only once.
    input: Option<String>,
    bundle: String,
    codebook: String,
    format: Option<String>,
    encoding: Option<String>,
    id: Option<String>,
    text: Option<String>,
    /// Digest of how texts are masked.
    redaction: Option<String>,
    pub columns: ColumnOptions,
    /// Rows that are chosen among all for hand coding.
    pub budget: Option<u64>,
    /// Digest of what screens for crises.
    #[serde(default)]
    screen: Option<String>,
    /// The file of rows that show one, if it was named.
    #[serde(default)]
    crisis_file: Option<PathBuf>,
}

impl WorkPlan {
    /// The plan of coding a source that can be read only once with these bundles.
    pub fn new(
        bundles: &[Bundle],
        source: &Source,
        columns: &ColumnOptions,
        budget: Option<u64>,
        crisis: Option<(&Screen, &CrisisFile)>,
        kernel: &str,
    ) -> Self {
        let read = source.options().clone();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: kernel.to_owned(),
            input: None,
            bundle: bundles.iter().map(Bundle::digest).collect::<Vec<_>>().join(" "),
            codebook: bundles[0].codebook().digest(),
            format: read.format,
            encoding: read.encoding,
            id: read.id,
            text: read.text,
            redaction: read.redaction.map(|redaction| redaction.digest()),
            columns: columns.clone(),
            budget,
            screen: crisis.map(|(screen, _)| screen.digest().to_owned()),
            crisis_file: crisis.and_then(|(_, file)| file.path.clone()),
        }
    }

    /// The same plan for an input of this SHA-256; none for what can be read only once.
    pub fn of_input(self, input: Option<String>) -> Self {
        Self { input, ..self }
    }

    /// Whether texts are screened for crises.
    pub fn screens(&self) -> bool {
        self.screen.is_some()
    }

    /// Whether the work can be taken up again.
    pub fn is_resumable(&self) -> bool {
        self.input.is_some()
    }

    /// The names of the parts in which two plans differ.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let pairs = [
            ("the program's version", self.version == other.version),
            ("--precision, --kernel or this machine's instructions", self.kernel == other.kernel),
            ("the input", self.input == other.input),
            ("the bundle", self.bundle == other.bundle),
            ("the codebook", self.codebook == other.codebook),
            ("--format", self.format == other.format),
            ("--encoding", self.encoding == other.encoding),
            ("--id", self.id == other.id),
            ("--text", self.text == other.text),
            ("--as", self.columns.coder == other.columns.coder),
            ("--probabilities", self.columns.probabilities == other.columns.probabilities),
            ("--sets", self.columns.sets == other.columns.sets),
            ("--review-budget", self.budget == other.budget),
            ("--crisis", self.screen == other.screen),
            ("--crisis-file", self.crisis_file == other.crisis_file),
        ];
        pairs.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect()
    }
}

/// How far the work has come, as of the last whole window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub plan: WorkPlan,
    /// Bytes of the output.
    pub bytes: u64,
    /// Bytes of the list of rejected rows.
    pub reject_bytes: u64,
    /// Bytes of the rows that show a crisis, if they are looked for.
    #[serde(default)]
    pub crisis_bytes: Option<u64>,
    /// The day by which these are to be deleted.
    #[serde(default)]
    pub delete_by: Option<String>,
    /// Rows done, and how they ended.
    pub counts: Counts,
    /// Nothing is left but to give the files their names.
    pub finished: bool,
    /// Whether an output that stands, and its list of rejected rows, are to be replaced.
    #[serde(default)]
    pub replaces: bool,
}

impl State {
    /// Reads a state; `None` if there is none.
    ///
    /// # Errors
    /// A usage error if it is damaged.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(e) => return Err(Error::reading(path, &e)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| {
            Error::usage("the state of the unfinished work cannot be read")
                .at(path.display().to_string())
                .advise("--force discards it and begins anew")
        })
    }

    /// Replaces the state on disk, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::resource(format!("the state cannot be written: {e}")))?;
        WholeFile::write_all_to(path, &json)
    }
}

#[cfg(test)]
impl WorkPlan {
    /// A plan of no real work.
    pub fn invented() -> Self {
        let s = || "x".to_owned();
        Self {
            version: s(),
            kernel: s(),
            input: Some(s()),
            bundle: s(),
            codebook: s(),
            format: None,
            encoding: None,
            id: None,
            text: None,
            redaction: None,
            columns: ColumnOptions::default(),
            budget: None,
            screen: None,
            crisis_file: None,
        }
    }

    /// The same plan with rows chosen among all.
    pub fn with_budget(self, budget: u64) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// The same plan for another input, or for one that can be read only once.
    pub fn with_input(self, input: Option<&str>) -> Self {
        Self { input: input.map(str::to_owned), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> WorkPlan {
        WorkPlan::invented()
    }

    #[test]
    fn differences_are_named() {
        let mut other = WorkPlan { input: None, text: Some("body".into()), ..plan() };
        other.columns.coder = Some("b".into());
        assert_eq!(plan().differences(&other), ["the input", "--text", "--as"]);
        assert!(plan().differences(&plan()).is_empty());
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        assert!(State::read(&path).unwrap().is_none());
        let counts = Counts { rows: 3, ..Counts::default() };
        let state = State {
            plan: plan(),
            bytes: 7,
            reject_bytes: 1,
            crisis_bytes: Some(5),
            delete_by: None,
            counts,
            finished: false,
            replaces: true,
        };
        state.write(&path).unwrap();
        assert_eq!(State::read(&path).unwrap(), Some(state));
        std::fs::write(&path, "{").unwrap();
        assert_eq!(State::read(&path).unwrap_err().exit_code(), 2);
    }
}
