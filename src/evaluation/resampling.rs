//! Bootstrap resamples of rows, or of whole groups of rows (Efron and Tibshirani 1993, chapter 8),
//! as counts of the few combinations of codes that the rows have.

use std::collections::HashMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution};
use rayon::prelude::*;

use crate::corpus::below;

/// Up to so many units are drawn one by one; more are drawn as counts.
const DRAWN_ONE_BY_ONE: u64 = 50_000;

/// The rows of a study as patterns (numbers of combinations of codes), in groups or each alone.
#[derive(Clone, Debug)]
pub struct Resampler {
    patterns: usize,
    /// What a unit holds: patterns with counts. Units that hold the same are one profile.
    profiles: Vec<Vec<(u32, u32)>>,
    /// How many units have each profile.
    units: Vec<u64>,
    /// The profile of each unit, where units are drawn one by one.
    of_unit: Vec<u32>,
    seed: u64,
}

impl Resampler {
    /// `pattern[row]` is below `patterns`. With `groups[row]` whole groups are drawn, without them
    /// rows. All draws follow from the seed.
    pub fn new(pattern: &[u32], patterns: usize, groups: Option<&[u32]>, seed: u64) -> Self {
        let mut of_profile: HashMap<Vec<(u32, u32)>, usize> = HashMap::new();
        let (mut profiles, mut units) = (Vec::new(), Vec::new());
        let mut add = |profile: Vec<(u32, u32)>, count: u64| {
            let place = *of_profile.entry(profile).or_insert_with_key(|profile| {
                profiles.push(profile.clone());
                units.push(0);
                profiles.len() - 1
            });
            units[place] += count;
        };
        match groups {
            None => {
                let mut counts = vec![0u64; patterns];
                pattern.iter().for_each(|p| counts[*p as usize] += 1);
                for (p, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                    add(vec![(p as u32, 1)], count);
                }
            }
            Some(groups) => {
                let mut rows: Vec<(u32, u32)> =
                    groups.iter().copied().zip(pattern.iter().copied()).collect();
                rows.sort_unstable();
                for own in rows.chunk_by(|a, b| a.0 == b.0) {
                    let counts = own.chunk_by(|a, b| a.1 == b.1);
                    add(counts.map(|same| (same[0].1, same.len() as u32)).collect(), 1);
                }
            }
        }
        let total: u64 = units.iter().sum();
        let mut of_unit = Vec::new();
        if total <= DRAWN_ONE_BY_ONE {
            for (profile, count) in units.iter().enumerate() {
                of_unit.extend(std::iter::repeat_n(profile as u32, *count as usize));
            }
        }
        Self { patterns, profiles, units, of_unit, seed }
    }

    /// How many units are drawn: groups, or rows.
    pub fn units(&self) -> u64 {
        self.units.iter().sum()
    }

    /// About how many steps one resample takes.
    pub fn steps(&self) -> u64 {
        (self.profiles.iter().map(Vec::len).sum::<usize>() + self.of_unit.len()) as u64
    }

    /// The rows themselves: how many have each pattern.
    pub fn observed(&self) -> Vec<f64> {
        let mut counts = vec![0.0; self.patterns];
        for (profile, times) in self.profiles.iter().zip(&self.units) {
            add_to(&mut counts, profile, *times as f64);
        }
        counts
    }

    /// One resample: how many rows have each pattern.
    fn draw(&self, repetition: u64) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(repetition);
        let mut counts = vec![0.0; self.patterns];
        if !self.of_unit.is_empty() {
            for _ in 0..self.of_unit.len() {
                let unit = below(&mut random, self.of_unit.len());
                add_to(&mut counts, &self.profiles[self.of_unit[unit] as usize], 1.0);
            }
            return counts;
        }
        // A multinomial draw, one binomial after the other.
        let (mut left, mut chances) = (self.units(), self.units());
        for (profile, own) in self.profiles.iter().zip(&self.units) {
            let share = *own as f64 / chances.max(1) as f64;
            let times = match Binomial::new(left, share.min(1.0)) {
                Ok(binomial) => binomial.sample(&mut random),
                Err(_) => 0,
            };
            add_to(&mut counts, profile, times as f64);
            left -= times;
            chances -= own;
        }
        counts
    }

    /// Of how many rows with each pattern both coders change places, if each unit's do so by the
    /// toss of a coin.
    fn swap(&self, repetition: u64) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(repetition);
        let mut counts = vec![0.0; self.patterns];
        for (profile, own) in self.profiles.iter().zip(&self.units) {
            let times = match own {
                1..=64 => (random.next_u64() >> (64 - own)).count_ones() as u64,
                _ => Binomial::new(*own, 0.5).map_or(0, |binomial| binomial.sample(&mut random)),
            };
            add_to(&mut counts, profile, times as f64);
        }
        counts
    }

    /// What a statistic gives where the coders of a random half of the units change places, so many
    /// times (approximate randomisation; Noreen 1989, Yeh 2000). It is given the rows of each
    /// pattern that change.
    pub fn swaps<T: Send>(
        &self,
        repetitions: u64,
        statistic: impl Fn(&[f64]) -> T + Sync,
    ) -> Vec<T> {
        (0..repetitions).into_par_iter().map(|r| statistic(&self.swap(r))).collect()
    }

    /// What a statistic gives on each of so many resamples; in order, whatever the threads.
    pub fn draws<T: Send>(
        &self,
        repetitions: u64,
        statistic: impl Fn(&[f64]) -> T + Sync,
    ) -> Vec<T> {
        (0..repetitions).into_par_iter().map(|r| statistic(&self.draw(r))).collect()
    }
}

fn add_to(counts: &mut [f64], profile: &[(u32, u32)], times: f64) {
    if times > 0.0 {
        profile.iter().for_each(|(p, count)| counts[*p as usize] += times * f64::from(*count));
    }
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
            let resampler = Resampler::new(&pattern, 2, None, 3);
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
        let resampler = Resampler::new(&pattern, 2, Some(&groups), 3);
        assert_eq!(resampler.units(), 10);
        let (mean, variance) = moments(&resampler);
        assert!((mean - 50.0).abs() < 1.0, "{mean}");
        assert!((variance / (100.0 * 10.0 * 0.25) - 1.0).abs() < 0.1, "{variance}");
    }

    #[test]
    fn half_of_the_units_change_places() {
        for n in [40u32, 1_000] {
            let resampler = Resampler::new(&vec![0; n as usize], 1, None, 5);
            let swaps = resampler.swaps(4_000, |changed| changed[0]);
            let mean = swaps.iter().sum::<f64>() / 4_000.0;
            let variance = swaps.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / 3_999.0;
            let n = f64::from(n);
            assert!((mean / n - 0.5).abs() < 0.01, "{mean}");
            assert!((variance / (n / 4.0) - 1.0).abs() < 0.1, "{variance}");
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
