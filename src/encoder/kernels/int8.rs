//! Products of 8-bit numbers, added up exactly in 32 bits.
//!
//! Inputs are taken in groups. Of each group, weights have one step an output: w ≈ step · s, s from
//! -127 to 127; activations have one step and one least value a row: x ≈ least + step · u, u from 0
//! to 255. So the group adds x_step · w_step · Σ s u + least · w_step · Σ s to a row's output (Jacob
//! et al. 2018, with more steps).

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod vnni256;

use std::ops::Range;

use super::operand::{Bytes, GROUP, byte_row, input_groups};
use super::tile::{self, Part, Target, Tiles};
use super::{Level, STRIP};

/// Four numbers of each of sixteen outputs.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([i8; 4 * STRIP]);

/// Weights of a group of inputs in strips: of each strip, line k holds what inputs 4k to 4k + 3 are
/// worth to sixteen outputs, output by output.
#[derive(Clone, Debug)]
pub struct Int8Weights {
    lines: Vec<Line>,
    inputs: usize,
    /// The step of each output, in whole strips.
    steps: Vec<f32>,
    /// The sum of each output's weights as they are after rounding, in whole strips.
    sums: Vec<f32>,
}

impl Int8Weights {
    /// Rounds and packs `[outputs, inputs]`, by groups of inputs.
    pub fn pack(weight: &[f32], inputs: usize) -> Vec<Self> {
        let groups = input_groups(inputs);
        let mut steps = Vec::with_capacity(weight.len() / inputs * groups.len());
        let mut codes = Vec::with_capacity(weight.len());
        for group in weight.chunks_exact(inputs).flat_map(|row| row.chunks(GROUP)) {
            let (step, inverse) = weight_step(group);
            codes.extend(group.iter().map(|w| (w * inverse).round() as i8));
            steps.push(step);
        }
        Self::pack_codes(&codes, &steps, inputs)
    }

    /// Packs rounded weights, `[outputs, inputs]`, and the steps of each output's groups of inputs,
    /// `[outputs, groups]`.
    pub fn pack_codes(codes: &[i8], steps: &[f32], inputs: usize) -> Vec<Self> {
        let groups = input_groups(inputs);
        let count = groups.len();
        let of_group = |(at, group): (usize, Range<usize>)| {
            let rows = codes.chunks_exact(inputs).map(|row| &row[group.clone()]);
            Self::pack_group(rows.zip(steps.iter().skip(at).step_by(count).copied()), group.len())
        };
        groups.enumerate().map(of_group).collect()
    }

    fn pack_group<'a>(rows: impl ExactSizeIterator<Item = (&'a [i8], f32)>, inputs: usize) -> Self {
        let depth = byte_row(inputs) / 4;
        let strips = rows.len().div_ceil(STRIP);
        let mut lines = vec![Line([0; 4 * STRIP]); strips * depth];
        let mut steps = vec![0.0; strips * STRIP];
        let mut sums = vec![0.0; strips * STRIP];
        for (output, (row, step)) in rows.enumerate() {
            let strip = &mut lines[output / STRIP * depth..][..depth];
            for (line, codes) in strip.iter_mut().zip(row.chunks(4)) {
                line.0[output % STRIP * 4..][..codes.len()].copy_from_slice(codes);
            }
            let sum: i32 = row.iter().map(|&code| i32::from(code)).sum();
            (steps[output], sums[output]) = (step, step * sum as f32);
        }
        Self { lines, inputs, steps, sums }
    }
}

/// The step that takes the largest of an output's weights to 127, and its inverse; 0 for both where
/// all are 0.
pub fn weight_step(weights: &[f32]) -> (f32, f32) {
    let step = weights.iter().fold(0f32, |most, w| most.max(w.abs())) / 127.0;
    (step, if step > 0.0 { 1.0 / step } else { 0.0 })
}

/// The sides of a product; `a` has rows `a_row` bytes apart, strips of `b` are `b_strip` lines apart,
/// `depth` counts groups of four.
#[derive(Clone, Copy)]
struct Product {
    a: *const u8,
    a_row: usize,
    a_steps: *const f32,
    a_least: *const f32,
    depth: usize,
    b: *const Line,
    b_strip: usize,
    b_steps: *const f32,
    b_sums: *const f32,
    bias: *const f32,
    /// Whether the product is added to what is there.
    adds: bool,
    /// Whether its tiles fetch what the next tiles take; those of AVX-512 do.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code))]
    fetches: bool,
}

impl Part for Product {
    fn fetching(self) -> Self {
        Self { fetches: true, ..self }
    }

    unsafe fn moved(&self, rows: usize, strips: usize) -> Self {
        // SAFETY: the caller keeps the part within the matrices.
        unsafe {
            Self {
                a: self.a.add(rows * self.a_row),
                a_steps: self.a_steps.add(rows),
                a_least: self.a_least.add(rows),
                b: self.b.add(strips * self.b_strip),
                b_steps: self.b_steps.add(strips * STRIP),
                b_sums: self.b_sums.add(strips * STRIP),
                bias: self.bias.add(strips * STRIP),
                ..*self
            }
        }
    }
}

fn tiles(level: Level) -> Tiles<Product> {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512Vnni | Level::Avx512Bf16 => avx512::TILES,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2Vnni => vnni256::TILES,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::Avx512 => avx2::TILES,
        #[cfg(target_arch = "aarch64")]
        Level::NeonDot => neon::DOT_TILES,
        #[cfg(target_arch = "aarch64")]
        Level::Neon => neon::TILES,
        _ => portable::TILES,
    }
}

/// y = x Wᵀ + bias, by groups of inputs.
///
/// # Panics
/// If the lengths do not match.
pub fn multiply(
    level: Level,
    x: &[Bytes],
    weights: &[Int8Weights],
    bias: &[f32],
    y: &mut [f32],
    outputs: usize,
) {
    multiply_by(tiles(level), x, weights, bias, y, outputs);
}

fn multiply_by(
    tiles: Tiles<Product>,
    x: &[Bytes],
    weights: &[Int8Weights],
    bias: &[f32],
    y: &mut [f32],
    outputs: usize,
) {
    let rows = y.len() / outputs;
    let strips = outputs.div_ceil(STRIP);
    let fits = |(x, weights): (&Bytes, &Int8Weights)| {
        let bytes = byte_row(weights.inputs);
        x.codes.len() == rows * bytes
            && x.steps.len() == rows
            && x.least.len() == rows
            && weights.lines.len() == strips * bytes / 4
            && weights.steps.len() == strips * STRIP
            && weights.sums.len() == strips * STRIP
    };
    assert!(
        x.len() >= weights.len()
            && x.iter().zip(weights).all(fits)
            && bias.len() == strips * STRIP
            && y.len() == rows * outputs
    );
    let of = |group: usize| {
        let (x, weights) = (&x[group], &weights[group]);
        let bytes = byte_row(weights.inputs);
        Product {
            a: x.codes.as_ptr(),
            a_row: bytes,
            a_steps: x.steps.as_ptr(),
            a_least: x.least.as_ptr(),
            depth: bytes / 4,
            b: weights.lines.as_ptr(),
            b_strip: bytes / 4,
            b_steps: weights.steps.as_ptr(),
            b_sums: weights.sums.as_ptr(),
            bias: bias.as_ptr(),
            adds: group > 0,
            fetches: false,
        }
    };
    let target = Target { values: y.as_mut_ptr(), row: outputs };
    // SAFETY: the assertion keeps every entry that the tiles reach within the slices, of which `y`
    // is borrowed mutably; the tiles are those of a level that the caller found on this processor.
    unsafe { tile::multiply(weights.len(), of, target, (rows, outputs), tiles) }
}
