//! Bootstrap resamples of rows, or of whole groups of rows (Efron and Tibshirani 1993, chapter 8),
//! as the sums that a statistic is made of: what a unit adds to them is summed once, so that a
//! resample costs as much as its units differ, not as much as it has rows.

mod parts;

use std::collections::HashMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution};
use rayon::prelude::*;

use crate::corpus::below;
pub use parts::Parts;

/// Up to so many units are drawn one by one; more are drawn as counts.
const DRAWN_ONE_BY_ONE: u64 = 50_000;
/// A count of one profile takes as long as so many units drawn one by one.
const DRAWS_OF_A_COUNT: u64 = 10;
/// Resamples that one walk over the profiles serves.
const TOGETHER: usize = 8;

/// The rows of a study as patterns (numbers of combinations of codes), in groups or each alone.
#[derive(Clone, Debug)]
pub struct Resampler {
    /// What a unit adds to the sums. Units that hold the same patterns are one profile.
    profiles: Parts,
    /// How many units have each profile.
    units: Vec<u64>,
    /// The profile of each unit, where units are drawn one by one.
    of_unit: Vec<u32>,
    seed: u64,
}

impl Resampler {
    /// `pattern[row]` is a pattern of `parts`. With `groups[row]` whole groups are drawn, without
    /// them rows. All draws follow from the seed.
    pub fn new(pattern: &[u32], parts: Parts, groups: Option<&[u32]>, seed: u64) -> Self {
        let (profiles, units) = match groups {
            None => {
                let mut units = vec![0u64; parts.patterns()];
                pattern.iter().for_each(|p| units[*p as usize] += 1);
                (parts, units)
            }
            Some(groups) => of_groups(pattern, &parts, groups),
        };
        let total: u64 = units.iter().sum();
        let mut of_unit = Vec::new();
        if total <= DRAWN_ONE_BY_ONE.max(DRAWS_OF_A_COUNT * units.len() as u64) {
            for (profile, count) in units.iter().enumerate() {
                of_unit.extend(std::iter::repeat_n(profile as u32, *count as usize));
            }
        }
        Self { profiles, units, of_unit, seed }
    }

    /// How many units are drawn: groups, or rows.
    pub fn units(&self) -> u64 {
        self.units.iter().sum()
    }

    /// About how many steps one resample takes, each of one to three nanoseconds.
    pub fn steps(&self) -> u64 {
        let drawn = match self.of_unit.len() as u64 {
            0 => DRAWS_OF_A_COUNT * self.units.len() as u64,
            one_by_one => one_by_one,
        };
        2 * drawn + self.profiles.amounts() as u64 / 4
    }

    /// The sums over the rows themselves.
    pub fn observed(&self) -> Vec<f64> {
        let times: Vec<[f64; 1]> = self.units.iter().map(|count| [*count as f64]).collect();
        self.profiles.sums(&times).into_iter().map(|[sum]| sum).collect()
    }

    /// How many units of each profile one resample has.
    fn draw(&self, repetition: u64, times: &mut [u32]) {
        let mut random = self.random(repetition);
        if !self.of_unit.is_empty() {
            for _ in 0..self.of_unit.len() {
                let unit = below(&mut random, self.of_unit.len());
                times[self.of_unit[unit] as usize] += 1;
            }
            return;
        }
        // A multinomial draw, one binomial after the other.
        let (mut left, mut chances) = (self.units(), self.units());
        for (times, own) in times.iter_mut().zip(&self.units) {
            let share = *own as f64 / chances.max(1) as f64;
            let drawn = match Binomial::new(left, share.min(1.0)) {
                Ok(binomial) => binomial.sample(&mut random),
                Err(_) => 0,
            };
            *times = drawn as u32;
            left -= drawn;
            chances -= own;
        }
    }

    /// In how many units of each profile both coders change places, if each unit's do so by the toss
    /// of a coin.
    fn swap(&self, repetition: u64, times: &mut [u32]) {
        let mut random = self.random(repetition);
        let (mut coins, mut left) = (0u64, 0u64);
        for (times, own) in times.iter_mut().zip(&self.units) {
            *times = match own {
                0 => 0,
                1..=63 => {
                    if left < *own {
                        (coins, left) = (random.next_u64(), 64);
                    }
                    let tossed = coins & ((1 << own) - 1);
                    coins >>= own;
                    left -= own;
                    tossed.count_ones()
                }
                _ => Binomial::new(*own, 0.5)
                    .map_or(0, |binomial| binomial.sample(&mut random) as u32),
            };
        }
    }

    fn random(&self, repetition: u64) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(repetition);
        random
    }

    /// What a statistic gives where the coders of a random half of the units change places, so many
    /// times (approximate randomisation; Noreen 1989, Yeh 2000). It is given the sums over the rows
    /// that change.
    pub fn swaps<T: Send>(
        &self,
        repetitions: u64,
        statistic: impl Fn(&[f64]) -> T + Sync,
    ) -> Vec<T> {
        self.repeated(repetitions, |repetition, times| self.swap(repetition, times), statistic)
    }

    /// What a statistic gives of the sums of each of so many resamples; in order, whatever the
    /// threads.
    pub fn draws<T: Send>(
        &self,
        repetitions: u64,
        statistic: impl Fn(&[f64]) -> T + Sync,
    ) -> Vec<T> {
        self.repeated(repetitions, |repetition, times| self.draw(repetition, times), statistic)
    }

    fn repeated<T: Send>(
        &self,
        repetitions: u64,
        chosen: impl Fn(u64, &mut [u32]) + Sync,
        statistic: impl Fn(&[f64]) -> T + Sync,
    ) -> Vec<T> {
        let batches = 0..repetitions.div_ceil(TOGETHER as u64);
        let of_batch = |batch: u64| -> Vec<T> {
            let first = batch * TOGETHER as u64;
            let own = (repetitions - first).min(TOGETHER as u64) as usize;
            let mut together = vec![[0.0; TOGETHER]; self.units.len()];
            let mut times = vec![0; self.units.len()];
            for at in 0..own {
                times.fill(0);
                chosen(first + at as u64, &mut times);
                for (all, own) in together.iter_mut().zip(&times) {
                    all[at] = f64::from(*own);
                }
            }
            let sums = self.profiles.sums(&together);
            let of = |at: usize| sums.iter().map(|sum| sum[at]).collect::<Vec<f64>>();
            (0..own).map(|at| statistic(&of(at))).collect()
        };
        batches.into_par_iter().flat_map_iter(of_batch).collect()
    }
}

/// What groups add to the sums, and how many groups add the same.
fn of_groups(pattern: &[u32], parts: &Parts, groups: &[u32]) -> (Parts, Vec<u64>) {
    let mut rows: Vec<(u32, u32)> = groups.iter().copied().zip(pattern.iter().copied()).collect();
    rows.sort_unstable();
    let mut of_profile: HashMap<Box<[(u32, u32)]>, usize> = HashMap::new();
    let mut profiles = Parts::new(parts.sums_of_each());
    let mut units = Vec::new();
    let mut whole = parts.merger();
    for own in rows.chunk_by(|a, b| a.0 == b.0) {
        let counts = own.chunk_by(|a, b| a.1 == b.1);
        let profile: Box<[(u32, u32)]> =
            counts.map(|same| (same[0].1, same.len() as u32)).collect();
        match of_profile.get(&profile) {
            Some(place) => units[*place] += 1,
            None => {
                whole.merge(&profile, &mut profiles);
                of_profile.insert(profile, units.len());
                units.push(1);
            }
        }
    }
    (profiles, units)
}

/// The 95 % percentile interval of resampled figures; resamples in which the figure is undefined
/// do not count, and with more than half of them there is no interval.
pub fn interval(draws: impl IntoIterator<Item = Option<f64>>) -> Option<(f64, f64)> {
    let all: Vec<Option<f64>> = draws.into_iter().collect();
    let mut defined: Vec<f64> = all.iter().flatten().copied().collect();
    if defined.is_empty() || 2 * defined.len() < all.len() {
        return None;
    }
    defined.sort_by(f64::total_cmp);
    Some((quantile(&defined, 0.025), quantile(&defined, 0.975)))
}

/// The same, but none where all resamples give one figure: of how it varies they say nothing.
pub fn varying_interval(draws: impl IntoIterator<Item = Option<f64>>) -> Option<(f64, f64)> {
    let all: Vec<Option<f64>> = draws.into_iter().collect();
    let mut defined = all.iter().flatten();
    let first = defined.next()?;
    if defined.all(|other| (other - first).abs() < 1e-12) {
        return None;
    }
    interval(all)
}

/// The quantile of sorted values, between the two nearest (Hyndman and Fan 1996, type 7).
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + part * (sorted[high] - sorted[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(pattern: &[u32], patterns: usize, groups: Option<&[u32]>, seed: u64) -> Resampler {
        Resampler::new(pattern, Parts::counts(patterns), groups, seed)
    }

    /// Mean and variance of the count of pattern 0.
    fn moments(resampler: &Resampler) -> (f64, f64) {
        let draws = resampler.draws(4_000, |counts| counts[0]);
        let n = draws.len() as f64;
        let mean = draws.iter().sum::<f64>() / n;
        (mean, draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0))
    }

    #[test]
    fn rows_are_drawn_as_a_multinomial_draws_them() {
        for n in [400usize, 100_000] {
            let pattern: Vec<u32> = (0..n).map(|row| u32::from(row % 4 != 0)).collect();
            let resampler = counted(&pattern, 2, None, 3);
            let (mean, variance) = moments(&resampler);
            let (n, p) = (n as f64, 0.25);
            assert!((mean / (n * p) - 1.0).abs() < 0.01, "{mean}");
            assert!((variance / (n * p * (1.0 - p)) - 1.0).abs() < 0.1, "{variance}");
            assert_eq!(resampler.observed(), [n / 4.0, 3.0 * n / 4.0]);
        }
    }

    #[test]
    fn groups_are_drawn_whole() {
        // Ten groups of ten rows, five of them all of pattern 0.
        let groups: Vec<u32> = (0..100).map(|row| row / 10).collect();
        let pattern: Vec<u32> = groups.iter().map(|group| group % 2).collect();
        let resampler = counted(&pattern, 2, Some(&groups), 3);
        assert_eq!(resampler.units(), 10);
        assert_eq!(resampler.observed(), [50.0, 50.0]);
        let (mean, variance) = moments(&resampler);
        assert!((mean - 50.0).abs() < 1.0, "{mean}");
        assert!((variance / (100.0 * 10.0 * 0.25) - 1.0).abs() < 0.1, "{variance}");
    }

    #[test]
    fn half_of_the_units_change_places() {
        for n in [40u32, 63, 64, 1_000] {
            let resampler = counted(&vec![0; n as usize], 1, None, 5);
            let swaps = resampler.swaps(4_000, |changed| changed[0]);
            let mean = swaps.iter().sum::<f64>() / 4_000.0;
            let variance = swaps.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / 3_999.0;
            let n = f64::from(n);
            assert!((mean / n - 0.5).abs() < 0.01, "{mean}");
            assert!((variance / (n / 4.0) - 1.0).abs() < 0.1, "{variance}");
        }
    }

    #[test]
    fn units_toss_coins_of_their_own() {
        // 100 groups, of which no two hold the same.
        let groups: Vec<u32> = (0..100u32).flat_map(|g| vec![g; g as usize + 1]).collect();
        let resampler = counted(&groups, 100, Some(&groups), 5);
        let swaps = resampler.swaps(4_000, |changed| changed.to_vec());
        let both = |a: usize, b: usize| {
            swaps.iter().filter(|swap| swap[a] > 0.0 && swap[b] > 0.0).count() as f64 / 4_000.0
        };
        for a in 0..99 {
            assert!((both(a, a) - 0.5).abs() < 0.04 && (both(a, a + 1) - 0.25).abs() < 0.04);
        }
    }

    #[test]
    fn sums_are_those_of_the_rows_drawn() {
        // A pattern adds to three sums, in part and twice; any number of repetitions is whole.
        let mut parts = Parts::new(3);
        parts.push([(0, 1.0), (2, 0.5)]);
        parts.push([(1, 2.0), (0, 1.0)]);
        parts.push([]);
        let pattern: Vec<u32> = (0..90).map(|row| row % 3).collect();
        let groups: Vec<u32> = (0..90).map(|row| row / 7).collect();
        for groups in [None, Some(groups.as_slice())] {
            let counts = counted(&pattern, 3, groups, 7);
            let sums = Resampler::new(&pattern, parts.clone(), groups, 7);
            for repetitions in [1, 8, 13] {
                let expected =
                    counts.draws(repetitions, |c| vec![c[0] + c[1], 2.0 * c[1], 0.5 * c[0]]);
                assert_eq!(sums.draws(repetitions, <[f64]>::to_vec), expected);
                assert_eq!(expected.len(), repetitions as usize);
            }
        }
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        assert!((quantile(&sorted, 0.5) - 3.0).abs() < 1e-12);
        assert!((quantile(&sorted, 0.9) - 6.8).abs() < 1e-12);
        assert_eq!(interval([None, None, Some(1.0)]), None);
        assert_eq!(interval([None, Some(1.0), Some(1.0)]), Some((1.0, 1.0)));
        assert_eq!(varying_interval([None, Some(1.0), Some(1.0)]), None);
        assert_eq!(varying_interval([None, Some(1.0), Some(1.0), Some(3.0)]), Some((1.0, 2.9)));
    }
}
