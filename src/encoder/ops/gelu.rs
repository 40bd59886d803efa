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

/// x Φ(x), off by less than 5e-5 or 4e-5 of x, which is finer than bf16 and 8 bits can tell.
///
/// An even polynomial fitted to x (Φ(x) - 1/2) on [-4, 4], by weighted least squares that even out
/// the error.
#[inline(always)]
pub fn gelu_near<F: MultiplyAdd>(x: f32) -> f32 {
    let near = x.clamp(-4.0, 4.0);
    let s = near * near;
    let p = -1.301_288_1e-9;
    let p = F::of(p, s, 1.041_956_7e-7);
    let p = F::of(p, s, -3.657_124e-6);
    let p = F::of(p, s, 7.485_493_6e-5);
    let p = F::of(p, s, -1.006_489_7e-3);
    let p = F::of(p, s, 9.505_396e-3);
    let p = F::of(p, s, -6.588_784e-2);
    let p = F::of(p, s, 3.986_734e-1);
    x * F::of(near, p, 0.5)
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
    use crate::encoder::ops::{Apart, Fused};
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
    fn the_other_forms_stay_near() {
        for i in -2_000..=2_000 {
            let x = i as f32 / 200.0;
            let exact = f64::from(x)
                * 0.5
                * (1.0 + candle_core::cpu::erf::erf_f64(f64::from(x) / 2f64.sqrt()));
            for (y, bound) in [
                (gelu_by::<Fused>(x), 2e-6),
                (gelu_by::<Apart>(x), 2e-6),
                (gelu_near::<Fused>(x), 5e-5 + 4e-5 * f64::from(x.abs())),
                (gelu_near::<Apart>(x), 5e-5 + 4e-5 * f64::from(x.abs())),
            ] {
                assert!((f64::from(y) - exact).abs() < bound, "{x}: {y} for {exact}");
            }
        }
    }

    #[test]
    fn gradients_match_finite_differences() {
        check(&[var(&[7, 3], 4)], 1e-3, |t| gelu(&t[0].affine(3.0, 0.0).unwrap()).unwrap());
    }
}
