//! The scores of two coders against gold as one function of how many rows have each combination
//! of the three codes.

use crate::codebook::{Tier, TierKind};
use crate::corpus::{Answer, Codings};
use crate::evaluation::confusion::Counts;

/// What the rows of one combination add to the counts of a coder.
#[derive(Clone, Debug, Default)]
struct Part {
    /// Labels of gold and coder, of the coder alone, of the gold alone.
    both: Vec<usize>,
    own: Vec<usize>,
    gold: Vec<usize>,
    right: bool,
}

/// All combinations of gold, one coder and the other, in one tier.
pub struct Tally {
    labels: usize,
    parts: Vec<[Part; 2]>,
    /// Whether the gold asks the tier.
    asked: Vec<bool>,
}

/// The scores of one coder; [`Counts`] of real numbers, as resamples may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Mean F1 over labels with gold support.
    pub macro_f1: Option<f64>,
    /// Share of rows with the right answer.
    pub accuracy: Option<f64>,
    /// F1 of every label.
    pub f1: Vec<Option<f64>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cells {
    true_positives: f64,
    false_positives: f64,
    false_negatives: f64,
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
            let (both, gold_alone): (Vec<usize>, Vec<usize>) =
                of_gold.iter().partition(|label| of_own.contains(label));
            let own_alone = of_own.iter().copied().filter(|l| !of_gold.contains(l)).collect();
            let right = match tier.kind {
                TierKind::Single => gold == own,
                TierKind::Multi => of_gold == of_own,
            };
            Part { both, own: own_alone, gold: gold_alone, right }
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
            let mut cells = vec![Cells::default(); self.labels];
            let (mut right, mut rows) = (0.0, 0.0);
            for (pattern, parts) in self.parts.iter().enumerate() {
                if (asked && !self.asked[pattern]) || counts[pattern] == 0.0 {
                    continue;
                }
                let changed = changed.map_or(0.0, |changed| changed[pattern]);
                rows += counts[pattern];
                for (part, count) in
                    [(&parts[side], counts[pattern] - changed), (&parts[1 - side], changed)]
                {
                    if count == 0.0 {
                        continue;
                    }
                    right += if part.right { count } else { 0.0 };
                    part.both.iter().for_each(|&l| cells[l].true_positives += count);
                    part.own.iter().for_each(|&l| cells[l].false_positives += count);
                    part.gold.iter().for_each(|&l| cells[l].false_negatives += count);
                }
            }
            Scores::of(&cells, right, rows)
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
                right += if part.right { count } else { 0 };
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
            if (!asked || self.asked[pattern]) && a.right != b.right {
                only[usize::from(b.right)] += counts[pattern] as u64;
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

impl Scores {
    fn of(cells: &[Cells], right: f64, rows: f64) -> Self {
        let f1 = |c: &Cells| {
            let whole = 2.0 * c.true_positives + c.false_positives + c.false_negatives;
            (whole > 0.0).then(|| 2.0 * c.true_positives / whole)
        };
        let supported = |c: &&Cells| c.true_positives + c.false_negatives > 0.0;
        let scored: Vec<f64> = cells.iter().filter(supported).filter_map(f1).collect();
        let mean = scored.iter().sum::<f64>() / scored.len().max(1) as f64;
        Self {
            macro_f1: (!scored.is_empty()).then_some(mean),
            accuracy: (rows > 0.0).then(|| right / rows),
            f1: cells.iter().map(f1).collect(),
        }
    }
}
