//! Root-mean-square normalisation (Zhang and Sennrich 2019) over the last dimension.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::vector::dot;
use super::{composed, dims2, tensor, tensor_values, values};

struct RmsNorm {
    epsilon: f32,
}

/// `x` `[rows, width]`, `gain` `[width]` → `[rows, width]`, each row brought to a mean square of
/// 1 before the gain.
///
/// # Errors
/// If the shapes do not match or a tensor is not contiguous.
pub fn rms_norm(x: &Tensor, gain: &Tensor, epsilon: f64) -> Result<Tensor> {
    if !composed::fused(&[x, gain]) {
        return composed::rms_norm(x, gain, epsilon);
    }
    x.apply_op2(gain, RmsNorm { epsilon: epsilon as f32 })
}

impl RmsNorm {
    /// The reciprocal of the row's root mean square.
    #[inline(always)]
    fn scale(&self, row: &[f32]) -> f32 {
        1.0 / (dot(row, row) / row.len() as f32 + self.epsilon).sqrt()
    }
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, gain) = (values(s1, l1)?, values(s2, l2)?);
        let (_, width) = dims2(l1)?;
        if gain.len() != width {
            bail!("rms norm over {width} values with {} gains", gain.len());
        }
        let mut y = vec![0f32; x.len()];
        pulp::Arch::new().dispatch(|| {
            for (row, out) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
                let scale = self.scale(row);
                for ((o, v), g) in out.iter_mut().zip(row).zip(gain) {
                    *o = v * scale * g;
                }
            }
        });
        Ok((CpuStorage::F32(y), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gain: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (rows, width) = x.dims2()?;
        let ((xs, xl), (ws, wl), (gs, gl)) =
            (x.storage_and_layout(), gain.storage_and_layout(), grad.storage_and_layout());
        let (xv, w, dy) =
            (tensor_values(&xs, xl)?, tensor_values(&ws, wl)?, tensor_values(&gs, gl)?);
        let (mut dx, mut dgain) = (vec![0f32; rows * width], vec![0f32; width]);
        let mut weighted = vec![0f32; width];
        pulp::Arch::new().dispatch(|| {
            for ((row, g), out) in
                xv.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width))
            {
                let scale = self.scale(row);
                for i in 0..width {
                    weighted[i] = g[i] * w[i];
                    dgain[i] += g[i] * row[i] * scale;
                }
                let slope = dot(&weighted, row) * scale * scale / width as f32;
                for i in 0..width {
                    out[i] = scale * (weighted[i] - row[i] * slope);
                }
            }
        });
        Ok((
            Some(tensor(dx, (rows, width))?),
            gain.track_op().then(|| tensor(dgain, width)).transpose()?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check::{check, var};

    #[test]
    fn gradients_match_finite_differences() {
        check(&[var(&[4, 19], 5), var(&[19], 6)], 3e-3, |t| rms_norm(&t[0], &t[1], 1e-5).unwrap());
    }

    #[test]
    fn a_row_comes_out_with_a_mean_square_of_one() {
        let x = var(&[3, 40], 8);
        let one = Tensor::ones(40, candle_core::DType::F32, x.device()).unwrap();
        for row in rms_norm(&x, &one, 0.0).unwrap().to_vec2::<f32>().unwrap() {
            let square = row.iter().map(|v| v * v).sum::<f32>() / 40.0;
            assert!((square - 1.0).abs() < 1e-5);
        }
    }
}
