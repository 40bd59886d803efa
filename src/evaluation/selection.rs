//! Choosing among models by cross-validation: figures that add up over folds, and by how much the
//! best one's flatters.

use serde::{Deserialize, Serialize};

use super::contribution::Sum;
use super::uncertainty::contribution;
use crate::codebook::{Code, Codebook};

/// What macro-F1 needs of some rows in the pipeline view; counts of other rows add up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialCounts {
    tiers: Vec<Sum>,
}

impl TrialCounts {
    /// Counts rows of gold and given codes, one for each tier; a tier whose gold is missing is left
    /// out.
    pub fn of<'a>(
        codebook: &Codebook,
        rows: impl Iterator<Item = (&'a [Code], &'a [Code])>,
    ) -> Self {
        let mut tiers: Vec<Sum> =
            codebook.tiers.iter().map(|tier| Sum::zero(tier.labels.len())).collect();
        for (gold, given) in rows {
            for (at, (tier, sum)) in codebook.tiers.iter().zip(&mut tiers).enumerate() {
                if gold[at] != Code::Missing {
                    sum.add(&contribution(tier, &gold[at], &given[at]));
                }
            }
        }
        Self { tiers }
    }

    /// Whether they were counted by this codebook.
    pub fn fits(&self, codebook: &Codebook) -> bool {
        let labels = codebook.tiers.iter().map(|tier| tier.labels.len());
        labels.eq(self.tiers.iter().map(Sum::labels))
    }

    /// All rows of several.
    pub fn sum<'a>(mut all: impl Iterator<Item = &'a Self>) -> Self {
        let mut whole = all.next().cloned().unwrap_or_default();
        for counts in all {
            whole.tiers.iter_mut().zip(&counts.tiers).for_each(|(own, other)| own.merge(other));
        }
        whole
    }

    /// The mean over tiers of macro-F1 over the labels that the gold has; tiers without any are left
    /// out, and without any tier it is 0.
    pub fn score(&self) -> f64 {
        mean(self.tiers.iter().filter_map(|sum| sum.scores().macro_f1)).unwrap_or(0.0)
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0u32), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

/// By how much the score of the chosen candidate is expected to flatter, since it was chosen as the
/// best of several: the mean over folds of what the best candidate of that fold alone has above the
/// chosen one (Tibshirani and Tibshirani, "A bias correction for the minimum error rate in
/// cross-validation", Annals of Applied Statistics 2009). `scores` is `[candidate][fold]`, of the same
/// folds for all.
pub fn optimism(scores: &[Vec<f64>], chosen: usize) -> f64 {
    let folds = scores.first().map_or(0, Vec::len);
    let above = (0..folds).map(|fold| {
        let best = scores.iter().map(|own| own[fold]).fold(f64::NEG_INFINITY, f64::max);
        best - scores[chosen][fold]
    });
    mean(above).unwrap_or(0.0)
}

/// A recipe that was tried, and how it did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The strategy's name.
    pub strategy: String,
    /// What the plan reckons a fold to take, in seconds on the machine of the cost table.
    pub seconds: f64,
    /// The score of each fold that it was tried on, from the first fold on.
    pub folds: Vec<f64>,
    /// The score over all rows of these folds together.
    pub score: f64,
    /// The standard deviation of the folds' scores; none of a single fold.
    pub deviation: Option<f64>,
    /// Whether it was one of those that were tried on every fold after the others had dropped out.
    pub finalist: bool,
}

/// How a recipe was chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The budget, in seconds.
    pub budget: f64,
    /// Folds of the training rows.
    pub folds: usize,
    /// Everything that was tried.
    pub candidates: Vec<Candidate>,
    /// The strategy that was taken.
    pub chosen: String,
    /// By how much its score is expected to flatter.
    pub optimism: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::LabelSet;
    use crate::evaluation::evaluate;

    fn rows() -> (Codebook, Vec<[Vec<Code>; 2]>) {
        let codebook = Codebook::find("olid").unwrap();
        let one = |label: usize| Code::Coded(LabelSet::one(label));
        let codes = |first: usize, second: usize, third: usize| match first {
            0 if second == 0 => vec![one(0), one(0), one(third)],
            0 => vec![one(0), one(1), Code::NotAsked],
            _ => vec![one(1), Code::NotAsked, Code::NotAsked],
        };
        let rows = (0..60).map(|i| {
            let gold = codes(i % 2, i % 3 % 2, i % 5 % 3);
            let mut given = codes(usize::from(i % 7 > 2), i / 4 % 2, i % 4 % 3);
            if i % 11 == 0 {
                given = vec![one(1), Code::NotAsked, Code::NotAsked];
            }
            [gold, given]
        });
        (codebook, rows.collect())
    }

    #[test]
    fn the_score_is_that_of_an_evaluation_and_adds_up() {
        let (codebook, mut rows) = rows();
        rows[3][0][2] = Code::Missing;
        let of = |rows: &[[Vec<Code>; 2]]| {
            TrialCounts::of(&codebook, rows.iter().map(|[gold, given]| (&gold[..], &given[..])))
        };
        let [gold, given] =
            [0, 1].map(|at| rows.iter().map(|row| row[at].clone()).collect::<Vec<Vec<Code>>>());
        let evaluation = evaluate(&codebook, &gold, &given, &given, None);
        let tiers = evaluation.tiers.iter().map(|(_, tier)| tier.pipeline.macro_f1.unwrap());
        let expected = tiers.sum::<f64>() / 3.0;
        assert!((of(&rows).score() - expected).abs() < 1e-12);
        assert_eq!(TrialCounts::sum([of(&rows[..17]), of(&rows[17..])].iter()), of(&rows));
        assert!(of(&rows).fits(&codebook) && !TrialCounts::default().fits(&codebook));
        assert_eq!(TrialCounts::default().score(), 0.0);
    }

    #[test]
    fn the_chosen_one_flatters_by_what_others_have_above_it() {
        let scores = [vec![0.6, 0.5, 0.7], vec![0.5, 0.6, 0.5]];
        assert!((optimism(&scores, 0) - 0.1 / 3.0).abs() < 1e-12);
        assert!((optimism(&scores, 1) - 0.3 / 3.0).abs() < 1e-12);
        assert_eq!(optimism(&scores[..1], 0), 0.0);
        assert_eq!(optimism(&[], 0), 0.0);
    }
}
