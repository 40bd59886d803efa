//! Multi-head scaled dot-product attention (Vaswani et al. 2017) within each text of a packed
//! batch.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::vector::{dot, softmax};
use super::{DropoutMask, Matrix, Segments, dims2, multiply, tensor, tensor_values, values};

/// Dropout on the attention probabilities; its entries stand text by text, head by head, as
/// `[length, length]` matrices.
pub type AttentionMask = DropoutMask;

struct Attention {
    segments: Arc<Segments>,
    heads: usize,
    mask: Option<AttentionMask>,
}

/// `q`, `k`, `v` `[tokens, hidden]` → context `[tokens, hidden]`; every token attends to the
/// tokens of its own text.
///
/// # Errors
/// If the shapes do not match, or the hidden size is no multiple of `heads`.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    segments: &Arc<Segments>,
    heads: usize,
    mask: Option<&AttentionMask>,
) -> Result<Tensor> {
    q.apply_op3(k, v, Attention { segments: segments.clone(), heads, mask: mask.cloned() })
}

/// One head of one text: where its values begin, and where its mask does.
pub(super) struct Place {
    pub start: usize,
    pub length: usize,
    pub mask: usize,
    width: usize,
    stride: usize,
}

impl Place {
    /// Where this head begins in a matrix of `[tokens, hidden]`.
    #[inline(always)]
    pub fn output(&self, hidden: usize) -> usize {
        self.start / self.stride * hidden + self.start % self.stride
    }

    /// This head's `[length, width]` part of a matrix whose first row begins these values.
    #[inline(always)]
    pub fn view<'a>(&self, values: &'a [f32]) -> Matrix<'a> {
        Matrix::strided(&values[self.start..], self.length, self.width, self.stride)
    }
}

/// Every head of every text of `[tokens, heads · width]` matrices whose rows begin `stride`
/// values apart.
pub(super) fn places(
    segments: &Segments,
    heads: usize,
    width: usize,
    stride: usize,
) -> impl Iterator<Item = Place> + '_ {
    let mut mask = 0;
    segments.ranges().flat_map(move |range| {
        let (length, before) = (range.len(), mask);
        mask += heads * length * length;
        (0..heads).map(move |head| Place {
            start: range.start * stride + head * width,
            length,
            mask: before + head * length * length,
            width,
            stride,
        })
    })
}

/// Turns the gradient of attention probabilities, `[n, n]`, into that of the scores below them.
#[inline(always)]
pub(super) fn score_gradient(probabilities: &[f32], gradient: &mut [f32], n: usize) {
    for (d, p) in gradient.chunks_exact_mut(n).zip(probabilities.chunks_exact(n)) {
        let level = dot(d, p);
        for (d, p) in d.iter_mut().zip(p) {
            *d = p * (*d - level);
        }
    }
}

impl Attention {
    fn places(&self, hidden: usize) -> impl Iterator<Item = Place> + '_ {
        places(&self.segments, self.heads, hidden / self.heads, hidden)
    }

    fn longest(&self) -> usize {
        self.segments.longest()
    }

    /// The attention probabilities of one head of one text, before dropout.
    #[inline(always)]
    fn probabilities(&self, place: &Place, q: Matrix, k: Matrix, scale: f32, out: &mut [f32]) {
        let n = place.length;
        multiply(out, n, q, k.transposed(), scale, false);
        for row in out.chunks_exact_mut(n) {
            softmax(row);
        }
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
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
        let (q, k, v) = (values(s1, l1)?, values(s2, l2)?, values(s3, l3)?);
        let (tokens, hidden) = dims2(l1)?;
        if tokens != self.segments.tokens() || l1.shape() != l2.shape() || l1.shape() != l3.shape()
        {
            bail!("attention over {} tokens meets {:?}", self.segments.tokens(), l1.shape());
        }
        if hidden % self.heads != 0 {
            bail!("{hidden} hidden units cannot be shared by {} heads", self.heads);
        }
        let width = hidden / self.heads;
        let scale = 1.0 / (width as f32).sqrt();
        let mut out = vec![0f32; tokens * hidden];
        let mut scores = vec![0f32; self.longest() * self.longest()];
        pulp::Arch::new().dispatch(|| {
            for place in self.places(hidden) {
                let n = place.length;
                let p = &mut scores[..n * n];
                self.probabilities(&place, place.view(q), place.view(k), scale, p);
                if let Some(mask) = &self.mask {
                    mask.apply(place.mask, p);
                }
                multiply(
                    &mut out[place.start..],
                    hidden,
                    Matrix::new(p, n, n),
                    place.view(v),
                    1.0,
                    false,
                );
            }
        });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (tokens, hidden) = q.dims2()?;
        let width = hidden / self.heads;
        let scale = 1.0 / (width as f32).sqrt();
        let ((qs, ql), (ks, kl), (vs, vl), (gs, gl)) = (
            q.storage_and_layout(),
            k.storage_and_layout(),
            v.storage_and_layout(),
            grad.storage_and_layout(),
        );
        let (qv, kv) = (tensor_values(&qs, ql)?, tensor_values(&ks, kl)?);
        let (vv, dy) = (tensor_values(&vs, vl)?, tensor_values(&gs, gl)?);
        let size = tokens * hidden;
        let (mut dq, mut dk, mut dv) = (vec![0f32; size], vec![0f32; size], vec![0f32; size]);
        let area = self.longest() * self.longest();
        let (mut clean, mut dropped, mut dp) =
            (vec![0f32; area], vec![0f32; area], vec![0f32; area]);
        pulp::Arch::new().dispatch(|| {
            for place in self.places(hidden) {
                let (n, start) = (place.length, place.start);
                let (p, used, dp) = (&mut clean[..n * n], &mut dropped[..n * n], &mut dp[..n * n]);
                self.probabilities(&place, place.view(qv), place.view(kv), scale, p);
                used.copy_from_slice(p);
                multiply(dp, n, place.view(dy), place.view(vv).transposed(), 1.0, false);
                if let Some(mask) = &self.mask {
                    mask.apply(place.mask, used);
                    mask.apply(place.mask, dp);
                }
                let used = Matrix::new(used, n, n).transposed();
                multiply(&mut dv[start..], hidden, used, place.view(dy), 1.0, false);
                score_gradient(p, dp, n);
                let ds = Matrix::new(dp, n, n);
                multiply(&mut dq[start..], hidden, ds, place.view(kv), scale, false);
                multiply(&mut dk[start..], hidden, ds.transposed(), place.view(qv), scale, false);
            }
        });
        let shape = (tokens, hidden);
        Ok((Some(tensor(dq, shape)?), Some(tensor(dk, shape)?), Some(tensor(dv, shape)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check::{check, var};

    fn qkv() -> [candle_core::Var; 3] {
        [var(&[8, 6], 1), var(&[8, 6], 2), var(&[8, 6], 3)]
    }

    #[test]
    fn gradients_match_finite_differences() {
        let segments = Arc::new(Segments::new([5, 1, 2]));
        check(&qkv(), 2e-3, |t| attention(&t[0], &t[1], &t[2], &segments, 2, None).unwrap());
        let bytes = (0..2 * (25 + 1 + 4)).map(|i| u8::from(i % 5 != 0)).collect();
        let mask = DropoutMask::new(bytes, 0.2);
        check(&qkv(), 2e-3, |t| attention(&t[0], &t[1], &t[2], &segments, 2, Some(&mask)).unwrap());
    }

    #[test]
    fn a_text_does_not_see_its_neighbours() {
        let [q, k, v] = qkv();
        let together = Arc::new(Segments::new([5, 3]));
        let alone = Arc::new(Segments::new([3]));
        let both = attention(&q, &k, &v, &together, 3, None).unwrap();
        let cut = |t: &candle_core::Var| t.narrow(0, 5, 3).unwrap().contiguous().unwrap();
        let one = attention(&cut(&q), &cut(&k), &cut(&v), &alone, 3, None).unwrap();
        let gap = (both.narrow(0, 5, 3).unwrap() - one).unwrap().abs().unwrap();
        assert!(gap.max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-6);
    }
}
