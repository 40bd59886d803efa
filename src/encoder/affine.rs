//! The affine map and the norm that encoders are built of; the map with a low-rank adaptation
//! beside it where its parameters hold one.

use candle_core::Tensor;

use super::ops::{dropout, layer_norm, linear, product};
use super::{Noise, Parameters, Precision, Segments};
use crate::error::Result;

/// y = x Wᵀ + b, or y = x Wᵀ where there is no b, with (alpha / r) · dropout(x) Aᵀ Bᵀ added where it is adapted (LoRA).
#[derive(Clone, Debug)]
pub(super) struct Affine {
    weight: Tensor,
    bias: Option<Tensor>,
    low_rank: Option<LowRank>,
    precision: Precision,
}

#[derive(Clone, Debug)]
struct LowRank {
    down: Tensor,
    up: Tensor,
    scale: f32,
}

impl Affine {
    /// The map of the module with this name.
    ///
    /// # Errors
    /// If the weight is missing.
    pub fn new(parameters: &Parameters, name: &str) -> Result<Self> {
        let low_rank =
            parameters.low_rank(name).map(|(down, up, scale)| LowRank { down, up, scale });
        Ok(Self {
            weight: parameters.get(&format!("{name}.weight"))?,
            precision: parameters.precision(),
            bias: parameters.get(&format!("{name}.bias")).ok(),
            low_rank,
        })
    }

    /// `x` `[tokens, inputs]` → `[tokens, outputs]`; `noise` drops out what the adaptation sees.
    pub fn forward(
        &self,
        x: &Tensor,
        segments: &Segments,
        noise: &mut dyn Noise,
    ) -> candle_core::Result<Tensor> {
        // Weights that are trained stay f32, and are brought to their format at every use.
        let weight = self.precision.of(&self.weight)?;
        let y = match &self.bias {
            Some(bias) => linear(x, &weight, bias)?,
            None => product(x, &weight, 1.0)?,
        };
        let Some(LowRank { down, up, scale }) = &self.low_rank else { return Ok(y) };
        let seen = dropout(x, noise.adapter(segments, x.dim(1)?).as_ref())?;
        let (down, up) = (self.precision.of(down)?, self.precision.of(up)?);
        y + product(&product(&seen, &down, 1.0)?, &up, *scale)?
    }
}

/// Layer norm with gain and, where its parameters hold one, bias.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    gain: Tensor,
    bias: Tensor,
}

impl Norm {
    /// The norm of the module with this name.
    ///
    /// # Errors
    /// If the gain is missing.
    pub fn new(parameters: &Parameters, name: &str) -> Result<Self> {
        let gain = parameters.get(&format!("{name}.weight"))?;
        let bias = match parameters.get(&format!("{name}.bias")) {
            Ok(bias) => bias,
            Err(_) => gain.detach().zeros_like()?,
        };
        Ok(Self { gain, bias })
    }

    /// `x` `[tokens, width]`, each row with mean 0 and variance 1 before gain and bias.
    pub fn forward(&self, x: &Tensor, epsilon: f64) -> candle_core::Result<Tensor> {
        layer_norm(x, &self.gain, &self.bias, epsilon)
    }
}
