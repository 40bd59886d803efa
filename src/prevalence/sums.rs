//! What is known of the corpus and of its gold rows.

use super::Linear;

/// Sums over rows of the corpus of a model's numerators x and denominators d.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// Rows.
    pub rows: f64,
    /// Sum of x.
    pub numerator: f64,
    /// Sum of d.
    pub denominator: f64,
    /// Sum of x².
    pub numerator_squared: f64,
    /// Sum of x·d.
    pub product: f64,
    /// Sum of d².
    pub denominator_squared: f64,
}

impl Sums {
    /// Adds `rows` rows of the same x and d.
    pub fn add(&mut self, rows: f64, x: f64, d: f64) {
        self.rows += rows;
        self.numerator += rows * x;
        self.denominator += rows * d;
        self.numerator_squared += rows * x * x;
        self.product += rows * x * d;
        self.denominator_squared += rows * d * d;
    }

    /// The variance over rows of x − r·d, with n − 1.
    pub(super) fn variance(&self, r: f64) -> f64 {
        if self.rows < 2.0 {
            return 0.0;
        }
        let squares =
            self.numerator_squared - 2.0 * r * self.product + r * r * self.denominator_squared;
        let sum = self.numerator - r * self.denominator;
        ((squares - sum * sum / self.rows) / (self.rows - 1.0)).max(0.0)
    }
}

/// The gold rows, in parallel slices.
#[derive(Clone, Copy, Debug)]
pub struct Gold<'a> {
    /// Numerators by the gold: the row's weight where it carries the label, else 0.
    pub x: &'a [f64],
    /// Denominators by the gold: the row's weight where it is counted, else 0.
    pub d: &'a [f64],
    /// Numerators by the model.
    pub model_x: &'a [f64],
    /// Denominators by the model.
    pub model_d: &'a [f64],
    /// Inclusion probabilities, above 0 and at most 1.
    pub pi: &'a [f64],
    /// The group of each row, numbered from 0.
    pub cluster: Option<&'a [u32]>,
}

impl Gold<'_> {
    /// Whether the weights of counted rows are worth less than half as many equal ones (Kish 1965,
    /// section 11.7).
    pub(super) fn has_uneven_weights(&self) -> bool {
        let counted = self.d.iter().filter(|d| **d > 0.0);
        let n = counted.clone().count() as f64;
        let (sum, squares) =
            counted.fold((0.0, 0.0), |(sum, squares), d| (sum + d, squares + d * d));
        sum * sum < 0.5 * n * squares
    }

    /// Rows that are counted and carry the label, and rows that are counted and do not.
    pub(super) fn positives_and_negatives(&self) -> (f64, f64) {
        let counted = self.x.iter().zip(self.d).filter(|(_, d)| **d > 0.0);
        let positives = counted.clone().filter(|(x, _)| **x > 0.0).count();
        (positives as f64, (counted.count() - positives) as f64)
    }

    /// How many groups there are.
    pub(super) fn clusters(&self) -> Option<usize> {
        let mut all = self.cluster?.to_vec();
        all.sort_unstable();
        all.dedup();
        Some(all.len())
    }

    /// How many counted rows of a simple random sample weigh as much as those here (Korn and
    /// Graubard 1998): by the variance found, and never more than there are.
    pub(super) fn effective_rows(&self, alone: &Linear) -> f64 {
        let counted: Vec<f64> =
            self.d.iter().zip(self.pi).filter(|(d, _)| **d > 0.0).map(|(d, pi)| d / pi).collect();
        let sum: f64 = counted.iter().sum();
        let squares: f64 = counted.iter().map(|w| w * w).sum();
        // Kish's effective sample size, for where no variance can be seen.
        let by_weights = if squares > 0.0 { sum * sum / squares } else { 0.0 };
        let share = alone.own_share;
        let by_variance = match alone.own_variance > 0.0 {
            true => share * (1.0 - share) / alone.own_variance,
            false => f64::INFINITY,
        };
        by_weights.min(by_variance).max(1.0)
    }
}
