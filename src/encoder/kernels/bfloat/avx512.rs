//! Tiles of bf16 numbers by AVX-512 BF16.

use std::arch::x86_64::*;

use super::super::tile::{Target, Tiles, tiles};
use super::{Product, STRIP};

pub(super) const TILES: Tiles<Product> = tiles!(tile; 1 2 3 4 5 6; [4]);

/// # Safety
/// The processor must have AVX-512 F and BF16; the matrices must hold `M` rows, `depth` pairs and
/// `N` strips.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn tile<const M: usize, const N: usize>(p: &Product, c: Target) {
    // SAFETY: all offsets lie within what the caller vouches for; loads and stores need no
    // alignment; both vector types are 512 bits of any content.
    unsafe {
        let pairs = |v: __m512i| std::mem::transmute::<__m512i, __m512bh>(v);
        let mut sums = [[_mm512_setzero_ps(); N]; M];
        for n in 0..N {
            let bias = _mm512_loadu_ps(p.bias.add(n * STRIP));
            for row in &mut sums {
                row[n] = bias;
            }
        }
        for k in 0..p.depth {
            let mut b = [_mm512_setzero_si512(); N];
            for n in 0..N {
                b[n] = _mm512_loadu_si512(p.b.add(k + n * p.b_strip).cast());
            }
            if p.fetches {
                for n in 0..N {
                    // Beyond the weights it is nothing.
                    let next = p.b.wrapping_add(k + (N + n) * p.b_strip);
                    _mm_prefetch::<_MM_HINT_T1>(next.cast());
                }
            }
            for r in 0..M {
                let a = pairs(_mm512_set1_epi32((*p.a.add(r * p.a_row + k)).cast_signed()));
                for n in 0..N {
                    sums[r][n] = _mm512_dpbf16_ps(sums[r][n], a, pairs(b[n]));
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
