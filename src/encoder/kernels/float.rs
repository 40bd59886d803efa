//! Products in 32 bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use super::tile::{self, Part, Target, Tiles};
use super::{Level, STRIP};

/// Sixteen values that begin on a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([f32; STRIP]);

/// Weights in strips: of each strip, line k holds what input k is worth to sixteen outputs.
#[derive(Clone, Debug)]
pub struct F32Weights {
    lines: Vec<Line>,
    inputs: usize,
}

impl F32Weights {
    /// Packs `[outputs, inputs]`.
    pub fn pack(weight: &[f32], inputs: usize) -> Self {
        let strips = (weight.len() / inputs).div_ceil(STRIP);
        let mut lines = vec![Line([0.0; STRIP]); strips * inputs];
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            let strip = &mut lines[output / STRIP * inputs..][..inputs];
            for (line, &w) in strip.iter_mut().zip(row) {
                line.0[output % STRIP] = w;
            }
        }
        Self { lines, inputs }
    }
}

/// The sides of c = a b + start, in f32 values: `a` has rows `a_row` apart; of `b`, rows are `b_row`
/// and strips `b_strip` apart; `start` is one row, or null for zeros.
#[derive(Clone, Copy)]
struct Product {
    a: *const f32,
    a_row: usize,
    depth: usize,
    b: *const f32,
    b_row: usize,
    b_strip: usize,
    start: *const f32,
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
            let start = self.start;
            Self {
                a: self.a.add(rows * self.a_row),
                b: self.b.add(strips * self.b_strip),
                start: if start.is_null() { start } else { start.add(strips * STRIP) },
                ..*self
            }
        }
    }
}

fn tiles(level: Level) -> Tiles<Product> {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Avx512Vnni | Level::Avx512Bf16 => avx512::TILES,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::Avx2Vnni => avx2::TILES,
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
    x: &[f32],
    weights: &F32Weights,
    bias: &[f32],
    y: &mut [f32],
    outputs: usize,
) {
    let (inputs, rows) = (weights.inputs, y.len() / outputs);
    let strips = outputs.div_ceil(STRIP);
    assert!(
        x.len() == rows * inputs
            && weights.lines.len() == strips * inputs
            && bias.len() == strips * STRIP
            && y.len() == rows * outputs
    );
    let whole = Product {
        a: x.as_ptr(),
        a_row: inputs,
        depth: inputs,
        b: weights.lines.as_ptr().cast(),
        b_row: STRIP,
        b_strip: STRIP * inputs,
        start: bias.as_ptr(),
        fetches: false,
    };
    let target = Target { values: y.as_mut_ptr(), row: outputs };
    // SAFETY: the assertion keeps every entry that the tiles reach within the slices, of which `y`
    // is borrowed mutably; `tiles` gives those of a level that the caller found on this processor.
    unsafe { tile::multiply(1, |_| whole, target, (rows, outputs), tiles(level)) }
}

/// A row-major matrix whose rows are `row` values apart.
#[derive(Clone, Copy)]
pub struct View<'a> {
    values: &'a [f32],
    row: usize,
}

impl<'a> View<'a> {
    /// A view of these values.
    pub fn new(values: &'a [f32], row: usize) -> Self {
        Self { values, row }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        rows == 0 || (rows - 1) * self.row + columns <= self.values.len()
    }
}

/// c = a b, of `rows` rows, `columns` columns, which must be whole strips, and the inner dimension
/// `depth`; rows of c are `c_row` apart.
///
/// # Panics
/// If a matrix is too short.
pub fn multiply_views(
    level: Level,
    (rows, depth, columns): (usize, usize, usize),
    a: View,
    b: View,
    c: &mut [f32],
    c_row: usize,
) {
    assert!(level.is_here() && columns.is_multiple_of(STRIP));
    assert!(a.holds(rows, depth) && b.holds(depth, columns));
    assert!(View::new(c, c_row).holds(rows, columns));
    let whole = Product {
        a: a.values.as_ptr(),
        a_row: a.row,
        depth,
        b: b.values.as_ptr(),
        b_row: b.row,
        b_strip: STRIP,
        start: std::ptr::null(),
        fetches: false,
    };
    let target = Target { values: c.as_mut_ptr(), row: c_row };
    // SAFETY: the assertions keep every entry that the tiles reach within the slices, of which `c`
    // is borrowed mutably, and find the level on this processor.
    unsafe { tile::multiply(1, |_| whole, target, (rows, columns), tiles(level)) }
}
