//! What a manifest states of its rows and of how well they are coded.

use serde::{Deserialize, Serialize};

use crate::codebook::{Code, Codebook, TierKind};
use crate::evaluation::Evaluation;

/// How good one tier was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TierFigures {
    /// The tier.
    pub tier: String,
    /// Coded rows: those of the oracle view.
    pub n: usize,
    /// Rows that are coded or not asked: those of the pipeline view.
    #[serde(default)]
    pub pipeline_n: usize,
    /// Macro-F1 given the gold answers above.
    pub oracle_macro_f1: Option<f64>,
    /// Macro-F1 as the bundle is used.
    pub pipeline_macro_f1: Option<f64>,
    /// Share of right answers given the gold answers above; of sets that are right as a whole.
    #[serde(default)]
    pub oracle_accuracy: Option<f64>,
    /// Share of right answers as the bundle is used.
    #[serde(default)]
    pub pipeline_accuracy: Option<f64>,
    /// Macro-F1 of always giving the most frequent label, in the oracle view.
    #[serde(default)]
    pub oracle_majority_macro_f1: Option<f64>,
    /// The same in the pipeline view.
    #[serde(default)]
    pub pipeline_majority_macro_f1: Option<f64>,
}

impl TierFigures {
    /// The figures of every tier of an evaluation.
    pub fn of(evaluation: &Evaluation) -> Vec<Self> {
        let of_tier = |(name, tier): (&str, &crate::evaluation::TierEvaluation)| Self {
            tier: name.to_owned(),
            n: tier.coded,
            pipeline_n: tier.pipeline.n,
            oracle_macro_f1: tier.oracle.macro_f1,
            pipeline_macro_f1: tier.pipeline.macro_f1,
            oracle_accuracy: tier.oracle.accuracy,
            pipeline_accuracy: tier.pipeline.accuracy,
            oracle_majority_macro_f1: tier.oracle.baseline_macro_f1,
            pipeline_majority_macro_f1: tier.pipeline.baseline_macro_f1,
        };
        evaluation.tiers.iter().map(of_tier).collect()
    }
}

/// How good models of the same recipe were on rows that they had not seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrossValidation {
    /// Folds of the training rows.
    pub folds: usize,
    /// Rows of all folds.
    pub rows: usize,
    /// Figures over all of them.
    pub tiers: Vec<TierFigures>,
}

/// A number of rows in each set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRows {
    /// Rows that train.
    pub train: usize,
    /// Rows that validate.
    pub validation: usize,
}

/// The rows that hold a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelRows {
    /// The label.
    pub label: String,
    /// Its rows.
    #[serde(flatten)]
    pub rows: SetRows,
}

/// How many rows hold each answer of a tier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierRows {
    /// The tier.
    pub tier: String,
    /// Each label in codebook order.
    pub labels: Vec<LabelRows>,
    /// Coded, and no label applies; for multi tiers only.
    pub none: Option<SetRows>,
    /// The gate is closed.
    pub not_asked: SetRows,
    /// Asked, and nobody coded it.
    pub missing: SetRows,
}

impl TierRows {
    /// Counts the answers of every tier in the codes of the rows of each set.
    pub fn count(codebook: &Codebook, train: &[&[Code]], validation: &[&[Code]]) -> Vec<Self> {
        let of_tier = |(at, tier): (usize, &crate::codebook::Tier)| {
            let rows = |answer: &dyn Fn(&Code) -> bool| {
                let of = |set: &[&[Code]]| set.iter().filter(|codes| answer(&codes[at])).count();
                SetRows { train: of(train), validation: of(validation) }
            };
            let labels = tier.labels.iter().enumerate().map(|(label, own)| LabelRows {
                label: own.name.clone(),
                rows: rows(&|code| code.labels().is_some_and(|set| set.contains(label))),
            });
            Self {
                tier: tier.name.clone(),
                labels: labels.collect(),
                none: (tier.kind == TierKind::Multi)
                    .then(|| rows(&|code| code.labels().is_some_and(|set| set.is_empty()))),
                not_asked: rows(&|code| *code == Code::NotAsked),
                missing: rows(&|code| *code == Code::Missing),
            }
        };
        codebook.tiers.iter().enumerate().map(of_tier).collect()
    }
}
