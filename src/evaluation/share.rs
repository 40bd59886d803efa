//! Shares and means of rows with their intervals.

use serde::Serialize;

use super::interval::{Bounds, clopper_pearson};
use super::resampling::{Parts, Resampler, interval};

/// Resamples of an interval.
const RESAMPLES: u64 = 2_000;

/// A share of rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// Rows.
    pub n: usize,
    /// How many of them it is.
    pub count: usize,
    /// Their share; none without rows.
    pub value: Option<f64>,
    /// Exact 95 % interval, as if the rows were independent (Clopper and Pearson 1934).
    pub lower: f64,
    /// Its upper end.
    pub upper: f64,
    /// 95 % interval from resampled groups, where there are groups.
    pub of_groups: Option<[f64; 2]>,
}

impl Share {
    /// The share of rows that are; of every row, if it counts, whether it is, and the groups of all
    /// rows, if they have some.
    pub fn of(rows: &[Option<bool>], groups: Option<&[u32]>) -> Self {
        let n = rows.iter().flatten().count();
        let count = rows.iter().flatten().filter(|is| **is).count();
        let Bounds { lower, upper } = match n {
            0 => Bounds { lower: 0.0, upper: 1.0 },
            _ => clopper_pearson(count as f64, n as f64),
        };
        let of_groups = groups.and_then(|groups| {
            // Whole groups are drawn, rows that do not count in them.
            let pattern: Vec<u32> = rows.iter().map(|row| row.map_or(2, u32::from)).collect();
            let resampler = Resampler::new(&pattern, Parts::counts(3), Some(groups), 0);
            let draws = resampler.draws(RESAMPLES, |counts| {
                let n = counts[0] + counts[1];
                (n > 0.0).then(|| counts[1] / n)
            });
            interval(draws).map(|(lower, upper)| [lower, upper])
        });
        let value = (n > 0).then(|| count as f64 / n as f64);
        Self { n, count, value, lower, upper, of_groups }
    }
}

/// A mean of counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeanCount {
    /// The mean; none without rows.
    pub value: Option<f64>,
    /// 95 % interval from resampled groups, or rows where there are no groups.
    pub interval: Option<[f64; 2]>,
}

impl MeanCount {
    /// The mean of the counts of those rows that have one; the groups are those of all rows.
    pub fn of(rows: &[Option<usize>], groups: Option<&[u32]>) -> Self {
        let most = rows.iter().flatten().max().copied().unwrap_or(0);
        let pattern: Vec<u32> = rows.iter().map(|row| row.unwrap_or(most + 1) as u32).collect();
        let mean = |counts: &[f64]| {
            let n: f64 = counts[..=most].iter().sum();
            let sum: f64 = counts[..=most].iter().enumerate().map(|(of, n)| of as f64 * n).sum();
            (n > 0.0).then(|| sum / n)
        };
        let resampler = Resampler::new(&pattern, Parts::counts(most + 2), groups, 0);
        let draws = resampler.draws(RESAMPLES, mean);
        let interval = interval(draws).map(|(lower, upper)| [lower, upper]);
        Self { value: mean(&resampler.observed()), interval }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_exact_intervals_and_those_of_groups() {
        // Of 50 rows 3; scipy.stats.binomtest(3, 50).proportion_ci(method="exact").
        let mut rows: Vec<Option<bool>> = (0..50).map(|row| Some(row < 3)).collect();
        rows.extend([None; 10]);
        let groups: Vec<u32> = (0..60).map(|row| row / 3).collect();
        let found = Share::of(&rows, Some(&groups));
        assert_eq!((found.n, found.count, found.value), (50, 3, Some(0.06)));
        assert!((found.lower - 0.012_548_6).abs() < 1e-6 && (found.upper - 0.165_482).abs() < 1e-6);
        let [lower, upper] = found.of_groups.unwrap();
        assert!(lower == 0.0 && upper > found.upper, "all three are of one group: {upper}");
        assert_eq!(Share::of(&rows, None).of_groups, None);
        let nothing = Share::of(&[None], Some(&[0]));
        assert_eq!((nothing.value, nothing.upper, nothing.of_groups), (None, 1.0, None));
    }

    #[test]
    fn means_are_those_of_the_rows_that_count() {
        // Mean 1.5 of 400 rows with standard deviation 0.5: 1.5 ± 0.049.
        let mut rows: Vec<Option<usize>> = (0..400).map(|row| Some(1 + row % 2)).collect();
        rows.push(None);
        let found = MeanCount::of(&rows, None);
        assert_eq!(found.value, Some(1.5));
        let [lower, upper] = found.interval.unwrap();
        assert!((lower - 1.451).abs() < 0.01 && (upper - 1.549).abs() < 0.01, "{lower} {upper}");
        assert_eq!(MeanCount::of(&[None], None), MeanCount { value: None, interval: None });
    }
}
