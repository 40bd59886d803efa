//! Agreement about one label: where it is given, and where it is not. Rows in which nobody gives it
//! add nothing here; how many there are is told by the sums of all codes.

use super::{Everyone, Pair, ac1, alpha, kappa};

/// Codes that hold the label, in rows of two codes or more.
const GIVEN: usize = 0;
/// Of each such row the pairs of codes of which one holds it, as alpha takes them.
const OBSERVED: usize = 1;
/// Of each such row the share of pairs of codes of which one holds it.
const APART: usize = 2;
/// Of each row the share of codes that hold it.
const SHARE: usize = 3;
const SUMS: usize = 4;

/// Where the sums of one label and any number of coders stand.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    first: usize,
    everyone: Everyone,
}

/// How coders give one label.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Specific {
    /// Share of all codes, of rows with at least two, that hold the label.
    pub prevalence: Option<f64>,
    /// If one coder gives the label, the chance that another does.
    pub positive: Option<f64>,
    /// If one coder does not give it, the chance that another does not either.
    pub negative: Option<f64>,
    /// Codes that hold the label.
    pub positives: f64,
}

impl Label {
    /// From the place `first` on; `everyone` has the sums of the same coders' codes.
    pub fn new(first: usize, everyone: Everyone) -> Self {
        Self { first, everyone }
    }

    /// The place after the last sum.
    pub fn end(self) -> usize {
        self.first + SUMS
    }

    /// What a row adds to which sums: of `codes` codes `given` hold the label, at least one.
    pub fn add(self, given: usize, codes: usize, sums: &mut Vec<(usize, f64)>) {
        let mut add = |place: usize, amount: f64| sums.push((self.first + place, amount));
        let (given, n) = (given as f64, codes as f64);
        add(SHARE, given / n);
        if codes >= 2 {
            let apart = given * (n - given);
            add(GIVEN, given);
            add(OBSERVED, 2.0 * apart / (n - 1.0));
            add(APART, 2.0 * apart / (n * (n - 1.0)));
        }
    }

    fn sum(self, sums: &[f64], place: usize) -> f64 {
        sums[self.first + place]
    }

    /// Codes that hold the label and codes that do not, in rows with two codes or more.
    fn totals(self, sums: &[f64]) -> [f64; 2] {
        let given = self.sum(sums, GIVEN);
        [given, self.everyone.codes(sums) - given]
    }

    /// Observed agreement, as of all codes.
    pub fn percent(self, sums: &[f64]) -> Option<f64> {
        let rows = self.everyone.pairable(sums);
        (rows > 0.0).then(|| (rows - self.sum(sums, APART)) / rows)
    }

    /// Krippendorff's alpha.
    pub fn alpha(self, sums: &[f64]) -> Option<f64> {
        alpha(&self.totals(sums), self.sum(sums, OBSERVED), None)
    }

    /// Gwet's AC1.
    pub fn ac1(self, sums: &[f64]) -> Option<f64> {
        let (rows, share) = (self.everyone.rows(sums), self.sum(sums, SHARE));
        ac1(self.percent(sums), &[share, rows - share], rows)
    }

    /// Positive and negative agreement (Cicchetti and Feinstein 1990), for more than two coders over
    /// all pairs of a row, each code counting once (as in Krippendorff's coincidences).
    pub fn specific(self, sums: &[f64]) -> Specific {
        let [given, not_given] = self.totals(sums);
        let apart = self.sum(sums, OBSERVED) / 2.0;
        let share = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
        Specific {
            prevalence: share(given, given + not_given),
            positive: share(given - apart, given),
            negative: share(not_given - apart, not_given),
            positives: given,
        }
    }
}

/// Where the sums of one label and two coders stand: rows in which the one gives it, the other, both.
#[derive(Clone, Copy, Debug)]
pub struct LabelPair {
    first: usize,
    pair: Pair,
}

impl LabelPair {
    /// From the place `first` on; `pair` has the sums of the same two coders' codes.
    pub fn new(first: usize, pair: Pair) -> Self {
        Self { first, pair }
    }

    /// The place after the last sum.
    pub fn end(self) -> usize {
        self.first + 3
    }

    /// What a row that both coded adds to which sums.
    pub fn add(self, [a, b]: [bool; 2], sums: &mut Vec<(usize, f64)>) {
        let given = [a, b, a && b].into_iter().enumerate().filter(|(_, given)| *given);
        sums.extend(given.map(|(place, _)| (self.first + place, 1.0)));
    }

    /// Cohen's kappa of *given* against *not given*.
    pub fn kappa(self, sums: &[f64]) -> Option<f64> {
        let [a, b, both] = [0, 1, 2].map(|place| sums[self.first + place]);
        let rows = self.pair.rows(sums);
        let same = rows - a - b + 2.0 * both;
        kappa(rows, same, [(a, b), (rows - a, rows - b)].into_iter())
    }
}
