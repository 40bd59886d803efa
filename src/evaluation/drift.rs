//! How two corpora differ: shares of labels with tests, and what can be seen of their texts.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal};
use unicode_segmentation::UnicodeSegmentation;

/// The quantile of 95 % intervals, and of the two one-sided tests of equivalence at 5 %.
const TWO_SIDED: f64 = 1.959_963_984_540_054;
const ONE_SIDED: f64 = 1.644_853_626_951_472_7;

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
    /// Whether the 90 % interval lies within the margin, if one is given (two one-sided tests;
    /// Schuirmann 1987).
    pub equivalent: Option<bool>,
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
    let p = 2.0 * Normal::standard().cdf(-(value / error).abs());
    let within = |margin: f64| value.abs() + ONE_SIDED * error < margin;
    Some(ShareDifference {
        value,
        lower: value - TWO_SIDED * error,
        upper: value + TWO_SIDED * error,
        p,
        equivalent: margin.map(within),
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

/// Rows of one group, and those of them that carry a label.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GroupCounts {
    /// Rows.
    pub rows: f64,
    /// Rows with the label.
    pub carry: f64,
}

/// A difference of shares, split by groups.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MixSplit {
    /// What comes of other shares within groups that both corpora have.
    pub within: f64,
    /// What comes of other parts of the groups, those that only one corpus has included.
    pub mix: f64,
    /// The second corpus's share with the shared groups' parts as the first has them.
    pub second_as_first: Option<f64>,
    /// The first corpus's share with the parts as the second has them.
    pub first_as_second: Option<f64>,
}

/// Splits the difference of two shares into that within shared groups and that of their mix
/// (Kitagawa 1955), and gives both shares with the other's mix (direct standardisation over shared
/// groups). `groups` holds each group's counts in both corpora; undefined where one has no rows.
pub fn mix_split(groups: &[[GroupCounts; 2]]) -> Option<MixSplit> {
    let total = |which: usize| groups.iter().map(|own| own[which].rows).sum::<f64>();
    let (n, m) = (total(0), total(1));
    if n <= 0.0 || m <= 0.0 {
        return None;
    }
    let (mut within, mut mix) = (0.0, 0.0);
    // Shares by the other's parts, and the sum of these parts.
    let mut crossed = [(0.0, 0.0); 2];
    for [first, second] in groups {
        let (part_a, part_b) = (first.rows / n, second.rows / m);
        if first.rows <= 0.0 || second.rows <= 0.0 {
            mix += second.carry / m - first.carry / n;
            continue;
        }
        let (a, b) = (first.carry / first.rows, second.carry / second.rows);
        within += 0.5 * (part_a + part_b) * (b - a);
        mix += 0.5 * (a + b) * (part_b - part_a);
        crossed[0] = (crossed[0].0 + part_a * b, crossed[0].1 + part_a);
        crossed[1] = (crossed[1].0 + part_b * a, crossed[1].1 + part_b);
    }
    let share = |(sum, parts): (f64, f64)| (parts > 0.0).then(|| sum / parts);
    Some(MixSplit {
        within,
        mix,
        second_as_first: share(crossed[0]),
        first_as_second: share(crossed[1]),
    })
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
        assert_eq!(found.equivalent, Some(true));
        let wide = difference((0.30, 0.03), (0.40, 0.04), Some(0.18)).unwrap();
        assert_eq!(wide.equivalent, Some(false));
        assert_eq!(difference((0.3, 0.0), (0.3, 0.0), None), None);
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
    fn differences_are_split_by_groups() {
        let counts = |rows: f64, carry: f64| GroupCounts { rows, carry };
        // Shares within both groups stay 0.2 and 0.8, their parts change from 1:1 to 1:3.
        let mix =
            [[counts(50.0, 10.0), counts(25.0, 5.0)], [counts(50.0, 40.0), counts(75.0, 60.0)]];
        let found = mix_split(&mix).unwrap();
        assert!(found.within.abs() < 1e-12 && (found.mix - 0.15).abs() < 1e-12, "{found:?}");
        assert!((found.second_as_first.unwrap() - 0.5).abs() < 1e-12);
        assert!((found.first_as_second.unwrap() - 0.65).abs() < 1e-12);
        // A group that only one corpus has is a matter of the mix.
        let strange =
            [[counts(10.0, 5.0), counts(0.0, 0.0)], [counts(0.0, 0.0), counts(10.0, 1.0)]];
        let found = mix_split(&strange).unwrap();
        assert!((found.mix + 0.4).abs() < 1e-12 && found.second_as_first.is_none());
        assert_eq!(mix_split(&[]), None);
    }

    #[test]
    fn words_are_told_apart_whatever_their_case() {
        let mut texts = Texts::default();
        texts.add("It helped, it did.");
        texts.add("no");
        texts.add("three words here");
        assert_eq!(texts.median_words(), Some(3));
        assert_eq!(texts.strange_words("IT helped nobody"), (1, 3));
    }
}
