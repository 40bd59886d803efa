//! Scaled dot-product attention within each text.

use candle_core::{D, Result, Tensor, bail};

use super::super::{AttentionMask, Heads, Segments};
use super::padded::Padded;
use super::step::step;
use super::wide;

/// The probabilities of scores, `[texts, heads, longest, longest]`, and those that dropout leaves.
pub(super) fn probabilities(
    scores: Tensor,
    padded: &Padded,
    heads: Heads,
    mask: Option<&AttentionMask>,
) -> Result<(Tensor, Option<Tensor>)> {
    let scores = padded.hide(scores, heads)?;
    let p = candle_nn::ops::softmax_last_dim(&scores.contiguous()?)?;
    let factors =
        mask.map(|mask| padded.factors(mask, heads.queries, p.dtype(), p.device())).transpose()?;
    Ok((p, factors))
}

/// The gradient of the scores below probabilities `p` whose own gradient is `dp`, before
/// dropout's `factors`.
pub(super) fn score_gradient(p: &Tensor, dp: Tensor, factors: Option<&Tensor>) -> Result<Tensor> {
    let dp = dropped(&wide(&dp)?, factors)?;
    let level = (&dp * p)?.sum_keepdim(D::Minus1)?;
    p * dp.broadcast_sub(&level)?
}

pub(super) fn dropped(p: &Tensor, factors: Option<&Tensor>) -> Result<Tensor> {
    match factors {
        Some(factors) => p * factors,
        None => Ok(p.clone()),
    }
}

/// See [`super::super::attention`].
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    segments: &Segments,
    heads: Heads,
    mask: Option<&AttentionMask>,
) -> Result<Tensor> {
    let padded = Padded::new(segments, q.device())?;
    let (texts, n) = padded.size();
    let Heads { queries, keys, .. } = heads;
    let width = q.dim(1)? / queries.max(1);
    let tokens = segments.tokens();
    if keys == 0
        || !queries.is_multiple_of(keys)
        || q.dims() != [tokens, queries * width]
        || k.dims() != [tokens, keys * width]
        || k.dims() != v.dims()
    {
        bail!("{heads:?} cannot share {:?}, {:?} and {:?}", q.shape(), k.shape(), v.shape());
    }
    // The heads of the queries that share a head of keys stand one below the other.
    let group = queries / keys * n;
    let stacked = move |x: Tensor| x.reshape((texts * keys, group, ()));
    let scale = 1.0 / (width as f64).sqrt();
    let a = stacked(padded.heads(&q.detach(), queries)?)?;
    let split = |x: &Tensor| padded.heads(&x.detach(), keys)?.reshape((texts * keys, n, width));
    let (b, c) = (split(k)?, split(v)?);
    let scores = (wide(&a.matmul(&b.transpose(1, 2)?)?)? * scale)?;
    let scores = scores.reshape((texts, queries, n, n))?;
    let (p, factors) = probabilities(scores, &padded, heads, mask)?;
    let used = stacked(dropped(&p, factors.as_ref())?.to_dtype(c.dtype())?)?;
    let context = used.matmul(&c)?.reshape((texts, queries, n, width))?;
    let y = padded.joined(&context)?;
    step(&[q, k, v], y, move |g| {
        let g = stacked(padded.heads(&g.to_dtype(c.dtype())?, queries)?)?;
        let dp = g.matmul(&c.transpose(1, 2)?)?.reshape((texts, queries, n, n))?;
        let ds = (score_gradient(&p, dp, factors.as_ref())? * scale)?;
        let ds = stacked(ds.to_dtype(a.dtype())?)?;
        let rows = |x: Tensor, heads| padded.joined(&x.reshape((texts, heads, n, width))?);
        Ok(vec![
            Some(rows(ds.matmul(&b)?, queries)?),
            Some(rows(ds.transpose(1, 2)?.matmul(&a)?, keys)?),
            Some(rows(used.transpose(1, 2)?.matmul(&g)?, keys)?),
        ])
    })
}
