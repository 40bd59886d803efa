//! What a study's folder holds: every artefact is recognised by its content, not by its name.

mod corpus;
mod walk;

pub use corpus::{Corpus, tells_crises};

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::codebook::{Codebook, hex_sha256};
use crate::corpus::{ReadOptions, TableReader};
use crate::error::{Error, Result};
use crate::inference::is_crisis_file;
use walk::files_below;

/// A file of the study, and what was read of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<T> {
    /// Its path below the study's folder.
    pub path: String,
    /// SHA-256 of its bytes.
    pub digest: String,
    /// What it holds.
    pub content: T,
}

/// One line of a table of shares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShareRow {
    /// The tier.
    pub tier: String,
    /// The label.
    pub label: String,
    /// Among which comments: `all`, `asked`, or those that carry a label.
    pub of: String,
    /// The column that the corpus was divided by, and its value; blank for all.
    pub by: String,
    /// The value.
    pub value: String,
    /// The method.
    pub method: String,
    /// Whether it is the one to report.
    pub is_primary: bool,
    /// The share.
    pub estimate: Option<f64>,
    /// Its 95 % interval.
    pub bounds: Option<(f64, f64)>,
    /// Gold rows.
    pub n_gold: Option<f64>,
    /// Rows of the corpus.
    pub n_corpus: Option<f64>,
    /// How many gold rows alone would be as precise, over how many there are.
    pub gain: Option<f64>,
    /// A remark.
    pub note: String,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub struct Study {
    /// The codebook of the bundle, or the one given.
    pub codebook: Option<Codebook>,
    /// The bundle's manifest.
    pub manifest: Option<Found<Value>>,
    /// How the training ran: time, memory, sandbox.
    pub run: Option<Found<Value>>,
    /// The learning log, a line each.
    pub log: Option<Found<Vec<Value>>>,
    /// Figures on held-out rows.
    pub evaluation: Option<Found<Value>>,
    /// How far coders agree.
    pub agreements: Vec<Found<Value>>,
    /// Coders compared.
    pub comparisons: Vec<Found<Value>>,
    /// Corpora compared.
    pub drifts: Vec<Found<Value>>,
    /// Corrected shares.
    pub shares: Vec<Found<Vec<ShareRow>>>,
    /// The coded corpus.
    pub corpus: Option<Found<Corpus>>,
    /// The card that says the comments were written, not collected.
    pub written: Option<Found<()>>,
    /// Files of the study's kinds that were left out, and why.
    pub left_out: Vec<(String, String)>,
}

/// What is to be read of the coded corpus beside its codes.
#[derive(Clone, Debug, Default)]
pub struct StudyRequest {
    /// A codebook to read the corpus with, if not the bundle's.
    pub codebook: Option<Codebook>,
    /// The column of example texts.
    pub examples: Option<String>,
}

/// A JSON document of the study is at most as large as this.
const LARGEST_JSON: u64 = 64 << 20;

impl Study {
    /// Reads the folders. Of bundles, evaluations and coded corpora the first counts, in the order
    /// of their names.
    ///
    /// # Errors
    /// A data error if a folder cannot be read, or the column of examples is missing.
    pub fn read(folders: &[PathBuf], request: &StudyRequest) -> Result<Self> {
        let mut study = Self { codebook: request.codebook.clone(), ..Self::default() };
        let mut tables = Vec::new();
        for folder in folders {
            for path in files_below(folder)? {
                study.take(folder, &path, &mut tables)?;
            }
        }
        for (folder, path) in tables {
            study.take_table(&folder, &path, request)?;
        }
        if study.corpus.is_none()
            && let Some(column) = &request.examples
        {
            return Err(Error::data("there is no coded corpus to take examples from")
                .at(format!("the column '{column}'"))
                .advise("confide classify writes one"));
        }
        Ok(study)
    }

    fn take(
        &mut self,
        folder: &Path,
        path: &Path,
        tables: &mut Vec<(PathBuf, PathBuf)>,
    ) -> Result<()> {
        let shown = below(folder, path);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        match (name, extension) {
            ("log.jsonl", _) => {
                if let Some((digest, text)) = small(path)? {
                    let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
                    let content = lines.collect();
                    let found = Found { path: shown, digest, content };
                    first(&mut self.log, found, &mut self.left_out);
                }
            }
            (_, "csv" | "tsv" | "jsonl") => tables.push((folder.to_path_buf(), path.to_path_buf())),
            (_, "json") => {
                if let Some((digest, text)) = small(path)?
                    && let Ok(content) = serde_json::from_str(&text)
                {
                    self.take_json(path, name, Found { path: shown, digest, content })?;
                }
            }
            ("CARD.md", _) => {
                if let Some((digest, text)) = small(path)?
                    && says_written(&text)
                    && self.written.is_none()
                {
                    self.written = Some(Found { path: shown, digest, content: () });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn take_json(&mut self, path: &Path, name: &str, found: Found<Value>) -> Result<()> {
        let has = |keys: &[&str]| keys.iter().all(|key| found.content.get(key).is_some());
        if name == "manifest.json" && has(&["codebook", "plan"]) {
            let codebook = path.with_file_name("codebook.toml");
            if self.manifest.is_none() && self.codebook.is_none() && codebook.is_file() {
                self.codebook = Some(Codebook::find(&codebook.display().to_string())?);
            }
            first(&mut self.manifest, found, &mut self.left_out);
        } else if name == "run.json" && has(&["seconds", "sandbox"]) {
            first(&mut self.run, found, &mut self.left_out);
        } else if has(&["tiers", "hierarchical"]) {
            first(&mut self.evaluation, found, &mut self.left_out);
        } else if has(&["stability_index", "labels"]) {
            self.drifts.push(found);
        } else if has(&["tiers", "primary", "a", "b"]) {
            self.comparisons.push(found);
        } else if has(&["tiers", "coders"]) {
            self.agreements.push(found);
        } else if let Some(rows) = found.content.get("rows").and_then(Value::as_array)
            && rows.iter().all(|row| row.get("method").is_some())
            && !rows.is_empty()
        {
            let content = rows.iter().map(share_of_json).collect();
            self.shares.push(Found { path: found.path, digest: found.digest, content });
        }
        Ok(())
    }

    fn take_table(&mut self, folder: &Path, path: &Path, request: &StudyRequest) -> Result<()> {
        // A table of another kind, or a damaged one, is no part of the report.
        let Ok(reader) = TableReader::open(path, &ReadOptions::default()) else { return Ok(()) };
        let columns = reader.columns().to_vec();
        let shown = below(folder, path);
        let has = |name: &str| columns.iter().any(|column| column == name);
        if ["tier", "label", "method", "estimate", "lower", "upper", "n_gold"]
            .iter()
            .all(|c| has(c))
        {
            let content = shares_of_table(reader, &columns)?;
            let digest = digest_of(path)?;
            self.shares.push(Found { path: shown, digest, content });
            return Ok(());
        }
        if is_crisis_file(&columns) {
            // For the eyes of one person.
            return Ok(());
        }
        let Some(codebook) = &self.codebook else { return Ok(()) };
        let Some(coder) = corpus::coder_of(codebook, &columns) else { return Ok(()) };
        if self.corpus.is_some() {
            self.left_out.push((shown, "another coded corpus was found before it".into()));
            return Ok(());
        }
        let corpus = Corpus::read(path, codebook, coder, &columns, request.examples.as_deref())?;
        let digest = corpus.codings.tables[0].digest.clone();
        self.corpus = Some(Found { path: shown, digest, content: corpus });
        Ok(())
    }

    /// Every file that the report rests on, in order of its path, with its digest if equal studies
    /// have the same.
    pub fn sources(&self) -> Vec<(&str, &str)> {
        fn of<T>(found: &Found<T>) -> (&str, &str) {
            (&found.path, &found.digest)
        }
        let documents = [&self.manifest, &self.evaluation].into_iter().flatten();
        let mut all: Vec<(&str, &str)> = documents.map(of).collect();
        // It holds times, which would make reports of equal studies differ.
        all.extend(self.run.iter().map(|run| (run.path.as_str(), "differs from run to run")));
        all.extend(self.log.iter().map(of));
        all.extend(self.corpus.iter().map(of));
        all.extend(self.written.iter().map(of));
        all.extend(self.shares.iter().map(of));
        for found in [&self.agreements, &self.comparisons, &self.drifts] {
            all.extend(found.iter().map(of));
        }
        all.sort_unstable();
        all
    }
}

/// Keeps the first of its kind and notes the others.
fn first<T>(place: &mut Option<Found<T>>, found: Found<T>, left_out: &mut Vec<(String, String)>) {
    match place {
        None => *place = Some(found),
        Some(kept) => {
            left_out.push((
                found.path,
                format!("{} is of the same kind and was found first", kept.path),
            ));
        }
    }
}

/// The path below the folder, with `/` on every system.
fn below(folder: &Path, path: &Path) -> String {
    let rest = path.strip_prefix(folder).unwrap_or(path);
    let parts: Vec<_> = rest.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

fn digest_of(path: &Path) -> Result<String> {
    std::fs::read(path).map(|bytes| hex_sha256(&bytes)).map_err(|e| Error::reading(path, &e))
}

/// Digest and text of a file that is no larger than a document of the study can be.
fn small(path: &Path) -> Result<Option<(String, String)>> {
    let size = path.metadata().map_err(|e| Error::reading(path, &e))?.len();
    if size > LARGEST_JSON {
        return Ok(None);
    }
    let bytes = std::fs::read(path).map_err(|e| Error::reading(path, &e))?;
    let digest = hex_sha256(&bytes);
    Ok(String::from_utf8(bytes).ok().map(|text| (digest, text)))
}

/// Whether a card says that the comments were written for a purpose.
fn says_written(card: &str) -> bool {
    card.to_lowercase().contains("written, not collected")
}

impl ShareRow {
    /// Of the cells under these names; blank where there is none.
    fn of(cell: impl Fn(&str) -> String) -> Self {
        let number = |name: &str| cell(name).parse::<f64>().ok().filter(|v| v.is_finite());
        Self {
            tier: cell("tier"),
            label: cell("label"),
            of: cell("of"),
            by: cell("by"),
            value: cell("value"),
            method: cell("method"),
            is_primary: cell("primary") == "true",
            estimate: number("estimate"),
            bounds: number("lower").zip(number("upper")),
            n_gold: number("n_gold"),
            n_corpus: number("n_corpus"),
            gain: number("ess_gain"),
            note: cell("note"),
        }
    }
}

fn share_of_json(row: &Value) -> ShareRow {
    ShareRow::of(|name| match row.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    })
}

fn shares_of_table(mut reader: TableReader, columns: &[String]) -> Result<Vec<ShareRow>> {
    let mut rows = Vec::new();
    while let Some(row) = reader.next_row()? {
        rows.push(ShareRow::of(|name| {
            let place = columns.iter().position(|column| column == name);
            place.map_or("", |at| row.cell(at)).trim().to_owned()
        }));
    }
    Ok(rows)
}
