//! Differentiable operations on packed batches, each with an analytic backward.
//!
//! Candle's own fused layer norm and softmax stop gradients silently, so the encoder is built
//! from these instead. Every operation is single-threaded and sums in a fixed order: a result
//! depends on its inputs alone, and parallelism is one level up, over batches and shards. On other
//! devices, and in other formats than f32, operations composed of candle's own take their place.
//!
//! Packed layout: the texts of a batch stand one after another in a `[tokens, hidden]`
//! matrix without padding; [`Segments`] says where each begins.

mod attention;
mod attention_pooling;
mod composed;
mod disentangled;
mod dropout;
mod embedding;
mod gelu;
mod layer_norm;
mod linear;
mod matmul;
mod pooling;
mod rms_norm;
mod rotary;
mod swiglu;
mod vector;
mod windows;

pub use attention::{AttentionMask, Heads, attention};
pub use attention_pooling::attention_pool;
pub(super) use composed::step;
pub use disentangled::{Disentangled, disentangled_attention};
pub use dropout::{DropoutMask, dropout, dropout_add};
pub use embedding::{embeddings, lookup};
pub use gelu::{gelu, gelu_by, gelu_near};
pub use layer_norm::{layer_norm, row_moments};
pub use linear::{linear, product};
pub use matmul::{Matrix, multiply};
pub use pooling::{Pooling, pool, pool_rows};
pub use rms_norm::rms_norm;
pub use rotary::{Rotations, rotate};
pub use swiglu::swiglu;
pub use vector::{Apart, Fused, MultiplyAdd, dot, each, exp, exponentials, max, min, sum};
pub use windows::windows;

use candle_core::{CpuStorage, DType, Layout, Result, Shape, Storage, Tensor, bail};

/// Where each text of a packed batch begins: `offsets[i]..offsets[i + 1]` are the rows of
/// text `i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    offsets: Vec<usize>,
}

impl Segments {
    /// Segments of the given lengths, in tokens.
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut offsets = vec![0];
        for length in lengths {
            offsets.push(offsets[offsets.len() - 1] + length);
        }
        Self { offsets }
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of tokens of all texts.
    pub fn tokens(&self) -> usize {
        self.offsets[self.offsets.len() - 1]
    }

    /// The number of tokens of the longest text.
    pub fn longest(&self) -> usize {
        self.ranges().map(|range| range.len()).max().unwrap_or(0)
    }

    /// The row ranges of the texts.
    pub fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        self.offsets.windows(2).map(|w| w[0]..w[1])
    }
}

/// The contiguous f32 values of a CPU storage.
pub(crate) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let CpuStorage::F32(all) = storage else {
        bail!("this operation takes f32, not {:?}", storage_dtype(storage));
    };
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&all[start..end]),
        None => bail!("this operation takes contiguous tensors"),
    }
}

fn storage_dtype(storage: &CpuStorage) -> DType {
    use candle_core::backend::BackendStorage;
    storage.dtype()
}

/// The contiguous f32 values of a tensor on the CPU, while its storage is held.
pub(crate) fn tensor_values<'a>(storage: &'a Storage, layout: &Layout) -> Result<&'a [f32]> {
    match storage {
        Storage::Cpu(cpu) => values(cpu, layout),
        _ => bail!("this operation runs on the CPU"),
    }
}

pub(crate) fn dims2(layout: &Layout) -> Result<(usize, usize)> {
    layout.shape().dims2()
}

/// A tensor of freshly computed values on the CPU.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &candle_core::Device::Cpu)
}

#[cfg(test)]
pub(crate) mod gradient_check {
    //! Analytic gradients against central finite differences.

    use super::*;
    use candle_core::{Device, Var};

    /// Values in [-1, 1) that look random and never change.
    pub fn values(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        (0..n)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            })
            .collect()
    }

    pub fn var(shape: &[usize], seed: u64) -> Var {
        let n = shape.iter().product();
        Var::from_vec(values(n, seed), shape, &Device::Cpu).unwrap()
    }

    /// Checks d(sum(weights * f(vars)))/d(vars) entry by entry.
    pub fn check(vars: &[Var], tolerance: f64, f: impl Fn(&[Tensor]) -> Tensor) {
        let tensors = |vars: &[Var]| vars.iter().map(|v| v.as_tensor().clone()).collect::<Vec<_>>();
        let out = f(&tensors(vars));
        let weights =
            Tensor::from_vec(values(out.elem_count(), 99), out.shape(), &Device::Cpu).unwrap();
        let loss = |vars: &[Var]| -> f64 {
            let out = f(&tensors(vars)).flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let w = weights.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            out.iter().zip(&w).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let grads = (out * &weights).unwrap().sum_all().unwrap().backward().unwrap();
        for (which, var) in vars.iter().enumerate() {
            let analytic = grads
                .get(var)
                .unwrap_or_else(|| panic!("input {which} got no gradient"))
                .flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap();
            let start = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let step = 5e-3f32;
            for i in 0..start.len() {
                let mut moved = start.clone();
                moved[i] = start[i] + step;
                var.set(&Tensor::from_vec(moved.clone(), var.shape(), &Device::Cpu).unwrap())
                    .unwrap();
                let up = loss(vars);
                moved[i] = start[i] - step;
                var.set(&Tensor::from_vec(moved, var.shape(), &Device::Cpu).unwrap()).unwrap();
                let down = loss(vars);
                let numeric = (up - down) / (2.0 * f64::from(step));
                let gap = (numeric - f64::from(analytic[i])).abs();
                assert!(
                    gap <= tolerance * (1.0 + numeric.abs()),
                    "input {which}, entry {i}: analytic {} numeric {numeric}",
                    analytic[i]
                );
            }
            var.set(&Tensor::from_vec(start, var.shape(), &Device::Cpu).unwrap()).unwrap();
        }
    }
}
