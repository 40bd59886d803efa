//! Gold codes that models trained without them contradict: confident learning (Northcutt, Jiang
//! and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels").
//!
//! A label's threshold is the mean probability that rows coded with it get for it. A code is
//! suspected where another label reaches its own threshold and is the most probable of those that
//! do. Of a multi tier every label is such a question by itself: does it apply or not?

use crate::codebook::{Code, Codebook, TierKind};
use crate::heads::joint::given_gold;

/// A gold code to look at again.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// The row, by its place among those given.
    pub row: usize,
    /// The tier.
    pub tier: usize,
    /// The label in question: of a single tier the one that the model prefers, of a multi tier the
    /// one that it would add or take out.
    pub label: usize,
    /// What the model gives the gold code.
    pub given: f64,
    /// What it gives the other.
    pub other: f64,
}

/// The suspects of all tiers, those that the model contradicts most first; `asked` is
/// P(label | asked), `[row][tier][label]`, from models that did not see the row's codes.
pub fn suspects(codebook: &Codebook, gold: &[&[Code]], asked: &[&[Vec<f64>]]) -> Vec<Suspect> {
    let mut all = Vec::new();
    for (tier, of_tier) in codebook.tiers.iter().enumerate() {
        let coded = || (0..gold.len()).filter(|&row| gold[row][tier].is_coded());
        match of_tier.kind {
            TierKind::Single => {
                let rows = coded().filter_map(|row| {
                    let above = &gold[row][..tier];
                    let (_, shares) = given_gold(codebook, tier, &asked[row][tier], above)?;
                    Some(Row { row, given: gold[row][tier].single()?, shares })
                });
                let found = contradicted(&rows.collect::<Vec<_>>(), of_tier.labels.len());
                all.extend(found.into_iter().map(|c| c.suspect(tier, c.label)));
            }
            TierKind::Multi => {
                all.extend((0..of_tier.labels.len()).flat_map(|label| {
                    let rows = coded().filter_map(|row| {
                        let p = asked[row][tier][label];
                        let given = usize::from(gold[row][tier].labels()?.contains(label));
                        Some(Row { row, given, shares: vec![1.0 - p, p] })
                            .filter(|_| codebook.permitted(tier, gold[row])[label])
                    });
                    let found = contradicted(&rows.collect::<Vec<_>>(), 2);
                    found.into_iter().map(move |c| c.suspect(tier, label)).collect::<Vec<_>>()
                }));
            }
        }
    }
    let margin = |s: &Suspect| s.given - s.other;
    all.sort_by(|a, b| margin(a).total_cmp(&margin(b)).then((a.row, a.tier).cmp(&(b.row, b.tier))));
    all
}

/// A question that a row answers.
struct Row {
    row: usize,
    /// The answer of the gold.
    given: usize,
    /// The probability of each answer.
    shares: Vec<f64>,
}

/// A row whose model prefers another answer.
struct Contradicted {
    row: usize,
    label: usize,
    given: f64,
    other: f64,
}

impl Contradicted {
    fn suspect(&self, tier: usize, label: usize) -> Suspect {
        Suspect { row: self.row, tier, label, given: self.given, other: self.other }
    }
}

fn contradicted(rows: &[Row], answers: usize) -> Vec<Contradicted> {
    let threshold = |answer: usize| {
        let own = || rows.iter().filter(|row| row.given == answer);
        let sum: f64 = own().map(|row| row.shares[answer]).sum();
        // An answer that nobody gave has no threshold to reach.
        (own().count() > 0).then(|| sum / own().count() as f64)
    };
    let thresholds: Vec<Option<f64>> = (0..answers).map(threshold).collect();
    let of_row = |row: &Row| {
        let reached = |&answer: &usize| thresholds[answer].is_some_and(|t| row.shares[answer] >= t);
        let best = (0..answers)
            .filter(reached)
            .max_by(|&a, &b| row.shares[a].total_cmp(&row.shares[b]).then(b.cmp(&a)))?;
        (best != row.given).then(|| Contradicted {
            row: row.row,
            label: best,
            given: row.shares[row.given],
            other: row.shares[best],
        })
    };
    rows.iter().filter_map(of_row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::{GATED, LabelSet};

    #[test]
    fn codes_that_the_model_contradicts_are_found() {
        let codebook = Codebook::parse(GATED, "b").unwrap();
        let yes = |labels: &[usize]| {
            vec![Code::Coded(LabelSet::one(0)), Code::Coded(LabelSet::new(labels.to_vec()))]
        };
        let no = || vec![Code::Coded(LabelSet::one(1)), Code::NotAsked];
        let gold = [yes(&[0]), yes(&[0]), yes(&[]), no(), no()];
        let p = |yes: f64, a: f64, b: f64| vec![vec![yes, 1.0 - yes], vec![a, b]];
        // Thresholds: yes (0.9 + 0.8 + 0.7) / 3 = 0.8; no (0.9 + 0.1) / 2 = 0.5. Of topic a: with it
        // (0.9 + 0.2) / 2 = 0.55, without it 0.05. Topic b is given by nobody.
        let asked = [
            p(0.9, 0.9, 0.1),
            p(0.8, 0.2, 0.1),
            p(0.7, 0.95, 0.1),
            p(0.1, 0.5, 0.5),
            p(0.9, 0.5, 0.5),
        ];
        let gold: Vec<&[Code]> = gold.iter().map(Vec::as_slice).collect();
        let asked: Vec<&[Vec<f64>]> = asked.iter().map(Vec::as_slice).collect();
        let found = suspects(&codebook, &gold, &asked);
        let short: Vec<(usize, usize, usize)> =
            found.iter().map(|s| (s.row, s.tier, s.label)).collect();
        assert_eq!(short, [(2, 1, 0), (4, 0, 0), (1, 1, 0)]);
        let last = &found[2];
        assert!((last.given - 0.2).abs() < 1e-12 && (last.other - 0.8).abs() < 1e-12);
    }

    #[test]
    fn nothing_is_suspected_of_nothing() {
        let codebook = Codebook::parse(GATED, "b").unwrap();
        assert!(suspects(&codebook, &[], &[]).is_empty());
    }
}
