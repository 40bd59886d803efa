//! Tiles of 8-bit numbers by AVX2, which multiplies them exactly as 16-bit ones.

use std::arch::x86_64::*;

use super::super::tile::{Target, Tiles, tiles};
use super::Product;

pub(super) const TILES: Tiles<Product> = tiles!(tile; 1 2 3; [1]);

/// # Safety
/// The processor must have AVX2 and FMA; the matrices must hold `M` rows, `depth` groups and one
/// strip; `N` is 1.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile<const M: usize, const N: usize>(p: &Product, target: Target) {
    // SAFETY: all offsets lie within what the caller vouches for; loads need no alignment.
    unsafe {
        // Of four outputs each, two sums: over inputs 0 and 1, and 2 and 3, of every group.
        let mut sums = [[_mm256_setzero_si256(); 4]; M];
        for k in 0..p.depth {
            let b: *const __m128i = p.b.add(k).cast();
            let mut wide = [_mm256_setzero_si256(); 4];
            for (n, wide) in wide.iter_mut().enumerate() {
                *wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(b.add(n)));
            }
            for r in 0..M {
                let a = p.a.add(r * p.a_row + 4 * k).cast::<i32>().read_unaligned();
                let a = _mm256_cvtepu8_epi16(_mm_set1_epi32(a));
                for n in 0..4 {
                    sums[r][n] = _mm256_add_epi32(sums[r][n], _mm256_madd_epi16(a, wide[n]));
                }
            }
        }
        for r in 0..M {
            let [a, b, c, d] = sums[r];
            // Adding neighbours leaves the outputs in the order 0 1 4 5 2 3 6 7.
            let first = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(a, b));
            let second = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(c, d));
            finish(p, target, r, [first, second]);
        }
    }
}

/// Writes a row of the result from its sums of products.
///
/// # Safety
/// The processor must have AVX2 and FMA; the matrices must hold row `r` and one strip.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn finish(p: &Product, target: Target, r: usize, sums: [__m256i; 2]) {
    // SAFETY: all offsets lie within what the caller vouches for; loads and stores need no
    // alignment.
    unsafe {
        for (n, sum) in sums.into_iter().enumerate() {
            let (steps, weights) = (p.b_steps.add(8 * n), p.b_sums.add(8 * n));
            let least = _mm256_broadcast_ss(&*p.a_least.add(r));
            let step = _mm256_broadcast_ss(&*p.a_steps.add(r));
            let base = if p.adds { target.at(r, 8 * n).cast_const() } else { p.bias.add(8 * n) };
            let base = _mm256_loadu_ps(base);
            let level = _mm256_fmadd_ps(least, _mm256_loadu_ps(weights), base);
            let step = _mm256_mul_ps(step, _mm256_loadu_ps(steps));
            let y = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), step, level);
            _mm256_storeu_ps(target.at(r, 8 * n), y);
        }
    }
}
