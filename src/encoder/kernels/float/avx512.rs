//! Tiles in 32 bits by AVX-512.

use std::arch::x86_64::*;

use super::super::tile::{Target, Tiles, tiles};
use super::{Product, STRIP};

pub(super) const TILES: Tiles<Product> = tiles!(tile; 1 2 3 4 5 6; [4]);

/// # Safety
/// The processor must have AVX-512 F; the matrices must hold `M` rows, `depth` inner entries and
/// `N` strips.
#[target_feature(enable = "avx512f")]
unsafe fn tile<const M: usize, const N: usize>(p: &Product, c: Target) {
    // SAFETY: all offsets lie within what the caller vouches for; loads and stores need no
    // alignment.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); N]; M];
        if !p.start.is_null() {
            for n in 0..N {
                let start = _mm512_loadu_ps(p.start.add(n * STRIP));
                for row in &mut sums {
                    row[n] = start;
                }
            }
        }
        for k in 0..p.depth {
            let mut b = [_mm512_setzero_ps(); N];
            for n in 0..N {
                b[n] = _mm512_loadu_ps(p.b.add(k * p.b_row + n * p.b_strip));
            }
            if p.fetches {
                for n in 0..N {
                    // Beyond the weights it is nothing.
                    let next = p.b.wrapping_add(k * p.b_row + (N + n) * p.b_strip);
                    _mm_prefetch::<_MM_HINT_T1>(next.cast());
                }
            }
            for r in 0..M {
                let a = _mm512_set1_ps(*p.a.add(r * p.a_row + k));
                for n in 0..N {
                    sums[r][n] = _mm512_fmadd_ps(a, b[n], sums[r][n]);
                }
            }
        }
        for r in 0..M {
            for n in 0..N {
                _mm512_storeu_ps(c.at(r, n * STRIP), sums[r][n]);
            }
        }
    }
}
