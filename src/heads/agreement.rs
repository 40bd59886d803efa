//! Agreement between two passes over the same rows with different dropout (R-Drop; Liang et al.
//! 2021): the symmetric Kullback-Leibler divergence of their answers.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::loss::Targets;
use crate::encoder::ops::{dims2, tensor, tensor_values, values};

struct Divergence(Targets);

/// Half the sum of both divergences between the answers of two passes, `[rows, labels]` each,
/// over the entries that the targets count, weighted and divided as their loss is; a scalar.
///
/// # Errors
/// If the passes or the targets differ in size.
pub fn divergence(one: &Tensor, other: &Tensor, targets: Targets) -> Result<Tensor> {
    one.apply_op2(other, Divergence(targets))
}

fn softmax(logits: &[f32], permitted: &[bool]) -> Vec<f64> {
    let open = || logits.iter().zip(permitted).filter(|(_, p)| **p).map(|(l, _)| f64::from(*l));
    let top = open().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = open().map(|l| (l - top).exp()).sum();
    let each = logits.iter().zip(permitted);
    each.map(|(l, p)| if *p { (f64::from(*l) - top).exp() / sum } else { 0.0 }).collect()
}

/// Probabilities below this count as this in logarithms.
const FLOOR: f64 = 1e-9;

/// One categorical answer: the divergence of `p` and `q`, and its slope along p's logits.
fn categorical(p: &[f64], q: &[f64]) -> (f64, Vec<f64>) {
    let log = |v: f64| v.max(FLOOR).ln();
    let forward: f64 = p.iter().zip(q).map(|(p, q)| p * (log(*p) - log(*q))).sum();
    let backward: f64 = p.iter().zip(q).map(|(p, q)| q * (log(*q) - log(*p))).sum();
    let slope = |(p, q): (&f64, &f64)| 0.5 * (p * (log(*p) - log(*q) - forward) + p - q);
    (0.5 * (forward + backward), p.iter().zip(q).map(slope).collect())
}

/// One yes or no: the divergence of two logits, and its slope along the first.
fn binary(x: f64, y: f64) -> (f64, f64) {
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
    let (p, q) = (sigmoid(x), sigmoid(y));
    (0.5 * (p - q) * (x - y), 0.5 * (p * (1.0 - p) * (x - y) + p - q))
}

impl Divergence {
    /// The divergence of the two passes, and its gradient along the first.
    fn evaluate(&self, one: &[f32], other: &[f32], rows: usize) -> (f64, Vec<f32>) {
        let labels = one.len() / rows.max(1);
        let mut gradient = vec![0f32; one.len()];
        let mut total = 0.0;
        for row in 0..rows {
            let at = row * labels..(row + 1) * labels;
            match &self.0 {
                Targets::Single(t) => {
                    let Some(gold) = t.labels[row] else { continue };
                    let weight = f64::from(t.class_weights[gold]) / f64::from(t.denominator);
                    let permitted = &t.permitted[at.clone()];
                    let p = softmax(&one[at.clone()], permitted);
                    let q = softmax(&other[at.clone()], permitted);
                    let (value, slope) = categorical(&p, &q);
                    total += weight * value;
                    for (g, s) in gradient[at].iter_mut().zip(slope) {
                        *g = (weight * s) as f32;
                    }
                }
                Targets::Soft(_) => {}
                Targets::Multi(t) => {
                    for entry in at.filter(|&entry| t.counted[entry]) {
                        let (value, slope) = binary(f64::from(one[entry]), f64::from(other[entry]));
                        total += value / f64::from(t.denominator);
                        gradient[entry] = (slope / f64::from(t.denominator)) as f32;
                    }
                }
            }
        }
        (total, gradient)
    }
}

impl CustomOp2 for Divergence {
    fn name(&self) -> &'static str {
        "divergence"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (one, other) = (values(s1, l1)?, values(s2, l2)?);
        let (rows, _) = dims2(l1)?;
        if one.len() != other.len() || self.0.entries() != one.len() {
            bail!("passes of {} and {} logits meet other targets", one.len(), other.len());
        }
        let (total, _) = self.evaluate(one, other, rows);
        Ok((CpuStorage::F32(vec![total as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        one: &Tensor,
        other: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let upstream = grad.to_scalar::<f32>()?;
        let (rows, labels) = one.dims2()?;
        let ((s1, l1), (s2, l2)) = (one.storage_and_layout(), other.storage_and_layout());
        let (a, b) = (tensor_values(&s1, l1)?, tensor_values(&s2, l2)?);
        let side = |a: &[f32], b: &[f32]| {
            let (_, gradient) = self.evaluate(a, b, rows);
            tensor(gradient.into_iter().map(|g| g * upstream).collect(), (rows, labels))
        };
        Ok((Some(side(a, b)?), Some(side(b, a)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check::{check, var};
    use crate::heads::loss::tests::{multi, single};

    #[test]
    fn gradients_match_finite_differences() {
        check(&[var(&[3, 3], 1), var(&[3, 3], 5)], 1e-3, |t| {
            divergence(&t[0], &t[1], single()).unwrap()
        });
        check(&[var(&[2, 3], 2), var(&[2, 3], 6)], 1e-3, |t| {
            divergence(&t[0], &t[1], multi()).unwrap()
        });
    }

    #[test]
    fn equal_passes_do_not_diverge() {
        let x = var(&[3, 3], 1);
        let same = divergence(&x, &x, single()).unwrap().to_scalar::<f32>().unwrap();
        assert!(same.abs() < 1e-7);
    }

    #[test]
    fn a_divergence_matches_the_hand_computed_one() {
        let (value, _) = categorical(&[0.5, 0.5], &[0.9, 0.1]);
        let forward = 0.5 * (0.5f64 / 0.9).ln() + 0.5 * (0.5f64 / 0.1).ln();
        let backward = 0.9 * (0.9f64 / 0.5).ln() + 0.1 * (0.1f64 / 0.5).ln();
        assert!((value - 0.5 * (forward + backward)).abs() < 1e-12);
    }
}
