//! Tiles of bf16 numbers, widened to 32 bits, by AVX2 with fused multiply-add.

use std::arch::x86_64::*;

use super::super::tile::{Target, Tiles, tiles};
use super::Product;

pub(super) const TILES: Tiles<Product> = tiles!(tile; 1 2 3 4; [1]);

/// # Safety
/// The processor must have AVX2 and FMA; the matrices must hold `M` rows, `depth` pairs and one
/// strip; `N` is 1.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile<const M: usize, const N: usize>(p: &Product, c: Target) {
    // SAFETY: all offsets lie within what the caller vouches for; loads and stores need no
    // alignment.
    unsafe {
        let upper = _mm256_set1_epi32(0xffff_0000_u32.cast_signed());
        let low = |v| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(v));
        let high = |v| _mm256_castsi256_ps(_mm256_and_si256(v, upper));
        let mut sums = [[_mm256_loadu_ps(p.bias), _mm256_loadu_ps(p.bias.add(8))]; M];
        for k in 0..p.depth {
            let b: *const __m256i = p.b.add(k).cast();
            let b = [_mm256_loadu_si256(b), _mm256_loadu_si256(b.add(1))];
            let b = [[low(b[0]), low(b[1])], [high(b[0]), high(b[1])]];
            for r in 0..M {
                let a = _mm256_set1_epi32((*p.a.add(r * p.a_row + k)).cast_signed());
                let (first, second) = (low(a), high(a));
                for n in 0..2 {
                    sums[r][n] = _mm256_fmadd_ps(first, b[0][n], sums[r][n]);
                    sums[r][n] = _mm256_fmadd_ps(second, b[1][n], sums[r][n]);
                }
            }
        }
        for r in 0..M {
            let row = c.at(r, 0);
            _mm256_storeu_ps(row, sums[r][0]);
            _mm256_storeu_ps(row.add(8), sums[r][1]);
        }
    }
}
