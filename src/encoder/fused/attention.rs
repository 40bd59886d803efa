//! Attention of every head within every text, on heads that each fill whole strips.

use super::super::Segments;
use super::super::kernels::lanes::{self, Pass};
use super::super::kernels::{Level, STRIP, View, multiply_views};
use super::super::ops::{MultiplyAdd, softmax_by};
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
    pub fn pad_outputs(self, weight: &[f32], inputs: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.row() * inputs];
        let heads = weight.chunks_exact(self.width * inputs);
        for (head, out) in heads.zip(out.chunks_exact_mut(self.padded * inputs)) {
            out[..head.len()].copy_from_slice(head);
        }
        out
    }

    /// `[outputs, heads · width]` → `[outputs, heads · padded]`, with zeros between the heads.
    pub fn pad_inputs(self, weight: &[f32]) -> Vec<f32> {
        weight.chunks_exact(self.heads * self.width).flat_map(|row| self.pad_outputs(row, 1)).collect()
    }
}

/// What one head of one text needs.
#[derive(Default)]
pub struct Scratch {
    keys: Vec<f32>,
    scores: Vec<f32>,
}

/// Queries (scaled), keys and values, `[tokens, 3 · row]` → context, `[tokens, row]`.
pub fn attend(
    level: Level,
    shape: Shape,
    segments: &Segments,
    from: &[f32],
    context: &mut [f32],
    scratch: &mut Scratch,
) {
    let Shape { heads, width, padded } = shape;
    let (row, out) = (3 * shape.row(), shape.row());
    for text in segments.ranges() {
        let n = text.len();
        let columns = n.next_multiple_of(STRIP);
        let keys = room(&mut scratch.keys, width * columns);
        let scores = room(&mut scratch.scores, n * columns);
        for head in 0..heads {
            let query = &from[text.start * row + head * padded..];
            let key = &query[out..];
            transpose(key, row, n, width, keys, columns);
            let (queries, by_input) = (View::new(query, row), View::new(keys, columns));
            multiply_views(level, (n, width, columns), queries, by_input, scores, columns);
            lanes::run(level, Softmax { scores, n, columns });
            let values = View::new(&query[2 * out..], row);
            let target = &mut context[text.start * out + head * padded..];
            multiply_views(level, (n, n, padded), View::new(scores, columns), values, target, out);
        }
    }
}

struct Softmax<'a> {
    scores: &'a mut [f32],
    n: usize,
    columns: usize,
}

impl Pass for Softmax<'_> {
    #[inline(always)]
    fn run<F: MultiplyAdd>(self) {
        for row in self.scores.chunks_exact_mut(self.columns) {
            row[self.n..].fill(f32::NEG_INFINITY);
            softmax_by::<F>(row);
        }
    }
}

/// Writes the first `width` values of `n` rows, `row` apart, as columns of rows `columns` long.
fn transpose(from: &[f32], row: usize, n: usize, width: usize, to: &mut [f32], columns: usize) {
    for (token, values) in from.chunks(row).take(n).enumerate() {
        for (value, to) in values[..width].iter().zip(to.chunks_exact_mut(columns)) {
            to[token] = *value;
        }
    }
}
