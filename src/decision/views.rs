//! Answers for rows whose gold is known: in the oracle view and in the pipeline view.

use super::Decisions;
use crate::codebook::{Code, Codebook};
use crate::heads::joint::{Decision, Joint, decide_given};

/// What a model answers for one row.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Each tier given the gold answers above it.
    pub oracle: Vec<Code>,
    /// All tiers as the model is used.
    pub pipeline: Decision,
}

/// Decides rows from their logits, `[text][tier][label]`, in both views.
pub fn both_views(
    codebook: &Codebook,
    decisions: &Decisions,
    logits: &[Vec<Vec<f64>>],
    gold: &[&[Code]],
) -> Vec<Answers> {
    let joint = Joint::new(codebook);
    let thresholds = decisions.thresholds();
    logits
        .iter()
        .zip(gold)
        .map(|(logits, gold)| {
            let probabilities = decisions.probabilities(codebook, logits);
            let oracle = (0..codebook.tiers.len())
                .map(|tier| {
                    let (p, t) = (&probabilities[tier], &thresholds[tier]);
                    decide_given(codebook, tier, p, t, &gold[..tier])
                })
                .collect();
            let mut pipeline = joint.decide(&probabilities, &thresholds);
            pipeline.path = decisions.paths(&pipeline.path);
            Answers { oracle, pipeline }
        })
        .collect()
}
