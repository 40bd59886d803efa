//! An evaluation as flat rows, for tables.

use super::Evaluation;
use super::view::{LabelScores, View};

/// One tier in one view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SummaryRow<'a> {
    /// The tier's name.
    pub tier: &'a str,
    /// `single` or `multi`.
    pub kind: &'static str,
    /// `oracle` or `pipeline`.
    pub view: &'static str,
    /// The figures.
    pub figures: &'a View,
}

/// One label in both views.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelRow<'a> {
    /// The tier's name.
    pub tier: &'a str,
    /// The label's name.
    pub label: &'a str,
    /// Given the gold answers above.
    pub oracle: &'a LabelScores,
    /// As it will be used.
    pub pipeline: &'a LabelScores,
}

impl Evaluation {
    /// Two rows per tier, oracle before pipeline.
    pub fn summary(&self) -> Vec<SummaryRow<'_>> {
        let of_tier = |(name, tier)| {
            let tier: &super::TierEvaluation = tier;
            [("oracle", &tier.oracle), ("pipeline", &tier.pipeline)]
                .map(|(view, figures)| SummaryRow { tier: name, kind: tier.kind, view, figures })
        };
        self.tiers.iter().flat_map(of_tier).collect()
    }

    /// One row per label of every tier, in codebook order.
    pub fn label_rows(&self) -> Vec<LabelRow<'_>> {
        let mut rows = Vec::new();
        for (tier, scores) in self.tiers.iter() {
            let both = scores.oracle.labels.iter().zip(scores.pipeline.labels.iter());
            rows.extend(both.map(|((label, oracle), (_, pipeline))| LabelRow {
                tier,
                label,
                oracle,
                pipeline,
            }));
        }
        rows
    }
}
