//! How right a bundle's probabilities are on rows with gold.

use super::TierCalibration;
use super::calibration::{Calibration, Judged};
use super::selective::{coverage_risk, judged, risk_area};
use crate::codebook::{Code, Codebook};
use crate::decision::{Answers, Decisions, right};
use crate::heads::joint::given_gold;

/// The figures of every tier; `logits[row][tier][label]`, and for each row its gold and what the
/// bundle answered.
pub fn reliability(
    codebook: &Codebook,
    decisions: &Decisions,
    logits: &[Vec<Vec<f64>>],
    gold: &[&[Code]],
    answers: &[Answers],
) -> Vec<TierCalibration> {
    let stated = |decisions: &Decisions| -> Vec<Vec<Vec<f64>>> {
        logits.iter().map(|logits| decisions.probabilities(codebook, logits)).collect()
    };
    let (raw, fitted) = (stated(&Decisions::uncalibrated(codebook)), stated(decisions));
    let given = |stated: &[Vec<Vec<f64>>], tier: usize| {
        let of_row = |(stated, gold): (&Vec<Vec<f64>>, &&[Code])| {
            let labels = gold[tier].labels()?;
            let (permitted, stated) = given_gold(codebook, tier, &stated[tier], &gold[..tier])?;
            Some(Judged::labels(codebook.tiers[tier].kind, &permitted, &stated, labels))
        };
        Calibration::of(&stated.iter().zip(gold).filter_map(of_row).collect::<Vec<_>>())
    };
    let path = |tier: usize| {
        let of_row = |(answers, gold): (&Answers, &&[Code])| {
            let own = &answers.pipeline;
            let right = right(&own.codes[tier], &gold[tier]);
            let events: Vec<(f64, bool)> = own.path[tier].iter().copied().zip(right).collect();
            (!events.is_empty()).then(|| Judged::events(events))
        };
        Calibration::of(&answers.iter().zip(gold).filter_map(of_row).collect::<Vec<_>>())
    };
    (0..codebook.tiers.len())
        .map(|tier| {
            let judged = judged(tier, answers, gold);
            TierCalibration {
                before: given(&raw, tier),
                after: given(&fitted, tier),
                path: path(tier),
                selective: coverage_risk(&judged),
                risk_area: risk_area(&judged),
            }
        })
        .collect()
}
