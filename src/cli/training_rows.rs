//! The rows of a training: which they are, and by what digests they are known.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::messages::Messages;
use crate::codebook::{Code, Codebook, hex, hex_sha256};
use crate::corpus::{
    GoldRow, GoldTable, Problem, Split, SplitSizes, code_traits, near_duplicates, split, units,
};
use crate::encoder::Tokens;
use crate::error::{Error, Result};
use crate::heads::lexical::NGrams;
use crate::training::{Example, Examples, Plan};

/// The rows that train and those that validate.
pub(super) struct Rows {
    pub train: Vec<GoldRow>,
    pub validation: Vec<GoldRow>,
}

/// Refuses tables with problems that would spoil a training; warns of the others by count.
pub(super) fn usable(table: GoldTable, messages: &Messages) -> Result<GoldTable> {
    let fatal: Vec<&Problem> = table.fatal().collect();
    if let Some(first) = fatal.first() {
        let lines: Vec<String> = fatal.iter().take(5).map(|p| describe(p)).collect();
        return Err(Error::data(format!(
            "{} problems in the codes:\n  {}",
            fatal.len(),
            lines.join("\n  ")
        ))
        .at(first.file.clone())
        .advise("'confide check' lists all of them"));
    }
    let mut counts = BTreeMap::new();
    for problem in &table.problems {
        *counts.entry(problem.code.name()).or_insert(0usize) += 1;
    }
    for (code, count) in counts {
        messages
            .warn(&format!("{}: {count} rows with {code}; 'confide check' lists them", table.name));
    }
    Ok(table)
}

fn describe(problem: &Problem) -> String {
    let column = problem.column.as_deref().map(|c| format!(", column {c}")).unwrap_or_default();
    let nearest =
        problem.nearest.as_deref().map(|n| format!(" (nearest: {n})")).unwrap_or_default();
    format!("row {} (line {}){column}: {}{nearest}", problem.row, problem.line, problem.message)
}

/// The training and validation rows of a table; without a split column a tenth validates.
pub(super) fn divide(
    table: GoldTable,
    codebook: &Codebook,
    seed: u64,
    messages: &Messages,
) -> Result<Rows> {
    let name = table.name.clone();
    let mut rows = Rows { train: Vec::new(), validation: Vec::new() };
    let sets: Vec<Option<Split>> = if table.has_split {
        table.rows.iter().map(|row| row.split).collect()
    } else {
        messages.note("no split column: a tenth of the rows is held out for validation");
        tenth(&table.rows, codebook, seed)?
    };
    let mut unassigned = 0;
    for (row, set) in table.rows.into_iter().zip(sets) {
        match set {
            Some(Split::Train) => rows.train.push(row),
            Some(Split::Validation) => rows.validation.push(row),
            Some(Split::Test) => {}
            None => unassigned += 1,
        }
    }
    if unassigned > 0 {
        messages.warn(&format!("{name}: {unassigned} rows belong to no split and are left out"));
    }
    for (set, rows) in [("train", &rows.train), ("validation", &rows.validation)] {
        if rows.is_empty() {
            return Err(Error::data(format!("there is no row to use with split = {set}"))
                .at(name)
                .advise("'confide split' makes the column"));
        }
    }
    Ok(rows)
}

/// A tenth of the rows for validation, the others for training: labels in proportion, and no group on
/// both sides.
///
/// # Errors
/// As a split.
pub(super) fn tenth(
    rows: &[GoldRow],
    codebook: &Codebook,
    seed: u64,
) -> Result<Vec<Option<Split>>> {
    let held = (rows.len() / 10).max(1);
    let sizes =
        SplitSizes { train: rows.len().saturating_sub(held), validation: held, test: Some(0) };
    split(&code_traits(rows, codebook), &tied(rows), sizes, seed)
}

/// Rows that must stay together: those of one group, and near-duplicates.
pub(super) fn tied(rows: &[GoldRow]) -> Vec<Vec<usize>> {
    let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
    let groups: Vec<Option<&str>> = rows.iter().map(|row| row.group.as_deref()).collect();
    units(&groups, near_duplicates(&texts))
}

/// Whether a row has a text and a code.
pub(super) fn teaches(row: &GoldRow) -> bool {
    !row.text.trim().is_empty() && row.codes.iter().any(Code::is_coded)
}

/// Tokenizes the rows; those without any code and those without text are left out by count.
pub(super) fn examples(rows: &Rows, tokens: &Tokens, messages: &Messages) -> Result<Examples> {
    let make = |set: &str, rows: &[GoldRow]| -> Result<Vec<Example>> {
        let used: Vec<&GoldRow> = rows.iter().filter(|row| teaches(row)).collect();
        if used.len() < rows.len() {
            messages.warn(&format!(
                "{} {set} rows have no code or no text and are left out",
                rows.len() - used.len()
            ));
        }
        let texts: Vec<&str> = used.iter().map(|r| r.text.as_str()).collect();
        let texts = tokens.tokenize_all(&texts)?;
        let cut = texts.iter().filter(|t| t.truncated).count();
        if cut > 0 {
            messages.warn(&format!(
                "{cut} {set} texts are longer than {} tokens and cut",
                tokens.cut().longest
            ));
        }
        Ok(used
            .iter()
            .zip(texts)
            .map(|(row, text)| Example {
                row: row.number,
                text,
                ngrams: NGrams::of(&row.text),
                codes: row.codes.clone(),
                soft: None,
            })
            .collect())
    };
    Ok(Examples {
        mask: tokens.mask(),
        train: make("train", &rows.train)?,
        validation: make("validation", &rows.validation)?,
    })
}

/// Refuses rows from which nothing could be learnt or chosen.
pub(super) fn coded_everywhere(codebook: &Codebook, examples: &Examples) -> Result<()> {
    for (set, rows) in [("train", &examples.train), ("validation", &examples.validation)] {
        if rows.is_empty() {
            return Err(Error::data(format!("no {set} row has both a text and a code")));
        }
    }
    for (at, tier) in codebook.tiers.iter().enumerate() {
        if !examples.train.iter().any(|example| example.codes[at].is_coded()) {
            return Err(Error::data("no training row is coded in this tier")
                .at(format!("tier {}", tier.name))
                .advise("code some rows in it, or take the tier out of the codebook"));
        }
    }
    Ok(())
}

/// SHA-256 over the rows that train and validate: ids, texts and codes.
pub(super) fn data_digest(rows: &Rows) -> String {
    let mut hash = Sha256::new();
    for (set, rows) in [("train", &rows.train), ("validation", &rows.validation)] {
        for row in rows {
            hash.update(format!(
                "{set}\0{}\0{}\0{}\0{:?}\0",
                row.number, row.id, row.text, row.codes
            ));
        }
    }
    hex(&hash.finalize())
}

/// `rows.json`: keyed digests of the texts that were used, by which `evaluate` recognises them.
pub(super) fn row_digests(plan: &Plan, rows: &Rows) -> Result<Vec<u8>> {
    let key = hex_sha256(format!("{plan:?}").as_bytes());
    let digests = |rows: &[GoldRow]| -> Result<Vec<String>> {
        rows.iter().map(|row| text_digest(&key, &row.text)).collect()
    };
    let document = json!({
        "key": key,
        "train": digests(&rows.train)?,
        "validation": digests(&rows.validation)?,
    });
    Ok(format!("{document}\n").into_bytes())
}

/// The keyed digest (HMAC-SHA-256) of a text, white space at its ends ignored.
///
/// # Errors
/// If the key cannot be used.
pub(super) fn text_digest(key: &str, text: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes())
        .map_err(|_| Error::model("the key of the row digests cannot be used"))?;
    mac.update(text.trim().as_bytes());
    Ok(hex(&mac.finalize().into_bytes()))
}
