//! Counts of right and wrong answers, and the figures that follow from them.

use serde::Serialize;

/// Right and wrong statements about one label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Gold and predicted.
    pub true_positives: u64,
    /// Predicted, not gold.
    pub false_positives: u64,
    /// Gold, not predicted.
    pub false_negatives: u64,
}

impl Counts {
    /// Counts one row.
    pub fn add(&mut self, gold: bool, predicted: bool) {
        match (gold, predicted) {
            (true, true) => self.true_positives += 1,
            (false, true) => self.false_positives += 1,
            (true, false) => self.false_negatives += 1,
            (false, false) => {}
        }
    }

    /// Both counts together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            true_positives: self.true_positives + other.true_positives,
            false_positives: self.false_positives + other.false_positives,
            false_negatives: self.false_negatives + other.false_negatives,
        }
    }

    /// Rows whose gold has the label.
    pub fn support(&self) -> u64 {
        self.true_positives + self.false_negatives
    }

    /// Share of predictions that are right; undefined without predictions.
    pub fn precision(&self) -> Option<f64> {
        ratio(self.true_positives, self.true_positives + self.false_positives)
    }

    /// Share of gold that is found; undefined without gold.
    pub fn recall(&self) -> Option<f64> {
        ratio(self.true_positives, self.support())
    }

    /// 2·tp / (2·tp + fp + fn): 0 where gold exists and nothing was predicted, undefined
    /// where neither exists.
    pub fn f1(&self) -> Option<f64> {
        let right = 2 * self.true_positives;
        ratio(right, right + self.false_positives + self.false_negatives)
    }
}

/// `part / whole`, undefined for an empty whole.
pub(super) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Rows are gold answers, columns predicted ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfusionMatrix {
    /// What the rows stand for: the tier's labels, then `not asked` if it occurs.
    pub gold: Vec<String>,
    /// What the columns stand for: the tier's labels, then `not asked` and `no answer` if
    /// they occur. Neither can be a label's name, since these hold no space.
    pub predicted: Vec<String>,
    /// How often, `counts[gold][predicted]`.
    pub counts: Vec<Vec<u64>>,
}

/// Matthews correlation for any number of classes (Gorodkin, Comput. Biol. Chem. 28, 2004) of
/// a square table `[gold][predicted]`, as scikit-learn's `matthews_corrcoef`; undefined where
/// gold or predictions are all of one class (scikit-learn gives 0 there).
pub fn matthews(table: &[Vec<u64>]) -> Option<f64> {
    let count = |i: usize, j: usize| i128::from(table[i].get(j).copied().unwrap_or(0));
    let k = table.len();
    let gold: Vec<i128> = (0..k).map(|i| (0..k).map(|j| count(i, j)).sum()).collect();
    let predicted: Vec<i128> = (0..k).map(|j| (0..k).map(|i| count(i, j)).sum()).collect();
    let n: i128 = gold.iter().sum();
    let right: i128 = (0..k).map(|i| count(i, i)).sum();
    let dot = |a: &[i128], b: &[i128]| -> i128 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let of_gold = n * n - dot(&gold, &gold);
    let of_predicted = n * n - dot(&predicted, &predicted);
    let shared = right * n - dot(&gold, &predicted);
    (of_gold > 0 && of_predicted > 0)
        .then(|| shared as f64 / ((of_gold as f64).sqrt() * (of_predicted as f64).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_follow_from_counts() {
        let mut counts = Counts::default();
        for (gold, predicted) in
            [(true, true), (true, true), (true, false), (false, true), (false, false)]
        {
            counts.add(gold, predicted);
        }
        assert_eq!(counts.support(), 3);
        assert_eq!(counts.precision(), Some(2.0 / 3.0));
        assert_eq!(counts.recall(), Some(2.0 / 3.0));
        assert_eq!(counts.f1(), Some(4.0 / 6.0));
        assert_eq!(counts.plus(counts).support(), 6);
    }

    #[test]
    fn without_predictions_precision_is_undefined_and_f1_is_zero() {
        let counts = Counts { false_negatives: 2, ..Counts::default() };
        assert_eq!(
            (counts.precision(), counts.recall(), counts.f1()),
            (None, Some(0.0), Some(0.0))
        );
        assert_eq!(Counts::default().f1(), None);
    }

    #[test]
    fn matthews_in_two_classes_is_phi() {
        // (6·3 − 1·2) / √(7·8·4·5)
        let phi = 16.0 / 1120f64.sqrt();
        let got = matthews(&[vec![6, 2], vec![1, 3]]).unwrap();
        assert!((got - phi).abs() < 1e-15, "{got}");
        assert_eq!(matthews(&[vec![5, 0], vec![2, 0]]), None);
        assert_eq!(matthews(&[]), None);
    }
}
