//! Whether probabilities are as right as they say.
//!
//! The calibration error is the root of the mean squared distance between stated and observed
//! shares over bins of equally many events, less what chance alone adds to it (Kumar, Liang and Ma
//! 2019, "Verified Uncertainty Calibration", the debiased estimator). Brier score: Brier 1950. Slope
//! and intercept: [`fit_line`].

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use crate::codebook::{LabelSet, TierKind};
use crate::corpus::below;
use crate::decision::fit_line;

/// Bins at most.
const BINS: usize = 15;
/// Events that a bin has at least, where there are as many.
const BIN_EVENTS: usize = 20;
/// Resamples of the rows for an interval.
const RESAMPLES: u64 = 1_000;
/// Draws of what a perfect model would show.
const DRAWS: u64 = 200;
/// With fewer rows the error of a perfect model is shown beside.
const FEW_ROWS: usize = 1_000;

/// What one row says of the probabilities that it was given.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    brier: f64,
    log_loss: f64,
    /// What was stated, and whether it came true.
    events: Vec<(f64, bool)>,
}

impl Judged {
    /// A row whose labels have these probabilities, and its gold. Of a single tier the event is
    /// that the likeliest label is right; of a multi tier every label that is permitted is one.
    pub fn labels(
        kind: TierKind,
        permitted: &[bool],
        probabilities: &[f64],
        gold: &LabelSet,
    ) -> Self {
        match kind {
            TierKind::Multi => {
                let labels = (0..probabilities.len()).filter(|label| permitted[*label]);
                let event = |label| (probabilities[label], gold.contains(label));
                Self::events(labels.map(event).collect())
            }
            TierKind::Single => {
                let of = |(label, p): (usize, &f64)| (p - f64::from(gold.contains(label))).powi(2);
                let brier = probabilities.iter().enumerate().map(of).sum();
                let own: f64 = gold.iter().map(|label| probabilities[label]).sum();
                let best = (0..probabilities.len())
                    .max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]).then(b.cmp(&a)));
                let event = best.map(|best| (probabilities[best], gold.contains(best)));
                Self { brier, log_loss: -own.max(LEAST).ln(), events: event.into_iter().collect() }
            }
        }
    }

    /// A row of which these things were stated, each true or not.
    pub fn events(events: Vec<(f64, bool)>) -> Self {
        let n = events.len().max(1) as f64;
        let brier = events.iter().map(|(p, y)| (p - f64::from(*y)).powi(2)).sum::<f64>() / n;
        let loss = |(p, y): &(f64, bool)| -(if *y { *p } else { 1.0 - p }).max(LEAST).ln();
        let log_loss = events.iter().map(loss).sum::<f64>() / n;
        Self { brier, log_loss, events }
    }
}

/// Probabilities below it count as it.
const LEAST: f64 = 1e-15;

/// The figures of many rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Rows.
    pub n: usize,
    /// Mean Brier score: over all labels of a single tier the sum, of a multi tier the mean.
    pub brier: f64,
    /// Mean negative logarithm of what was stated for the gold.
    pub log_loss: f64,
    /// 1 where probabilities are neither too sure (below 1) nor too timid (above).
    pub slope: Option<f64>,
    /// 0 where they are neither too high (below 0) nor too low.
    pub intercept: Option<f64>,
    /// The calibration error without what chance adds.
    pub error: f64,
    /// 95 % interval of the error, from resampled rows.
    pub lower: f64,
    /// Its upper end.
    pub upper: f64,
    /// The error with what chance adds.
    pub uncorrected: f64,
    /// With fewer than 1,000 rows: the uncorrected error that a perfectly calibrated model would
    /// show on so many.
    pub perfect: Option<f64>,
    /// What was stated and what came true, over bins of equally many events, from the least stated.
    pub bins: Vec<Bin>,
}

/// Events of which about the same was stated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// Events.
    pub n: usize,
    /// The mean probability that was stated.
    pub stated: f64,
    /// The share of events that came true.
    pub observed: f64,
}

impl Calibration {
    /// The figures; none without events.
    pub fn of(rows: &[Judged]) -> Option<Self> {
        let events: Vec<(f64, bool)> = rows.iter().flat_map(|row| row.events.clone()).collect();
        if events.is_empty() {
            return None;
        }
        let n = rows.len() as f64;
        let Squares { seen, chance } = squares(events.clone());
        let mut resampled: Vec<f64> = (0..RESAMPLES)
            .into_par_iter()
            .map(|draw| {
                let mut random = ChaCha8Rng::seed_from_u64(draw);
                let row = |_| &rows[below(&mut random, rows.len())];
                let row = (0..rows.len()).map(row);
                let own = squares(row.flat_map(|row| row.events.iter().copied()).collect());
                // Drawing rows adds chance once more.
                (own.seen - 2.0 * own.chance).max(0.0).sqrt()
            })
            .collect();
        resampled.sort_by(f64::total_cmp);
        let at = |share: f64| resampled[(share * (RESAMPLES - 1) as f64).round() as usize];
        let (slope, intercept) = fit_line(&events, 0.0).unzip();
        Some(Self {
            n: rows.len(),
            brier: rows.iter().map(|row| row.brier).sum::<f64>() / n,
            log_loss: rows.iter().map(|row| row.log_loss).sum::<f64>() / n,
            slope,
            intercept,
            error: (seen - chance).max(0.0).sqrt(),
            lower: at(0.025),
            upper: at(0.975),
            uncorrected: seen.sqrt(),
            perfect: (rows.len() < FEW_ROWS).then(|| perfect(&events)),
            bins: bins(events),
        })
    }
}

/// The squared calibration error as it is seen, and what chance is expected to add to it.
struct Squares {
    seen: f64,
    chance: f64,
}

fn bins(mut events: Vec<(f64, bool)>) -> Vec<Bin> {
    events.sort_by(|a, b| a.0.total_cmp(&b.0));
    let n = events.len();
    let count = (n / BIN_EVENTS).clamp(1, BINS);
    let bin = |at: usize| {
        let own = &events[n * at / count..n * (at + 1) / count];
        let size = own.len() as f64;
        let stated = own.iter().map(|(p, _)| p).sum::<f64>() / size;
        let observed = own.iter().filter(|(_, y)| *y).count() as f64 / size;
        Bin { n: own.len(), stated, observed }
    };
    (0..count).map(bin).collect()
}

fn squares(events: Vec<(f64, bool)>) -> Squares {
    let n = events.len() as f64;
    let mut all = Squares { seen: 0.0, chance: 0.0 };
    for Bin { n: size, stated, observed } in bins(events) {
        let size = size as f64;
        all.seen += size / n * (stated - observed).powi(2);
        all.chance += size / n * observed * (1.0 - observed) / (size - 1.0).max(1.0);
    }
    all
}

/// The mean uncorrected error if every event came true as often as stated.
fn perfect(events: &[(f64, bool)]) -> f64 {
    let draw = |seed: u64| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut unit = || (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        squares(events.iter().map(|(p, _)| (*p, unit() < *p)).collect()).seen.sqrt()
    };
    (0..DRAWS).into_par_iter().map(draw).collect::<Vec<f64>>().iter().sum::<f64>() / DRAWS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_a_row_are_those_of_the_definition() {
        let single =
            Judged::labels(TierKind::Single, &[true; 3], &[0.7, 0.2, 0.1], &LabelSet::one(1));
        assert!((single.brier - (0.49 + 0.64 + 0.01)).abs() < 1e-12);
        assert!((single.log_loss + 0.2f64.ln()).abs() < 1e-12);
        assert_eq!(single.events, [(0.7, false)]);
        let multi = Judged::labels(TierKind::Multi, &[true; 2], &[0.9, 0.4], &LabelSet::one(0));
        assert!((multi.brier - (0.01 + 0.16) / 2.0).abs() < 1e-12);
        assert!((multi.log_loss + (0.9f64.ln() + 0.6f64.ln()) / 2.0).abs() < 1e-12);
        assert_eq!(multi.events, [(0.9, true), (0.4, false)]);
    }

    #[test]
    fn errors_are_those_of_one_bin_by_hand() {
        // Stated 0.8, seen 0.5 of ten: squared 0.09, chance 0.25 / 9.
        let events = (0..10).map(|i| (0.8, i < 5)).collect();
        let found = squares(events);
        assert!((found.seen - 0.09).abs() < 1e-12);
        assert!((found.chance - 0.25 / 9.0).abs() < 1e-12);
    }

    /// Events that come true with the probability that `actual` makes of what is stated.
    fn drawn(n: usize, actual: impl Fn(f64) -> f64) -> Vec<Judged> {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut unit = || (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        (0..n)
            .map(|_| {
                let p = 0.05 + 0.9 * unit();
                Judged::events(vec![(p, unit() < actual(p))])
            })
            .collect()
    }

    #[test]
    fn a_perfect_model_has_no_error_but_that_of_chance() {
        let found = Calibration::of(&drawn(20_000, |p| p)).unwrap();
        assert!(found.error < 0.01 && found.lower <= found.error && found.error <= found.upper);
        assert!((found.slope.unwrap() - 1.0).abs() < 0.05);
        assert!(found.intercept.unwrap().abs() < 0.05 && found.perfect.is_none());
        let few = Calibration::of(&drawn(400, |p| p)).unwrap();
        assert!((few.uncorrected - few.perfect.unwrap()).abs() < 0.05);
        assert!(few.error < few.uncorrected);
    }

    #[test]
    fn a_model_twice_too_sure_has_half_the_slope() {
        let actual = |p: f64| 1.0 / (1.0 + (-0.5 * (p / (1.0 - p)).ln()).exp());
        let found = Calibration::of(&drawn(20_000, actual)).unwrap();
        assert!((found.slope.unwrap() - 0.5).abs() < 0.03, "{found:?}");
        assert!(found.lower > 0.05, "{found:?}");
    }
}
