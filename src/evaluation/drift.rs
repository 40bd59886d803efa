//! How two corpora differ: shares of labels with tests, and what can be seen of their texts.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal};
use unicode_segmentation::UnicodeSegmentation;

use super::quantile::NORMAL;

/// What p must be below.
const LEVEL: f64 = 0.05;

/// What two shares allow to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// They differ, after correction over all labels.
    Different,
    /// They differ by less than the margin that was given beforehand.
    Stable,
    /// Neither is shown.
    NoDifferenceShown,
    /// Without gold of both corpora nothing can be tested.
    NotTested,
}

impl Verdict {
    /// From p of no difference and p of one as large as the margin, both after correction over all
    /// labels.
    pub fn of(p: f64, p_equivalence: Option<f64>) -> Self {
        match p_equivalence {
            Some(equivalent) if equivalent < LEVEL => Self::Stable,
            _ if p < LEVEL => Self::Different,
            _ => Self::NoDifferenceShown,
        }
    }

    /// As a reader would say it.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Different => "different",
            Verdict::Stable => "stable",
            Verdict::NoDifferenceShown => "no difference shown",
            Verdict::NotTested => "not tested",
        }
    }
}

/// The difference of a share in the second corpus from that in the first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ShareDifference {
    /// The difference.
    pub value: f64,
    /// Lower end of its 95 % interval.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// Two-sided p that there is none.
    pub p: f64,
    /// p that the difference is as large as the margin or larger, if one is given: the larger one of
    /// two one-sided tests (Schuirmann 1987).
    pub p_equivalence: Option<f64>,
}

/// The difference of two shares of independent samples, each with its standard error; undefined
/// where neither has one.
pub fn difference(
    first: (f64, f64),
    second: (f64, f64),
    margin: Option<f64>,
) -> Option<ShareDifference> {
    let value = second.0 - first.0;
    let error = (first.1 * first.1 + second.1 * second.1).sqrt();
    if !(error > 0.0 && error.is_finite()) {
        return None;
    }
    let below = |z: f64| Normal::standard().cdf(z);
    Some(ShareDifference {
        value,
        lower: value - NORMAL * error,
        upper: value + NORMAL * error,
        p: 2.0 * below(-(value / error).abs()),
        p_equivalence: margin.map(|margin| below((value.abs() - margin) / error)),
    })
}

/// The population stability index of two distributions over the same answers (Siddiqi 2006); an
/// answer that one of them lacks counts as half a row.
pub fn stability_index(first: &[f64], second: &[f64]) -> Option<f64> {
    let (n, m) = (first.iter().sum::<f64>(), second.iter().sum::<f64>());
    if n <= 0.0 || m <= 0.0 {
        return None;
    }
    let terms = first.iter().zip(second).filter(|(a, b)| **a + **b > 0.0).map(|(a, b)| {
        let (a, b) = (a.max(0.5) / n, b.max(0.5) / m);
        (b - a) * (b / a).ln()
    });
    Some(terms.sum())
}

/// What can be seen of a corpus's texts.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    lengths: Vec<u32>,
    words: HashSet<u64>,
}

impl Texts {
    /// Adds a text.
    pub fn add(&mut self, text: &str) {
        let mut length = 0;
        for word in words(text) {
            self.words.insert(word);
            length += 1;
        }
        self.lengths.push(length);
    }

    /// Words of the middle text.
    pub fn median_words(&self) -> Option<u32> {
        let mut sorted = self.lengths.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// Words of a text, on average.
    pub fn mean_words(&self) -> Option<f64> {
        let sum: f64 = self.lengths.iter().copied().map(f64::from).sum();
        (!self.lengths.is_empty()).then(|| sum / self.lengths.len() as f64)
    }

    /// The share of a text's words that no text here has, with how many words it has.
    pub fn strange_words(&self, text: &str) -> (usize, usize) {
        let all: Vec<u64> = words(text).collect();
        (all.iter().filter(|word| !self.words.contains(word)).count(), all.len())
    }
}

/// The words of a text, as numbers that hardly any two words share.
fn words(text: &str) -> impl Iterator<Item = u64> + '_ {
    text.unicode_words().map(|word| {
        let mut hasher = DefaultHasher::new();
        word.to_lowercase().hash(&mut hasher);
        hasher.finish()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_those_by_hand() {
        let found = difference((0.30, 0.03), (0.40, 0.04), Some(0.2)).unwrap();
        assert!((found.value - 0.1).abs() < 1e-12);
        assert!((found.upper - (0.1 + 1.96 * 0.05)).abs() < 1e-4);
        // Two standard errors.
        assert!((found.p - 0.0455).abs() < 1e-4, "{}", found.p);
        // Two standard errors within the margin, which lies on one side only.
        assert!((found.p_equivalence.unwrap() - 0.0228).abs() < 1e-4);
        let wide = difference((0.30, 0.03), (0.40, 0.04), Some(0.05)).unwrap();
        assert!((wide.p_equivalence.unwrap() - 0.8413).abs() < 1e-4);
        assert_eq!(difference((0.3, 0.0), (0.3, 0.0), None), None);
    }

    #[test]
    fn stable_is_said_after_a_test_of_equivalence_alone() {
        assert_eq!(Verdict::of(0.9, None), Verdict::NoDifferenceShown);
        assert_eq!(Verdict::of(0.9, Some(0.06)), Verdict::NoDifferenceShown);
        assert_eq!(Verdict::of(0.01, Some(0.06)), Verdict::Different);
        // Different, but by less than what was said to matter.
        assert_eq!(Verdict::of(0.01, Some(0.04)), Verdict::Stable);
    }

    #[test]
    fn the_index_is_that_of_the_formula() {
        let found = stability_index(&[50.0, 50.0], &[60.0, 40.0]).unwrap();
        let expected = 0.1 * (0.6f64 / 0.5).ln() - 0.1 * (0.4f64 / 0.5).ln();
        assert!((found - expected).abs() < 1e-12);
        assert_eq!(stability_index(&[3.0, 7.0], &[3.0, 7.0]), Some(0.0));
        assert_eq!(stability_index(&[0.0], &[1.0]), None);
        assert!(stability_index(&[10.0, 0.0], &[5.0, 5.0]).unwrap().is_finite());
    }

    #[test]
    fn words_are_told_apart_whatever_their_case() {
        let mut texts = Texts::default();
        texts.add("It helped, it did.");
        texts.add("no");
        texts.add("three words here");
        assert_eq!((texts.median_words(), texts.mean_words()), (Some(3), Some(8.0 / 3.0)));
        assert_eq!(texts.strange_words("IT helped nobody"), (1, 3));
    }
}
