//! Tiles of 8-bit numbers by AVX-512 VNNI.

use std::arch::x86_64::*;

use super::super::tile::{Target, Tiles, tiles};
use super::{Product, STRIP};

pub(super) const TILES: Tiles<Product> = tiles!(tile; 1 2 3 4 5 6; [4]);

/// # Safety
/// The processor must have AVX-512 F and VNNI; the matrices must hold `M` rows, `depth` groups and
/// `N` strips.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn tile<const M: usize, const N: usize>(p: &Product, c: Target) {
    // SAFETY: all offsets lie within what the caller vouches for; loads and stores need no
    // alignment.
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); N]; M];
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
                let a = p.a.add(r * p.a_row + 4 * k).cast::<i32>().read_unaligned();
                let a = _mm512_set1_epi32(a);
                for n in 0..N {
                    sums[r][n] = _mm512_dpbusd_epi32(sums[r][n], a, b[n]);
                }
            }
        }
        for n in 0..N {
            let steps = _mm512_loadu_ps(p.b_steps.add(n * STRIP));
            let weights = _mm512_loadu_ps(p.b_sums.add(n * STRIP));
            for r in 0..M {
                let base =
                    if p.adds { c.at(r, n * STRIP).cast_const() } else { p.bias.add(n * STRIP) };
                let base = _mm512_loadu_ps(base);
                let level = _mm512_fmadd_ps(_mm512_set1_ps(*p.a_least.add(r)), weights, base);
                let step = _mm512_mul_ps(_mm512_set1_ps(*p.a_steps.add(r)), steps);
                let y = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[r][n]), step, level);
                _mm512_storeu_ps(c.at(r, n * STRIP), y);
            }
        }
    }
}
