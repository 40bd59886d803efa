//! Temperatures and thresholds from the validation rows.

use super::temperature::Goal;
use super::{Decisions, TierDecision, fit_thresholds, sigmoid};
use crate::codebook::{Code, Codebook, LabelSet, TierKind};

/// Fits every tier's temperature, and every multi tier's thresholds, on the rows where it is
/// coded; `logits[text][tier][label]`. A tier that no row codes stays as it is.
pub fn fit(codebook: &Codebook, logits: &[Vec<Vec<f64>>], gold: &[&[Code]]) -> Decisions {
    let mut decisions = Decisions::uncalibrated(codebook);
    for (tier, decision) in decisions.tiers.iter_mut().enumerate() {
        let (own, sets) = coded(codebook, tier, logits, gold);
        if sets.is_empty() {
            continue;
        }
        fit_tier(codebook.tiers[tier].kind, decision, &own, &sets);
    }
    decisions
}

/// The logits of the rows that code this tier, unpermitted labels at minus infinity, and what
/// they are coded as.
pub(super) fn coded(
    codebook: &Codebook,
    tier: usize,
    logits: &[Vec<Vec<f64>>],
    gold: &[&[Code]],
) -> (Vec<Vec<f64>>, Vec<LabelSet>) {
    let rows = logits.iter().zip(gold).filter_map(|(logits, codes)| {
        let set = codes[tier].labels()?.clone();
        let permitted = codebook.permitted(tier, codes);
        let own = logits[tier].iter().zip(permitted);
        Some((own.map(|(l, p)| if p { *l } else { f64::NEG_INFINITY }).collect(), set))
    });
    rows.unzip()
}

fn fit_tier(kind: TierKind, decision: &mut TierDecision, own: &[Vec<f64>], sets: &[LabelSet]) {
    decision.temperature = Goal::new(kind, sets).temperature(own);
    if kind == TierKind::Multi {
        let of_row =
            |row: &Vec<f64>| row.iter().map(|l| sigmoid(*l, decision.temperature)).collect();
        let probabilities: Vec<Vec<f64>> = own.iter().map(of_row).collect();
        let labels = own.first().map_or(0, Vec::len);
        decision.thresholds = Some(fit_thresholds(&probabilities, sets, labels));
    }
}
