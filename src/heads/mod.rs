//! From a text's vector to the answers of every tier.

pub mod agreement;
pub mod joint;
pub mod lexical;
pub mod logistic;
pub mod loss;
mod shift;
mod targets;

pub use shift::{shift_biases, shift_logits};
pub use targets::{LabelWeights, denominators, targets};

use candle_core::Tensor;

use crate::codebook::Codebook;
use crate::encoder::ops::linear;
use crate::encoder::{Parameters, TensorSpec};
use crate::error::Result;

/// One affine map a tier, from the pooled vector to the tier's logits.
#[derive(Clone, Debug)]
pub struct Heads {
    tiers: Vec<(Tensor, Tensor)>,
}

impl Heads {
    /// Every tensor with its shape, `TIER.weight` and `TIER.bias`.
    pub fn tensors(codebook: &Codebook, hidden: usize) -> Vec<TensorSpec> {
        let spec =
            |name: String, shape| TensorSpec { name, shape, depth: usize::MAX, effective: true };
        codebook
            .tiers
            .iter()
            .flat_map(|tier| {
                let labels = tier.labels.len();
                [
                    spec(format!("{}.weight", tier.name), vec![labels, hidden]),
                    spec(format!("{}.bias", tier.name), vec![labels]),
                ]
            })
            .collect()
    }

    /// Builds the heads on their parameters.
    ///
    /// # Errors
    /// If a tensor is missing.
    pub fn new(codebook: &Codebook, parameters: &Parameters) -> Result<Self> {
        let tiers = codebook
            .tiers
            .iter()
            .map(|tier| {
                let part = |part: &str| parameters.get(&format!("{}.{part}", tier.name));
                Ok((part("weight")?, part("bias")?))
            })
            .collect::<Result<_>>()?;
        Ok(Self { tiers })
    }

    /// The logits of every tier, `[texts, labels]`, from pooled vectors `[texts, hidden]`.
    ///
    /// # Errors
    /// If the vectors have another width than the heads.
    pub fn forward(&self, pooled: &Tensor) -> Result<Vec<Tensor>> {
        self.tiers.iter().map(|(w, b)| Ok(linear(pooled, w, b)?)).collect()
    }
}
