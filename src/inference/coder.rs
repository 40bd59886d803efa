//! Texts to decisions: equal texts once, sorted by length, batches in parallel.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::bundle::Bundle;
use crate::encoder::{PackedBatch, TokenizedText, pack};
use crate::error::{Error, Result};
use crate::heads::joint::{Decision, Joint};

/// Tokens that a batch holds at most.
const BATCH_TOKENS: usize = 2048;

/// Texts that a batch holds at most.
const BATCH_TEXTS: usize = 256;

/// What is said of one text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Coded {
    /// Answers and probabilities.
    pub decision: Decision,
    /// P(label | asked) as the heads give it, `[tier][label]`.
    pub asked: Vec<Vec<f64>>,
    /// Whether the text was longer than the encoder takes.
    pub truncated: bool,
}

/// The texts of one window, coded.
pub(super) struct CodedTexts {
    /// One entry a distinct text.
    distinct: Vec<Coded>,
    /// Which of them each text is.
    place: Vec<usize>,
}

impl CodedTexts {
    /// What is said of the text at this position.
    pub fn get(&self, text: usize) -> &Coded {
        &self.distinct[self.place[text]]
    }

    /// Texts that equal an earlier one.
    pub fn duplicates(&self) -> usize {
        self.place.len() - self.distinct.len()
    }
}

/// A bundle prepared for coding.
pub(super) struct Coder<'a> {
    bundle: &'a Bundle,
    joint: Joint,
    thresholds: Vec<Vec<f64>>,
}

impl<'a> Coder<'a> {
    pub fn new(bundle: &'a Bundle) -> Self {
        let joint = Joint::new(bundle.codebook());
        Self { bundle, joint, thresholds: bundle.decisions().thresholds() }
    }

    /// Codes texts; the batches depend on the texts alone, not on the number of threads.
    ///
    /// # Errors
    /// If the model cannot be computed, or as interrupted once `stop` is set.
    pub fn code(&self, texts: &[&str], stop: &AtomicBool) -> Result<CodedTexts> {
        let (distinct, place) = distinct(texts);
        let tokens = self.bundle.tokens().tokenize_all(&distinct)?;
        let (order, batches) = batches(&tokens);
        let batch = |range: &std::ops::Range<usize>| -> Result<Vec<Coded>> {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::interrupted("stopped"));
            }
            let texts = || order[range.clone()].iter().map(|&text| &tokens[text]);
            let logits = self.bundle.logits(&PackedBatch::new(texts()))?;
            Ok(logits.iter().zip(texts()).map(|(l, t)| self.decide(l, t.truncated)).collect())
        };
        let done: Result<Vec<Vec<Coded>>> = batches.par_iter().with_max_len(1).map(batch).collect();
        let mut coded: Vec<(usize, Coded)> =
            order.iter().copied().zip(done?.into_iter().flatten()).collect();
        coded.sort_unstable_by_key(|(text, _)| *text);
        Ok(CodedTexts { distinct: coded.into_iter().map(|(_, coded)| coded).collect(), place })
    }

    fn decide(&self, logits: &[Vec<f64>], truncated: bool) -> Coded {
        let asked = self.bundle.decisions().probabilities(self.bundle.codebook(), logits);
        Coded { decision: self.joint.decide(&asked, &self.thresholds), asked, truncated }
    }
}

/// The distinct texts in order of first appearance, and which of them each text is.
fn distinct<'t>(texts: &[&'t str]) -> (Vec<&'t str>, Vec<usize>) {
    let mut known: HashMap<&str, usize> = HashMap::with_capacity(texts.len());
    let mut distinct = Vec::new();
    let place = texts
        .iter()
        .map(|&text| {
            *known.entry(text).or_insert_with(|| {
                distinct.push(text);
                distinct.len() - 1
            })
        })
        .collect();
    (distinct, place)
}

/// The texts in order of length, and the ranges of that order that form the batches.
fn batches(tokens: &[TokenizedText]) -> (Vec<usize>, Vec<std::ops::Range<usize>>) {
    let mut order: Vec<usize> = (0..tokens.len()).collect();
    order.sort_by_key(|&text| tokens[text].ids.len());
    let lengths: Vec<usize> = order.iter().map(|&text| tokens[text].ids.len()).collect();
    let batches = pack(&lengths, BATCH_TOKENS, BATCH_TEXTS);
    (order, batches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one() {
        let (texts, place) = distinct(&["a", "b", "a", "c", "b"]);
        assert_eq!(texts, ["a", "b", "c"]);
        assert_eq!(place, [0, 1, 0, 2, 1]);
    }

    #[test]
    fn batches_hold_texts_of_like_length() {
        let text = |n| TokenizedText { ids: vec![0; n], truncated: false };
        let (order, ranges) = batches(&[text(1500), text(3), text(1000), text(4), text(3)]);
        assert_eq!(order, [1, 4, 3, 2, 0]);
        assert_eq!(ranges, [0..4, 4..5]);
    }
}
