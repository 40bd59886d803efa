//! Tiles in 32 bits by AVX2 with fused multiply-add.

use std::arch::x86_64::*;

use super::super::tile::{Target, Tiles, tiles};
use super::Product;

pub(super) const TILES: Tiles<Product> = tiles!(tile; 1 2 3 4 5 6; [1]);

/// # Safety
/// The processor must have AVX2 and FMA; the matrices must hold `M` rows, `depth` inner entries and
/// one strip; `N` is 1.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile<const M: usize, const N: usize>(p: &Product, c: Target) {
    // SAFETY: all offsets lie within what the caller vouches for; loads and stores need no
    // alignment.
    unsafe {
        let mut sums = [[_mm256_setzero_ps(); 2]; M];
        if !p.start.is_null() {
            sums = [[_mm256_loadu_ps(p.start), _mm256_loadu_ps(p.start.add(8))]; M];
        }
        for k in 0..p.depth {
            let b = p.b.add(k * p.b_row);
            let b = [_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8))];
            for r in 0..M {
                let a = _mm256_broadcast_ss(&*p.a.add(r * p.a_row + k));
                sums[r][0] = _mm256_fmadd_ps(a, b[0], sums[r][0]);
                sums[r][1] = _mm256_fmadd_ps(a, b[1], sums[r][1]);
            }
        }
        for r in 0..M {
            let row = c.at(r, 0);
            _mm256_storeu_ps(row, sums[r][0]);
            _mm256_storeu_ps(row.add(8), sums[r][1]);
        }
    }
}
