//! Products of bf16 numbers, added up in 32 bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use super::operand::{Operand, bf16, pair_row};
use super::tile::{self, Part, Target, Tiles};
use super::{Level, STRIP};

/// Sixteen pairs of bf16 numbers that begin on a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([u32; STRIP]);

/// Weights in strips: of each strip, line k holds what inputs 2k (low half) and 2k + 1 are worth to
/// sixteen outputs.
#[derive(Clone, Debug)]
pub struct Bf16Weights {
    lines: Vec<Line>,
    inputs: usize,
}

impl Bf16Weights {
    /// Packs `[outputs, inputs]`.
    pub fn pack(weight: &[f32], inputs: usize) -> Self {
        let pairs = pair_row(inputs);
        let strips = (weight.len() / inputs).div_ceil(STRIP);
        let mut lines = vec![Line([0; STRIP]); strips * pairs];
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            let strip = &mut lines[output / STRIP * pairs..][..pairs];
            for (line, w) in strip.iter_mut().zip(row.chunks(2)) {
                line.0[output % STRIP] = bf16(w[0]) | w.get(1).map_or(0, |&w| bf16(w) << 16);
            }
        }
        Self { lines, inputs }
    }
}

/// The sides of c = a b + bias; `a` has rows `a_row` pairs apart, strips of `b` are `b_strip` lines
/// apart, `depth` counts pairs.
#[derive(Clone, Copy)]
struct Product {
    a: *const u32,
    a_row: usize,
    depth: usize,
    b: *const Line,
    b_strip: usize,
    bias: *const f32,
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
                b: self.b.add(strips * self.b_strip),
                bias: self.bias.add(strips * STRIP),
                ..*self
            }
        }
    }
}

fn tiles(level: Level) -> Tiles<Product> {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512Bf16 => avx512::TILES,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::Avx2Vnni | Level::Avx512 | Level::Avx512Vnni => avx2::TILES,
        #[cfg(target_arch = "aarch64")]
        Level::Neon | Level::NeonDot => neon::TILES,
        _ => portable::TILES,
    }
}

/// y = x Wᵀ + bias.
///
/// # Panics
/// If the lengths do not match.
pub fn multiply(
    level: Level,
    x: &Operand,
    weights: &Bf16Weights,
    bias: &[f32],
    y: &mut [f32],
    outputs: usize,
) {
    let (pairs, rows) = (pair_row(weights.inputs), y.len() / outputs);
    let strips = outputs.div_ceil(STRIP);
    assert!(
        x.pairs.len() == rows * pairs
            && weights.lines.len() == strips * pairs
            && bias.len() == strips * STRIP
            && y.len() == rows * outputs
    );
    let whole = Product {
        a: x.pairs.as_ptr(),
        a_row: pairs,
        depth: pairs,
        b: weights.lines.as_ptr(),
        b_strip: pairs,
        bias: bias.as_ptr(),
        fetches: false,
    };
    let target = Target { values: y.as_mut_ptr(), row: outputs };
    // SAFETY: the assertion keeps every entry that the tiles reach within the slices, of which `y`
    // is borrowed mutably; `tiles` gives those of a level that the caller found on this processor.
    unsafe { tile::multiply(1, |_| whole, target, (rows, outputs), tiles(level)) }
}
