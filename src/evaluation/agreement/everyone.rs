//! Agreement of any number of coders.

use super::{Distances, ac1, alpha, between};

/// Rows with a code.
const ROWS: usize = 0;
/// Rows with two codes or more.
const PAIRABLE: usize = 1;
/// Of each such row the share of pairs of codes that are the same.
const SAME: usize = 2;
/// Of each such row the distances of its pairs, as alpha takes them.
const OBSERVED: usize = 3;
/// How often each code is given in such rows; after these each code's share of the codes of every row.
const CODES: usize = 4;

/// Where the sums stand from which alpha, AC1 and observed agreement of any number of coders follow;
/// missing codes are allowed.
#[derive(Clone, Copy, Debug)]
pub struct Everyone {
    first: usize,
    categories: usize,
}

impl Everyone {
    /// From the place `first` on, of so many codes in use.
    pub fn new(first: usize, categories: usize) -> Self {
        Self { first, categories }
    }

    /// The place after the last sum.
    pub fn end(self) -> usize {
        self.first + CODES + 2 * self.categories
    }

    /// What a row of codes, one a coder, adds to which sums. The distances are those of alpha.
    pub fn add(
        self,
        row: &[Option<u32>],
        distances: Option<&Distances>,
        sums: &mut Vec<(usize, f64)>,
    ) {
        let codes: Vec<u32> = row.iter().flatten().copied().collect();
        let n = codes.len();
        if n == 0 {
            return;
        }
        let mut add = |place: usize, amount: f64| sums.push((self.first + place, amount));
        add(ROWS, 1.0);
        for code in &codes {
            add(CODES + self.categories + *code as usize, 1.0 / n as f64);
        }
        if n < 2 {
            return;
        }
        let pairs = || (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b)));
        let same = pairs().filter(|(a, b)| codes[*a] == codes[*b]).count();
        let apart: f64 = pairs().map(|(a, b)| between(distances, codes[a], codes[b])).sum();
        add(PAIRABLE, 1.0);
        add(SAME, same as f64 / (n * (n - 1) / 2) as f64);
        add(OBSERVED, 2.0 * apart / (n - 1) as f64);
        codes.iter().for_each(|code| add(CODES + *code as usize, 1.0));
    }

    fn sum(self, sums: &[f64], place: usize) -> f64 {
        sums[self.first + place]
    }

    fn totals(self, sums: &[f64]) -> &[f64] {
        &sums[self.first + CODES..][..self.categories]
    }

    /// Rows with a code.
    pub fn rows(self, sums: &[f64]) -> f64 {
        self.sum(sums, ROWS)
    }

    /// Rows with two codes or more.
    pub fn pairable(self, sums: &[f64]) -> f64 {
        self.sum(sums, PAIRABLE)
    }

    /// Codes in rows with two codes or more.
    pub fn codes(self, sums: &[f64]) -> f64 {
        self.totals(sums).iter().sum()
    }

    /// Observed agreement: of every row with at least two codes the share of pairs of codes that
    /// are the same, and of these shares the mean over rows (Gwet 2008, equation 8).
    pub fn percent(self, sums: &[f64]) -> Option<f64> {
        let rows = self.pairable(sums);
        (rows > 0.0).then(|| self.sum(sums, SAME) / rows)
    }

    /// Krippendorff's alpha, by the distances with which the rows were added.
    pub fn alpha(self, sums: &[f64], distances: Option<&Distances>) -> Option<f64> {
        alpha(self.totals(sums), self.sum(sums, OBSERVED), distances)
    }

    /// Gwet's AC1; missing codes count as in the package irrCAC.
    pub fn ac1(self, sums: &[f64]) -> Option<f64> {
        let shares = &sums[self.first + CODES + self.categories..][..self.categories];
        ac1(self.percent(sums), shares, self.rows(sums))
    }
}
