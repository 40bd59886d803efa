//! The figures of one tier in one view.

use serde::{Serialize, Serializer};

use super::confusion::{ConfusionMatrix, Counts, ratio};
use crate::codebook::Tier;

/// A label with less gold than this is marked: its figures rest on too few rows.
pub const TOO_FEW: u64 = 10;

/// Entries under names, in the codebook's order; a JSON object when written.
#[derive(Clone, Debug, PartialEq)]
pub struct ByName<T>(Vec<(String, T)>);

impl<T> ByName<T> {
    /// The entry of that name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.iter().find(|(own, _)| *own == name).map(|(_, entry)| entry)
    }

    /// The entries in order, to be changed.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, entry)| entry)
    }

    /// Names and entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, entry)| (name.as_str(), entry))
    }
}

impl<T> FromIterator<(String, T)> for ByName<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl<T: Serialize> Serialize for ByName<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// How well one label is given.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelScores {
    /// Share of predictions that are right; undefined without predictions.
    pub precision: Option<f64>,
    /// Share of gold that is found; undefined without gold.
    pub recall: Option<f64>,
    /// Harmonic mean; 0 where gold exists and nothing was predicted, undefined where neither
    /// exists.
    pub f1: Option<f64>,
    /// Rows whose gold has the label.
    pub support: u64,
    /// Rows in which it is predicted.
    pub predicted: u64,
    /// Whether the support is under [`TOO_FEW`].
    pub too_few: bool,
}

/// What only multi tiers have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetScores {
    /// Share of rows whose whole set is right; the same as `accuracy`.
    pub subset_accuracy: Option<f64>,
    /// Mean over rows of |gold ∩ predicted| / |gold ∪ predicted|, 1 where both are empty.
    pub jaccard: Option<f64>,
}

/// The figures of one tier in one view; undefined ones are `None` (JSON `null`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// Rows scored.
    pub n: usize,
    /// Mean F1 over labels with gold support.
    pub macro_f1: Option<f64>,
    /// F1 of all labels' counts pooled, labels without support included.
    pub micro_f1: Option<f64>,
    /// Mean F1 over labels with gold support, weighted by it.
    pub weighted_f1: Option<f64>,
    /// Share of rows answered rightly: for a single tier "not asked" is an answer, for a
    /// multi tier the whole set must be right.
    pub accuracy: Option<f64>,
    /// Multi-class Matthews correlation of a single tier, "not asked" being a class.
    pub mcc: Option<f64>,
    /// Macro-F1 of always giving the tier's most frequent label.
    pub baseline_macro_f1: Option<f64>,
    /// Rows without any answer, neither coded nor not asked; never right.
    pub unanswered: usize,
    /// Figures of sets, for multi tiers.
    #[serde(flatten)]
    pub sets: Option<SetScores>,
    /// Figures of every label.
    pub labels: ByName<LabelScores>,
    /// Gold against predicted, for single tiers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion: Option<ConfusionMatrix>,
}

impl View {
    /// The figures that follow from the labels' counts alone; the others stay undefined.
    pub(super) fn from_counts(tier: &Tier, n: usize, right: u64, counts: &[Counts]) -> Self {
        let scores = |c: &Counts| LabelScores {
            precision: c.precision(),
            recall: c.recall(),
            f1: c.f1(),
            support: c.support(),
            predicted: c.true_positives + c.false_positives,
            too_few: c.support() < TOO_FEW,
        };
        let pooled = counts.iter().fold(Counts::default(), |sum, c| sum.plus(*c));
        let support = pooled.support() as f64;
        let f1_times_support =
            counts.iter().map(|c| c.f1().unwrap_or(0.0) * c.support() as f64).sum::<f64>();
        let names = tier.labels.iter().map(|label| label.name.clone());
        Self {
            n,
            macro_f1: macro_f1(counts),
            micro_f1: pooled.f1(),
            weighted_f1: (support > 0.0).then(|| f1_times_support / support),
            accuracy: ratio(right, n as u64),
            mcc: None,
            baseline_macro_f1: None,
            unanswered: 0,
            sets: None,
            labels: names.zip(counts.iter().map(scores)).collect(),
            confusion: None,
        }
    }
}

/// Mean F1 over labels with gold support (scikit-learn's `f1_score` with `labels=` those and
/// `zero_division=0`); undefined if no label has any.
fn macro_f1(counts: &[Counts]) -> Option<f64> {
    let scored: Vec<f64> =
        counts.iter().filter(|c| c.support() > 0).map(|c| c.f1().unwrap_or(0.0)).collect();
    (!scored.is_empty()).then(|| scored.iter().sum::<f64>() / scored.len() as f64)
}
