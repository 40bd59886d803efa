//! A constant per label, added to logits or, what is the same, to the heads' biases.

use candle_core::Tensor;

use crate::codebook::Codebook;
use crate::encoder::Parameters;
use crate::error::Result;

/// Adds `by(tier, label)` to logits, `[text][tier][label]`.
pub fn shift_logits(logits: &mut [Vec<Vec<f64>>], by: impl Fn(usize, usize) -> f64) {
    for text in logits {
        for (tier, logits) in text.iter_mut().enumerate() {
            for (label, logit) in logits.iter_mut().enumerate() {
                *logit += by(tier, label);
            }
        }
    }
}

/// Divides the logits of every tier, `[text][tier][label]`, by its scale.
pub fn scale_logits(logits: &mut [Vec<Vec<f64>>], scales: &[f64]) {
    for text in logits {
        for (logits, scale) in text.iter_mut().zip(scales) {
            logits.iter_mut().for_each(|logit| *logit /= scale);
        }
    }
}

/// Adds `by(tier, label)` to the heads' biases, `TIER.bias`.
///
/// # Errors
/// If a bias is missing.
pub fn shift_biases(
    codebook: &Codebook,
    heads: &mut Parameters,
    by: impl Fn(usize, usize) -> f64,
) -> Result<()> {
    for (at, tier) in codebook.tiers.iter().enumerate() {
        let name = format!("{}.bias", tier.name);
        let bias = heads.get(&name)?;
        let values = bias.to_vec1::<f32>()?.into_iter().enumerate();
        let moved: Vec<f32> = values.map(|(l, v)| (f64::from(v) + by(at, l)) as f32).collect();
        heads.replace(&name, Tensor::from_vec(moved, bias.shape(), bias.device())?);
    }
    Ok(())
}
