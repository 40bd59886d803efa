//! Scores of a tier that takes any set of labels.

use super::confusion::{Counts, ratio};
use super::view::{SetScores, View};
use crate::codebook::{Code, LabelSet, Tier};

/// Scores (gold, predicted) pairs whose gold is coded or not asked; a closed gate is the empty
/// set. A prediction that is missing states no label, and its set is never right.
pub fn score(tier: &Tier, pairs: &[(&Code, &Code)]) -> View {
    let none = LabelSet::default();
    let mut counts = vec![Counts::default(); tier.labels.len()];
    let (mut right, mut unanswered, mut jaccards) = (0, 0, 0.0);
    for (gold, predicted) in pairs {
        let answered = **predicted != Code::Missing;
        let (gold, predicted) =
            (gold.labels().unwrap_or(&none), predicted.labels().unwrap_or(&none));
        for (label, counts) in counts.iter_mut().enumerate() {
            counts.add(gold.contains(label), predicted.contains(label));
        }
        unanswered += usize::from(!answered);
        right += u64::from(answered && gold == predicted);
        if answered {
            jaccards += jaccard(gold, predicted);
        }
    }
    let n = pairs.len();
    let mut view = View::from_counts(tier, n, right, &counts);
    view.unanswered = unanswered;
    view.sets = Some(SetScores {
        subset_accuracy: ratio(right, n as u64),
        jaccard: (n > 0).then(|| jaccards / n as f64),
    });
    view
}

/// |a ∩ b| / |a ∪ b|, 1 where both are empty.
fn jaccard(a: &LabelSet, b: &LabelSet) -> f64 {
    let shared = a.iter().filter(|label| b.contains(*label)).count();
    let either = a.len() + b.len() - shared;
    if either == 0 { 1.0 } else { shared as f64 / either as f64 }
}
