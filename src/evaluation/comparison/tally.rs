//! The scores of two coders against gold as one function of how many rows have each combination
//! of the three codes.

use crate::codebook::{Tier, TierKind};
use crate::corpus::{Answer, Codings};
use crate::evaluation::confusion::Counts;
use crate::evaluation::contribution::{Contribution, Scores, Sum};

/// All combinations of gold, one coder and the other, in one tier.
pub struct Tally {
    labels: usize,
    parts: Vec<[Contribution; 2]>,
    /// Whether the gold asks the tier.
    asked: Vec<bool>,
}

impl Tally {
    /// `patterns[pattern]` is gold, one coder, the other.
    pub fn new(tier: &Tier, place: usize, codings: &Codings, patterns: &[Vec<Answer>]) -> Self {
        let labels = tier.labels.len();
        let set = |answer: Answer| -> Vec<usize> {
            (0..labels).filter(|&label| codings.holds(place, answer, label)).collect()
        };
        let part = |gold: Answer, own: Answer| {
            let (of_gold, of_own) = (set(gold), set(own));
            let right = match tier.kind {
                TierKind::Single => gold == own,
                TierKind::Multi => of_gold == of_own,
            };
            Contribution::new(&of_gold, &of_own, right)
        };
        Self {
            labels,
            parts: patterns.iter().map(|p| [part(p[0], p[1]), part(p[0], p[2])]).collect(),
            asked: patterns.iter().map(|p| p[0].set().is_some()).collect(),
        }
    }

    /// About how many steps one evaluation takes.
    pub fn steps(&self) -> u64 {
        (8 * self.parts.len() + 8 * self.labels) as u64
    }

    /// The scores of both coders over all rows, or over those that the gold asks. Of each
    /// combination `counts` rows stand as they are, less those `changed`, in which the coders
    /// change places.
    pub fn scores(&self, counts: &[f64], changed: Option<&[f64]>, asked: bool) -> [Scores; 2] {
        [0, 1].map(|side| {
            let mut sum = Sum::zero(self.labels);
            for (pattern, parts) in self.parts.iter().enumerate() {
                if (asked && !self.asked[pattern]) || counts[pattern] == 0.0 {
                    continue;
                }
                let changed = changed.map_or(0.0, |changed| changed[pattern]);
                sum.add(&parts[side], counts[pattern] - changed);
                sum.add(&parts[1 - side], changed);
            }
            sum.scores()
        })
    }

    /// The whole counts of both coders: of every label, and right rows.
    pub fn counts(&self, counts: &[f64], asked: bool) -> [(Vec<Counts>, u64); 2] {
        [0, 1].map(|side| {
            let mut labels = vec![Counts::default(); self.labels];
            let mut right = 0;
            for (pattern, parts) in self.parts.iter().enumerate() {
                if asked && !self.asked[pattern] {
                    continue;
                }
                let (part, count) = (&parts[side], counts[pattern] as u64);
                right += if part.is_right { count } else { 0 };
                part.both.iter().for_each(|&l| labels[l].true_positives += count);
                part.own.iter().for_each(|&l| labels[l].false_positives += count);
                part.gold.iter().for_each(|&l| labels[l].false_negatives += count);
            }
            (labels, right)
        })
    }

    /// Rows that only one of the coders has right.
    pub fn discordant(&self, counts: &[f64], asked: bool) -> [u64; 2] {
        let mut only = [0; 2];
        for (pattern, [a, b]) in self.parts.iter().enumerate() {
            if (!asked || self.asked[pattern]) && a.is_right != b.is_right {
                only[usize::from(b.is_right)] += counts[pattern] as u64;
            }
        }
        only
    }

    /// Rows over which the scores are.
    pub fn rows(&self, counts: &[f64], asked: bool) -> u64 {
        let own = counts.iter().zip(&self.asked).filter(|(_, own)| !asked || **own);
        own.map(|(count, _)| *count as u64).sum()
    }
}
