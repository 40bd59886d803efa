//! Tiles of 8-bit numbers by 256-bit VNNI: AVX-VNNI and, with the same instructions in another
//! encoding, AVX-512 VNNI, by which they can be tested where the first is missing.

use std::arch::x86_64::*;

use super::super::tile::{Target, Tiles, tiles};
use super::Product;

/// A tile by this intrinsic under these features.
macro_rules! tile {
    ($name:ident, $features:literal, $products:ident) => {
        /// # Safety
        /// The processor must have these features; the matrices must hold `M` rows, `depth` groups
        /// and one strip; `N` is 1.
        #[target_feature(enable = $features)]
        unsafe fn $name<const M: usize, const N: usize>(p: &Product, c: Target) {
            // SAFETY: all offsets lie within what the caller vouches for; loads need no alignment.
            unsafe {
                let mut sums = [[_mm256_setzero_si256(); 2]; M];
                for k in 0..p.depth {
                    let b: *const __m256i = p.b.add(k).cast();
                    let b = [_mm256_loadu_si256(b), _mm256_loadu_si256(b.add(1))];
                    for r in 0..M {
                        let a = p.a.add(r * p.a_row + 4 * k).cast::<i32>().read_unaligned();
                        let a = _mm256_set1_epi32(a);
                        sums[r][0] = $products(sums[r][0], a, b[0]);
                        sums[r][1] = $products(sums[r][1], a, b[1]);
                    }
                }
                for r in 0..M {
                    super::avx2::finish(p, c, r, sums[r]);
                }
            }
        }
    };
}

tile!(vex, "avx2,fma,avxvnni", _mm256_dpbusd_avx_epi32);
pub(super) const TILES: Tiles<Product> = tiles!(vex; 1 2 3 4 5 6; [1]);

#[cfg(test)]
tile!(evex, "avx2,fma,avx512vnni,avx512vl", _mm256_dpbusd_epi32);
#[cfg(test)]
pub(super) const EVEX: Tiles<Product> = tiles!(evex; 1 2 3 4 5 6; [1]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::Precision;
    use crate::encoder::kernels::int8::{Int8Weights, multiply_by};
    use crate::encoder::kernels::{Level, Operand, PackedAffine};
    use crate::encoder::ops::gradient_check::values;

    #[test]
    fn the_encoding_of_avx512_agrees_with_the_portable_tiles() {
        if !Level::Avx512Vnni.is_here() {
            return;
        }
        let (rows, inputs, outputs) = (13, 37, 50);
        let (x, weight) = (values(rows * inputs, 1), values(outputs * inputs, 2));
        let map = PackedAffine::new(&weight, inputs, None, Precision::Int8, Level::Portable);
        let mut operand = Operand::default();
        operand.load(&x, &map);
        let packed = map.apply(&x);
        let mut y = vec![0.0; rows * outputs];
        let weights = Int8Weights::pack(&weight, inputs);
        multiply_by(EVEX, &operand.bytes, &weights, &[0.0; 64], &mut y, outputs);
        for (a, b) in y.iter().zip(packed) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}
