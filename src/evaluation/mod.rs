//! How well predicted codes agree with gold: pure functions on codes, whoever gave them.

pub mod agreement;
pub mod alternative_annotators;
pub mod baseline;
pub mod calibration;
pub mod coder_agreement;
pub mod comparison;
pub mod confusion;
mod contribution;
pub mod domain;
pub mod drift;
pub mod hierarchical;
pub mod interval;
pub mod label_errors;
pub mod multi;
pub mod out_of_fold;
pub mod paired;
pub mod quantile;
pub mod ranking;
pub mod reliability;
pub mod resampling;
pub mod review;
pub mod selection;
pub mod selective;
pub mod share;
pub mod single;
pub mod table;
pub mod uncertainty;
pub mod view;

#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::codebook::{Code, Codebook, LabelSet, Tier, TierKind};
use calibration::Calibration;
use hierarchical::Hierarchical;
use review::{Reviewed, SetsJudged};
use selective::SelectiveRisk;
use uncertainty::TierIntervals;
use view::{ByName, View};

/// All figures of one set of rows; written as `metrics.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Rows given, those without gold included.
    pub rows: usize,
    /// Figures per tier.
    pub tiers: ByName<TierEvaluation>,
    /// All tiers at once, in the pipeline view.
    pub hierarchical: Hierarchical,
    /// What the bundle's review rule leaves, for the caller to set; none without a rule.
    pub review: Option<Reviewed>,
    /// Digest of the bundle that gave the codes, for the caller to set.
    pub bundle: Option<String>,
    /// Digest of the codebook, for the caller to set.
    pub codebook: Option<String>,
}

/// One tier in both views.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TierEvaluation {
    /// `single` or `multi`.
    pub kind: &'static str,
    /// Rows whose gold is coded.
    pub coded: usize,
    /// Rows whose gold gate is closed.
    pub not_asked: usize,
    /// Rows without gold, scored in neither view.
    pub missing: usize,
    /// The label whose constant use is the baseline.
    pub majority_label: Option<String>,
    /// Given the gold answers above: rows whose gold is coded.
    pub oracle: View,
    /// As it will be used: rows whose gold is coded or not asked.
    pub pipeline: View,
    /// How right the probabilities are, for the caller to set.
    pub calibration: Option<TierCalibration>,
    /// How often conformal sets hold the gold, for the caller to set; none where there are no sets.
    pub sets: Vec<SetsJudged>,
    /// Intervals of macro-F1 and accuracy in both views, for the caller to set.
    pub intervals: Option<TierIntervals>,
}

/// How right a tier's probabilities are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TierCalibration {
    /// P(label | asked) given the gold answers above, at temperature 1.
    pub before: Option<Calibration>,
    /// The same as the bundle gives it.
    pub after: Option<Calibration>,
    /// The probability that the answer, its path through the gates included, is right.
    pub path: Option<Calibration>,
    /// How often the surest answers are wrong.
    pub selective: Vec<SelectiveRisk>,
    /// The mean of that risk over all shares that can be kept.
    pub risk_area: Option<f64>,
}

/// Scores `oracle[row][tier]` and `pipeline[row][tier]` against `gold[row][tier]`.
///
/// An absent row or cell counts as [`Code::Missing`]. `training` holds the gold that the
/// majority-label baseline learns from; without it, it learns from the scored gold itself,
/// which flatters it. The baseline gives one label to every row, asked or not.
pub fn evaluate(
    codebook: &Codebook,
    gold: &[Vec<Code>],
    oracle: &[Vec<Code>],
    pipeline: &[Vec<Code>],
    training: Option<&[Vec<Code>]>,
) -> Evaluation {
    let of_tier = |(t, tier): (usize, &Tier)| {
        let gold_cells: Vec<&Code> = (0..gold.len()).map(|row| cell(gold, row, t)).collect();
        let learnt_from = training.unwrap_or(gold);
        let cells = (0..learnt_from.len()).map(|row| cell(learnt_from, row, t));
        let majority = baseline::majority_label(tier, cells);
        let constant = majority.map(|label| Code::Coded(LabelSet::one(label)));
        let view = |predicted: &[Vec<Code>], with_not_asked: bool| {
            let scored = gold_cells.iter().enumerate().filter(|(_, code)| {
                code.is_coded() || (with_not_asked && ***code == Code::NotAsked)
            });
            let (rows, gold): (Vec<usize>, Vec<&Code>) = scored.map(|(row, c)| (row, *c)).unzip();
            let given = rows.iter().map(|row| cell(predicted, *row, t));
            let mut view = score(tier, &gold.iter().copied().zip(given).collect::<Vec<_>>());
            view.baseline_macro_f1 = constant.as_ref().and_then(|code| {
                score(tier, &gold.iter().map(|gold| (*gold, code)).collect::<Vec<_>>()).macro_f1
            });
            view
        };
        let count = |test: &dyn Fn(&Code) -> bool| gold_cells.iter().filter(|c| test(c)).count();
        let evaluation = TierEvaluation {
            kind: match tier.kind {
                TierKind::Single => "single",
                TierKind::Multi => "multi",
            },
            coded: count(&Code::is_coded),
            not_asked: count(&|code| *code == Code::NotAsked),
            missing: count(&|code| *code == Code::Missing),
            majority_label: majority.map(|label| tier.labels[label].name.clone()),
            oracle: view(oracle, false),
            pipeline: view(pipeline, true),
            calibration: None,
            sets: Vec::new(),
            intervals: None,
        };
        (tier.name.clone(), evaluation)
    };
    Evaluation {
        rows: gold.len(),
        tiers: codebook.tiers.iter().enumerate().map(of_tier).collect(),
        hierarchical: hierarchical::score(codebook, gold, pipeline),
        review: None,
        bundle: None,
        codebook: None,
    }
}

/// Scores pairs of gold (coded or not asked) and predicted codes of one tier.
pub fn score(tier: &Tier, pairs: &[(&Code, &Code)]) -> View {
    match tier.kind {
        TierKind::Single => single::score(tier, pairs),
        TierKind::Multi => multi::score(tier, pairs),
    }
}

fn cell(rows: &[Vec<Code>], row: usize, tier: usize) -> &Code {
    rows.get(row).and_then(|codes| codes.get(tier)).unwrap_or(&Code::Missing)
}
