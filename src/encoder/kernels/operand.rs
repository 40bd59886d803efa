//! The left side of a product, brought to the format of the weights row by row.

use std::ops::Range;

use super::PackedAffine;
use super::lanes::{self, Pass};
use crate::encoder::Precision;
use crate::encoder::ops::{MultiplyAdd, max, min};

/// Rows of activations as a product takes them. In 32 bits they are used as they are.
#[derive(Clone, Debug, Default)]
pub struct Operand {
    /// Two bf16 numbers each, the earlier in the low half.
    pub(super) pairs: Vec<u32>,
    /// By groups of inputs.
    pub(super) bytes: Vec<Bytes>,
    /// One row, smoothed.
    scaled: Vec<f32>,
}

/// Rows of u8 numbers: x ≈ least + step · u.
#[derive(Clone, Debug, Default)]
pub(super) struct Bytes {
    pub codes: Vec<u8>,
    /// One step a row.
    pub steps: Vec<f32>,
    /// The least value of each row.
    pub least: Vec<f32>,
}

impl Bytes {
    fn resize(&mut self, rows: usize, width: usize) {
        self.codes.resize(rows * byte_row(width), 0);
        self.steps.resize(rows, 0.0);
        self.least.resize(rows, 0.0);
    }

    #[inline(always)]
    fn put<F: MultiplyAdd>(&mut self, at: usize, row: &[f32]) {
        let length = byte_row(row.len());
        let codes = &mut self.codes[at * length..][..length];
        (self.steps[at], self.least[at]) = quantise::<F>(row, codes);
    }
}

/// The distance of rows of pairs.
pub(super) fn pair_row(width: usize) -> usize {
    width.div_ceil(2)
}

/// The distance of rows of bytes.
pub(super) fn byte_row(width: usize) -> usize {
    width.next_multiple_of(4)
}

/// Inputs that have a step in common at most, of a row as of an output's weights: with more, a few
/// large ones would leave the many only few steps.
pub const GROUP: usize = 128;

/// The groups of so many inputs.
pub fn input_groups(inputs: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
    (0..inputs.div_ceil(GROUP)).map(move |at| at * GROUP..inputs.min((at + 1) * GROUP))
}

/// The bf16 number nearest to x, of two the even one, in the low half.
#[inline(always)]
pub(super) fn bf16(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if x.is_nan() { 0x7fc0 } else { rounded }
}

/// An operand that takes its rows one after another.
pub struct Rows<'a> {
    operand: &'a mut Operand,
    precision: Precision,
    /// By what each input is multiplied before it is rounded.
    factors: Option<&'a [f32]>,
    next: usize,
}

impl Operand {
    /// Takes the rows of `x`, which enter the map.
    pub fn load(&mut self, x: &[f32], map: &PackedAffine) {
        struct Load<'a>(&'a [f32], usize, Rows<'a>);
        impl Pass for Load<'_> {
            #[inline(always)]
            fn run<F: MultiplyAdd>(self) {
                let Self(x, width, mut rows) = self;
                for row in x.chunks_exact(width) {
                    rows.push::<F>(row);
                }
            }
        }
        let width = map.inputs();
        let rows = self.begin(x.len() / width, Some(map));
        if map.precision() != Precision::F32 {
            lanes::run(map.level(), Load(x, width, rows));
        }
    }

    /// Makes room for `rows` rows that enter the map and are to be pushed; without a map nothing
    /// is kept of them.
    pub fn begin<'a>(&'a mut self, rows: usize, map: Option<&'a PackedAffine>) -> Rows<'a> {
        let precision = map.map_or(Precision::F32, PackedAffine::precision);
        let width = map.map_or(0, PackedAffine::inputs);
        match precision {
            Precision::F32 => {}
            Precision::Bf16 => self.pairs.resize(rows * pair_row(width), 0),
            Precision::Int8 => {
                let groups = input_groups(width);
                self.bytes.resize_with(groups.len().max(self.bytes.len()), Bytes::default);
                for (bytes, group) in self.bytes.iter_mut().zip(groups) {
                    bytes.resize(rows, group.len());
                }
                self.scaled.resize(width, 0.0);
            }
        }
        let factors = map.and_then(PackedAffine::factors);
        Rows { operand: self, precision, factors, next: 0 }
    }
}

impl Rows<'_> {
    /// Takes the next row.
    ///
    /// # Panics
    /// If there is no room for it.
    #[inline(always)]
    pub fn push<F: MultiplyAdd>(&mut self, row: &[f32]) {
        let Operand { pairs, bytes, scaled } = self.operand;
        match self.precision {
            Precision::F32 => {}
            Precision::Bf16 => {
                let length = pair_row(row.len());
                pair_up(row, &mut pairs[self.next * length..][..length]);
            }
            Precision::Int8 => {
                let row = match self.factors {
                    Some(factors) => {
                        for ((scaled, x), factor) in scaled.iter_mut().zip(row).zip(factors) {
                            *scaled = x * factor;
                        }
                        &scaled[..row.len()]
                    }
                    None => row,
                };
                for (bytes, group) in bytes.iter_mut().zip(row.chunks(GROUP)) {
                    bytes.put::<F>(self.next, group);
                }
            }
        }
        self.next += 1;
    }
}

/// Writes the row as pairs of bf16 numbers.
#[inline(always)]
fn pair_up(row: &[f32], out: &mut [u32]) {
    let pairs = row.chunks_exact(2);
    if let [last] = pairs.remainder() {
        out[row.len() / 2] = bf16(*last);
    }
    for (pair, out) in pairs.zip(out) {
        *out = bf16(pair[0]) | bf16(pair[1]) << 16;
    }
}

/// Writes the row as 256 equal steps from its least to its greatest value; returns the step and
/// the least value.
#[inline(always)]
fn quantise<F: MultiplyAdd>(x: &[f32], out: &mut [u8]) -> (f32, f32) {
    // Adding it leaves an integer in the lowest bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let (least, greatest) = (min(x), max(x));
    let step = (greatest - least) * (1.0 / 255.0);
    let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
    let moved = -least * inverse;
    for (x, out) in x.iter().zip(out) {
        *out = (F::of(*x, inverse, moved) + ROUND).to_bits() as u8;
    }
    (step, least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::QuantisedMatrix;
    use crate::encoder::kernels::Level;
    use crate::encoder::ops::gradient_check::values;

    #[test]
    fn rounding_goes_to_the_nearest_even_number() {
        for (x, expected) in [(1.0f32, 0x3f80), (1.003_906_3, 0x3f80), (1.011_718_8, 0x3f82)] {
            assert_eq!(bf16(x), expected, "{x}");
        }
        assert_eq!(bf16(f32::INFINITY), 0x7f80);
        assert_eq!(bf16(f32::MAX), 0x7f80);
        assert_eq!(bf16(-0.0), 0x8000);
        assert!(f32::from_bits(bf16(f32::NAN) << 16).is_nan());
    }

    fn loaded(x: &[f32], width: usize, smoothing: Option<Vec<f32>>) -> Operand {
        let map = match smoothing {
            None => {
                PackedAffine::new(&vec![1.0; width], width, None, Precision::Int8, Level::best())
            }
            Some(smoothing) => {
                let (codes, steps) = (vec![1; width], vec![1.0]);
                let matrix = QuantisedMatrix { codes, steps, smoothing };
                PackedAffine::rounded(&matrix, &[0.0], Level::best())
            }
        };
        let mut operand = Operand::default();
        operand.load(x, &map);
        operand
    }

    #[test]
    fn bytes_are_within_half_a_step() {
        for width in [1, 3, 4, 16, 37] {
            let x = values(3 * width, width as u64);
            for smoothing in [None, Some((1..=width).map(|i| i as f32).collect::<Vec<_>>())] {
                let operand = loaded(&x, width, smoothing.clone());
                for (r, row) in x.chunks_exact(width).enumerate() {
                    for (i, x) in row.iter().enumerate() {
                        let divided = x / smoothing.as_ref().map_or(1.0, |s| s[i]);
                        let Bytes { codes, steps, least } = &operand.bytes[0];
                        let u = f32::from(codes[r * byte_row(width) + i]);
                        let back = least[r] + steps[r] * u;
                        assert!((back - divided).abs() <= 0.501 * steps[r] + 1e-6);
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_of_one_value_has_no_step() {
        let operand = loaded(&[-2.5; 8], 8, None);
        let bytes = &operand.bytes[0];
        assert_eq!((bytes.steps[0], bytes.least[0]), (0.0, -2.5));
        assert_eq!(bytes.codes, [0; 8]);
    }
}
