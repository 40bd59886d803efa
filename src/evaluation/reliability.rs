//! How right a bundle's probabilities are on rows with gold.

use super::TierCalibration;
use super::calibration::{Calibration, Judged};
use super::selective::coverage_risk;
use crate::codebook::{Code, Codebook, TierKind};
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
    let raw = Decisions::uncalibrated(codebook);
    let given = |decisions: &Decisions, tier: usize| {
        let kind = codebook.tiers[tier].kind;
        let of_row = |(logits, gold): (&Vec<Vec<f64>>, &&[Code])| {
            let labels = gold[tier].labels()?;
            let stated = &decisions.probabilities(codebook, logits)[tier];
            let (permitted, stated) = given_gold(codebook, tier, stated, &gold[..tier])?;
            // A label that cannot be given is no event.
            match kind {
                TierKind::Single => Some(Judged::labels(kind, &stated, labels)),
                TierKind::Multi => {
                    let labels = (0..stated.len()).filter(|label| permitted[*label]);
                    let events = labels.map(|label| (stated[label], gold_has(gold, tier, label)));
                    Some(Judged::events(events.collect()))
                }
            }
        };
        Calibration::of(&logits.iter().zip(gold).filter_map(of_row).collect::<Vec<_>>())
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
        .map(|tier| TierCalibration {
            before: given(&raw, tier),
            after: given(decisions, tier),
            path: path(tier),
            selective: coverage_risk(tier, answers, gold),
        })
        .collect()
}

fn gold_has(gold: &[Code], tier: usize, label: usize) -> bool {
    gold[tier].labels().is_some_and(|labels| labels.contains(label))
}
