//! The same operations made of candle's own, for every device and number format: what computes on
//! a GPU, and in bf16. On the CPU in f32 the fused operations beside this module are faster.
//!
//! Each is one step of the gradient graph with an analytic backward (see [`step`]), so that
//! nothing but what its gradient needs is kept. Matrices are multiplied in the format of the
//! weights; norms, softmax and sums are computed in f32 at least.

mod attention;
mod disentangled;
mod dropout;
mod linear;
mod norm;
mod padded;
mod rows;
mod step;
mod units;

pub use attention::attention;
pub use disentangled::disentangled_attention;
pub use dropout::{dropout, dropout_add};
pub use linear::{linear, product};
pub use norm::{layer_norm, rms_norm};
pub use rows::{attention_pool, lookup, pool, rotate, windows};
pub use step::step;
pub use units::{gelu, swiglu};

use candle_core::{DType, Result, Tensor};

/// Whether the fused operations, which know nothing but f32 on the CPU, compute these tensors.
pub fn fused(tensors: &[&Tensor]) -> bool {
    tensors.iter().all(|t| t.device().is_cpu() && t.dtype() == DType::F32)
}

/// The same values in the format that norms, softmax and sums are computed in: f32, or f64.
fn wide(x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::F64 => Ok(x.clone()),
        _ => x.to_dtype(DType::F32),
    }
}

#[cfg(test)]
mod tests;
