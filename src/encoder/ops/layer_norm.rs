//! Layer normalisation (Ba et al. 2016) over the last dimension, with a backward.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::vector::{Apart, MultiplyAdd, dot, sum};
use super::{composed, dims2, tensor, tensor_values, values};

struct LayerNorm {
    epsilon: f32,
}

/// `x` `[rows, width]`, `gain` and `bias` `[width]` → `[rows, width]`, each row brought to mean
/// 0 and variance 1 before gain and bias.
///
/// # Errors
/// If the shapes do not match or a tensor is not contiguous.
pub fn layer_norm(x: &Tensor, gain: &Tensor, bias: &Tensor, epsilon: f64) -> Result<Tensor> {
    if !composed::fused(&[x, gain, bias]) {
        return composed::layer_norm(x, gain, bias, epsilon);
    }
    x.apply_op3(gain, bias, LayerNorm { epsilon: epsilon as f32 })
}

/// The mean of a row and the reciprocal of its standard deviation.
#[inline(always)]
pub fn row_moments<F: MultiplyAdd>(row: &[f32], epsilon: f32) -> (f32, f32) {
    let scale = 1.0 / row.len() as f32;
    let mean = sum(row) * scale;
    let mut lanes = [0f32; 16];
    let chunks = row.chunks_exact(16);
    let rest = chunks.remainder();
    for chunk in chunks {
        for i in 0..16 {
            lanes[i] = F::of(chunk[i] - mean, chunk[i] - mean, lanes[i]);
        }
    }
    for (lane, v) in lanes.iter_mut().zip(rest) {
        *lane = F::of(v - mean, v - mean, *lane);
    }
    (mean, 1.0 / (sum(&lanes) * scale + epsilon).sqrt())
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, gain, bias) = (values(s1, l1)?, values(s2, l2)?, values(s3, l3)?);
        let (_, width) = dims2(l1)?;
        if gain.len() != width || bias.len() != width {
            bail!(
                "layer norm over {width} values with {} gains and {} biases",
                gain.len(),
                bias.len()
            );
        }
        let mut y = vec![0f32; x.len()];
        pulp::Arch::new().dispatch(|| {
            for (row, out) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
                let (mean, scale) = row_moments::<Apart>(row, self.epsilon);
                for ((o, v), (g, b)) in out.iter_mut().zip(row).zip(gain.iter().zip(bias)) {
                    *o = (v - mean) * scale * g + b;
                }
            }
        });
        Ok((CpuStorage::F32(y), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gain: &Tensor,
        bias: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (rows, width) = x.dims2()?;
        let ((xs, xl), (ws, wl), (gs, gl)) =
            (x.storage_and_layout(), gain.storage_and_layout(), grad.storage_and_layout());
        let (xv, w, dy) =
            (tensor_values(&xs, xl)?, tensor_values(&ws, wl)?, tensor_values(&gs, gl)?);
        let mut dx = vec![0f32; rows * width];
        let (mut dgain, mut dbias) = (vec![0f32; width], vec![0f32; width]);
        let (mut unit, mut weighted) = (vec![0f32; width], vec![0f32; width]);
        pulp::Arch::new().dispatch(|| {
            let share = 1.0 / width as f32;
            for ((row, g), out) in
                xv.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width))
            {
                let (mean, scale) = row_moments::<Apart>(row, self.epsilon);
                for i in 0..width {
                    unit[i] = (row[i] - mean) * scale;
                    weighted[i] = g[i] * w[i];
                    dgain[i] += g[i] * unit[i];
                    dbias[i] += g[i];
                }
                let level = sum(&weighted) * share;
                let slope = dot(&weighted, &unit) * share;
                for i in 0..width {
                    out[i] = scale * (weighted[i] - level - unit[i] * slope);
                }
            }
        });
        Ok((
            Some(tensor(dx, (rows, width))?),
            gain.track_op().then(|| tensor(dgain, width)).transpose()?,
            bias.track_op().then(|| tensor(dbias, width)).transpose()?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check::{check, var};

    #[test]
    fn gradients_match_finite_differences() {
        let vars = [var(&[4, 19], 5), var(&[19], 6), var(&[19], 7)];
        check(&vars, 3e-3, |t| layer_norm(&t[0], &t[1], &t[2], 1e-12).unwrap());
    }

    #[test]
    fn a_row_comes_out_with_mean_zero_and_variance_one() {
        let x = var(&[3, 40], 8);
        let (one, zero) =
            (x.ones_like().unwrap().get(0).unwrap(), x.zeros_like().unwrap().get(0).unwrap());
        let y = layer_norm(&x, &one, &zero, 0.0).unwrap().to_vec2::<f32>().unwrap();
        for row in y {
            let mean = row.iter().sum::<f32>() / 40.0;
            let variance = row.iter().map(|v| v * v).sum::<f32>() / 40.0;
            assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4);
        }
    }
}
