//! Supervised contrast (SupCon; Khosla et al. 2020, equation 2): texts with a label in common are
//! drawn together and all others apart, in the space of the pooled vectors.

use crate::codebook::{Code, LabelSet};

/// How one tier draws texts together and apart.
#[derive(Clone, Copy, Debug)]
pub struct Contrast {
    /// Its weight in the joint loss.
    pub weight: f64,
    /// What cosine similarities are divided by.
    pub temperature: f64,
}

impl Contrast {
    /// The loss of one batch: the mean, over the texts that share a label with another, of how
    /// unlikely those others are among all texts that were asked. `vectors` are `[texts, width]`,
    /// row-major; `slope`, of the same size, gains the gradient.
    pub fn evaluate(
        &self,
        vectors: &[f32],
        width: usize,
        codes: &[&Code],
        slope: &mut [f32],
    ) -> f64 {
        let units = Units::of(vectors, width, codes);
        let n = units.len();
        let alike = |i: usize, j: usize| i != j && shares(units.labels(i), units.labels(j));
        let anchors: Vec<usize> = (0..n).filter(|&i| (0..n).any(|j| alike(i, j))).collect();
        let share = self.weight / anchors.len().max(1) as f64;
        let mut loss = 0.0;
        let mut by_pair = vec![0.0; n * n];
        for &i in &anchors {
            let similar: Vec<f64> = (0..n).map(|j| units.cosine(i, j) / self.temperature).collect();
            let others = || (0..n).filter(move |&j| j != i);
            let top = others().map(|j| similar[j]).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = others().map(|j| (similar[j] - top).exp()).sum();
            let positives = others().filter(|&j| alike(i, j)).count() as f64;
            for j in others() {
                let log_p = similar[j] - top - sum.ln();
                let mut pull = log_p.exp();
                if alike(i, j) {
                    loss -= share * log_p / positives;
                    pull -= 1.0 / positives;
                }
                by_pair[i * n + j] = share * pull / self.temperature;
            }
        }
        units.add_slope(&by_pair, slope);
        loss
    }
}

/// The texts of a batch that a tier was asked of, as vectors of length 1.
pub(super) struct Units {
    rows: Vec<(usize, LabelSet)>,
    lengths: Vec<f64>,
    units: Vec<Vec<f64>>,
    width: usize,
}

impl Units {
    /// Those of `vectors`, `[texts, width]`, row-major.
    pub fn of(vectors: &[f32], width: usize, codes: &[&Code]) -> Self {
        let rows: Vec<(usize, LabelSet)> = codes
            .iter()
            .enumerate()
            .filter_map(|(row, code)| Some((row, code.labels()?.clone())))
            .collect();
        let lengths: Vec<f64> =
            rows.iter().map(|(row, _)| length(&vectors[row * width..][..width])).collect();
        let units = rows
            .iter()
            .zip(&lengths)
            .map(|((row, _), length)| {
                vectors[row * width..][..width].iter().map(|v| f64::from(*v) / length).collect()
            })
            .collect();
        Self { rows, lengths, units, width }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The labels of one.
    pub fn labels(&self, at: usize) -> &LabelSet {
        &self.rows[at].1
    }

    /// The cosine of two.
    pub fn cosine(&self, i: usize, j: usize) -> f64 {
        dot(&self.units[i], &self.units[j])
    }

    /// Adds the gradient along the vectors; `by_pair` holds the loss's slope along the cosine of i
    /// and j at `i · len + j`, each pair in one entry or in the sum of two.
    pub fn add_slope(&self, by_pair: &[f64], slope: &mut [f32]) {
        let n = self.len();
        for i in 0..n {
            let mut along = vec![0.0; self.width];
            for j in 0..n {
                let pull = by_pair[i * n + j] + by_pair[j * n + i];
                if pull != 0.0 {
                    along.iter_mut().zip(&self.units[j]).for_each(|(a, u)| *a += pull * u);
                }
            }
            let radial = dot(&along, &self.units[i]);
            let out = &mut slope[self.rows[i].0 * self.width..][..self.width];
            for ((out, along), unit) in out.iter_mut().zip(&along).zip(&self.units[i]) {
                *out += ((along - radial * unit) / self.lengths[i]) as f32;
            }
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt().max(1e-12)
}

/// Whether two texts have a label in common.
pub(super) fn shares(a: &LabelSet, b: &LabelSet) -> bool {
    a.iter().any(|label| b.contains(label))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn coded(labels: &[usize]) -> Code {
        Code::Coded(LabelSet::new(labels.to_vec()))
    }

    const CONTRAST: Contrast = Contrast { weight: 1.0, temperature: 0.5 };

    #[test]
    fn of_three_texts_the_loss_is_that_of_the_formula() {
        // Cosines: a and b 0.6, a and c 0, b and c 0.8.
        let vectors = [2.0, 0.0, 0.6, 0.8, 0.0, 3.0];
        let codes = [coded(&[0]), coded(&[0, 1]), coded(&[2])];
        let codes: Vec<&Code> = codes.iter().collect();
        let loss = CONTRAST.evaluate(&vectors, 2, &codes, &mut [0.0; 6]);
        let of = |same: f64, other: f64| -(same.exp() / (same.exp() + other.exp())).ln();
        let expected = (of(1.2, 0.0) + of(1.2, 1.6)) / 2.0;
        assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
    }

    /// Asserts that what a loss of vectors and codes adds to the slope is its gradient, and that a text
    /// that was not asked has none.
    pub fn check_slope(loss: impl Fn(&[f32], &[&Code], &mut [f32]) -> f64) {
        let vectors: Vec<f32> = (0..20).map(|i| ((i * 7 % 11) as f32 - 4.5) / 3.0).collect();
        let codes = [coded(&[0]), coded(&[1]), coded(&[0, 1]), Code::NotAsked, coded(&[])];
        let codes: Vec<&Code> = codes.iter().collect();
        let mut slope = vec![0.0; 20];
        loss(&vectors, &codes, &mut slope);
        for i in 0..20 {
            let moved = |by: f32| {
                let mut vectors = vectors.clone();
                vectors[i] += by;
                loss(&vectors, &codes, &mut [0.0; 20])
            };
            let numeric = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((numeric - f64::from(slope[i])).abs() < 1e-3, "{i}: {numeric} {}", slope[i]);
        }
        assert!(slope[12..16].iter().all(|s| *s == 0.0));
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        check_slope(|vectors, codes, slope| CONTRAST.evaluate(vectors, 4, codes, slope));
    }

    #[test]
    fn without_texts_that_share_a_label_there_is_nothing_to_learn() {
        let codes = [coded(&[0]), coded(&[1]), Code::Missing];
        let codes: Vec<&Code> = codes.iter().collect();
        let mut slope = vec![0.0; 6];
        assert_eq!(CONTRAST.evaluate(&[1.0; 6], 2, &codes, &mut slope), 0.0);
        assert_eq!(slope, [0.0; 6]);
    }
}
