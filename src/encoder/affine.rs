//! The affine map and the norm that encoders are built of; the map with a low-rank adaptation
//! beside it where its parameters hold one.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

use super::kernels::PackedAffine;
use super::ops::{dims2, dropout, layer_norm, linear, product, tensor_values, values};
use super::weights::Packing;
use super::{Noise, Parameters, Precision, Quiet, Segments};
use crate::error::Result;

/// y = x Wᵀ + b, or y = x Wᵀ where there is no b, with (alpha / r) · dropout(x) Aᵀ Bᵀ added where it is adapted (LoRA).
#[derive(Clone, Debug)]
pub struct Affine(Map);

#[derive(Clone, Debug)]
enum Map {
    /// With weights that may be trained.
    Plain { weight: Tensor, bias: Option<Tensor>, low_rank: Option<LowRank>, precision: Precision },
    /// With weights that never change.
    Packed(Arc<PackedAffine>),
}

#[derive(Clone, Debug)]
struct LowRank {
    down: Tensor,
    up: Tensor,
    scale: f32,
}

impl Affine {
    /// The map of the module with this name, `NAME.weight` and, if there is one, `NAME.bias`.
    ///
    /// # Errors
    /// If the weight is missing.
    pub fn new(parameters: &Parameters, name: &str) -> Result<Self> {
        Self::with_bias(parameters, name, parameters.get(&format!("{name}.bias")).ok())
    }

    /// The map of the module with this name and no bias, whatever `NAME.bias` means.
    ///
    /// # Errors
    /// If the weight is missing.
    pub fn unbiased(parameters: &Parameters, name: &str) -> Result<Self> {
        Self::with_bias(parameters, name, None)
    }

    fn with_bias(parameters: &Parameters, name: &str, bias: Option<Tensor>) -> Result<Self> {
        let weight = parameters.get(&format!("{name}.weight"))?;
        let low_rank =
            parameters.low_rank(name).map(|(down, up, scale)| LowRank { down, up, scale });
        match low_rank {
            None => Self::of_tensors(parameters, weight, bias, parameters.precision()),
            some => Ok(Self(Map::Plain {
                weight,
                bias,
                low_rank: some,
                precision: parameters.precision(),
            })),
        }
    }

    /// The map of these tensors, `[outputs, inputs]` and `[outputs]`, packed if the parameters are,
    /// else multiplied in `precision`.
    ///
    /// # Errors
    /// If the tensors cannot be read.
    pub(super) fn of_tensors(
        parameters: &Parameters,
        weight: Tensor,
        bias: Option<Tensor>,
        precision: Precision,
    ) -> Result<Self> {
        let Some(Packing { precision, level }) = parameters.packing() else {
            return Ok(Self(Map::Plain { weight, bias, low_rank: None, precision }));
        };
        let bias = bias.as_ref().map(values_of).transpose()?;
        Ok(Self(Map::Packed(Arc::new(PackedAffine::new(
            &values_of(&weight)?,
            weight.dim(1)?,
            bias.as_deref(),
            precision,
            level,
        )))))
    }

    /// `x` `[tokens, inputs]` → `[tokens, outputs]`; `noise` drops out what the adaptation sees.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        segments: &Segments,
        noise: &mut dyn Noise,
    ) -> candle_core::Result<Tensor> {
        let (weight, bias, low_rank, precision) = match &self.0 {
            Map::Plain { weight, bias, low_rank, precision } => (weight, bias, low_rank, precision),
            Map::Packed(packed) => return x.apply_op1_no_bwd(&Multiply(packed)),
        };
        // Weights that are trained stay f32, and are brought to their format at every use.
        let weight = precision.of(weight)?;
        let y = match bias {
            Some(bias) => linear(x, &weight, bias)?,
            None => product(x, &weight, 1.0)?,
        };
        let Some(LowRank { down, up, scale }) = low_rank else { return Ok(y) };
        let seen = dropout(x, noise.adapter(segments, x.dim(1)?).as_ref())?;
        let (down, up) = (precision.of(down)?, precision.of(up)?);
        y + product(&product(&seen, &down, 1.0)?, &up, *scale)?
    }

    /// `x` `[rows, inputs]` → `[rows, outputs]`, where nothing is adapted.
    ///
    /// # Errors
    /// If x has another width.
    pub fn of(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.forward(x, &Segments::new([x.dim(0)?]), &mut Quiet)
    }
}

/// A copy of a tensor's f32 values.
pub(super) fn values_of(tensor: &Tensor) -> candle_core::Result<Vec<f32>> {
    let (storage, layout) = tensor.storage_and_layout();
    Ok(tensor_values(&storage, layout)?.to_vec())
}

struct Multiply<'a>(&'a PackedAffine);

impl CustomOp1 for Multiply<'_> {
    fn name(&self) -> &'static str {
        "packed-affine"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (x, (rows, width)) = (values(storage, layout)?, dims2(layout)?);
        if width != self.0.inputs() {
            candle_core::bail!("a map of {} inputs meets [{rows}, {width}]", self.0.inputs());
        }
        Ok((CpuStorage::F32(self.0.apply(x)), Shape::from((rows, self.0.outputs()))))
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
