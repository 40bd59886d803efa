//! The rows of a training: tokens and codes, never the text itself.

use std::sync::Arc;

use super::Recipe;
use crate::codebook::{Code, Codebook};
use crate::encoder::{PackedBatch, TokenizedText};
use crate::heads::LabelWeights;
use crate::heads::lexical::NGrams;
use crate::heads::soft::SoftCode;

/// One coded text.
#[derive(Clone, Debug)]
pub struct Example {
    /// Its row in the data, the key of its random draws.
    pub row: u64,
    /// Its tokens.
    pub text: TokenizedText,
    /// Its hashed n-grams.
    pub ngrams: NGrams,
    /// Its gold codes, one a tier.
    pub codes: Vec<Code>,
    /// What a teacher says of a text that nobody coded, one a tier.
    pub soft: Option<Arc<[SoftCode]>>,
}

/// The rows that train and those that validate.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    /// Rows that the parameters are fitted to.
    pub train: Vec<Example>,
    /// Rows that choose temperatures and thresholds, and the epoch where the best one is kept.
    pub validation: Vec<Example>,
    /// The token that stands for a hidden one, if the encoder knows one.
    pub mask: Option<u32>,
}

impl Recipe {
    /// How much each label weighs in the loss, after its frequency in these rows.
    pub fn label_weights(&self, codebook: &Codebook, train: &[Example]) -> LabelWeights {
        LabelWeights::new(
            codebook,
            &codes(&train.iter().collect::<Vec<_>>()),
            self.class_weighting,
            self.positive_weighting,
            self.weight_limit,
        )
    }
}

/// The codes of these examples.
pub(super) fn codes<'a>(examples: &[&'a Example]) -> Vec<&'a [Code]> {
    examples.iter().map(|e| e.codes.as_slice()).collect()
}

/// What a teacher says of these examples.
pub(super) fn soft_codes<'a>(examples: &[&'a Example]) -> Vec<Option<&'a [SoftCode]>> {
    examples.iter().map(|e| e.soft.as_deref()).collect()
}

/// Packs the examples in their order.
pub(super) fn packed(examples: &[&Example]) -> PackedBatch {
    PackedBatch::new(examples.iter().map(|e| &e.text))
}

/// Cuts a batch into `shards` consecutive parts of nearly equal token counts; a part may be
/// empty. It depends on the texts' lengths alone.
pub(super) fn shards<'a>(batch: &[&'a Example], shards: usize) -> Vec<Vec<&'a Example>> {
    let total: usize = batch.iter().map(|e| e.text.ids.len()).sum();
    let mut parts = vec![Vec::new(); shards];
    let mut before = 0;
    for example in batch {
        let middle = before + example.text.ids.len() / 2;
        parts[(middle * shards / total.max(1)).min(shards - 1)].push(*example);
        before += example.text.ids.len();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(row: u64, tokens: usize) -> Example {
        let text = TokenizedText::whole(vec![1; tokens]);
        Example { row, text, ngrams: NGrams::default(), codes: Vec::new(), soft: None }
    }

    #[test]
    fn shards_hold_every_row_once_in_order() {
        let examples: Vec<Example> =
            (0..9).map(|i| example(i, 3 + (i as usize * 7) % 20)).collect();
        let batch: Vec<&Example> = examples.iter().collect();
        for n in [1, 2, 4, 20] {
            let parts = shards(&batch, n);
            assert_eq!(parts.len(), n);
            let rows: Vec<u64> = parts.iter().flatten().map(|e| e.row).collect();
            assert_eq!(rows, (0..9).collect::<Vec<_>>());
        }
    }
}
