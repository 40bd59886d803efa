//! Operations on the rows of tokens: tables, pooling, turning, neighbours.

use candle_core::{D, DType, Result, Tensor, bail};

use super::super::{Heads, Rotations, Segments};
use super::padded::Padded;
use super::step::step;
use super::wide;

/// See [`super::super::lookup`].
pub fn lookup(table: &Tensor, ids: &[u32]) -> Result<Tensor> {
    let (rows, width) = table.dims2()?;
    if ids.iter().any(|&id| id as usize >= rows) {
        bail!("a token or position lies outside its table of {rows} rows");
    }
    let index = Tensor::from_slice(ids, ids.len(), table.device())?;
    let y = table.detach().index_select(&index, 0)?;
    let (dtype, device) = (table.dtype(), table.device().clone());
    step(&[table], y, move |g| {
        let none = Tensor::zeros((rows, width), dtype, &device)?;
        Ok(vec![Some(none.index_add(&index, &g.to_dtype(dtype)?, 0)?)])
    })
}

/// `shares` `[texts, tokens]` times the rows of the tokens, by what each text is pooled.
///
/// # Errors
/// If the sizes differ.
pub fn pool(x: &Tensor, shares: Vec<f32>) -> Result<Tensor> {
    let values = wide(&x.detach())?;
    let (tokens, _) = values.dims2()?;
    let texts = shares.len() / tokens.max(1);
    let shares = Tensor::from_vec(shares, (texts, tokens), x.device())?;
    let shares = shares.to_dtype(values.dtype())?;
    let y = shares.matmul(&values)?;
    step(&[x], y, move |g| Ok(vec![Some(shares.t()?.matmul(g)?)]))
}

/// See [`super::super::attention_pool`].
pub fn attention_pool(x: &Tensor, query: &Tensor, segments: &Segments) -> Result<Tensor> {
    let padded = Padded::new(segments, x.device())?;
    let (texts, n) = padded.size();
    let values = padded.spread(&wide(&x.detach())?)?;
    let q = query.detach().to_dtype(values.dtype())?;
    // One head whose only query per text is the learned one.
    let scores = values.broadcast_mul(&q)?.sum_keepdim(D::Minus1)?.reshape((texts, 1, 1, n))?;
    let p = candle_nn::ops::softmax_last_dim(&padded.hide(scores, Heads::full(1))?.contiguous()?)?;
    let p = p.reshape((texts, n, 1))?;
    let y = values.broadcast_mul(&p)?.sum(1)?;
    step(&[x, query], y, move |g| {
        let g = g.unsqueeze(1)?;
        let pulls = values.broadcast_mul(&g)?.sum_keepdim(D::Minus1)?;
        let level = (&pulls * &p)?.sum_keepdim(1)?;
        let slopes = (&p * pulls.broadcast_sub(&level)?)?;
        let dx = (p.broadcast_mul(&g)? + slopes.broadcast_mul(&q)?)?;
        Ok(vec![Some(padded.gather(&dx)?), Some(values.broadcast_mul(&slopes)?.sum(1)?.sum(0)?)])
    })
}

/// See [`super::super::rotate`].
pub fn rotate(x: &Tensor, rotations: &Rotations, positions: &[u32]) -> Result<Tensor> {
    let (tokens, columns) = x.dims2()?;
    let (pairs, known) = (rotations.pairs(), rotations.positions());
    if tokens != positions.len()
        || !columns.is_multiple_of(2 * pairs.max(1))
        || positions.iter().any(|p| *p as usize >= known)
    {
        bail!("rotations of {known} positions meet [{tokens}, {columns}] values");
    }
    let heads = columns / (2 * pairs);
    let table = |of: fn(&(f32, f32)) -> f32| -> Result<Tensor> {
        let all = positions.iter().flat_map(|&p| rotations.turns(p).iter().map(of));
        let all = Tensor::from_vec(all.collect(), (tokens, 1, pairs), x.device())?;
        all.to_dtype(x.dtype())
    };
    let (cos, sin) = (table(|turn| turn.0)?, table(|turn| turn.1)?);
    let turned = move |x: &Tensor, sin: &Tensor| -> Result<Tensor> {
        let x = x.reshape((tokens, heads, 2 * pairs))?;
        let (a, b) = (x.narrow(2, 0, pairs)?, x.narrow(2, pairs, pairs)?);
        let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(sin)?)?;
        let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(sin)?)?;
        Tensor::cat(&[first, second], D::Minus1)?.reshape((tokens, columns))
    };
    let y = turned(&x.detach(), &sin)?;
    step(&[x], y, move |g| Ok(vec![Some(turned(g, &sin.neg()?)?)]))
}

/// Rows put together from those of `x`, each `size` of them side by side; `index` names them, and
/// `u32::MAX` stands for a row of zeros.
///
/// # Errors
/// If the sizes differ.
pub fn windows(x: &Tensor, index: Vec<u32>, size: usize) -> Result<Tensor> {
    let (tokens, width) = x.dims2()?;
    if index.len() != tokens * size {
        bail!("windows over {} tokens meet {tokens} rows", index.len() / size);
    }
    let index = Tensor::from_vec(index, tokens * size, x.device())?;
    let y = x.detach().index_select(&index, 0)?.reshape((tokens, size * width))?;
    let (dtype, device): (DType, _) = (x.dtype(), x.device().clone());
    step(&[x], y, move |g| {
        let none = Tensor::zeros((tokens, width), dtype, &device)?;
        let g = g.to_dtype(dtype)?.reshape((tokens * size, width))?;
        Ok(vec![Some(none.index_add(&index, &g, 0)?)])
    })
}
