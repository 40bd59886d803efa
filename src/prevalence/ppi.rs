//! Prediction-powered inference of a mean in its published form: gold rows and rows without gold
//! as two simple random samples.

use statrs::distribution::{ContinuousCDF, Normal};

/// A mean found so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictionPowered {
    /// The weight of the predictions.
    pub lambda: f64,
    /// The mean.
    pub estimate: f64,
    /// Its standard error.
    pub standard_error: f64,
}

impl PredictionPowered {
    /// The normal interval at this level, such as 0.95.
    pub fn interval(&self, level: f64) -> (f64, f64) {
        let quantile = Normal::standard().inverse_cdf(0.5 + level / 2.0);
        let half = quantile * self.standard_error;
        (self.estimate - half, self.estimate + half)
    }
}

/// PPI++ of a mean (Angelopoulos, Duchi and Zrnic 2023, example 6.1): truth and prediction of gold
/// rows, predictions of other rows. Undefined without either.
pub fn prediction_powered_mean(
    truth: &[f64],
    predicted: &[f64],
    others: &[f64],
) -> Option<PredictionPowered> {
    let (n, m) = (truth.len() as f64, others.len() as f64);
    if truth.is_empty() || others.is_empty() || truth.len() != predicted.len() {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (of_truth, of_predicted, of_others) = (mean(truth), mean(predicted), mean(others));
    let pairs = truth.iter().zip(predicted);
    let together = pairs.map(|(t, p)| (t - of_truth) * (p - of_predicted)).sum::<f64>() / n;
    let pooled = (n * of_predicted + m * of_others) / (n + m);
    let square = |values: &[f64], mean: f64| values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    let spread = (square(predicted, pooled) + square(others, pooled)) / (n + m - 1.0);
    let lambda = match spread > 0.0 {
        true => (together / ((1.0 + n / m) * spread)).clamp(0.0, 1.0),
        false => 0.0,
    };
    let residual: Vec<f64> = truth.iter().zip(predicted).map(|(t, p)| t - lambda * p).collect();
    let of_residual = mean(&residual);
    let variance = lambda * lambda * square(others, of_others) / m / m
        + square(&residual, of_residual) / n / n;
    Some(PredictionPowered {
        lambda,
        estimate: lambda * of_others + of_residual,
        standard_error: variance.sqrt(),
    })
}
