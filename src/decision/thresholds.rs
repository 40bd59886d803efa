//! Thresholds of multi tiers: one for all labels, and per label an offset that is shrunk
//! towards none, since a hundred validation rows hold only one or two of a rare topic.

use crate::codebook::LabelSet;
use crate::heads::joint::DEFAULT_THRESHOLD;

/// A label with n positives keeps the share n / (n + SHRINKAGE) of its own offset.
const SHRINKAGE: f64 = 20.0;

/// Labels with fewer positives than this keep the common threshold.
const MIN_POSITIVES: usize = 5;

/// Thresholds stay inside (0, 1) by this much, so that 0 is never chosen and 1 always is.
const MARGIN: f64 = 1e-6;

/// The threshold that maximises micro-F1 over all labels of the tier; of equals the one
/// nearest to [`DEFAULT_THRESHOLD`], which is also the answer when nothing is positive.
///
/// `probabilities[row][label]` are those of rows in which the tier is coded, calibrated, 0
/// where the label is not permitted; `gold[row]` holds the coded labels.
pub fn common_threshold(probabilities: &[Vec<f64>], gold: &[LabelSet]) -> f64 {
    let cells = probabilities.iter().zip(gold).flat_map(|(row, gold)| {
        row.iter().enumerate().map(move |(label, p)| (*p, gold.contains(label)))
    });
    best_f1(cells.collect(), DEFAULT_THRESHOLD)
}

/// One threshold per label: the common one, moved towards the label's own best-F1 threshold
/// by n / (n + 20) of the way, n being the label's positives; below 5 positives not at all.
///
/// Shapes as in [`common_threshold`]; `labels` is the number of labels of the tier.
pub fn fit_thresholds(probabilities: &[Vec<f64>], gold: &[LabelSet], labels: usize) -> Vec<f64> {
    let common = common_threshold(probabilities, gold);
    let of_label = |label: usize| {
        let rows = probabilities.iter().zip(gold);
        let cells: Vec<(f64, bool)> = rows
            .map(|(row, gold)| (row.get(label).copied().unwrap_or(0.0), gold.contains(label)))
            .collect();
        let positives = cells.iter().filter(|(_, positive)| *positive).count();
        if positives < MIN_POSITIVES {
            return common;
        }
        let weight = positives as f64 / (positives as f64 + SHRINKAGE);
        common + weight * (best_f1(cells, common) - common)
    };
    (0..labels).map(of_label).collect()
}

/// The cut through (probability, positive) cells that maximises F1, midway between two
/// neighbouring probabilities; of equals the one nearest to `home`.
fn best_f1(mut cells: Vec<(f64, bool)>, home: f64) -> f64 {
    for (p, _) in &mut cells {
        *p = if p.is_nan() { 0.0 } else { p.clamp(0.0, 1.0) };
    }
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

    #[test]
    fn the_common_threshold_maximises_micro_f1() {
        // Descending: 0.8+ 0.6+ 0.5− 0.3+ 0.2− 0.1−. F1 at the cuts: 1/2, 4/5, 2/3, 6/7, ...
        let p = vec![vec![0.8, 0.5], vec![0.6, 0.2], vec![0.1, 0.3]];
        let cut = common_threshold(&p, &sets(&[&[0], &[0], &[1]]));
        assert!((cut - 0.25).abs() < 1e-12, "{cut}");
    }

    #[test]
    fn nothing_positive_leaves_the_default() {
        assert_eq!(common_threshold(&[vec![0.9], vec![0.2]], &sets(&[&[], &[]])), 0.5);
        assert_eq!(common_threshold(&[], &[]), 0.5);
        assert_eq!(fit_thresholds(&[], &[], 2), [0.5, 0.5]);
    }

    #[test]
    fn equal_probabilities_are_cut_together() {
        let cut = common_threshold(&[vec![0.4], vec![0.4], vec![0.2]], &sets(&[&[0], &[], &[]]));
        assert!((cut - 0.3).abs() < 1e-12, "{cut}");
    }

    #[test]
    fn offsets_shrink_with_support() {
        // Label 0: 20 positives at 0.9, as many negatives at 0.7, cut at 0.8.
        // Label 1: 2 positives at 0.3, too few to move.
        let mut p = vec![vec![0.9, 0.0]; 20];
        p.extend(vec![vec![0.7, 0.0]; 20]);
        p.extend(vec![vec![0.0, 0.3]; 2]);
        let mut gold = vec![LabelSet::one(0); 20];
        gold.extend(vec![LabelSet::default(); 20]);
        gold.extend(vec![LabelSet::one(1); 2]);
        let common = common_threshold(&p, &gold);
        let fitted = fit_thresholds(&p, &gold, 2);
        assert!((fitted[0] - (common + 0.5 * (0.8 - common))).abs() < 1e-12, "{fitted:?}");
        assert_eq!(fitted[1], common);
    }

    #[test]
    fn hostile_probabilities_give_usable_thresholds() {
        let p = vec![vec![f64::NAN, 2.0, -1.0]; 6];
        let fitted = fit_thresholds(&p, &vec![LabelSet::new(vec![0, 1, 2]); 6], 3);
        assert!(fitted.iter().all(|t| *t > 0.0 && *t < 1.0), "{fitted:?}");
    }
}
