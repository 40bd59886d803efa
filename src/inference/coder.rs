//! Texts to decisions, equal texts once.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::bundle::{Bundle, ReadText};
use crate::error::Result;
use crate::heads::joint::{Decision, Joint};

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

    /// Codes texts.
    ///
    /// # Errors
    /// If the model cannot be computed, or as interrupted once `stop` is set.
    pub fn code(&self, texts: &[&str], stop: &AtomicBool) -> Result<CodedTexts> {
        let (distinct, place) = distinct(texts);
        let read = self.bundle.read(&distinct)?;
        let logits = self.bundle.logits(&read, stop)?;
        let decide =
            |(logits, text): (&Vec<Vec<f64>>, &ReadText)| self.decide(logits, text.truncated());
        Ok(CodedTexts { distinct: logits.par_iter().zip(&read).map(decide).collect(), place })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one() {
        let (texts, place) = distinct(&["a", "b", "a", "c", "b"]);
        assert_eq!(texts, ["a", "b", "c"]);
        assert_eq!(place, [0, 1, 0, 2, 1]);
    }
}
