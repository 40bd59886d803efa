//! Disentangled attention (He et al., ICLR 2021): scores from the tokens' contents and from how
//! far they stand apart.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::attention::{Place, places, score_gradient};
use super::vector::softmax;
use super::{
    AttentionMask, Matrix, Segments, composed, dims2, multiply, tensor, tensor_values, values,
};

/// What one call of [`disentangled_attention`] needs besides its tensors.
#[derive(Clone, Debug)]
pub struct Disentangled {
    /// The texts.
    pub segments: Arc<Segments>,
    /// Attention heads.
    pub heads: usize,
    /// Row of the position tables for a query that stands `d` tokens after a key, at
    /// `[longest - 1 + d]`, d from -(longest - 1) to longest - 1 of the longest text.
    pub rows: Arc<Vec<u32>>,
    /// Whether queries meet the keys of positions (c2p).
    pub content_to_position: bool,
    /// Whether keys meet the queries of positions (p2c).
    pub position_to_content: bool,
    /// Dropout of the probabilities.
    pub mask: Option<AttentionMask>,
}

/// `states` `[tokens, 3 · hidden]`: queries, keys and values side by side; `positions` `[rows,
/// hidden]` or `[rows, 2 · hidden]`: keys of positions (with c2p), then queries of positions
/// (with p2c) → context `[tokens, hidden]`.
///
/// The score of query i and key j is (q·k + q·pk + k·pq) / √(width · parts), with pk and pq in
/// the row of i - j, and parts the number of terms.
///
/// # Errors
/// If the shapes do not match, or a row lies outside `positions`.
pub fn disentangled_attention(
    states: &Tensor,
    positions: &Tensor,
    how: &Disentangled,
) -> Result<Tensor> {
    if !composed::fused(&[states, positions]) {
        return composed::disentangled_attention(states, positions, how);
    }
    states.apply_op2(positions, how.clone())
}

/// The shapes of one call.
pub(super) struct Sizes {
    tokens: usize,
    pub hidden: usize,
    width: usize,
    /// Rows of the position tables.
    rows: usize,
    /// Values between two rows of the position tables.
    stride: usize,
    /// The factor of the scores.
    pub scale: f32,
}

/// Scratch of one head of one text.
struct Scratch {
    /// Queries against keys of positions, `[n, rows]`, and their gradient.
    c2p: Vec<f32>,
    /// Keys against queries of positions, `[n, rows]`, and their gradient.
    p2c: Vec<f32>,
}

/// One head's part of the position tables.
struct Tables<'a> {
    keys: Option<Matrix<'a>>,
    queries: Option<Matrix<'a>>,
    /// Where they begin.
    key_start: usize,
    query_start: usize,
}

impl Disentangled {
    fn parts(&self) -> usize {
        usize::from(self.content_to_position) + usize::from(self.position_to_content)
    }

    /// The shapes of a call with these states and positions.
    ///
    /// # Errors
    /// If they do not match.
    pub(super) fn sizes(&self, states: (usize, usize), positions: (usize, usize)) -> Result<Sizes> {
        let (tokens, hidden) = (states.0, states.1 / 3);
        let longest = self.segments.longest();
        if tokens != self.segments.tokens()
            || !states.1.is_multiple_of(3)
            || !hidden.is_multiple_of(self.heads)
            || self.parts() == 0
            || positions.1 != hidden * self.parts()
            || self.rows.len() + 1 < 2 * longest
            || self.rows.iter().any(|row| *row as usize >= positions.0)
        {
            bail!("disentangled attention: states of {states:?} meet positions of {positions:?}");
        }
        let width = hidden / self.heads;
        Ok(Sizes {
            tokens,
            hidden,
            width,
            rows: positions.0,
            stride: positions.1,
            scale: 1.0 / ((width * (1 + self.parts())) as f32).sqrt(),
        })
    }

    fn places(&self, sizes: &Sizes) -> impl Iterator<Item = Place> + '_ {
        places(&self.segments, self.heads, sizes.width, 3 * sizes.hidden)
    }

    fn tables<'a>(&self, head: usize, sizes: &Sizes, positions: &'a [f32]) -> Tables<'a> {
        let key_start = head * sizes.width;
        let query_start = key_start + if self.content_to_position { sizes.hidden } else { 0 };
        let part = |there: bool, start: usize| {
            there.then(|| {
                Matrix::strided(&positions[start..], sizes.rows, sizes.width, sizes.stride)
            })
        };
        Tables {
            keys: part(self.content_to_position, key_start),
            queries: part(self.position_to_content, query_start),
            key_start,
            query_start,
        }
    }

    /// The rows of the position tables for query `i` and every key of a text of `n` tokens,
    /// from the last key to the first.
    fn rows_of(&self, i: usize, n: usize) -> &[u32] {
        let zero = self.rows.len() / 2;
        &self.rows[zero + i + 1 - n..=zero + i]
    }

    /// The rows of the position tables between all tokens of a text of `n`; distances have their
    /// rows in order, so that those between belong to it, too.
    fn rows_within(&self, n: usize) -> std::ops::Range<usize> {
        let zero = self.rows.len() / 2;
        let used = self.rows.get(zero + 1 - n..zero + n).unwrap_or_default();
        let (first, last) = (used.iter().min(), used.iter().max());
        first.map_or(0, |row| *row as usize)..last.map_or(0, |row| *row as usize + 1)
    }

    /// The attention probabilities of one head of one text, before dropout.
    #[inline(always)]
    fn probabilities(
        &self,
        (q, k): (Matrix, Matrix),
        n: usize,
        tables: &Tables,
        sizes: &Sizes,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        multiply(out, n, q, k.transposed(), sizes.scale, false);
        // Only the rows that a text of this length uses, whatever others the batch needs.
        let near = self.rows_within(n);
        let (first, m) = (near.start as u32, near.len());
        if let Some(keys) = tables.keys {
            let c2p = &mut scratch.c2p[..n * m];
            let keys = keys.only(near.clone());
            multiply(c2p, m, q, keys.transposed(), sizes.scale, false);
            for (i, (scores, c2p)) in out.chunks_exact_mut(n).zip(c2p.chunks_exact(m)).enumerate() {
                for (score, row) in scores.iter_mut().zip(self.rows_of(i, n).iter().rev()) {
                    *score += c2p[(*row - first) as usize];
                }
            }
        }
        if let Some(queries) = tables.queries {
            let queries = queries.only(near);
            let p2c = &mut scratch.p2c[..n * m];
            multiply(p2c, m, k, queries.transposed(), sizes.scale, false);
            for (i, scores) in out.chunks_exact_mut(n).enumerate() {
                let rows = self.rows_of(i, n).iter().rev();
                for ((score, row), p2c) in scores.iter_mut().zip(rows).zip(p2c.chunks_exact(m)) {
                    *score += p2c[(*row - first) as usize];
                }
            }
        }
        for row in out.chunks_exact_mut(n) {
            softmax(row);
        }
    }

    fn scratch(&self, sizes: &Sizes) -> Scratch {
        let area = self.segments.longest() * sizes.rows;
        Scratch { c2p: vec![0f32; area], p2c: vec![0f32; area] }
    }
}

impl CustomOp2 for Disentangled {
    fn name(&self) -> &'static str {
        "disentangled-attention"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (states, positions) = (values(s1, l1)?, values(s2, l2)?);
        let sizes = self.sizes(dims2(l1)?, dims2(l2)?)?;
        let hidden = sizes.hidden;
        let mut out = vec![0f32; sizes.tokens * hidden];
        let longest = self.segments.longest();
        let mut scores = vec![0f32; longest * longest];
        let mut scratch = self.scratch(&sizes);
        pulp::Arch::new().dispatch(|| {
            for (at, place) in self.places(&sizes).enumerate() {
                let n = place.length;
                let tables = self.tables(at % self.heads, &sizes, positions);
                let p = &mut scores[..n * n];
                let qk = (place.view(states), place.view(&states[hidden..]));
                self.probabilities(qk, n, &tables, &sizes, &mut scratch, p);
                if let Some(mask) = &self.mask {
                    mask.apply(place.mask, p);
                }
                let v = place.view(&states[2 * hidden..]);
                let target = &mut out[place.output(hidden)..];
                multiply(target, hidden, Matrix::new(p, n, n), v, 1.0, false);
            }
        });
        Ok((CpuStorage::F32(out), Shape::from((sizes.tokens, hidden))))
    }

    fn bwd(
        &self,
        states: &Tensor,
        positions: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let sizes = self.sizes(states.dims2()?, positions.dims2()?)?;
        let ((ss, sl), (ps, pl), (gs, gl)) = (
            states.storage_and_layout(),
            positions.storage_and_layout(),
            grad.storage_and_layout(),
        );
        let (x, tables_of, dy) =
            (tensor_values(&ss, sl)?, tensor_values(&ps, pl)?, tensor_values(&gs, gl)?);
        let (hidden, m, scale) = (sizes.hidden, sizes.rows, sizes.scale);
        let row = 3 * hidden;
        let mut dx = vec![0f32; x.len()];
        let mut dpositions = vec![0f32; tables_of.len()];
        let longest = self.segments.longest();
        let area = longest * longest;
        let (mut clean, mut dropped, mut ds) =
            (vec![0f32; area], vec![0f32; area], vec![0f32; area]);
        let mut scratch = self.scratch(&sizes);
        pulp::Arch::new().dispatch(|| {
            for (at, place) in self.places(&sizes).enumerate() {
                let (n, start) = (place.length, place.start);
                let tables = self.tables(at % self.heads, &sizes, tables_of);
                let (q, k) = (place.view(x), place.view(&x[hidden..]));
                let v = place.view(&x[2 * hidden..]);
                let out = Matrix::strided(&dy[place.output(hidden)..], n, sizes.width, hidden);
                let (p, used, ds) = (&mut clean[..n * n], &mut dropped[..n * n], &mut ds[..n * n]);
                self.probabilities((q, k), n, &tables, &sizes, &mut scratch, p);
                used.copy_from_slice(p);
                multiply(ds, n, out, v.transposed(), 1.0, false);
                if let Some(mask) = &self.mask {
                    mask.apply(place.mask, used);
                    mask.apply(place.mask, ds);
                }
                let used = Matrix::new(used, n, n).transposed();
                multiply(&mut dx[start + 2 * hidden..], row, used, out, 1.0, false);
                score_gradient(p, ds, n);
                let by_score = Matrix::new(ds, n, n);
                multiply(&mut dx[start..], row, by_score, k, scale, false);
                multiply(&mut dx[start + hidden..], row, by_score.transposed(), q, scale, false);
                if let Some(keys) = tables.keys {
                    let d = &mut scratch.c2p[..n * m];
                    d.fill(0.0);
                    for (i, (d, ds)) in d.chunks_exact_mut(m).zip(ds.chunks_exact(n)).enumerate() {
                        for (g, r) in ds.iter().zip(self.rows_of(i, n).iter().rev()) {
                            d[*r as usize] += g;
                        }
                    }
                    let d = Matrix::new(d, n, m);
                    multiply(&mut dx[start..], row, d, keys, scale, true);
                    let target = &mut dpositions[tables.key_start..];
                    multiply(target, sizes.stride, d.transposed(), q, scale, true);
                }
                if let Some(queries) = tables.queries {
                    let d = &mut scratch.p2c[..n * m];
                    d.fill(0.0);
                    for (i, ds) in ds.chunks_exact(n).enumerate() {
                        let rows = self.rows_of(i, n).iter().rev();
                        for ((g, r), d) in ds.iter().zip(rows).zip(d.chunks_exact_mut(m)) {
                            d[*r as usize] += g;
                        }
                    }
                    let d = Matrix::new(d, n, m);
                    multiply(&mut dx[start + hidden..], row, d, queries, scale, true);
                    let target = &mut dpositions[tables.query_start..];
                    multiply(target, sizes.stride, d.transposed(), k, scale, true);
                }
            }
        });
        let shape = positions.dims2()?;
        Ok((Some(tensor(dx, (sizes.tokens, row))?), Some(tensor(dpositions, shape)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check::{check, var};
    use crate::encoder::ops::{DropoutMask, Heads, attention};

    fn how(c2p: bool, p2c: bool, mask: bool) -> Disentangled {
        let bytes = (0..2 * (25 + 1 + 4)).map(|i| u8::from(i % 5 != 0)).collect();
        Disentangled {
            segments: Arc::new(Segments::new([5, 1, 2])),
            heads: 2,
            // Distances of three and more share a row.
            rows: Arc::new(vec![0, 0, 1, 2, 3, 4, 5, 6, 6]),
            content_to_position: c2p,
            position_to_content: p2c,
            mask: mask.then(|| DropoutMask::new(bytes, 0.2)),
        }
    }

    #[test]
    fn gradients_match_finite_differences() {
        for (c2p, p2c, mask, width) in
            [(true, true, false, 8), (true, false, true, 4), (false, true, false, 4)]
        {
            let vars = [var(&[8, 12], 1), var(&[7, width], 2)];
            check(&vars, 3e-3, |t| {
                disentangled_attention(&t[0], &t[1], &how(c2p, p2c, mask)).unwrap()
            });
        }
    }

    #[test]
    fn positions_that_say_nothing_leave_plain_attention() {
        let states = var(&[8, 12], 1);
        let zero = Tensor::zeros((7, 8), candle_core::DType::F32, states.device()).unwrap();
        let how = how(true, true, false);
        let part = |at: usize| states.narrow(1, at * 4, 4).unwrap().contiguous().unwrap();
        // Three terms share the scale: queries shrunk by √3 meet the same scores.
        let q = (part(0) / 3f64.sqrt()).unwrap();
        let plain = attention(&q, &part(1), &part(2), &how.segments, Heads::full(2), None).unwrap();
        let gap = (disentangled_attention(&states, &zero, &how).unwrap() - plain).unwrap();
        let gap = gap.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(gap < 1e-6, "{gap}");
    }

    #[test]
    fn shapes_that_do_not_match_are_refused() {
        let good = how(true, true, false);
        for (states, positions) in [([8, 11], [7, 8]), ([7, 12], [7, 8]), ([8, 12], [6, 8])] {
            let (s, p) = (var(&states, 1), var(&positions, 2));
            assert!(disentangled_attention(&s, &p, &good).is_err());
        }
    }
}
