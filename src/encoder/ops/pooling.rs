//! From token states to one vector a text.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use serde::{Deserialize, Serialize};

use super::{Segments, composed, dims2, tensor, tensor_values, values};

/// How the states of a text's tokens become one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Their mean.
    #[default]
    Mean,
    /// The state of the first token, `[CLS]` in BERT and its kin.
    Cls,
    /// The state of the last token, the only one that has seen the whole text in Llama and its
    /// kin.
    Last,
    /// Their mean, weighed by a learned query (see [`super::attention_pool`]); with a query of
    /// zero the plain mean.
    Attention,
}

struct Pool {
    segments: Arc<Segments>,
    pooling: Pooling,
}

/// One vector a text: `[tokens, hidden]` → `[texts, hidden]`; attention pooling as with a query
/// of zero.
///
/// # Errors
/// If the rows are not those of the segments.
pub fn pool(x: &Tensor, segments: &Arc<Segments>, pooling: Pooling) -> Result<Tensor> {
    let pool = Pool { segments: segments.clone(), pooling };
    if !composed::fused(&[x]) {
        return composed::pool(x, pool.shares());
    }
    x.apply_op1(pool)
}

/// One vector a text from the states of all tokens: `[tokens, hidden]` → `[texts, hidden]`.
pub fn pool_rows(x: &[f32], hidden: usize, segments: &Segments, pooling: Pooling) -> Vec<f32> {
    let mut out = vec![0f32; segments.len() * hidden];
    for (range, out) in segments.ranges().zip(out.chunks_exact_mut(hidden)) {
        let (rows, weight) = pooling.share(&range);
        for row in x[rows.start * hidden..rows.end * hidden].chunks_exact(hidden) {
            for (o, v) in out.iter_mut().zip(row) {
                *o += v * weight;
            }
        }
    }
    out
}

impl Pooling {
    /// Which rows of a text count, and the weight of each.
    fn share(self, text: &Range<usize>) -> (Range<usize>, f32) {
        match self {
            Self::Mean | Self::Attention => (text.clone(), 1.0 / text.len().max(1) as f32),
            Self::Cls => (text.start..text.end.min(text.start + 1), 1.0),
            Self::Last => (text.end.saturating_sub(1).max(text.start)..text.end, 1.0),
        }
    }
}

impl Pool {
    /// The weight of every token in every text, `[texts, tokens]`.
    fn shares(&self) -> Vec<f32> {
        let tokens = self.segments.tokens();
        let mut shares = vec![0.0; self.segments.len() * tokens];
        for (text, range) in self.segments.ranges().enumerate() {
            let (rows, weight) = self.pooling.share(&range);
            shares[text * tokens..][rows].fill(weight);
        }
        shares
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
        let out = pool_rows(x, hidden, &self.segments, self.pooling);
        Ok((CpuStorage::F32(out), Shape::from((self.segments.len(), hidden))))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (tokens, hidden) = x.dims2()?;
        let (storage, layout) = grad.storage_and_layout();
        let dy = tensor_values(&storage, layout)?;
        let mut dx = vec![0f32; tokens * hidden];
        for (range, g) in self.segments.ranges().zip(dy.chunks_exact(hidden)) {
            let (rows, weight) = self.pooling.share(&range);
            for row in dx[rows.start * hidden..rows.end * hidden].chunks_exact_mut(hidden) {
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
        for pooling in [Pooling::Mean, Pooling::Cls, Pooling::Last] {
            check(&[var(&[6, 4], 1)], 1e-3, |t| pool(&t[0], &segments, pooling).unwrap());
        }
    }

    #[test]
    fn vectors_match_hand_computed_ones() {
        let x =
            Tensor::new(&[[1f32, 2.0], [3.0, 4.0], [7.0, 9.0]], &candle_core::Device::Cpu).unwrap();
        let segments = Arc::new(Segments::new([2, 1]));
        let of = |how| pool(&x, &segments, how).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(of(Pooling::Mean), [[2.0, 3.0], [7.0, 9.0]]);
        assert_eq!(of(Pooling::Cls), [[1.0, 2.0], [7.0, 9.0]]);
        assert_eq!(of(Pooling::Last), [[3.0, 4.0], [7.0, 9.0]]);
    }
}
