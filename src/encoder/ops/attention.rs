//! Multi-head scaled dot-product attention (Vaswani et al. 2017) within each text of a packed
//! batch.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::vector::{dot, softmax};
use super::{
    DropoutMask, Matrix, Segments, composed, dims2, multiply, tensor, tensor_values, values,
};

/// Dropout on the attention probabilities; its entries stand text by text, head by head, as
/// `[length, length]` matrices.
pub type AttentionMask = DropoutMask;

/// How the heads of an attention share their inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Heads of the queries.
    pub queries: usize,
    /// Heads of keys and values, each serving as many heads of the queries (grouped-query
    /// attention, Ainslie et al. 2023).
    pub keys: usize,
    /// Whether a token sees only itself and those before it.
    pub causal: bool,
    /// How many tokens to either side a token sees; `None`: all.
    pub window: Option<usize>,
}

impl Heads {
    /// As many heads of keys as of queries, and every token sees all.
    pub fn full(heads: usize) -> Self {
        Self { queries: heads, keys: heads, causal: false, window: None }
    }
}

struct Attention {
    segments: Arc<Segments>,
    heads: Heads,
    mask: Option<AttentionMask>,
}

/// `q` `[tokens, queries · width]`, `k`, `v` `[tokens, keys · width]` → context like `q`; every
/// token attends to the tokens of its own text.
///
/// # Errors
/// If the shapes do not match the heads.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    segments: &Arc<Segments>,
    heads: Heads,
    mask: Option<&AttentionMask>,
) -> Result<Tensor> {
    if !composed::fused(&[q, k, v]) {
        return composed::attention(q, k, v, segments, heads, mask);
    }
    q.apply_op3(k, v, Attention { segments: segments.clone(), heads, mask: mask.cloned() })
}

/// One head of one text: where its values begin, and where its mask does.
#[derive(Clone, Copy)]
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
    /// Every head of the queries of every text, with the head of keys and values that serves
    /// it.
    fn places(&self, width: usize) -> impl Iterator<Item = (Place, Place)> + '_ {
        let Heads { queries, keys, .. } = self.heads;
        let group = queries / keys;
        places(&self.segments, queries, width, queries * width).map(move |place| {
            let (row, head) = (place.start / place.stride, place.start % place.stride / width);
            let start = (row * keys + head / group) * width;
            (place, Place { start, stride: keys * width, ..place })
        })
    }

    /// The width of a head, if these shapes suit the heads.
    fn width(&self, q: (usize, usize), k: (usize, usize), v: (usize, usize)) -> Result<usize> {
        let Heads { queries, keys, .. } = self.heads;
        let width = q.1 / queries.max(1);
        let suits = keys > 0
            && queries.is_multiple_of(keys)
            && q == (self.segments.tokens(), queries * width)
            && k == (self.segments.tokens(), keys * width)
            && k == v;
        if !suits {
            bail!("{:?} cannot share {q:?}, {k:?} and {v:?}", self.heads);
        }
        Ok(width)
    }

    /// The attention probabilities of one head of one text, before dropout.
    #[inline(always)]
    fn probabilities(&self, n: usize, q: Matrix, k: Matrix, scale: f32, out: &mut [f32]) {
        multiply(out, n, q, k.transposed(), scale, false);
        for (i, row) in out.chunks_exact_mut(n).enumerate() {
            let reach = self.heads.window.unwrap_or(n);
            let end = if self.heads.causal { i + 1 } else { n.min(i.saturating_add(reach + 1)) };
            let start = i.saturating_sub(reach);
            row[..start].fill(0.0);
            softmax(&mut row[start..end]);
            row[end..].fill(0.0);
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
        let width = self.width((tokens, hidden), dims2(l2)?, dims2(l3)?)?;
        let scale = 1.0 / (width as f32).sqrt();
        let mut out = vec![0f32; tokens * hidden];
        let longest = self.segments.longest();
        let mut scores = vec![0f32; longest * longest];
        pulp::Arch::new().dispatch(|| {
            for (place, shared) in self.places(width) {
                let n = place.length;
                let p = &mut scores[..n * n];
                self.probabilities(n, place.view(q), shared.view(k), scale, p);
                if let Some(mask) = &self.mask {
                    mask.apply(place.mask, p);
                }
                let target = &mut out[place.start..];
                multiply(target, hidden, Matrix::new(p, n, n), shared.view(v), 1.0, false);
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
        let width = self.width((tokens, hidden), k.dims2()?, v.dims2()?)?;
        let narrow = self.heads.keys * width;
        let scale = 1.0 / (width as f32).sqrt();
        let ((qs, ql), (ks, kl), (vs, vl), (gs, gl)) = (
            q.storage_and_layout(),
            k.storage_and_layout(),
            v.storage_and_layout(),
            grad.storage_and_layout(),
        );
        let (qv, kv) = (tensor_values(&qs, ql)?, tensor_values(&ks, kl)?);
        let (vv, dy) = (tensor_values(&vs, vl)?, tensor_values(&gs, gl)?);
        let size = tokens * narrow;
        let (mut dq, mut dk, mut dv) =
            (vec![0f32; tokens * hidden], vec![0f32; size], vec![0f32; size]);
        let area = self.segments.longest() * self.segments.longest();
        let (mut clean, mut dropped, mut dp) =
            (vec![0f32; area], vec![0f32; area], vec![0f32; area]);
        pulp::Arch::new().dispatch(|| {
            for (place, shared) in self.places(width) {
                let n = place.length;
                let (p, used, dp) = (&mut clean[..n * n], &mut dropped[..n * n], &mut dp[..n * n]);
                self.probabilities(n, place.view(qv), shared.view(kv), scale, p);
                used.copy_from_slice(p);
                multiply(dp, n, place.view(dy), shared.view(vv).transposed(), 1.0, false);
                if let Some(mask) = &self.mask {
                    mask.apply(place.mask, used);
                    mask.apply(place.mask, dp);
                }
                let used = Matrix::new(used, n, n).transposed();
                multiply(&mut dv[shared.start..], narrow, used, place.view(dy), 1.0, true);
                score_gradient(p, dp, n);
                let ds = Matrix::new(dp, n, n);
                multiply(&mut dq[place.start..], hidden, ds, shared.view(kv), scale, false);
                let target = &mut dk[shared.start..];
                multiply(target, narrow, ds.transposed(), place.view(qv), scale, true);
            }
        });
        let shape = (tokens, narrow);
        let dq = tensor(dq, (tokens, hidden))?;
        Ok((Some(dq), Some(tensor(dk, shape)?), Some(tensor(dv, shape)?)))
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
        check(&qkv(), 2e-3, |t| {
            attention(&t[0], &t[1], &t[2], &segments, Heads::full(2), None).unwrap()
        });
        let bytes = (0..2 * (25 + 1 + 4)).map(|i| u8::from(i % 5 != 0)).collect();
        let mask = DropoutMask::new(bytes, 0.2);
        check(&qkv(), 2e-3, |t| {
            attention(&t[0], &t[1], &t[2], &segments, Heads::full(2), Some(&mask)).unwrap()
        });
    }

    #[test]
    fn gradients_of_shared_keys_match_finite_differences() {
        let segments = Arc::new(Segments::new([5, 1, 2]));
        let vars = [var(&[8, 8], 1), var(&[8, 4], 2), var(&[8, 4], 3)];
        for causal in [false, true] {
            let heads = Heads { queries: 4, keys: 2, causal, window: None };
            check(&vars, 2e-3, |t| attention(&t[0], &t[1], &t[2], &segments, heads, None).unwrap());
        }
    }

    #[test]
    fn a_causal_token_does_not_see_what_follows() {
        let [q, k, v] = qkv();
        let heads = Heads { causal: true, ..Heads::full(2) };
        let whole = Arc::new(Segments::new([8]));
        let all = attention(&q, &k, &v, &whole, heads, None).unwrap();
        let cut = |t: &candle_core::Var| t.narrow(0, 0, 3).unwrap().contiguous().unwrap();
        let begun = Arc::new(Segments::new([3]));
        let first = attention(&cut(&q), &cut(&k), &cut(&v), &begun, heads, None).unwrap();
        let gap = (all.narrow(0, 0, 3).unwrap() - first).unwrap().abs().unwrap();
        assert!(gap.max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-6);
    }

    #[test]
    fn a_window_ends_what_a_token_sees() {
        let [q, k, v] = qkv();
        let segments = Arc::new(Segments::new([8]));
        let near = Heads { window: Some(1), ..Heads::full(2) };
        check(&qkv(), 2e-3, |t| attention(&t[0], &t[1], &t[2], &segments, near, None).unwrap());
        let all = attention(&q, &k, &v, &segments, near, None).unwrap();
        // The token at 4 sees those at 3 to 5 as a text of three would show its second.
        let cut = |t: &candle_core::Var| t.narrow(0, 3, 3).unwrap().contiguous().unwrap();
        let three = Arc::new(Segments::new([3]));
        let alone = attention(&cut(&q), &cut(&k), &cut(&v), &three, Heads::full(2), None).unwrap();
        let gap = (all.get(4).unwrap() - alone.get(1).unwrap()).unwrap().abs().unwrap();
        assert!(gap.max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-6);
        let wide = Heads { window: Some(usize::MAX - 1), ..Heads::full(2) };
        let wide = attention(&q, &k, &v, &segments, wide, None).unwrap();
        let full = attention(&q, &k, &v, &segments, Heads::full(2), None).unwrap();
        assert_eq!(wide.to_vec2::<f32>().unwrap(), full.to_vec2::<f32>().unwrap());
    }

    #[test]
    fn a_text_does_not_see_its_neighbours() {
        let [q, k, v] = qkv();
        let together = Arc::new(Segments::new([5, 3]));
        let alone = Arc::new(Segments::new([3]));
        let both = attention(&q, &k, &v, &together, Heads::full(3), None).unwrap();
        let cut = |t: &candle_core::Var| t.narrow(0, 5, 3).unwrap().contiguous().unwrap();
        let one = attention(&cut(&q), &cut(&k), &cut(&v), &alone, Heads::full(3), None).unwrap();
        let gap = (both.narrow(0, 5, 3).unwrap() - one).unwrap().abs().unwrap();
        assert!(gap.max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-6);
    }
}
