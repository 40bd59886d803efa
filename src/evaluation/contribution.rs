//! What rows add to a tier's scores: the sums may count a row several times, as resamples do.

use serde::{Deserialize, Serialize};

/// What one row, or one combination of codes, adds to the counts of labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Contribution {
    /// Labels of gold and coder.
    pub both: Vec<usize>,
    /// Labels of the coder alone.
    pub own: Vec<usize>,
    /// Labels of the gold alone.
    pub gold: Vec<usize>,
    /// Whether the whole answer is right.
    pub is_right: bool,
}

impl Contribution {
    /// Of the labels of gold and coder.
    pub fn new(gold: &[usize], own: &[usize], is_right: bool) -> Self {
        let (both, gold_alone) = gold.iter().partition(|label| own.contains(label));
        let own = own.iter().copied().filter(|label| !gold.contains(label)).collect();
        Self { both, own, gold: gold_alone, is_right }
    }

    /// The sums of a tier of so many labels to which it adds one.
    pub fn places(&self, labels: usize) -> impl Iterator<Item = usize> {
        let of = |cells: &[usize], first: usize| {
            cells.iter().map(|label| first + label).collect::<Vec<usize>>()
        };
        let cells = of(&self.both, 0)
            .into_iter()
            .chain(of(&self.own, labels))
            .chain(of(&self.gold, 2 * labels));
        cells.chain(self.is_right.then_some(3 * labels)).chain([3 * labels + 1])
    }
}

/// How many sums a tier of so many labels has: of every label the rows of gold and coder, of the
/// coder alone and of the gold alone; right rows; rows.
pub(super) const fn sums(labels: usize) -> usize {
    3 * labels + 2
}

/// Contributions summed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Sum {
    labels: usize,
    sums: Vec<f64>,
}

/// The scores of a sum.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scores {
    /// Mean F1 over labels with gold support.
    pub macro_f1: Option<f64>,
    /// Share of rows with the right answer.
    pub accuracy: Option<f64>,
    /// F1 of every label.
    pub f1: Vec<Option<f64>>,
}

impl Scores {
    /// Of the sums of a tier.
    pub fn of(labels: usize, sums: &[f64]) -> Self {
        let (both, own, gold) =
            (&sums[..labels], &sums[labels..2 * labels], &sums[2 * labels..3 * labels]);
        let f1: Vec<Option<f64>> = (0..labels)
            .map(|label| {
                let whole = 2.0 * both[label] + own[label] + gold[label];
                (whole > 0.0).then(|| 2.0 * both[label] / whole)
            })
            .collect();
        let scored: Vec<f64> = (0..labels)
            .filter(|label| both[*label] + gold[*label] > 0.0)
            .filter_map(|label| f1[label])
            .collect();
        let mean = scored.iter().sum::<f64>() / scored.len().max(1) as f64;
        let (right, rows) = (sums[3 * labels], sums[3 * labels + 1]);
        Self {
            macro_f1: (!scored.is_empty()).then_some(mean),
            accuracy: (rows > 0.0).then(|| right / rows),
            f1,
        }
    }
}

impl Sum {
    /// Nothing yet, of a tier of so many labels.
    pub fn zero(labels: usize) -> Self {
        Self { labels, sums: vec![0.0; sums(labels)] }
    }

    /// How many labels the tier has.
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// Adds the rows of another sum of the same tier.
    pub fn merge(&mut self, other: &Self) {
        self.sums.iter_mut().zip(&other.sums).for_each(|(own, other)| *own += other);
    }

    /// Adds a contribution.
    pub fn add(&mut self, part: &Contribution) {
        part.places(self.labels).for_each(|place| self.sums[place] += 1.0);
    }

    /// The scores.
    pub fn scores(&self) -> Scores {
        Scores::of(self.labels, &self.sums)
    }
}
