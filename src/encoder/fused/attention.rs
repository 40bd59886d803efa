//! Attention of every head within every text, on heads that each fill whole strips.

use std::ops::Range;

use super::super::Segments;
use super::super::kernels::lanes::{self, Pass};
use super::super::kernels::{Level, STRIP, View, multiply_views};
use super::super::ops::{MultiplyAdd, each, exponentials};
use super::room;

/// How heads lie in a row.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Heads.
    pub heads: usize,
    /// Values of a head.
    pub width: usize,
    /// Values of a head in whole strips; those beyond its width are zero.
    padded: usize,
}

impl Shape {
    pub fn new(hidden: usize, heads: usize) -> Self {
        let width = hidden / heads;
        Self { heads, width, padded: width.next_multiple_of(STRIP) }
    }

    /// Values of all heads.
    pub fn row(self) -> usize {
        self.heads * self.padded
    }

    /// `[heads · width, inputs]` → `[heads · padded, inputs]`, with zeros between the heads.
    pub fn pad_outputs<T: Copy + Default>(self, weight: &[T], inputs: usize) -> Vec<T> {
        let mut out = vec![T::default(); self.row() * inputs];
        let heads = weight.chunks_exact(self.width * inputs);
        for (head, out) in heads.zip(out.chunks_exact_mut(self.padded * inputs)) {
            out[..head.len()].copy_from_slice(head);
        }
        out
    }

    /// `[outputs, heads · width]` → `[outputs, heads · padded]`, with zeros between the heads.
    pub fn pad_inputs(self, weight: &[f32]) -> Vec<f32> {
        weight
            .chunks_exact(self.heads * self.width)
            .flat_map(|row| self.pad_outputs(row, 1))
            .collect()
    }
}

/// What one head of one text needs.
#[derive(Default)]
pub struct Scratch {
    keys: Vec<f32>,
    scores: Vec<f32>,
    /// What the scores of each token add up to.
    totals: Vec<f32>,
}

/// Queries (scaled), keys and values, `[tokens, 3 · row]` → context of some of the tokens,
/// `[rows, row]`.
pub fn attend(
    level: Level,
    shape: Shape,
    segments: &Segments,
    rows: &Range<usize>,
    from: &[f32],
    context: &mut [f32],
    scratch: &mut Scratch,
) {
    let Shape { heads, width, padded } = shape;
    let (row, out) = (3 * shape.row(), shape.row());
    for text in segments.ranges() {
        let own = text.start.max(rows.start)..text.end.min(rows.end);
        if own.is_empty() {
            continue;
        }
        let (n, asked) = (text.len(), own.len());
        let columns = n.next_multiple_of(STRIP);
        let keys = room(&mut scratch.keys, width * columns);
        let scores = room(&mut scratch.scores, asked * columns);
        let totals = room(&mut scratch.totals, asked);
        for head in 0..heads {
            let query = &from[own.start * row + head * padded..];
            let key = &from[text.start * row + out + head * padded..];
            lanes::run(level, Transpose { from: key, row, n, width, to: keys, columns });
            let (queries, by_input) = (View::new(query, row), View::new(keys, columns));
            multiply_views(level, (asked, width, columns), queries, by_input, scores, columns);
            lanes::run(level, Exponentials { scores, columns, n, totals });
            let values = View::new(&key[out..], row);
            let target = &mut context[(own.start - rows.start) * out + head * padded..];
            multiply_views(
                level,
                (asked, n, padded),
                View::new(scores, columns),
                values,
                target,
                out,
            );
            lanes::run(level, Divide { rows: target, row: out, width: padded, totals });
        }
    }
}

/// The numerators of softmax, and the denominator of each row.
struct Exponentials<'a> {
    scores: &'a mut [f32],
    columns: usize,
    /// Keys of the text.
    n: usize,
    totals: &'a mut [f32],
}

impl Pass for Exponentials<'_> {
    #[inline(always)]
    fn run<F: MultiplyAdd>(self) {
        for (row, total) in self.scores.chunks_exact_mut(self.columns).zip(self.totals) {
            row[self.n..].fill(f32::NEG_INFINITY);
            *total = exponentials::<F>(row);
        }
    }
}

/// The division of softmax, put off until there are fewer values to divide.
struct Divide<'a> {
    rows: &'a mut [f32],
    row: usize,
    width: usize,
    totals: &'a [f32],
}

impl Pass for Divide<'_> {
    #[inline(always)]
    fn run<F: MultiplyAdd>(self) {
        for (row, total) in self.rows.chunks_mut(self.row).zip(self.totals) {
            let scale = 1.0 / total;
            each(&mut row[..self.width], |v| v * scale);
        }
    }
}

/// Writes the first `width` values of `n` rows, `row` apart, as columns of rows `columns` long.
struct Transpose<'a> {
    from: &'a [f32],
    row: usize,
    n: usize,
    width: usize,
    to: &'a mut [f32],
    columns: usize,
}

impl Pass for Transpose<'_> {
    /// By blocks of sixteen rows, which are read whole and stay in the nearest cache.
    #[inline(always)]
    fn run<F: MultiplyAdd>(self) {
        let Self { from, row, n, width, to, columns } = self;
        for start in (0..n).step_by(STRIP) {
            let tokens = (n - start).min(STRIP);
            for (at, to) in to.chunks_exact_mut(columns).enumerate().take(width) {
                let mut column = [0f32; STRIP];
                for (token, value) in column.iter_mut().enumerate().take(tokens) {
                    *value = from[(start + token) * row + at];
                }
                to[start..start + STRIP].copy_from_slice(&column);
            }
        }
    }
}
