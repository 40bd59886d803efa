//! The difference estimator: the model's total, corrected by what the gold rows show of its errors.
//!
//! With the weight of the model's codes tuned it is the estimator of PPI++ (Angelopoulos, Duchi and
//! Zrnic 2023, "PPI++: Efficient Prediction-Powered Inference"), with weight 1 that of DSL (Egami et
//! al. 2023), with weight 0 the gold alone. Ratios are linearised (Särndal, Swensson and Wretman
//! 1992, section 5.6), groups enter as in section 4.2 there.

use super::Target;
use super::sums::{Gold, Sums};
use crate::evaluation::interval::{Bounds, clopper_pearson, wilson};
use crate::evaluation::quantile::student;

/// How much the model's codes weigh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tuning {
    /// Nothing: the gold alone.
    None,
    /// As much as makes the variance least.
    Optimal,
    /// All, and the gold by its inclusion probabilities as they are.
    Full,
}

/// A share found so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    /// The share over the rows estimated and the rows known.
    pub estimate: f64,
    /// Its variance.
    pub variance: f64,
    /// Degrees of freedom of the variance.
    pub degrees: f64,
    /// The weight of the model's codes.
    pub lambda: f64,
    /// Whether every row that was to be estimated is gold.
    pub is_census: bool,
    /// Whether the interval of the denominator reaches 0.
    pub denominator_may_be_zero: bool,
    /// The share among the estimated rows alone, and its variance.
    pub(super) own_share: f64,
    pub(super) own_variance: f64,
    /// The part of the denominator that is estimated, and the known numerator over all of it.
    part: f64,
    shift: f64,
    /// The two totals, where not all rows are counted.
    ratio: Option<Ratio>,
}

impl Linear {
    /// The share of all from that of the estimated rows.
    pub(super) fn whole(&self, own: f64) -> f64 {
        (self.part * own + self.shift).clamp(0.0, 1.0)
    }

    /// Student's quantile of a 95 % interval.
    pub(super) fn quantile(&self) -> f64 {
        student(self.degrees)
    }

    /// The 95 % interval: Wilson's with Student's quantile on as many rows as would give this
    /// variance, or, to be safe, Clopper and Pearson's on them (Korn and Graubard 1998).
    pub fn bounds(&self, safe: bool) -> Bounds {
        if self.is_census || self.own_variance <= 0.0 {
            let share = self.estimate.clamp(0.0, 1.0);
            return Bounds { lower: share, upper: share };
        }
        let quantile = self.quantile();
        if let (Some(ratio), false) = (&self.ratio, safe)
            && let Some(bounds) = ratio.fieller(quantile)
        {
            return Bounds { lower: bounds.lower.max(0.0), upper: bounds.upper.min(1.0) };
        }
        let share = self.own_share.clamp(0.0, 1.0);
        // At the ends the binomial variance is 0 whatever the rows say.
        let spread = (share * (1.0 - share)).max(self.own_variance);
        let rows = spread / self.own_variance;
        let own = match safe {
            // Student's quantile is wider than the normal one that exact intervals stand for.
            true => {
                let rows = rows * (1.96 / quantile).powi(2);
                clopper_pearson(share * rows, rows)
            }
            false => wilson(share, rows, quantile),
        };
        Bounds { lower: self.whole(own.lower), upper: self.whole(own.upper) }
    }
}

/// The share of `rest` and `known` together. `rest` sums the model's codes over all rows that the
/// gold was drawn from, the gold rows included; `known` sums gold codes of further rows. Undefined
/// without gold rows that are counted.
pub fn linear(
    gold: &Gold,
    rest: &Sums,
    known: &Sums,
    tuning: Tuning,
    target: Target,
) -> Option<Linear> {
    let n = gold.x.len();
    let inverse: f64 = gold.pi.iter().map(|pi| 1.0 / pi).sum();
    if n == 0 || rest.rows <= 0.0 {
        return None;
    }
    // Weights that sum to the rows, but for DSL, whose weights are the design's.
    let scale = if tuning == Tuning::Full { 1.0 } else { rest.rows / inverse };
    let weight: Vec<f64> = gold.pi.iter().map(|pi| scale / pi).collect();
    let total = |values: &[f64]| weight.iter().zip(values).map(|(w, v)| w * v).sum::<f64>();
    let denominator = total(gold.d);
    if denominator <= 0.0 {
        return None;
    }
    let mut share = total(gold.x) / denominator;
    let mut lambda = weight_of_model(gold, rest, tuning, &weight, share);
    let (mut top, mut bottom) = (0.0, 0.0);
    for _ in 0..2 {
        top = total(gold.x) + lambda * (rest.numerator - total(gold.model_x));
        bottom = total(gold.d) + lambda * (rest.denominator - total(gold.model_d));
        if bottom <= 0.0 {
            return None;
        }
        share = top / bottom;
        lambda = weight_of_model(gold, rest, tuning, &weight, share);
    }
    let is_census = n as f64 >= rest.rows;
    // Weights that are not scaled to the rows let the number of rows in the drawn groups count.
    let is_free = tuning == Tuning::Full && gold.cluster.is_some();
    // The variance of the numerator's total less `r` times the denominator's, and its degrees.
    let variance_at = |r: f64| -> (f64, f64) {
        let z = |x: &[f64], d: &[f64]| -> Vec<f64> {
            x.iter().zip(d).map(|(x, d)| x - r * d).collect()
        };
        let (truth, model) = (z(gold.x, gold.d), z(gold.model_x, gold.model_d));
        let residual: Vec<f64> = truth.iter().zip(&model).map(|(t, m)| t - lambda * m).collect();
        let varying = if is_free { residual } else { centre(&residual, &weight) };
        let (of_design, degrees) = spread(gold, &weight, &varying, lambda);
        let mut variance = if is_census { 0.0 } else { of_design };
        if target == Target::Process {
            variance += of_process(gold, rest, &weight, &centre(&truth, &weight));
        }
        (variance, degrees)
    };
    let (variance, degrees) = variance_at(share);
    let all = bottom + known.denominator;
    let is_all = |d: &[f64]| d.iter().all(|d| *d > 0.0);
    let ratio = (!is_all(gold.d) || !is_all(gold.model_d)).then(|| {
        let [none, half, one] = [0.0, 0.5, 1.0].map(|r| variance_at(r).0);
        let slope = 4.0 * half - 3.0 * none - one;
        let square = (2.0 * (none - 2.0 * half + one)).max(0.0);
        Ratio {
            numerator: top + known.numerator,
            denominator: all,
            variance: [variance - share * (slope + share * square), slope, square],
        }
    });
    Some(Linear {
        estimate: (top + known.numerator) / all,
        variance: variance / (all * all),
        degrees,
        lambda,
        is_census: is_census && target == Target::Corpus,
        denominator_may_be_zero: ratio
            .as_ref()
            .is_some_and(|ratio| ratio.fieller(student(degrees)).is_none()),
        own_share: share,
        own_variance: variance / (bottom * bottom),
        part: bottom / all,
        shift: known.numerator / all,
        ratio,
    })
}

/// Two totals that both are estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ratio {
    numerator: f64,
    denominator: f64,
    /// The variance of the numerator less `r` times the denominator: its parts that go with 1, r, r².
    variance: [f64; 3],
}

impl Ratio {
    /// All ratios r at which the numerator less r times the denominator is not too far from 0
    /// (Fieller 1954); none if these have no end, as then the denominator's interval reaches 0.
    fn fieller(&self, quantile: f64) -> Option<Bounds> {
        let Self { numerator, denominator, variance } = self;
        let [constant, slope, square] = variance.map(|part| part * quantile * quantile);
        let a = denominator * denominator - square;
        let b = 2.0 * numerator * denominator + slope;
        let c = numerator * numerator - constant;
        let root = (b * b - 4.0 * a * c).max(0.0).sqrt();
        (a > 0.0).then(|| Bounds { lower: (b - root) / (2.0 * a), upper: (b + root) / (2.0 * a) })
    }
}

/// What the corpus as a whole adds if it is itself one outcome: the variance of a total over all
/// rows, and by how much rows of a group are alike.
fn of_process(gold: &Gold, rest: &Sums, weight: &[f64], centred: &[f64]) -> f64 {
    let sum: f64 = weight.iter().sum();
    let squares: f64 = weight.iter().zip(centred).map(|(w, c)| w * c * c).sum();
    let rows = rest.rows * squares / sum;
    if gold.cluster.is_none() {
        return rows;
    }
    let all = vec![0.0; gold.pi.len()];
    let independent = Gold { cluster: None, pi: &all, ..*gold };
    let of_groups = spread(gold, weight, centred, 0.0).0;
    rows + (of_groups - spread(&independent, weight, centred, 0.0).0).max(0.0)
}

/// The weight of the model's codes that makes the variance least: the slope of truth on model,
/// between 0 and what PPI++ allows, 1 less the gold's part of the rows.
fn weight_of_model(gold: &Gold, rest: &Sums, tuning: Tuning, weight: &[f64], share: f64) -> f64 {
    match tuning {
        Tuning::None => return 0.0,
        Tuning::Full => return 1.0,
        Tuning::Optimal => {}
    }
    let z = |x: &[f64], d: &[f64]| -> Vec<f64> {
        let z: Vec<f64> = x.iter().zip(d).map(|(x, d)| x - share * d).collect();
        centre(&z, weight)
    };
    let (truth, model) = (z(gold.x, gold.d), z(gold.model_x, gold.model_d));
    let sum: f64 = weight.iter().sum();
    let together: f64 =
        weight.iter().zip(truth.iter().zip(&model)).map(|(w, (t, m))| w * t * m).sum();
    let variance = rest.variance(share);
    if variance <= 0.0 {
        return 0.0;
    }
    let others = rest.rows - gold.x.len() as f64;
    let most = if others > 0.0 { rest.rows / others } else { 1.0 };
    (together / sum / variance).clamp(0.0, most)
}

pub(super) fn centre(values: &[f64], weight: &[f64]) -> Vec<f64> {
    let sum: f64 = weight.iter().sum();
    let mean = weight.iter().zip(values).map(|(w, v)| w * v).sum::<f64>() / sum;
    values.iter().map(|value| value - mean).collect()
}

/// The variance of the weighted total of residuals, and its degrees of freedom. Errors of a
/// model that are not among the gold rows may be among the others: two more are counted than seen
/// (as Agresti and Coull 1998 do of successes and failures), as far as the model weighs.
pub(super) fn spread(gold: &Gold, weight: &[f64], residuals: &[f64], lambda: f64) -> (f64, f64) {
    let n = weight.len() as f64;
    let sum: f64 = weight.iter().sum();
    let mean = sum / n;
    let unseen = 2.0 * lambda * lambda * mean * mean * scale(gold);
    match gold.cluster {
        None => {
            let all: f64 = weight.iter().zip(gold.d).map(|(w, d)| w * d).sum();
            // A row that weighs much draws the share to itself: it stands as it would with the share
            // found without it (HC3 of MacKinnon and White 1985).
            let alone = |w: f64, d: f64| (1.0 - 1.0 / n) / without(w * d / all, 1.0 / n);
            let terms = weight.iter().zip(residuals).zip(gold.d).zip(gold.pi);
            let squares: f64 =
                terms.map(|(((w, c), d), pi)| (w * c * alone(*w, *d)).powi(2) * (1.0 - pi)).sum();
            let left = 1.0 - gold.pi.iter().sum::<f64>() / n;
            let variance = n / (n - 1.0).max(1.0) * squares + unseen * left.max(0.0);
            let terms = weight.iter().zip(gold.d).map(|(w, d)| (w * d).powi(2));
            (variance, effective(terms))
        }
        Some(clusters) => {
            let (variance, degrees) = spread_of_groups(gold, weight, residuals, clusters);
            (variance + unseen, degrees)
        }
    }
}

/// The most of the counted rows that a group or row may stand for before its residual is taken as it is.
const MOST_OF_ONE: f64 = 0.9;

/// What is left of all without this part of it, which is at least `least`.
fn without(part: f64, least: f64) -> f64 {
    1.0 - part.max(least).min(MOST_OF_ONE)
}

/// The same for groups that are drawn whole or in part: each group's total as it would be with the
/// share found without that group (the jackknife CR3 of Bell and McCaffrey 2002), and Satterthwaite's
/// degrees of freedom for groups as unequal as these, whose rows are as alike as they are seen to be.
fn spread_of_groups(
    gold: &Gold,
    weight: &[f64],
    residuals: &[f64],
    clusters: &[u32],
) -> (f64, f64) {
    let groups = clusters.iter().max().map_or(0, |most| *most as usize + 1);
    let (mut sums, mut sizes) = (vec![0.0; groups], vec![0.0; groups]);
    let (mut counted, mut of_rows) = (0.0, 0.0);
    for (((w, c), d), cluster) in weight.iter().zip(residuals).zip(gold.d).zip(clusters) {
        sums[*cluster as usize] += w * c;
        sizes[*cluster as usize] += w * d;
        counted += f64::from(u8::from(*d > 0.0));
        of_rows += (w * c).powi(2);
    }
    let all: f64 = sizes.iter().sum();
    let there = sizes.iter().filter(|size| **size > 0.0).count() as f64;
    let squares: f64 =
        sums.iter().zip(&sizes).map(|(sum, size)| (sum / without(size / all, 0.0)).powi(2)).sum();
    let plain: f64 = sums.iter().map(|sum| sum * sum).sum();
    let rows: Vec<f64> = sizes.iter().map(|size| size * counted / all).collect();
    // How many rows a row's group holds, and by how much rows of a group err together.
    let mates = rows.iter().map(|rows| rows * rows).sum::<f64>() / counted;
    let alike = (plain / of_rows - 1.0) / (mates - 1.0);
    let alike = if alike.is_finite() { alike.clamp(0.0, 1.0) } else { 1.0 };
    let terms = rows.iter().map(|rows| rows * (1.0 - alike) + rows * rows * alike);
    ((there - 1.0).max(1.0) / there * squares, effective(terms))
}

/// Satterthwaite's degrees of freedom of a sum of squares whose expected values are these, less the
/// one that the share takes.
fn effective(terms: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut squares) = (0.0, 0.0);
    for term in terms {
        sum += term;
        squares += term * term;
    }
    if squares > 0.0 { (sum * sum / squares - 1.0).max(1.0) } else { 1.0 }
}

/// The mean square of the weights of counted rows: what one error adds.
fn scale(gold: &Gold) -> f64 {
    let counted: Vec<f64> = gold.d.iter().copied().filter(|d| *d > 0.0).collect();
    counted.iter().map(|d| d * d).sum::<f64>() / counted.len().max(1) as f64
}
