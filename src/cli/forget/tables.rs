//! Tables, from which rows are cut while every other byte stays.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::ids::id_column;
use crate::codebook::{hex, hex_sha256};
use crate::corpus::{Format, ReadOptions, TableReader, WholeFile};
use crate::error::{Error, Result};

const MARK: &[u8] = b"\xef\xbb\xbf";

/// A table in which withdrawn ids were looked for.
#[derive(Debug)]
pub struct Searched {
    /// Where it is.
    pub path: PathBuf,
    /// How many rows it has.
    pub rows: u64,
    /// Where the rows stand that go, in bytes of the file.
    pub removed: Vec<Range<u64>>,
    /// The withdrawn ids that are in it.
    pub seen: BTreeSet<String>,
    /// Withdrawn ids with their texts, where it has a column of texts.
    pub texts: BTreeSet<(String, String)>,
    /// The digests of the ids that are scored, of those with the rows and of those without.
    pub scored: (String, String),
    length: u64,
}

/// The digests of a table before and after.
pub struct Rewritten {
    pub before: String,
    pub after: String,
}

/// Looks for withdrawn ids in a table; nothing if it has no column of ids.
///
/// # Errors
/// If it cannot be read, or is not UTF-8.
pub fn search(
    path: &Path,
    ids: &BTreeSet<String>,
    options: &ReadOptions,
) -> Result<Option<Searched>> {
    let start = start(path)?;
    let mut reader = TableReader::open(path, options)?;
    let Some(id) = id_column(reader.columns(), options) else { return Ok(None) };
    let column = |name: &str| reader.columns().iter().position(|column| column == name);
    let text = column(options.text.as_deref().unwrap_or("text"));
    let split = column("split");
    let length = path.metadata().map_err(|e| Error::reading(path, &e))?.len();
    let mut own = Searched {
        path: path.to_path_buf(),
        rows: 0,
        removed: Vec::new(),
        seen: BTreeSet::new(),
        texts: BTreeSet::new(),
        scored: Default::default(),
        length,
    };
    let (mut all, mut kept) = (Vec::new(), Vec::new());
    while let Some(row) = reader.next_row()? {
        own.rows += 1;
        let named = row.cell(id).trim();
        let is_scored =
            row.defect.is_none() && split.is_none_or(|split| row.cell(split).trim() == "test");
        all.extend(is_scored.then(|| row.cell(id).to_owned()));
        if !ids.contains(named) {
            kept.extend(is_scored.then(|| row.cell(id).to_owned()));
            continue;
        }
        let span = reader.span();
        own.removed.push(start + span.start..start + span.end);
        own.seen.insert(named.to_owned());
        if let Some(text) = text {
            own.texts.insert((named.to_owned(), row.cell(text).trim().to_owned()));
        }
    }
    let digest = |ids: Vec<String>| hex_sha256(ids.join("\0").as_bytes());
    own.scored = (digest(all), digest(kept));
    Ok(Some(own))
}

/// Where the text of a file begins: behind its mark.
fn start(path: &Path) -> Result<u64> {
    let mut first = Vec::new();
    let file = File::open(path).map_err(|e| Error::reading(path, &e))?;
    file.take(3).read_to_end(&mut first).map_err(|e| Error::reading(path, &e))?;
    if first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff") {
        return Err(Error::data("rows are removed byte by byte, from UTF-8 alone")
            .at(path.display().to_string())
            .advise("save the table as UTF-8 first"));
    }
    Ok(if first == MARK { MARK.len() as u64 } else { 0 })
}

/// Whether an unfinished coding holds a withdrawn comment, or may.
pub fn holds(folder: &Path, ids: &BTreeSet<String>, options: &ReadOptions) -> bool {
    let output = folder.with_extension("");
    let Ok(format) = Format::of_path(&output, options.format.as_deref()) else { return true };
    let name = match format {
        Format::Jsonl => "jsonl",
        Format::Csv { delimiter: b'\t' } => "tsv",
        Format::Csv { .. } => "csv",
    };
    let options = ReadOptions { format: Some(name.into()), ..options.clone() };
    let parts = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut parts = parts.map(|entry| entry.path()).filter(|path| {
        path.file_name().is_some_and(|name| name == "coded.part" || name == "chosen.part")
    });
    parts.any(|part| match search(&part, ids, &options) {
        Ok(Some(searched)) => !searched.seen.is_empty(),
        Ok(None) | Err(_) => part.metadata().is_ok_and(|about| about.len() > 0),
    })
}

impl Searched {
    /// Writes the table without the rows, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be read or written, or has changed meanwhile.
    pub fn rewrite(&self) -> Result<Rewritten> {
        let failed = |error: std::io::Error| Error::reading(&self.path, &error);
        let mut input = BufReader::new(File::open(&self.path).map_err(failed)?);
        let mut output = WholeFile::create(&self.path)?;
        let (mut before, mut after) = (Sha256::new(), Sha256::new());
        let (mut at, mut buffer) = (0u64, Vec::new());
        let ends = self.removed.iter().flat_map(|span| [(span.start, true), (span.end, false)]);
        for (end, keep) in ends.chain([(self.length, true)]) {
            while at < end {
                let part = (end - at).min(1 << 20) as usize;
                buffer.resize(part, 0);
                input.read_exact(&mut buffer).map_err(failed)?;
                before.update(&buffer);
                if keep {
                    after.update(&buffer);
                    output.write_all(&buffer).map_err(|e| Error::writing(&self.path, &e))?;
                }
                at += part as u64;
            }
        }
        if input.read(&mut [0]).map_err(failed)? > 0 {
            return Err(Error::data("the table has grown meanwhile, and is left as it is")
                .at(self.path.display().to_string())
                .advise("run the same command again"));
        }
        output.finish()?;
        Ok(Rewritten { before: hex(&before.finalize()), after: hex(&after.finalize()) })
    }
}
