//! The coded corpus of a study.

use std::path::Path;

use crate::codebook::Codebook;
use crate::corpus::{Codings, CodingsRequest, GOLD, read_codings};
use crate::error::{Error, Result};

/// Columns of the corpus that a report makes use of, where they are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorpusColumns {
    /// Whether there is a platform.
    pub platform: bool,
    /// Whether there is a time.
    pub created: bool,
    /// The column of example texts.
    pub examples: Option<String>,
}

/// Whether a column is one by which a screen for crises flags a row: that of a verdict, or the
/// reason of another coder.
pub fn tells_crises(column: &str) -> bool {
    let of_coder =
        |name: &str| column.strip_prefix(name).is_some_and(|rest| rest.starts_with("__"));
    column == "crisis" || of_coder("crisis") && !column.ends_with("_p") || of_coder("reason")
}

/// A table that `classify` wrote.
#[derive(Debug)]
pub struct Corpus {
    /// Its codes, of one coder, with the columns `status`, `reason` and those of use.
    pub codings: Codings,
    /// Which of these there are.
    pub columns: CorpusColumns,
}

/// The coder whose codes and probabilities a table holds: the plain columns, or those of
/// `classify --as`.
pub fn coder_of(codebook: &Codebook, columns: &[String]) -> Option<String> {
    let has = |name: &str| columns.iter().any(|column| column == name);
    if !has("status") {
        return None;
    }
    let tiers = || codebook.tiers.iter().map(|tier| tier.name.as_str());
    if tiers().all(|tier| has(tier) && has(&format!("{tier}_p"))) {
        return Some(GOLD.to_owned());
    }
    let prefix = format!("{}__", codebook.tiers.first()?.name);
    let own = |column: &String| column.strip_prefix(&prefix)?.strip_suffix("_p").map(str::to_owned);
    columns.iter().filter_map(own).find(|coder| {
        tiers().all(|tier| has(&format!("{tier}__{coder}")) && has(&format!("{tier}__{coder}_p")))
    })
}

impl Corpus {
    /// Reads the table.
    ///
    /// # Errors
    /// A data error if it cannot be read or has no column of that name.
    pub fn read(
        path: &Path,
        codebook: &Codebook,
        coder: String,
        columns: &[String],
        examples: Option<&str>,
    ) -> Result<Self> {
        let has = |name: &str| columns.iter().any(|column| column == name);
        if let Some(column) = examples.filter(|column| !has(column)) {
            return Err(Error::data("the coded corpus has no such column")
                .at(format!("{}, '{column}'", path.display())));
        }
        let mut keep = vec!["status".to_owned()];
        keep.extend(
            ["reason", "platform", "created"].into_iter().filter(|c| has(c)).map(str::to_owned),
        );
        keep.extend(examples.filter(|column| !keep.iter().any(|k| k == column)).map(str::to_owned));
        keep.extend(columns.iter().filter(|column| tells_crises(column)).cloned());
        let request = CodingsRequest { coders: vec![coder], keep, ..CodingsRequest::default() };
        let codings = read_codings(&[path.to_path_buf()], codebook, &request)?;
        let columns = CorpusColumns {
            platform: has("platform"),
            created: has("created"),
            examples: examples.map(str::to_owned),
        };
        Ok(Self { codings, columns })
    }
}
