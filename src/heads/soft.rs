//! Targets that a teacher gives: probabilities instead of codes (distillation; Hinton, Vinyals and
//! Dean 2015, at temperature 1).

use crate::codebook::{Codebook, TierKind};

/// What a teacher says of one text in one tier.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftCode {
    /// How much the text counts: P(asked), and what its selection makes of it.
    pub weight: f32,
    /// P(label | asked) of every label; of a single tier they sum to 1 over the permitted ones.
    pub probabilities: Vec<f32>,
    /// Which labels the answers above permit.
    pub permitted: Vec<bool>,
}

/// Targets of one tier for a batch.
#[derive(Clone, Debug)]
pub struct SoftTargets {
    /// Whether one label applies or any number.
    pub kind: TierKind,
    /// Labels of the tier.
    pub labels: usize,
    /// What the teacher says of each row; nothing of rows that people coded.
    pub rows: Vec<Option<SoftCode>>,
    /// What the sum is divided by.
    pub denominator: f32,
}

/// What each tier's loss over a batch is divided by: the texts, of multi tiers their permitted
/// labels, weighted by P(asked).
pub fn soft_denominators(codebook: &Codebook, rows: &[Option<&[SoftCode]>]) -> Vec<f32> {
    let of_tier = |tier: usize| {
        let each = rows.iter().flatten().map(|codes| &codes[tier]);
        let sum: f32 = match codebook.tiers[tier].kind {
            TierKind::Single => each.map(|code| code.weight).sum(),
            TierKind::Multi => each
                .map(|code| code.weight * code.permitted.iter().filter(|p| **p).count() as f32)
                .sum(),
        };
        sum.max(f32::MIN_POSITIVE)
    };
    (0..codebook.tiers.len()).map(of_tier).collect()
}

impl SoftTargets {
    pub(super) fn row(&self, row: usize, logits: &[f32], grad: &mut [f32]) -> f64 {
        let Some(code) = &self.rows[row] else { return 0.0 };
        let weight = f64::from(code.weight) / f64::from(self.denominator);
        if weight == 0.0 {
            return 0.0;
        }
        let open = || (0..logits.len()).filter(|&label| code.permitted[label]);
        let top = open().map(|l| f64::from(logits[l])).fold(f64::NEG_INFINITY, f64::max);
        let log_sum = top + open().map(|l| (f64::from(logits[l]) - top).exp()).sum::<f64>().ln();
        let mut loss = 0.0;
        for label in open() {
            let (x, p) = (f64::from(logits[label]), f64::from(code.probabilities[label]));
            let (value, slope) = match self.kind {
                TierKind::Single => (p * (log_sum - x), (x - log_sum).exp() - p),
                TierKind::Multi => {
                    let softplus = x.max(0.0) + (-x.abs()).exp().ln_1p();
                    (softplus - p * x, 1.0 / (1.0 + (-x).exp()) - p)
                }
            };
            loss += weight * value;
            grad[label] = (weight * slope) as f32;
        }
        loss
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check::{check, var};
    use crate::heads::loss::{Targets, tier_loss};

    fn code(weight: f32, probabilities: [f32; 3], permitted: [bool; 3]) -> Option<SoftCode> {
        Some(SoftCode {
            weight,
            probabilities: probabilities.to_vec(),
            permitted: permitted.to_vec(),
        })
    }

    fn targets(kind: TierKind) -> Targets {
        let rows = vec![
            code(1.0, [0.7, 0.2, 0.1], [true; 3]),
            None,
            code(0.5, [0.4, 0.0, 0.6], [true, false, true]),
        ];
        Targets::Soft(SoftTargets { kind, labels: 3, rows, denominator: 1.5 })
    }

    #[test]
    fn gradients_match_finite_differences() {
        for kind in [TierKind::Single, TierKind::Multi] {
            check(&[var(&[3, 3], 1)], 1e-3, |t| tier_loss(&t[0], targets(kind)).unwrap());
        }
    }

    #[test]
    fn losses_match_hand_computed_ones() {
        let flat = [0.0f32; 9];
        let of = |kind| targets(kind).evaluate(&flat, 3, &mut [0.0; 9]);
        let ln = f64::ln;
        assert!((of(TierKind::Single) - (ln(3.0) + 0.5 * ln(2.0)) / 1.5).abs() < 1e-6);
        assert!((of(TierKind::Multi) - (3.0 + 0.5 * 2.0) * ln(2.0) / 1.5).abs() < 1e-6);
    }

    #[test]
    fn a_text_that_is_surely_not_asked_teaches_nothing() {
        let rows = vec![code(0.0, [1.0, 0.0, 0.0], [false; 3])];
        let targets = SoftTargets { kind: TierKind::Single, labels: 3, rows, denominator: 1.0 };
        let mut grad = [0.0; 3];
        assert_eq!(Targets::Soft(targets).evaluate(&[1.0, 2.0, 3.0], 1, &mut grad), 0.0);
        assert_eq!(grad, [0.0; 3]);
    }
}
