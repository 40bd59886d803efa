//! Thresholds of multi tiers: per label the one that its probabilities expect the highest F1 of,
//! since a hundred coded rows hold only one or two of a rare topic, too few to look for it.

use crate::codebook::LabelSet;
use crate::heads::joint::DEFAULT_THRESHOLD;

/// A label with n positives goes the share n / (n + SHRINKAGE) of the way to its own best cut.
const SHRINKAGE: f64 = 100.0;

/// Labels with fewer positives than this have the expected threshold.
const MIN_POSITIVES: usize = 5;

/// No label is given to a text to which it belongs less often than this.
const LEAST: f64 = 0.03;

/// Thresholds stay below 1 by this much, so that 1 always passes.
const MARGIN: f64 = 1e-6;

/// The deviation by which logits are spread, so that the highest of few does not decide alone.
const SPREAD: f64 = 0.4;

/// The medians of eight equally likely parts of the standard normal distribution.
const NORMAL: [f64; 8] = [
    -1.534_120_544,
    -0.887_146_559,
    -0.488_776_411,
    -0.157_310_685,
    0.157_310_685,
    0.488_776_411,
    0.887_146_559,
    1.534_120_544,
];

/// One threshold per label of a multi tier, for the highest macro-F1.
///
/// `probabilities[row][label]` are those of rows in which the tier is coded, calibrated, 0 where
/// the label is not permitted; `gold[row]` holds the coded labels; `labels` is their number.
///
/// Of calibrated probabilities, the cut of the highest expected F1 lies at half of that F1 (Lipton,
/// Elkan and Naryanaswamy, ECML 2014). It needs no gold, so a label that is coded once has one as
/// well. From there a label with n ≥ 5 positives moves n / (n + 100) of the way to the cut of the
/// highest F1 with the gold. A label that is never possible has 0.5.
pub fn fit_thresholds(probabilities: &[Vec<f64>], gold: &[LabelSet], labels: usize) -> Vec<f64> {
    let of_label = |label: usize| {
        let rows = probabilities.iter().zip(gold);
        let cells: Vec<(f64, bool)> = rows
            .map(|(row, gold)| {
                let p = row.get(label).copied().filter(|p| !p.is_nan()).unwrap_or(0.0);
                (p.clamp(0.0, 1.0), gold.contains(label))
            })
            .collect();
        let expected = expected_f1(cells.iter().map(|(p, _)| *p)) / 2.0;
        if expected == 0.0 {
            return DEFAULT_THRESHOLD;
        }
        let positives = cells.iter().filter(|(_, positive)| *positive).count();
        let own = match positives {
            0..MIN_POSITIVES => expected,
            _ => best_f1(cells, expected),
        };
        let weight = positives as f64 / (positives as f64 + SHRINKAGE);
        (expected + weight * (own - expected)).clamp(LEAST, 1.0 - MARGIN)
    };
    (0..labels).map(of_label).collect()
}

/// The highest F1 that a cut through these probabilities lets expect, 2 Σ p above it / (number
/// above it + Σ p), with logits spread by [`SPREAD`].
fn expected_f1(probabilities: impl Iterator<Item = f64>) -> f64 {
    let spread = |p: f64| {
        NORMAL.map(|z| match p {
            0.0 | 1.0 => p,
            _ => 1.0 / (1.0 + ((1.0 - p) / p) * (-SPREAD * z).exp()),
        })
    };
    let mut all: Vec<f64> = probabilities.flat_map(spread).collect();
    all.sort_by(|a, b| b.total_cmp(a));
    let positives: f64 = all.iter().sum();
    let mut above = 0.0;
    let f1 = all.iter().enumerate().map(|(i, p)| {
        above += p;
        2.0 * above / ((i + 1) as f64 + positives)
    });
    f1.fold(0.0, f64::max)
}

/// The cut through (probability, positive) cells that maximises F1, midway between two
/// neighbouring probabilities; of equals the one nearest to `home`.
fn best_f1(mut cells: Vec<(f64, bool)>, home: f64) -> f64 {
    cells.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = cells.iter().filter(|(_, positive)| *positive).count();
    let mut best = (0.0, home);
    let mut hits = 0usize;
    for (i, (p, positive)) in cells.iter().enumerate() {
        hits += usize::from(*positive);
        let below = cells.get(i + 1).map_or(0.0, |next| next.0);
        if below == *p {
            continue;
        }
        let f1 = 2.0 * hits as f64 / (i + 1 + positives) as f64;
        let cut = ((p + below) / 2.0).clamp(MARGIN, 1.0 - MARGIN);
        let nearer = (cut - home).abs() < (best.1 - home).abs();
        if hits > 0 && (f1 > best.0 || (f1 == best.0 && nearer)) {
            best = (f1, cut);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(rows: &[&[usize]]) -> Vec<LabelSet> {
        rows.iter().map(|labels| LabelSet::new(labels.to_vec())).collect()
    }

    /// The threshold of one label.
    fn threshold(probabilities: &[f64], gold: &[LabelSet]) -> f64 {
        let rows: Vec<Vec<f64>> = probabilities.iter().map(|p| vec![*p]).collect();
        fit_thresholds(&rows, gold, 1)[0]
    }

    #[test]
    fn certain_answers_expect_an_f1_of_one() {
        assert_eq!(expected_f1([1.0, 1.0, 0.0].into_iter()), 1.0);
        assert_eq!(expected_f1([0.0, 0.0].into_iter()), 0.0);
        assert_eq!(expected_f1(std::iter::empty()), 0.0);
    }

    #[test]
    fn equal_answers_expect_what_taking_all_of_them_gives() {
        // Σ p = n p, so 2 n p / (n + n p) = 2p / (1 + p); spread, the mean of the eight stands for
        // p and some that lie above it are a better choice, so no less.
        for p in [0.1, 0.3, 0.5] {
            let spread = NORMAL.map(|z| 1.0 / (1.0 + (1.0 / p - 1.0) * (-SPREAD * z).exp()));
            let mean = spread.iter().sum::<f64>() / 8.0;
            let found = expected_f1([p; 10].into_iter());
            assert!(found >= 2.0 * mean / (1.0 + mean) - 1e-12, "{p}: {found}");
            assert!(found < 2.0 * spread[7] / (1.0 + spread[7]), "{p}: {found}");
        }
    }

    #[test]
    fn a_rare_label_needs_no_gold() {
        let mut rare = vec![0.02; 98];
        rare.extend([0.3, 0.4]);
        let found = threshold(&rare, &vec![LabelSet::default(); 100]);
        // About 0.7 of the expected 2.7 lie in the two rows above: 2 · 0.7 / (2 + 2.7) = 0.3.
        assert!((0.1..0.2).contains(&found), "{found}");
    }

    #[test]
    fn a_label_that_is_never_possible_has_the_default() {
        assert_eq!(threshold(&[0.0; 6], &vec![LabelSet::one(0); 6]), 0.5);
        assert_eq!(fit_thresholds(&[], &[], 2), [0.5, 0.5]);
    }

    #[test]
    fn no_label_is_given_to_a_text_that_hardly_has_it() {
        assert_eq!(threshold(&[0.002; 50], &vec![LabelSet::default(); 50]), LEAST);
    }

    #[test]
    fn equal_probabilities_are_cut_together() {
        let cells = vec![(0.4, true), (0.4, false), (0.2, false)];
        let cut = best_f1(cells, 0.5);
        assert!((cut - 0.3).abs() < 1e-12, "{cut}");
    }

    #[test]
    fn the_gold_moves_a_label_by_its_support() {
        // 20 positives at 0.9, as many negatives at 0.7: the gold's cut is 0.8.
        let mut p = vec![0.9; 20];
        p.extend(vec![0.7; 20]);
        let mut gold = vec![LabelSet::one(0); 20];
        gold.extend(vec![LabelSet::default(); 20]);
        let expected = expected_f1(p.iter().copied()) / 2.0;
        let found = threshold(&p, &gold);
        assert!((found - (expected + 20.0 / 120.0 * (0.8 - expected))).abs() < 1e-12, "{found}");
        let few = sets(&[&[0], &[0], &[0], &[0]]);
        let probabilities = [0.9, 0.8, 0.7, 0.6];
        let expected = expected_f1(probabilities.into_iter()) / 2.0;
        assert_eq!(threshold(&probabilities, &few), expected);
    }

    #[test]
    fn hostile_probabilities_give_usable_thresholds() {
        let p = vec![vec![f64::NAN, 2.0, -1.0, f64::INFINITY]; 6];
        let fitted = fit_thresholds(&p, &vec![LabelSet::new(vec![0, 1, 2]); 6], 4);
        assert!(fitted.iter().all(|t| *t > 0.0 && *t < 1.0), "{fitted:?}");
    }
}
