//! Attention pooling: a learned query weighs the tokens of every text (Yang et al. 2016, without
//! their hidden layer).

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::vector::{dot, softmax};
use super::{Segments, composed, dims2, tensor, tensor_values, values};

struct AttentionPool(Arc<Segments>);

/// For every text the mean of its tokens' states, each weighed by the softmax of its product
/// with the query: `x` `[tokens, hidden]`, `query` `[hidden]` → `[texts, hidden]`. A query of
/// zero gives the plain mean.
///
/// # Errors
/// If the shapes do not match the segments.
pub fn attention_pool(x: &Tensor, query: &Tensor, segments: &Arc<Segments>) -> Result<Tensor> {
    if !composed::fused(&[x, query]) {
        return composed::attention_pool(x, query, segments);
    }
    x.apply_op2(query, AttentionPool(segments.clone()))
}

/// The weights of one text's tokens.
fn shares(x: &[f32], query: &[f32]) -> Vec<f32> {
    let mut shares: Vec<f32> = x.chunks_exact(query.len()).map(|row| dot(row, query)).collect();
    softmax(&mut shares);
    shares
}

impl CustomOp2 for AttentionPool {
    fn name(&self) -> &'static str {
        "attention-pool"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, query) = (values(s1, l1)?, values(s2, l2)?);
        let (tokens, hidden) = dims2(l1)?;
        if tokens != self.0.tokens() || query.len() != hidden || hidden == 0 {
            bail!("attention pooling: a query of {} meets [{tokens}, {hidden}]", query.len());
        }
        let mut out = vec![0f32; self.0.len() * hidden];
        for (text, out) in self.0.ranges().zip(out.chunks_exact_mut(hidden)) {
            let x = &x[text.start * hidden..text.end * hidden];
            for (row, share) in x.chunks_exact(hidden).zip(shares(x, query)) {
                out.iter_mut().zip(row).for_each(|(o, v)| *o += share * v);
            }
        }
        Ok((CpuStorage::F32(out), Shape::from((self.0.len(), hidden))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        query: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (tokens, hidden) = x.dims2()?;
        let ((xs, xl), (qs, ql), (gs, gl)) =
            (x.storage_and_layout(), query.storage_and_layout(), grad.storage_and_layout());
        let (xv, q, dy) =
            (tensor_values(&xs, xl)?, tensor_values(&qs, ql)?, tensor_values(&gs, gl)?);
        let (mut dx, mut dq) = (vec![0f32; tokens * hidden], vec![0f32; hidden]);
        for (text, g) in self.0.ranges().zip(dy.chunks_exact(hidden)) {
            let rows = text.start * hidden..text.end * hidden;
            let (x, dx) = (&xv[rows.clone()], &mut dx[rows]);
            let shares = shares(x, q);
            let pulls: Vec<f32> = x.chunks_exact(hidden).map(|row| dot(row, g)).collect();
            let level = dot(&shares, &pulls);
            let rows = x.chunks_exact(hidden).zip(dx.chunks_exact_mut(hidden));
            for ((row, out), (share, pull)) in rows.zip(shares.iter().zip(&pulls)) {
                let slope = share * (pull - level);
                for i in 0..hidden {
                    out[i] = share * g[i] + slope * q[i];
                    dq[i] += slope * row[i];
                }
            }
        }
        Ok((
            Some(tensor(dx, (tokens, hidden))?),
            query.track_op().then(|| tensor(dq, hidden)).transpose()?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check::{check, var};
    use crate::encoder::ops::{Pooling, pool};

    #[test]
    fn gradients_match_finite_differences() {
        let segments = Arc::new(Segments::new([3, 1, 2]));
        check(&[var(&[6, 4], 1), var(&[4], 2)], 2e-3, |t| {
            attention_pool(&t[0], &t[1], &segments).unwrap()
        });
    }

    #[test]
    fn a_query_of_zero_gives_the_mean_and_a_loud_one_picks_a_token() {
        let (x, segments) = (var(&[6, 4], 1), Arc::new(Segments::new([4, 2])));
        let zero = Tensor::zeros(4, candle_core::DType::F32, x.device()).unwrap();
        let mean = pool(&x, &segments, Pooling::Mean).unwrap();
        let gap = (attention_pool(&x, &zero, &segments).unwrap() - mean).unwrap().abs().unwrap();
        assert!(gap.max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-6);
        let loud = Tensor::new(&[1e4f32, 0.0, 0.0, 0.0], x.device()).unwrap();
        let rows = x.to_vec2::<f32>().unwrap();
        let picked = attention_pool(&x, &loud, &segments).unwrap().to_vec2::<f32>().unwrap();
        let first = rows[..4].iter().max_by(|a, b| a[0].total_cmp(&b[0])).unwrap();
        assert_eq!(picked[0], *first);
    }
}
