//! Examples of codes: the lab's own paraphrases, or verbatim comments where that was asked for.

use serde::Serialize;

use crate::codebook::Codebook;
use crate::corpus::Codings;
use crate::report::sheet::printable;
use crate::report::study::{Study, tells_crises};

/// Examples of a label.
const EACH: usize = 2;

/// What one label is like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Examples {
    /// The tier.
    pub tier: String,
    /// The label.
    pub label: String,
    /// The first texts of the column that carry it.
    pub texts: Vec<String>,
}

/// The first rows of each label whose cell is not blank; rows that a screen for crises flagged are
/// never shown.
pub fn examples(study: &Study) -> Vec<Examples> {
    let (Some(found), Some(codebook)) = (&study.corpus, &study.codebook) else { return Vec::new() };
    let Some(column) = &found.content.columns.examples else { return Vec::new() };
    of_column(codebook, &found.content.codings, column)
}

fn of_column(codebook: &Codebook, codings: &Codings, column: &str) -> Vec<Examples> {
    let Some(kept) = codings.kept(column) else { return Vec::new() };
    let telling = || codings.all_kept().filter(|(name, _)| *name == "reason" || tells_crises(name));
    let flagged = |row: usize| {
        telling().any(|(_, column)| column.cell(row).split('|').any(|c| c == "crisis"))
    };
    let mut all = Vec::new();
    for (at, tier) in codebook.tiers.iter().enumerate() {
        for (label, own) in tier.labels.iter().enumerate() {
            let rows = (0..codings.rows()).filter(|row| {
                codings.holds(at, codings.answers(0, at)[*row], label)
                    && !kept.cell(*row).trim().is_empty()
                    && !flagged(*row)
            });
            let texts: Vec<String> =
                rows.take(EACH).map(|row| printable(kept.cell(row).trim())).collect();
            if !texts.is_empty() {
                all.push(Examples { tier: tier.name.clone(), label: own.name.clone(), texts });
            }
        }
    }
    all
}
