//! What an answer that looks at no text would score.

use crate::codebook::{Code, LabelSet, Tier};

/// The label that most coded cells of a tier hold, the earlier of equals; none if no cell
/// holds any.
pub fn majority_label<'a>(tier: &Tier, codes: impl Iterator<Item = &'a Code>) -> Option<usize> {
    let mut counts = vec![0u64; tier.labels.len()];
    for label in codes.filter_map(Code::labels).flat_map(LabelSet::iter) {
        if let Some(count) = counts.get_mut(label) {
            *count += 1;
        }
    }
    let most = counts.iter().copied().max().filter(|most| *most > 0)?;
    counts.iter().position(|count| *count == most)
}
