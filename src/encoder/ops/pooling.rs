//! From token states to one vector a text.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{Segments, dims2, tensor, tensor_values, values};

#[derive(Clone, Copy)]
enum Share {
    Mean,
    First,
}

struct Pool {
    segments: Arc<Segments>,
    share: Share,
}

/// The mean over the tokens of each text: `[tokens, hidden]` → `[texts, hidden]`.
///
/// # Errors
/// If the rows are not those of the segments.
pub fn mean_pool(x: &Tensor, segments: &Arc<Segments>) -> Result<Tensor> {
    x.apply_op1(Pool { segments: segments.clone(), share: Share::Mean })
}

/// The state of the first token of each text: `[tokens, hidden]` → `[texts, hidden]`.
///
/// # Errors
/// If the rows are not those of the segments.
pub fn select_first(x: &Tensor, segments: &Arc<Segments>) -> Result<Tensor> {
    x.apply_op1(Pool { segments: segments.clone(), share: Share::First })
}

impl Pool {
    /// How many leading tokens of a text count, and the weight of each.
    fn weight(&self, length: usize) -> (usize, f32) {
        match self.share {
            Share::Mean => (length, 1.0 / length.max(1) as f32),
            Share::First => (1.min(length), 1.0),
        }
    }
}

impl CustomOp1 for Pool {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let (tokens, hidden) = dims2(layout)?;
        if tokens != self.segments.tokens() {
            bail!("pooling {} tokens meets {tokens} rows", self.segments.tokens());
        }
        let mut out = vec![0f32; self.segments.len() * hidden];
        for (range, out) in self.segments.ranges().zip(out.chunks_exact_mut(hidden)) {
            let (count, weight) = self.weight(range.len());
            for row in x[range.start * hidden..][..count * hidden].chunks_exact(hidden) {
                for (o, v) in out.iter_mut().zip(row) {
                    *o += v * weight;
                }
            }
        }
        Ok((CpuStorage::F32(out), Shape::from((self.segments.len(), hidden))))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (tokens, hidden) = x.dims2()?;
        let (storage, layout) = grad.storage_and_layout();
        let dy = tensor_values(&storage, layout)?;
        let mut dx = vec![0f32; tokens * hidden];
        for (range, g) in self.segments.ranges().zip(dy.chunks_exact(hidden)) {
            let (count, weight) = self.weight(range.len());
            for row in dx[range.start * hidden..][..count * hidden].chunks_exact_mut(hidden) {
                for (d, g) in row.iter_mut().zip(g) {
                    *d = g * weight;
                }
            }
        }
        Ok(Some(tensor(dx, (tokens, hidden))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check::{check, var};

    #[test]
    fn gradients_match_finite_differences() {
        let segments = Arc::new(Segments::new([3, 1, 2]));
        check(&[var(&[6, 4], 1)], 1e-3, |t| mean_pool(&t[0], &segments).unwrap());
        check(&[var(&[6, 4], 1)], 1e-3, |t| select_first(&t[0], &segments).unwrap());
    }

    #[test]
    fn means_match_hand_computed_ones() {
        let x =
            Tensor::new(&[[1f32, 2.0], [3.0, 4.0], [7.0, 9.0]], &candle_core::Device::Cpu).unwrap();
        let segments = Arc::new(Segments::new([2, 1]));
        let y = mean_pool(&x, &segments).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(y, [[2.0, 3.0], [7.0, 9.0]]);
    }
}
