//! All tiers at once: micro precision, recall and F1 over (tier, label) pairs.

use serde::Serialize;

use super::confusion::Counts;
use crate::codebook::{Code, Codebook, LabelSet};

/// Agreement of whole codings; undefined figures are `None`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hierarchical {
    /// Share of predicted (tier, label) pairs that are gold.
    pub precision: Option<f64>,
    /// Share of gold pairs that are predicted.
    pub recall: Option<f64>,
    /// Their harmonic mean.
    pub f1: Option<f64>,
}

/// Scores `predicted[row][tier]` against `gold[row][tier]`. Cells whose gold is missing are
/// left out; a cell that is not asked or holds no label has no pairs.
pub fn score(codebook: &Codebook, gold: &[Vec<Code>], predicted: &[Vec<Code>]) -> Hierarchical {
    let none = LabelSet::default();
    let mut counts = Counts::default();
    for (row, gold) in gold.iter().enumerate() {
        for (t, tier) in codebook.tiers.iter().enumerate() {
            let gold = match gold.get(t) {
                None | Some(Code::Missing) => continue,
                Some(code) => code.labels().unwrap_or(&none),
            };
            let predicted = predicted.get(row).and_then(|codes| codes.get(t));
            let predicted = predicted.and_then(Code::labels).unwrap_or(&none);
            for label in 0..tier.labels.len() {
                counts.add(gold.contains(label), predicted.contains(label));
            }
        }
    }
    Hierarchical { precision: counts.precision(), recall: counts.recall(), f1: counts.f1() }
}
