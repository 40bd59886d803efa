//! Penalised logistic regression, fitted to convergence: heads on frozen embeddings, and
//! lexical heads.

use std::collections::VecDeque;

use super::loss::Targets;
use crate::encoder::ops::{Matrix, multiply};

/// One tier's weights `[labels, width]` and biases `[labels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearHead {
    /// Row by row, one a label.
    pub weight: Vec<f32>,
    /// One a label.
    pub bias: Vec<f32>,
}

impl LinearHead {
    /// A head that says nothing.
    pub fn zero(labels: usize, width: usize) -> Self {
        Self { weight: vec![0.0; labels * width], bias: vec![0.0; labels] }
    }
}

/// The rows that a head is fitted to.
pub trait Design: Sync {
    /// The logits that the head gives these rows, `[rows, labels]`.
    fn logits(&self, head: &LinearHead) -> Vec<f32>;
    /// The gradient of the head's weights, `[labels, width]`, from that of the logits.
    fn weight_gradient(&self, slopes: &[f32], labels: usize) -> Vec<f32>;
}

/// Rows of which every value is stored, `[rows, width]`.
pub struct DenseRows<'a> {
    /// Row by row.
    pub values: &'a [f32],
    /// How many.
    pub rows: usize,
}

impl Design for DenseRows<'_> {
    fn logits(&self, head: &LinearHead) -> Vec<f32> {
        let labels = head.bias.len();
        let width = head.weight.len() / labels.max(1);
        let mut out = head.bias.repeat(self.rows);
        let weight = Matrix::new(&head.weight, labels, width).transposed();
        multiply(&mut out, labels, Matrix::new(self.values, self.rows, width), weight, 1.0, true);
        out
    }

    fn weight_gradient(&self, slopes: &[f32], labels: usize) -> Vec<f32> {
        let width = self.values.len() / self.rows.max(1);
        let mut gradient = vec![0f32; labels * width];
        let by_label = Matrix::new(slopes, self.rows, labels).transposed();
        let values = Matrix::new(self.values, self.rows, width);
        multiply(&mut gradient, width, by_label, values, 1.0, false);
        gradient
    }
}

/// Minimises loss + penalty/2 · ‖weights‖² over the rows that the targets count, from `start`
/// (L-BFGS; Nocedal and Wright 2006, algorithm 7.5, ten pairs, backtracking line search).
/// Biases are not penalised.
pub fn fit(rows: &impl Design, targets: &Targets, penalty: f64, start: LinearHead) -> LinearHead {
    let problem = Problem { rows, targets, penalty, labels: start.bias.len() };
    let mut x: Vec<f64> = start.weight.iter().chain(&start.bias).map(|v| f64::from(*v)).collect();
    let (mut value, mut gradient) = problem.evaluate(&x);
    let mut pairs: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::new();
    for _ in 0..200 {
        if dot(&gradient, &gradient).sqrt() < 1e-6 {
            break;
        }
        let mut direction = descent(&gradient, &pairs);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            pairs.clear();
            direction = gradient.iter().map(|g| -g).collect();
            slope = dot(&direction, &gradient);
        }
        let mut step = if pairs.is_empty() { 1.0 / (1.0 + (-slope).sqrt()) } else { 1.0 };
        let moved = (0..30).find_map(|_| {
            let next: Vec<f64> = x.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
            let (v, g) = problem.evaluate(&next);
            if v <= value + 1e-4 * step * slope {
                return Some((next, v, g));
            }
            step *= 0.5;
            None
        });
        let Some((next, v, g)) = moved else { break };
        let s: Vec<f64> = next.iter().zip(&x).map(|(a, b)| a - b).collect();
        let y: Vec<f64> = g.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&s, &y);
        if curvature > 1e-12 {
            if pairs.len() == 10 {
                pairs.pop_front();
            }
            pairs.push_back((s, y, 1.0 / curvature));
        }
        let gain = value - v;
        (x, value, gradient) = (next, v, g);
        if gain < 1e-9 * (1.0 + value.abs()) {
            break;
        }
    }
    problem.head(&x)
}

struct Problem<'a, D> {
    rows: &'a D,
    targets: &'a Targets,
    penalty: f64,
    labels: usize,
}

impl<D: Design> Problem<'_, D> {
    fn head(&self, x: &[f64]) -> LinearHead {
        let cut = x.len() - self.labels;
        let narrow = |v: &[f64]| v.iter().map(|v| *v as f32).collect();
        LinearHead { weight: narrow(&x[..cut]), bias: narrow(&x[cut..]) }
    }

    fn evaluate(&self, x: &[f64]) -> (f64, Vec<f64>) {
        let head = self.head(x);
        let logits = self.rows.logits(&head);
        let mut slopes = vec![0f32; logits.len()];
        let mut value = self.targets.evaluate(&logits, logits.len() / self.labels, &mut slopes);
        let weight = self.rows.weight_gradient(&slopes, self.labels);
        let mut gradient: Vec<f64> = weight.iter().map(|v| f64::from(*v)).collect();
        for (g, x) in gradient.iter_mut().zip(x) {
            *g += self.penalty * x;
            value += 0.5 * self.penalty * x * x;
        }
        gradient.extend((0..self.labels).map(|l| {
            slopes.iter().skip(l).step_by(self.labels).map(|v| f64::from(*v)).sum::<f64>()
        }));
        (value, gradient)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The two-loop recursion: minus the approximate inverse Hessian times the gradient.
fn descent(gradient: &[f64], pairs: &VecDeque<(Vec<f64>, Vec<f64>, f64)>) -> Vec<f64> {
    let mut q = gradient.to_vec();
    let mut alphas = Vec::with_capacity(pairs.len());
    for (s, y, rho) in pairs.iter().rev() {
        let alpha = rho * dot(s, &q);
        q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
        alphas.push(alpha);
    }
    if let Some((s, y, _)) = pairs.back() {
        let scale = dot(s, y) / dot(y, y);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((s, y, rho), alpha) in pairs.iter().zip(alphas.iter().rev()) {
        let beta = rho * dot(y, &q);
        q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) * s);
    }
    q.iter_mut().for_each(|q| *q = -*q);
    q
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::loss::SingleTargets;

    fn targets(labels: Vec<Option<usize>>) -> Targets {
        Targets::Single(SingleTargets::plain(labels, 2))
    }

    fn rows(values: &[f32]) -> DenseRows<'_> {
        DenseRows { values, rows: values.len() }
    }

    #[test]
    fn a_head_without_features_learns_the_shares() {
        let labels = [0, 0, 0, 1].map(Some).to_vec();
        let head = fit(&rows(&[0.0; 4]), &targets(labels), 1e-3, LinearHead::zero(2, 1));
        assert!((head.bias[0] - head.bias[1] - 3f32.ln()).abs() < 1e-3, "{:?}", head.bias);
    }

    #[test]
    fn the_optimum_satisfies_its_first_order_condition() {
        let x: Vec<f32> = (0..20).map(|i| (i as f32 - 9.5) / 5.0).collect();
        let labels = (0..20).map(|i| (i != 7).then_some(usize::from(i > 8 || i == 3))).collect();
        let targets = targets(labels);
        let head = fit(&rows(&x), &targets, 0.01, LinearHead::zero(2, 1));
        let problem = Problem { rows: &rows(&x), targets: &targets, penalty: 0.01, labels: 2 };
        let at: Vec<f64> = head.weight.iter().chain(&head.bias).map(|v| f64::from(*v)).collect();
        let (_, gradient) = problem.evaluate(&at);
        assert!(dot(&gradient, &gradient).sqrt() < 1e-3);
        assert!(head.weight[1] > head.weight[0]);
    }
}
