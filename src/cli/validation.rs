//! Figures on the validation rows: what the best epoch is chosen by, and what the manifest states.

use super::training_rows::Rows;
use crate::bundle::TierFigures;
use crate::codebook::{Code, Codebook, TierKind};
use crate::decision::{Decisions, both_views};
use crate::error::Result;
use crate::evaluation::evaluate;
use crate::evaluation::ranking::micro_average_precision;
use crate::training::{Score, TextLogits};

/// The mean over tiers of pipeline macro-F1 (single) and micro-averaged average precision
/// (multi, over all rows whose gold is known; a tier that is not asked is the empty set).
pub(super) fn score(codebook: &Codebook, logits: &TextLogits, gold: &[&[Code]]) -> Result<Score> {
    let decisions = Decisions::uncalibrated(codebook);
    let answers = both_views(codebook, &decisions, logits, gold);
    let tiers: Vec<Option<f64>> = codebook
        .tiers
        .iter()
        .enumerate()
        .map(|(t, tier)| {
            let known = || gold.iter().zip(&answers).filter(|(codes, _)| codes[t] != Code::Missing);
            match tier.kind {
                TierKind::Single => {
                    let pairs: Vec<(&Code, &Code)> =
                        known().map(|(g, a)| (&g[t], &a.pipeline.codes[t])).collect();
                    crate::evaluation::score(tier, &pairs).macro_f1
                }
                TierKind::Multi => {
                    let scores: Vec<Vec<f64>> =
                        known().map(|(_, a)| a.pipeline.marginal[t].clone()).collect();
                    let relevant: Vec<Vec<bool>> = known()
                        .map(|(g, _)| {
                            (0..tier.labels.len())
                                .map(|l| g[t].labels().is_some_and(|s| s.contains(l)))
                                .collect()
                        })
                        .collect();
                    micro_average_precision(&scores, &relevant)
                }
            }
        })
        .collect();
    let scored: Vec<f64> = tiers.iter().flatten().copied().collect();
    let mean = scored.iter().sum::<f64>() / scored.len().max(1) as f64;
    Ok(Score { mean, tiers })
}

/// Macro-F1 of every tier in both views.
pub(super) fn figures(
    codebook: &Codebook,
    decisions: &Decisions,
    logits: &TextLogits,
    gold: &[&[Code]],
    rows: &Rows,
) -> Vec<TierFigures> {
    let answers = both_views(codebook, decisions, logits, gold);
    let gold: Vec<Vec<Code>> = gold.iter().map(|g| g.to_vec()).collect();
    let oracle: Vec<Vec<Code>> = answers.iter().map(|a| a.oracle.clone()).collect();
    let pipeline: Vec<Vec<Code>> = answers.iter().map(|a| a.pipeline.codes.clone()).collect();
    let training: Vec<Vec<Code>> = rows.train.iter().map(|r| r.codes.clone()).collect();
    evaluate(codebook, &gold, &oracle, &pipeline, Some(&training))
        .tiers
        .iter()
        .map(|(tier, evaluation)| TierFigures {
            tier: tier.to_owned(),
            n: evaluation.coded,
            oracle_macro_f1: evaluation.oracle.macro_f1,
            pipeline_macro_f1: evaluation.pipeline.macro_f1,
        })
        .collect()
}
