//! What rows add to a tier's scores: the sums may count a row in part or several times, as resamples do.

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
}

/// Counts of one label; real numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cells {
    true_positives: f64,
    false_positives: f64,
    false_negatives: f64,
}

/// Contributions summed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Sum {
    cells: Vec<Cells>,
    right: f64,
    rows: f64,
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

impl Sum {
    /// Nothing yet, of a tier of so many labels.
    pub fn zero(labels: usize) -> Self {
        Self { cells: vec![Cells::default(); labels], right: 0.0, rows: 0.0 }
    }

    /// How many labels the tier has.
    pub fn labels(&self) -> usize {
        self.cells.len()
    }

    /// Adds the rows of another sum of the same tier.
    pub fn merge(&mut self, other: &Self) {
        for (own, cells) in self.cells.iter_mut().zip(&other.cells) {
            own.true_positives += cells.true_positives;
            own.false_positives += cells.false_positives;
            own.false_negatives += cells.false_negatives;
        }
        self.right += other.right;
        self.rows += other.rows;
    }

    /// Adds a contribution so many times.
    pub fn add(&mut self, part: &Contribution, count: f64) {
        if count == 0.0 {
            return;
        }
        self.rows += count;
        self.right += if part.is_right { count } else { 0.0 };
        part.both.iter().for_each(|&label| self.cells[label].true_positives += count);
        part.own.iter().for_each(|&label| self.cells[label].false_positives += count);
        part.gold.iter().for_each(|&label| self.cells[label].false_negatives += count);
    }

    /// The scores.
    pub fn scores(&self) -> Scores {
        let f1 = |c: &Cells| {
            let whole = 2.0 * c.true_positives + c.false_positives + c.false_negatives;
            (whole > 0.0).then(|| 2.0 * c.true_positives / whole)
        };
        let supported = |c: &&Cells| c.true_positives + c.false_negatives > 0.0;
        let scored: Vec<f64> = self.cells.iter().filter(supported).filter_map(f1).collect();
        let mean = scored.iter().sum::<f64>() / scored.len().max(1) as f64;
        Scores {
            macro_f1: (!scored.is_empty()).then_some(mean),
            accuracy: (self.rows > 0.0).then(|| self.right / self.rows),
            f1: self.cells.iter().map(f1).collect(),
        }
    }
}
