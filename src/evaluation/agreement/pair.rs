//! Agreement of two coders.

use super::{Distances, alpha, between, kappa};

/// Rows that both coded.
const ROWS: usize = 0;
/// Those with the same code.
const SAME: usize = 1;
/// The distances of both codes.
const APART: usize = 2;
/// How often the one gives each code; after these, how often the other.
const CODES: usize = 3;

/// Where the sums stand from which kappa, alpha and observed agreement of two coders follow, over the
/// rows that both coded.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    first: usize,
    categories: usize,
}

impl Pair {
    /// From the place `first` on, of so many codes in use.
    pub fn new(first: usize, categories: usize) -> Self {
        Self { first, categories }
    }

    /// The place after the last sum.
    pub fn end(self) -> usize {
        self.first + CODES + 2 * self.categories
    }

    /// What a row adds to which sums. The distances are those of alpha.
    pub fn add(
        self,
        (a, b): (Option<u32>, Option<u32>),
        distances: Option<&Distances>,
        sums: &mut Vec<(usize, f64)>,
    ) {
        let (Some(a), Some(b)) = (a, b) else { return };
        let mut add = |place: usize, amount: f64| sums.push((self.first + place, amount));
        add(ROWS, 1.0);
        add(SAME, f64::from(u8::from(a == b)));
        add(APART, between(distances, a, b));
        add(CODES + a as usize, 1.0);
        add(CODES + self.categories + b as usize, 1.0);
    }

    fn margins(self, sums: &[f64]) -> impl Iterator<Item = (f64, f64)> {
        let (a, b) = sums[self.first + CODES..][..2 * self.categories].split_at(self.categories);
        a.iter().copied().zip(b.iter().copied())
    }

    /// Rows that both coded.
    pub fn rows(self, sums: &[f64]) -> f64 {
        sums[self.first + ROWS]
    }

    /// Share of them with the same code.
    pub fn percent(self, sums: &[f64]) -> Option<f64> {
        let rows = self.rows(sums);
        (rows > 0.0).then(|| sums[self.first + SAME] / rows)
    }

    /// Cohen's kappa.
    pub fn kappa(self, sums: &[f64]) -> Option<f64> {
        kappa(self.rows(sums), sums[self.first + SAME], self.margins(sums))
    }

    /// Krippendorff's alpha of the two, by the distances with which the rows were added.
    pub fn alpha(self, sums: &[f64], distances: Option<&Distances>) -> Option<f64> {
        let totals: Vec<f64> = self.margins(sums).map(|(a, b)| a + b).collect();
        alpha(&totals, 2.0 * sums[self.first + APART], distances)
    }
}
