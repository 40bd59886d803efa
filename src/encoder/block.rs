//! What follows attention in a layer of BERT and its kin and of DeBERTa: output map, sum and norm,
//! then the feed-forward layer with its own (post-norm, Vaswani et al. 2017).

use candle_core::Tensor;

use super::affine::{Affine, Norm};
use super::ops::{dropout_add, gelu};
use super::{Noise, Parameters, Segments};
use crate::error::Result;

/// How a family names the parts of a block within a layer.
pub(super) struct BlockNames {
    pub context: &'static str,
    pub attention_norm: &'static str,
    pub widen: &'static str,
    pub narrow: &'static str,
    pub output_norm: &'static str,
}

/// The names of BERT, RoBERTa and DeBERTa.
pub(super) const BLOCK: BlockNames = BlockNames {
    context: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    widen: "intermediate.dense",
    narrow: "output.dense",
    output_norm: "output.LayerNorm",
};

/// The block of one layer.
#[derive(Clone, Debug)]
pub(super) struct Block {
    context: Affine,
    attention_norm: Norm,
    widen: Affine,
    narrow: Affine,
    output_norm: Norm,
    epsilon: f64,
}

impl Block {
    /// The block of the layer whose parts' names begin with `layer`.
    ///
    /// # Errors
    /// If a tensor is missing.
    pub fn new(
        parameters: &Parameters,
        layer: &str,
        names: &BlockNames,
        epsilon: f64,
    ) -> Result<Self> {
        let affine = |part: &str| Affine::new(parameters, &format!("{layer}.{part}"));
        let norm = |part: &str| Norm::new(parameters, &format!("{layer}.{part}"));
        Ok(Self {
            context: affine(names.context)?,
            attention_norm: norm(names.attention_norm)?,
            widen: affine(names.widen)?,
            narrow: affine(names.narrow)?,
            output_norm: norm(names.output_norm)?,
            epsilon,
        })
    }

    /// The states after the layer, from what attention gave and the states `x` before it; all
    /// `[tokens, hidden]`.
    ///
    /// # Errors
    /// If the shapes do not match.
    pub fn forward(
        &self,
        context: &Tensor,
        x: &Tensor,
        segments: &Segments,
        noise: &mut dyn Noise,
    ) -> Result<Tensor> {
        let width = x.dim(1)?;
        let context = self.context.forward(context, segments, noise)?;
        let mask = noise.hidden(segments, width);
        let y = dropout_add(&context, x, mask.as_ref())?;
        let y = self.attention_norm.forward(&y, self.epsilon)?;
        let wide = gelu(&self.widen.forward(&y, segments, noise)?)?;
        let narrow = self.narrow.forward(&wide, segments, noise)?;
        let mask = noise.hidden(segments, width);
        let z = dropout_add(&narrow, &y, mask.as_ref())?;
        Ok(self.output_norm.forward(&z, self.epsilon)?)
    }
}
