//! Batches of tokenized texts, packed one after another without padding.

use std::sync::Arc;

use super::Segments;
use super::tokens::TokenizedText;

/// Texts of a batch as one row of token ids, and where each window of each text begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedBatch {
    /// The token ids of all texts.
    pub ids: Vec<u32>,
    /// Where each window begins, in tokens; a text that is not long is one window.
    pub segments: Arc<Segments>,
    /// Where each text begins, in windows.
    pub texts: Arc<Segments>,
    /// Whether no other batch is computed beside this one, so that threads may share its rows.
    pub alone: bool,
}

impl PackedBatch {
    /// Packs the texts in their order.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a TokenizedText>) -> Self {
        let mut ids = Vec::new();
        let (mut lengths, mut windows) = (Vec::new(), Vec::new());
        for text in texts {
            ids.extend_from_slice(&text.ids);
            lengths.extend_from_slice(&text.windows);
            windows.push(text.windows.len());
        }
        let segments = Arc::new(Segments::new(lengths));
        Self { ids, segments, texts: Arc::new(Segments::new(windows)), alone: false }
    }

    /// Whether a text has several windows.
    pub fn windowed(&self) -> bool {
        self.texts.len() != self.segments.len()
    }

    /// The position of each token within its window.
    pub fn positions(&self) -> Vec<u32> {
        self.segments.ranges().flat_map(|r| 0..r.len() as u32).collect()
    }
}

/// The positions of the texts, shortest first (of equals the earlier), cut into batches of at
/// most `budget` tokens and `most` texts.
pub fn by_length(texts: &[&TokenizedText], budget: usize, most: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&i| texts[i].ids.len());
    let lengths: Vec<usize> = order.iter().map(|&i| texts[i].ids.len()).collect();
    pack(&lengths, budget, most).into_iter().map(|range| order[range].to_vec()).collect()
}

/// Cuts a sequence of texts with these token counts into consecutive batches of at most
/// `budget` tokens and `most` texts; a longer text stands alone. Returns the ranges.
pub fn pack(lengths: &[usize], budget: usize, most: usize) -> Vec<std::ops::Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (i, &length) in lengths.iter().enumerate() {
        if i > start && (tokens + length > budget || i - start >= most) {
            batches.push(start..i);
            (start, tokens) = (i, 0);
        }
        tokens += length;
    }
    if start < lengths.len() {
        batches.push(start..lengths.len());
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_in_one_batch_within_the_budget() {
        assert_eq!(pack(&[3, 3, 3, 9, 1, 1, 1], 7, 2), [0..2, 2..3, 3..4, 4..6, 6..7]);
        assert!(pack(&[], 7, 2).is_empty());
    }

    #[test]
    fn batches_hold_texts_of_like_length() {
        let texts = [1500, 3, 1000, 4, 3].map(|n| TokenizedText::whole(vec![0; n]));
        let batches = by_length(&texts.iter().collect::<Vec<_>>(), 2048, 256);
        assert_eq!(batches, [vec![1, 4, 3, 2], vec![0]]);
    }

    #[test]
    fn positions_restart_with_each_text() {
        let text = |n| TokenizedText::whole(vec![7; n]);
        let batch = PackedBatch::new(&[text(3), text(2)]);
        assert_eq!(batch.positions(), [0, 1, 2, 0, 1]);
        assert_eq!((batch.segments.len(), batch.texts.len()), (2, 2));
        let long = TokenizedText { windows: vec![2, 1], ..text(3) };
        let batch = PackedBatch::new(&[long, text(2)]);
        assert_eq!(batch.positions(), [0, 1, 0, 0, 1]);
        assert_eq!((batch.segments.len(), batch.texts.len(), batch.windowed()), (3, 2, true));
    }
}
