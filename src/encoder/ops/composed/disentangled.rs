//! Disentangled attention.

use candle_core::{Result, Tensor};

use super::super::{Disentangled, Heads};
use super::attention::{dropped, probabilities, score_gradient};
use super::padded::Padded;
use super::step::step;
use super::wide;

/// One kind of term between tokens and distances: `[texts, heads, longest, rows]` products of
/// tokens and a position table, of which each pair of tokens takes the one of its distance.
struct Term {
    /// The tokens' side, `[texts, heads, longest, width]`.
    tokens: Tensor,
    /// The table, `[heads, rows, width]`.
    table: Tensor,
    /// `[texts, heads, longest, longest]`: the row of the table for this token and another.
    rows: Tensor,
}

impl Term {
    fn scores(&self) -> Result<Tensor> {
        let table = self.table.transpose(1, 2)?.unsqueeze(0)?;
        let all = self.tokens.broadcast_matmul(&table)?;
        wide(&all)?.gather(&self.rows, 3)
    }

    /// The gradients of tokens and table from that of the scores.
    fn gradients(&self, ds: &Tensor) -> Result<(Tensor, Tensor)> {
        let (texts, heads, n, width) = self.tokens.dims4()?;
        let rows = self.table.dim(1)?;
        let none = Tensor::zeros((texts, heads, n, rows), ds.dtype(), ds.device())?;
        let all = none.scatter_add(&self.rows, &ds.contiguous()?, 3)?;
        let all = all.to_dtype(self.tokens.dtype())?;
        let tokens = all.broadcast_matmul(&self.table.unsqueeze(0)?)?;
        // The texts of a head one below the other.
        let stacked = |x: &Tensor, last| x.transpose(0, 1)?.reshape((heads, texts * n, last));
        let table = stacked(&all, rows)?.transpose(1, 2)?.matmul(&stacked(&self.tokens, width)?)?;
        Ok((tokens, table))
    }
}

/// `[rows, heads · width]` columns of the position tables → `[heads, rows, width]`.
fn table(positions: &Tensor, part: usize, hidden: usize, heads: usize) -> Result<Tensor> {
    let own = positions.narrow(1, part * hidden, hidden)?;
    own.reshape((own.dim(0)?, heads, hidden / heads))?.transpose(0, 1)?.contiguous()
}

/// See [`super::super::disentangled_attention`].
pub fn disentangled_attention(
    states: &Tensor,
    positions: &Tensor,
    how: &Disentangled,
) -> Result<Tensor> {
    let sizes = how.sizes(states.dims2()?, positions.dims2()?)?;
    let (hidden, scale) = (sizes.hidden, f64::from(sizes.scale));
    let padded = Padded::new(&how.segments, states.device())?;
    let (texts, n) = padded.size();
    let (heads, width) = (how.heads, hidden / how.heads);
    let part = |at: usize| padded.heads(&states.detach().narrow(1, at * hidden, hidden)?, heads);
    let (q, k, v) = (part(0)?, part(1)?, part(2)?);
    let tables = positions.detach().to_dtype(q.dtype())?;
    // The row for a token and another, the query's place minus the key's being `sign` times that
    // of the one minus the other.
    let rows = |sign: i64| {
        let zero = (how.rows.len() / 2) as i64;
        let row = |i: usize, j: usize| how.rows[(zero + sign * (i as i64 - j as i64)) as usize];
        let all: Vec<u32> = (0..n).flat_map(|i| (0..n).map(move |j| row(i, j))).collect();
        let all = Tensor::from_vec(all, (1, 1, n, n), states.device())?;
        all.broadcast_as((texts, heads, n, n))?.contiguous()
    };
    let query_term = match how.content_to_position {
        true => Some(Term {
            tokens: q.clone(),
            table: table(&tables, 0, hidden, heads)?,
            rows: rows(1)?,
        }),
        false => None,
    };
    let key_term = match how.position_to_content {
        true => Some(Term {
            tokens: k.clone(),
            table: table(&tables, usize::from(how.content_to_position), hidden, heads)?,
            rows: rows(-1)?,
        }),
        false => None,
    };
    let mut scores = wide(&q.matmul(&k.transpose(2, 3)?)?)?;
    if let Some(term) = &query_term {
        scores = (scores + term.scores()?)?;
    }
    if let Some(term) = &key_term {
        scores = (scores + term.scores()?.transpose(2, 3)?)?;
    }
    let (p, factors) =
        probabilities((scores * scale)?, &padded, Heads::full(heads), how.mask.as_ref())?;
    let used = dropped(&p, factors.as_ref())?.to_dtype(v.dtype())?;
    let y = padded.joined(&used.matmul(&v)?)?;
    step(&[states, positions], y, move |g| {
        let g = padded.heads(&g.to_dtype(v.dtype())?, heads)?;
        let dv = used.transpose(2, 3)?.matmul(&g)?;
        let ds = score_gradient(&p, g.matmul(&v.transpose(2, 3)?)?, factors.as_ref())?;
        let ds = (ds * scale)?;
        let narrow = ds.to_dtype(q.dtype())?;
        let (mut dq, mut dk) = (narrow.matmul(&k)?, narrow.transpose(2, 3)?.matmul(&q)?);
        let mut dtables = Vec::new();
        let columns =
            |x: Tensor| x.transpose(0, 1)?.reshape((x.dim(1)?, heads * width))?.contiguous();
        if let Some(term) = &query_term {
            let (tokens, table) = term.gradients(&ds)?;
            dq = (dq + tokens)?;
            dtables.push(columns(table)?);
        }
        if let Some(term) = &key_term {
            let (tokens, table) = term.gradients(&ds.transpose(2, 3)?)?;
            dk = (dk + tokens)?;
            dtables.push(columns(table)?);
        }
        let states = [dq, dk, dv].iter().map(|x| padded.joined(x)).collect::<Result<Vec<_>>>()?;
        Ok(vec![Some(Tensor::cat(&states, 1)?), Some(Tensor::cat(&dtables, 1)?)])
    })
}
