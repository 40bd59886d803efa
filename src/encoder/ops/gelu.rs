//! The Gaussian error linear unit, exact form: x Φ(x) (Hendrycks and Gimpel 2016).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::vector::{MultiplyAdd, erf, erf_by, exp};
use super::{composed, tensor, tensor_values, values};

struct Gelu;

/// x Φ(x) entry by entry, any shape.
///
/// # Errors
/// If the tensor is not contiguous.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if !composed::fused(&[x]) {
        return composed::gelu(x);
    }
    x.apply_op1(Gelu)
}

/// x Φ(x), by this way to multiply and add.
#[inline(always)]
pub fn gelu_by<F: MultiplyAdd>(x: f32) -> f32 {
    let half = 0.5 * x;
    F::of(half, erf_by::<F>(x * std::f32::consts::FRAC_1_SQRT_2), half)
}

#[inline(always)]
fn normal_cdf(x: f32) -> f32 {
    0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let y =
            pulp::Arch::new().dispatch(|| x.iter().map(|&x| x * normal_cdf(x)).collect::<Vec<_>>());
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        const PEAK: f32 = 0.398_942_3;
        let grad = grad.contiguous()?;
        let ((xs, xl), (gs, gl)) = (x.storage_and_layout(), grad.storage_and_layout());
        let (xv, dy) = (tensor_values(&xs, xl)?, tensor_values(&gs, gl)?);
        let dx = pulp::Arch::new().dispatch(|| {
            xv.iter()
                .zip(dy)
                .map(|(&x, &g)| g * (normal_cdf(x) + x * PEAK * exp(-0.5 * x * x)))
                .collect::<Vec<_>>()
        });
        Ok(Some(tensor(dx, x.shape())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check::{check, var};
    use candle_core::Device;

    #[test]
    fn values_match_the_definition() {
        let x = Tensor::new(&[-3.0f32, -1.0, 0.0, 1.0, 3.0], &Device::Cpu).unwrap();
        let y = gelu(&x).unwrap().to_vec1::<f32>().unwrap();
        let expected = [-0.004_049_9, -0.158_655_26, 0.0, 0.841_344_7, 2.995_950_2];
        for (a, b) in y.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }

    #[test]
    fn gradients_match_finite_differences() {
        check(&[var(&[7, 3], 4)], 1e-3, |t| gelu(&t[0].affine(3.0, 0.0).unwrap()).unwrap());
    }
}
