//! The joint loss of all tiers, masked by gates and missing codes.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::form::{factor, fall};
use super::soft::SoftTargets;
use crate::encoder::ops::{dims2, tensor, tensor_values, values};

/// What one tier's head should have said of each row of a batch.
#[derive(Clone, Debug)]
pub enum Targets {
    /// Cross-entropy over the permitted labels of a single tier.
    Single(SingleTargets),
    /// Binary cross-entropy of every permitted label of a multi tier.
    Multi(MultiTargets),
    /// Cross-entropy against the probabilities that a teacher gives.
    Soft(SoftTargets),
}

/// Targets of a single tier.
#[derive(Clone, Debug)]
pub struct SingleTargets {
    /// The gold label of each row; `None` where the tier is not asked or not coded.
    pub labels: Vec<Option<usize>>,
    /// Which labels each row permits, row by row.
    pub permitted: Vec<bool>,
    /// One weight a label.
    pub class_weights: Vec<f32>,
    /// The share of each target that is spread evenly over the permitted labels.
    pub smoothing: f32,
    /// γ of the focal loss; 0: cross-entropy.
    pub focus: f64,
    /// What is added to each label's logit in the loss alone.
    pub adjustment: Vec<f32>,
    /// What the weighted sum is divided by.
    pub denominator: f32,
}

/// Targets of a multi tier.
#[derive(Clone, Debug)]
pub struct MultiTargets {
    /// Whether each label is coded, row by row.
    pub positive: Vec<bool>,
    /// Whether each label of each row counts (tier asked and coded, label permitted).
    pub counted: Vec<bool>,
    /// The weight of a positive, one a label.
    pub positive_weights: Vec<f32>,
    /// γ of the focal loss; 0: cross-entropy.
    pub focus: f64,
    /// What the sum is divided by.
    pub denominator: f32,
}

/// The loss of one tier on logits `[rows, labels]`, a scalar tensor.
///
/// # Errors
/// If targets and logits differ in size.
pub fn tier_loss(logits: &Tensor, targets: Targets) -> Result<Tensor> {
    logits.apply_op1(TierLoss(targets))
}

struct TierLoss(Targets);

impl SingleTargets {
    /// Plain cross-entropy over all of so many labels, its mean over the rows that have one.
    pub fn plain(labels: Vec<Option<usize>>, count: usize) -> Self {
        Self {
            permitted: vec![true; count * labels.len()],
            class_weights: vec![1.0; count],
            smoothing: 0.0,
            focus: 0.0,
            adjustment: vec![0.0; count],
            denominator: labels.iter().flatten().count() as f32,
            labels,
        }
    }
}

impl SingleTargets {
    fn row(&self, row: usize, logits: &[f32], grad: &mut [f32]) -> f64 {
        let Some(gold) = self.labels[row] else { return 0.0 };
        let permitted = &self.permitted[row * logits.len()..][..logits.len()];
        let logit = |label: usize| f64::from(logits[label]) + f64::from(self.adjustment[label]);
        let open = || (0..logits.len()).filter(|&label| permitted[label]).map(logit);
        let (top, count) = open().fold((f64::NEG_INFINITY, 0usize), |(t, n), l| (t.max(l), n + 1));
        let log_sum = top + open().map(|l| (l - top).exp()).sum::<f64>().ln();
        let weight = f64::from(self.class_weights[gold]) / f64::from(self.denominator);
        let spread = f64::from(self.smoothing) / count as f64;
        let target =
            |label| spread + if label == gold { 1.0 - f64::from(self.smoothing) } else { 0.0 };
        let mut entropy = 0.0;
        for label in (0..logits.len()).filter(|&label| permitted[label]) {
            let log_p = logit(label) - log_sum;
            entropy -= weight * target(label) * log_p;
            grad[label] = (weight * (log_p.exp() - target(label))) as f32;
        }
        if self.focus == 0.0 {
            return entropy;
        }
        let p = |label| (logit(label) - log_sum).exp();
        let wrong: f64 =
            (0..logits.len()).filter(|&l| l != gold && permitted[l]).map(p).sum::<f64>();
        let (factor, fall) = (factor(self.focus, wrong), fall(self.focus, wrong));
        for label in (0..logits.len()).filter(|&label| permitted[label]) {
            let toward = if label == gold { wrong } else { -p(label) };
            grad[label] =
                (factor * f64::from(grad[label]) - entropy * fall * p(gold) * toward) as f32;
        }
        factor * entropy
    }
}

impl MultiTargets {
    fn row(&self, row: usize, logits: &[f32], grad: &mut [f32]) -> f64 {
        let mut loss = 0.0;
        for (label, logit) in logits.iter().enumerate() {
            let entry = row * logits.len() + label;
            if !self.counted[entry] {
                continue;
            }
            let x = f64::from(*logit);
            let (sign, weight) = if self.positive[entry] {
                (-1.0, f64::from(self.positive_weights[label]))
            } else {
                (1.0, 1.0)
            };
            let weight = weight / f64::from(self.denominator);
            let z = sign * x;
            let entropy = z.max(0.0) + (-z.abs()).exp().ln_1p();
            let wrong = 1.0 / (1.0 + (-z).exp());
            let factor = factor(self.focus, wrong);
            loss += weight * factor * entropy;
            let slope = factor * wrong + fall(self.focus, wrong) * wrong * (1.0 - wrong) * entropy;
            grad[label] = (weight * sign * slope) as f32;
        }
        loss
    }
}

impl Targets {
    /// The loss on row-major logits, and its gradient where a row counts.
    pub fn evaluate(&self, logits: &[f32], rows: usize, grad: &mut [f32]) -> f64 {
        let labels = logits.len() / rows.max(1);
        let mut loss = 0.0;
        for row in 0..rows {
            let at = row * labels..(row + 1) * labels;
            let (l, g) = (&logits[at.clone()], &mut grad[at]);
            loss += match self {
                Targets::Single(t) => t.row(row, l, g),
                Targets::Multi(t) => t.row(row, l, g),
                Targets::Soft(t) => t.row(row, l, g),
            };
        }
        loss
    }

    /// How many logits the targets are for.
    pub(super) fn entries(&self) -> usize {
        match self {
            Targets::Single(t) => t.permitted.len(),
            Targets::Multi(t) => t.counted.len(),
            Targets::Soft(t) => t.rows.len() * t.labels,
        }
    }
}

impl CustomOp1 for TierLoss {
    fn name(&self) -> &'static str {
        "tier-loss"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let logits = values(storage, layout)?;
        let (rows, _) = dims2(layout)?;
        if self.0.entries() != logits.len() {
            bail!("targets of {} entries meet {} logits", self.0.entries(), logits.len());
        }
        let loss = self.0.evaluate(logits, rows, &mut vec![0f32; logits.len()]);
        Ok((CpuStorage::F32(vec![loss as f32]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let upstream = grad.to_scalar::<f32>()?;
        let (storage, layout) = logits.storage_and_layout();
        let (rows, labels) = dims2(layout)?;
        let mut out = vec![0f32; rows * labels];
        self.0.evaluate(tensor_values(&storage, layout)?, rows, &mut out);
        for g in &mut out {
            *g *= upstream;
        }
        Ok(Some(tensor(out, (rows, labels))?))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check::{check, var};

    pub fn single() -> Targets {
        Targets::Single(SingleTargets {
            labels: vec![Some(1), None, Some(0)],
            permitted: vec![true, true, true, true, true, true, true, false, true],
            class_weights: vec![1.0, 2.0, 0.5],
            smoothing: 0.1,
            focus: 0.0,
            adjustment: vec![0.0; 3],
            denominator: 3.0,
        })
    }

    pub fn multi() -> Targets {
        Targets::Multi(MultiTargets {
            positive: vec![true, false, false, false, true, true],
            counted: vec![true, true, true, false, false, true],
            positive_weights: vec![3.0, 1.0, 2.0],
            focus: 0.0,
            denominator: 4.0,
        })
    }

    #[test]
    fn gradients_match_finite_differences() {
        check(&[var(&[3, 3], 1)], 1e-3, |t| tier_loss(&t[0], single()).unwrap());
        check(&[var(&[2, 3], 2)], 1e-3, |t| tier_loss(&t[0], multi()).unwrap());
    }

    #[test]
    fn losses_match_hand_computed_ones() {
        let flat =
            Tensor::zeros((3, 3), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
        let loss = tier_loss(&flat, single()).unwrap().to_scalar::<f32>().unwrap();
        let expected = (2.0 * 3f32.ln() + 1.0 * 2f32.ln()) / 3.0;
        assert!((loss - expected).abs() < 1e-6);
        let flat = flat.narrow(0, 0, 2).unwrap().contiguous().unwrap();
        let loss = tier_loss(&flat, multi()).unwrap().to_scalar::<f32>().unwrap();
        assert!((loss - (3.0 + 1.0 + 1.0 + 2.0) * 2f32.ln() / 4.0).abs() < 1e-6);
    }

    #[test]
    fn uncoded_rows_and_closed_labels_get_no_gradient() {
        let x = var(&[3, 3], 3);
        let grads = tier_loss(&x, single()).unwrap().backward().unwrap();
        let g = grads.get(&x).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(g[1], [0.0; 3]);
        assert_eq!(g[2][1], 0.0);
    }

    #[test]
    fn extreme_logits_give_finite_losses() {
        let x =
            Tensor::new(&[[1e30f32, -1e30, 0.0], [0.0, 1e30, -1e30]], &candle_core::Device::Cpu)
                .unwrap();
        assert!(tier_loss(&x, multi()).unwrap().to_scalar::<f32>().unwrap().is_finite());
    }
}
