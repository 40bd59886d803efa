//! Texts to decisions, equal texts once.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::bundle::Bundle;
use crate::codebook::Code;
use crate::crisis::{Screen, Verdict};
use crate::error::Result;
use crate::heads::joint::{Decision, Joint};

/// What is said of one text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Coded {
    /// Answers and probabilities.
    pub decision: Decision,
    /// P(label | asked) as the heads give it, `[tier][label]`.
    pub asked: Vec<Vec<f64>>,
    /// The codes that each bundle gives by itself, `[bundle][tier]`; empty where they are not asked for.
    pub of_bundles: Vec<Vec<Code>>,
    /// Whether the text was longer than the encoder takes.
    pub truncated: bool,
    /// What the screen for crises says, if there is one.
    pub verdict: Option<Verdict>,
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

/// Bundles prepared for coding: one, or several whose probabilities are averaged.
pub(super) struct Coder<'a> {
    bundles: &'a [Bundle],
    joint: Joint,
    /// The mean of the bundles' own, `[tier][label]`.
    thresholds: Vec<Vec<f64>>,
    /// The bundles' own, where each is to say its codes by itself.
    own_thresholds: Vec<Vec<Vec<f64>>>,
    screen: Option<&'a Screen>,
}

impl<'a> Coder<'a> {
    /// # Panics
    /// Without a bundle.
    pub fn new(bundles: &'a [Bundle], each: bool, screen: Option<&'a Screen>) -> Self {
        let joint = Joint::new(bundles[0].codebook());
        let own = || bundles.iter().map(|bundle| bundle.decisions().thresholds());
        let thresholds = mean(own());
        let own_thresholds = if each { own().collect() } else { Vec::new() };
        Self { bundles, joint, thresholds, own_thresholds, screen }
    }

    /// Whether texts are screened for crises.
    pub fn screens(&self) -> bool {
        self.screen.is_some()
    }

    /// Codes texts.
    ///
    /// # Errors
    /// If the model cannot be computed, or as interrupted once `stop` is set.
    pub fn code(&self, texts: &[&str], stop: &AtomicBool) -> Result<CodedTexts> {
        let (distinct, place) = distinct(texts);
        let of_bundle = |bundle: &'a Bundle| {
            let read = bundle.read(&distinct)?;
            let logits = bundle.logits(&read, stop)?;
            Ok((bundle, read, logits))
        };
        let all = self.bundles.iter().map(of_bundle).collect::<Result<Vec<_>>>()?;
        let verdicts = self.screen.map(|screen| screen.screen(&distinct, stop)).transpose()?;
        let decide = |text: usize| {
            let own: Vec<Vec<Vec<f64>>> = all
                .iter()
                .map(|(bundle, _, logits)| {
                    bundle.decisions().probabilities(bundle.codebook(), &logits[text])
                })
                .collect();
            let asked = mean(own.iter().cloned());
            let mut decision = self.joint.decide(&asked, &self.thresholds);
            if own.len() > 1 {
                // Corrected shares rest on the mean of the models' own, not on that of their parts.
                decision.marginal = mean(own.iter().map(|own| self.joint.marginal(own)));
            }
            let of_bundles = (own.iter().zip(&self.own_thresholds))
                .map(|(own, thresholds)| self.joint.decide(own, thresholds).codes)
                .collect();
            let paths = self.bundles.iter().map(|bundle| bundle.decisions().paths(&decision.path));
            decision.path = mean(paths);
            let truncated = all.iter().any(|(_, read, _)| read[text].truncated());
            let verdict = verdicts.as_ref().map(|verdicts| verdicts[text]);
            Coded { decision, asked, of_bundles, truncated, verdict }
        };
        let distinct = (0..distinct.len()).into_par_iter().map(decide).collect();
        Ok(CodedTexts { distinct, place })
    }
}

/// The mean of tables of the same shape; of one, itself.
fn mean(mut tables: impl Iterator<Item = Vec<Vec<f64>>>) -> Vec<Vec<f64>> {
    let Some(mut sum) = tables.next() else { return Vec::new() };
    let mut count = 1.0;
    for table in tables {
        let all = sum.iter_mut().flatten().zip(table.into_iter().flatten());
        all.for_each(|(sum, value)| *sum += value);
        count += 1.0;
    }
    if count > 1.0 {
        sum.iter_mut().flatten().for_each(|sum| *sum /= count);
    }
    sum
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
    fn means_are_taken_value_by_value() {
        let tables = [vec![vec![0.2, 0.4], vec![1.0]], vec![vec![0.4, 0.0], vec![0.5]]];
        let found = mean(tables.iter().cloned());
        let expected = [vec![0.3, 0.2], vec![0.75]];
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert_eq!(mean(tables.into_iter().take(1))[0], [0.2, 0.4]);
    }

    #[test]
    fn equal_texts_are_one() {
        let (texts, place) = distinct(&["a", "b", "a", "c", "b"]);
        assert_eq!(texts, ["a", "b", "c"]);
        assert_eq!(place, [0, 1, 0, 2, 1]);
    }
}
