//! Shares corrected by how the model errs on the gold.

use super::sums::{Gold, Sums};
use super::{Linear, Note};
use crate::evaluation::interval::Bounds;

/// A corrected share of one answer, and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Confusion {
    /// The share.
    pub share: f64,
    /// Its interval.
    pub bounds: Bounds,
}

/// Sensitivity and specificity together must exceed 1 by this much, less their error.
const LEAST: f64 = 0.1;

/// The corrected share of the rows of `rest`, from gold rows of any known design. `of_process` is the
/// variance of the whole corpus's share, if the interval is to hold for its process.
pub(super) fn of_gold(
    gold: &Gold,
    rest: &Sums,
    alone: &Linear,
    of_process: f64,
) -> Result<Confusion, Note> {
    let plain = |values: &[f64]| values.iter().all(|value| *value == 1.0);
    let codes = gold.model_x.iter().all(|x| *x == 0.0 || *x == 1.0);
    if !plain(gold.d) || !plain(gold.model_d) || rest.denominator != rest.rows {
        return Err(Note::NotForRatios);
    }
    if !codes {
        return Err(Note::NotForProbabilities);
    }
    let n = gold.x.len() as f64;
    let inverse: f64 = gold.pi.iter().map(|pi| 1.0 / pi).sum();
    let mut counts = [[0.0; 2]; 2];
    for ((x, model), pi) in gold.x.iter().zip(gold.model_x).zip(gold.pi) {
        counts[usize::from(*x > 0.5)][usize::from(*model > 0.5)] += n / inverse / pi;
    }
    let share = alone.own_share;
    let simple = share * (1.0 - share) / n;
    let effect = if simple > 0.0 { (alone.own_variance / simple).max(1.0) } else { 1.0 };
    let quantile = alone.quantile();
    let seen = rest.numerator / rest.rows;
    let rows = match of_process > 0.0 {
        true => (seen * (1.0 - seen) / of_process).clamp(1.0, rest.rows),
        false => rest.rows,
    };
    let found = rogan_gladen(counts, seen * rows, rows, effect, quantile);
    found.ok_or(Note::PoorModel)
}

/// The corrected share of one answer (Rogan and Gladen 1978) with the interval of Lang and Reiczigel
/// (2014), which holds for few rows: `counts[gold][model]` of gold rows, `positive` of `rows` by the
/// model. `effect` is by how much groups and unequal weights inflate variances. Undefined where the
/// model hardly tells the answer from its absence.
pub fn rogan_gladen(
    counts: [[f64; 2]; 2],
    positive: f64,
    rows: f64,
    effect: f64,
    quantile: f64,
) -> Option<Confusion> {
    let [[true_negative, false_positive], [false_negative, true_positive]] = counts;
    let (negatives, positives) =
        ((true_negative + false_positive) / effect, (true_positive + false_negative) / effect);
    if negatives <= 0.0 || positives <= 0.0 || rows <= 0.0 {
        return None;
    }
    let raw = positive / rows;
    let (sensitivity, specificity) =
        (true_positive / (positives * effect), true_negative / (negatives * effect));
    let share = (raw + specificity - 1.0) / (sensitivity + specificity - 1.0);
    let square = quantile * quantile;
    let (n, seen) = (rows + square, (positive + square / 2.0) / (rows + square));
    let (n1, n0) = (positives + 2.0, negatives + 2.0);
    let se = (true_positive / effect + 1.0) / n1;
    let sp = (true_negative / effect + 1.0) / n0;
    let youden = se + sp - 1.0;
    let (of_se, of_sp) = (se * (1.0 - se) / n1, sp * (1.0 - sp) / n0);
    if youden - quantile * (of_se + of_sp).sqrt() < LEAST {
        return None;
    }
    let p = (seen + sp - 1.0) / youden;
    let shift = 2.0 * square * (p * of_se - (1.0 - p) * of_sp);
    let half = quantile
        * (seen * (1.0 - seen) / n + (1.0 - p).powi(2) * of_sp + p * p * of_se).sqrt()
        / youden;
    Some(Confusion {
        share: share.clamp(0.0, 1.0),
        bounds: Bounds {
            lower: (p + shift - half).clamp(0.0, 1.0),
            upper: (p + shift + half).clamp(0.0, 1.0),
        },
    })
}

/// All shares of a single tier at once: those p on the simplex for which pᵀM is nearest to the
/// model's shares q, M being P(model | gold) of the gold rows. `counts[gold][model]`; an answer
/// without gold has share 0. By projected gradient descent (Duchi et al. 2008 for the projection).
pub fn adjusted_shares(counts: &[Vec<f64>], model: &[f64]) -> Vec<f64> {
    let k = model.len();
    let rows: Vec<f64> = counts.iter().map(|row| row.iter().sum()).collect();
    let with_gold: Vec<usize> = (0..k).filter(|&gold| rows[gold] > 0.0).collect();
    let chance = |gold: usize, by: usize| counts[gold][by] / rows[gold];
    let mut shares = vec![1.0 / with_gold.len().max(1) as f64; with_gold.len()];
    // The largest eigenvalue of M Mᵀ is at most its trace.
    let trace: f64 =
        with_gold.iter().map(|&g| (0..k).map(|by| chance(g, by).powi(2)).sum::<f64>()).sum();
    let step = 1.0 / trace.max(f64::MIN_POSITIVE);
    for _ in 0..20_000 {
        let miss: Vec<f64> = (0..k)
            .map(|by| {
                let given = with_gold.iter().zip(&shares).map(|(&g, p)| p * chance(g, by));
                given.sum::<f64>() - model[by]
            })
            .collect();
        let moved: Vec<f64> = with_gold
            .iter()
            .zip(&shares)
            .map(|(&g, p)| p - step * (0..k).map(|by| miss[by] * chance(g, by)).sum::<f64>())
            .collect();
        let next = onto_simplex(&moved);
        let change: f64 = next.iter().zip(&shares).map(|(a, b)| (a - b).abs()).sum();
        shares = next;
        if change < 1e-13 {
            break;
        }
    }
    let mut all = vec![0.0; k];
    with_gold.iter().zip(shares).for_each(|(&g, share)| all[g] = share);
    all
}

/// The nearest point with parts of at least 0 that sum to 1.
fn onto_simplex(point: &[f64]) -> Vec<f64> {
    let mut sorted = point.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let (mut sum, mut level) = (0.0, 0.0);
    for (at, value) in sorted.iter().enumerate() {
        sum += value;
        let own = (sum - 1.0) / (at + 1) as f64;
        if value - own > 0.0 {
            level = own;
        }
    }
    point.iter().map(|value| (value - level).max(0.0)).collect()
}
