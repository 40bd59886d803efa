//! Temperature scaling (Guo et al., ICML 2017): one number per tier that divides its logits
//! so that probabilities on validation rows are neither too sure nor too timid.

use crate::codebook::{LabelSet, TierKind};

/// Strength of the pull towards 1: fits minimise the summed negative log-likelihood plus
/// `RIDGE · (ln T)²`, a normal prior on ln T with standard deviation 0.5. A handful of rows
/// hardly moves T; a hundred rows decide for themselves.
const RIDGE: f64 = 2.0;

/// The logarithm is sought within ± this (a factor from 0.05 to 20).
const RANGE: f64 = 3.0;

/// P(label) of a single tier: the softmax of `logits / temperature`.
///
/// NaN counts as −∞, which is also how a label that is not permitted is passed; several +∞
/// share all mass; without any finite mass the labels are equal.
pub fn softmax(logits: &[f64], temperature: f64) -> Vec<f64> {
    let clean = logits.iter().map(|x| if x.is_nan() { f64::NEG_INFINITY } else { *x });
    let max = clean.clone().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return vec![1.0 / logits.len() as f64; logits.len()];
    }
    let weight = |x: f64| if x == max { 1.0 } else { ((x - max) / temperature).exp() };
    let weights: Vec<f64> = clean.map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|w| w / sum).collect()
}

/// P(label) of a multi tier: the logistic function of `logit / temperature`; NaN gives 0.
pub fn sigmoid(logit: f64, temperature: f64) -> f64 {
    if logit.is_nan() { 0.0 } else { 1.0 / (1.0 + (-logit / temperature).exp()) }
}

/// What the logits of a tier's validation rows should have said.
pub(super) struct Goal<'a> {
    kind: TierKind,
    gold: &'a [LabelSet],
    weights: Vec<f64>,
}

impl<'a> Goal<'a> {
    /// `gold[row]` holds the coded labels.
    pub fn new(kind: TierKind, gold: &'a [LabelSet]) -> Self {
        Self::weighted(kind, gold, vec![1.0; gold.len()])
    }

    /// The same with rows that count more or less than one.
    pub fn weighted(kind: TierKind, gold: &'a [LabelSet], weights: Vec<f64>) -> Self {
        Self { kind, gold, weights }
    }

    /// The negative log-likelihood of the codes, summed over rows (and labels, in multi tiers).
    ///
    /// `logits[row][label]`, −∞ where the gold answers above do not permit the label; such
    /// cells of multi tiers, and those that are NaN, are left out.
    pub fn loss(&self, logits: &[Vec<f64>], temperature: f64) -> f64 {
        let of_row = |(row, gold): (&Vec<f64>, &LabelSet)| match self.kind {
            TierKind::Single => {
                let label = gold.iter().next();
                let p = softmax(row, temperature);
                let p = label.and_then(|label| p.get(label).copied()).unwrap_or(0.0);
                -p.max(f64::MIN_POSITIVE).ln()
            }
            TierKind::Multi => {
                let open = row.iter().enumerate().filter(|(_, logit)| logit.is_finite());
                let of_cell = |(label, &logit): (usize, &f64)| {
                    let signed = if gold.contains(label) { logit } else { -logit };
                    // −ln σ(x) without overflow.
                    let x = signed / temperature;
                    (-x.abs()).exp().ln_1p() + (-x).max(0.0)
                };
                open.map(of_cell).sum()
            }
        };
        logits.iter().zip(self.gold).map(of_row).zip(&self.weights).map(|(l, w)| l * w).sum()
    }

    /// The temperature that suits these logits best; without rows 1.
    pub fn temperature(&self, logits: &[Vec<f64>]) -> f64 {
        minimise(|temperature| self.loss(logits, temperature)).0
    }
}

/// The factor x near 1 at which `loss(x) + RIDGE · (ln x)²` is least, and that value.
///
/// The likelihood of a temperature is unimodal, being convex in 1/T, and the ridge leaves it so
/// in all but contrived cases.
pub(super) fn minimise(loss: impl Fn(f64) -> f64) -> (f64, f64) {
    let objective = |ln_x: f64| loss(ln_x.exp()) + RIDGE * ln_x * ln_x;
    let (best, value) = golden_section(objective, -RANGE, RANGE);
    if value.is_finite() { (best.exp(), value) } else { (1.0, objective(0.0)) }
}

/// Where between `low` and `high` a unimodal objective is least, and that value (golden-section
/// search, Kiefer 1953).
pub(super) fn golden_section(
    objective: impl Fn(f64) -> f64,
    mut low: f64,
    mut high: f64,
) -> (f64, f64) {
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut a, mut b) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_a, mut at_b) = (objective(a), objective(b));
    while high - low > 1e-6 {
        if at_a <= at_b {
            high = b;
            (b, at_b) = (a, at_a);
            a = high - ratio * (high - low);
            at_a = objective(a);
        } else {
            low = a;
            (a, at_a) = (b, at_b);
            b = low + ratio * (high - low);
            at_b = objective(b);
        }
    }
    let middle = (low + high) / 2.0;
    (middle, objective(middle))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit_single(logits: &[Vec<f64>], gold: &[usize]) -> f64 {
        let sets: Vec<LabelSet> = gold.iter().map(|label| LabelSet::one(*label)).collect();
        Goal::new(TierKind::Single, &sets).temperature(logits)
    }

    fn fit_multi(logits: &[Vec<f64>], gold: &[LabelSet]) -> f64 {
        Goal::new(TierKind::Multi, gold).temperature(logits)
    }

    fn near(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() < tolerance, "{a} is not {b}");
    }

    #[test]
    fn softmax_takes_any_logits() {
        let p = softmax(&[2f64.ln(), 0.0], 1.0);
        near(p[0], 2.0 / 3.0, 1e-15);
        near(softmax(&[4f64.ln(), 0.0], 2.0)[0], 2.0 / 3.0, 1e-15);
        assert_eq!(softmax(&[1e30, -1e30, f64::NAN], 0.1), [1.0, 0.0, 0.0]);
        assert_eq!(softmax(&[f64::INFINITY, 0.0, f64::INFINITY], 1.0), [0.5, 0.0, 0.5]);
        assert_eq!(softmax(&[f64::NAN, f64::NEG_INFINITY], 1.0), [0.5, 0.5]);
    }

    #[test]
    fn sigmoid_takes_any_logit() {
        near(sigmoid(3f64.ln(), 1.0), 0.75, 1e-15);
        assert_eq!(
            [sigmoid(1e30, 1.0), sigmoid(-1e30, 1.0), sigmoid(f64::NAN, 1.0)],
            [1.0, 0.0, 0.0]
        );
    }

    #[test]
    fn a_large_sample_finds_the_temperature_that_made_it() {
        // Logits (2·ln 3, 0) claim 0.9, but three quarters are right: T = 2 gives 0.75.
        let logits = vec![vec![2.0 * 3f64.ln(), 0.0]; 40_000];
        let gold: Vec<usize> = (0..40_000).map(|i| usize::from(i % 4 == 0)).collect();
        near(fit_single(&logits, &gold), 2.0, 1e-3);
        let one: Vec<Vec<f64>> = logits.iter().map(|row| vec![row[0]]).collect();
        let sets: Vec<LabelSet> = gold
            .iter()
            .map(|g| if *g == 0 { LabelSet::one(0) } else { LabelSet::default() })
            .collect();
        near(fit_multi(&one, &sets), 2.0, 1e-3);
    }

    #[test]
    fn a_tiny_sample_stays_near_one() {
        near(fit_single(&[], &[]), 1.0, 1e-5);
        let t = fit_single(&[vec![3.0, 0.0]], &[0]);
        assert!(t > 0.9 && t < 1.0, "{t}");
    }

    #[test]
    fn hostile_logits_give_a_usable_temperature() {
        let t = fit_single(&[vec![f64::NAN, 1e30], vec![1e30, -1e30]], &[0, 1]);
        assert!(t.is_finite() && t > 0.0);
        let t = fit_multi(&[vec![f64::INFINITY, -1e30, f64::NAN]], &[LabelSet::one(1)]);
        assert!(t.is_finite() && t > 0.0);
    }
}
