//! Tiles in 32 bits by NEON, whose multiply-add is fused.

use std::arch::aarch64::*;

use super::super::tile::{Target, Tiles, tiles};
use super::Product;

pub(super) const TILES: Tiles<Product> = tiles!(tile; 1 2 3 4 5 6; [1]);

/// # Safety
/// The processor must have NEON; the matrices must hold `M` rows, `depth` inner entries and one
/// strip; `N` is 1.
#[target_feature(enable = "neon")]
unsafe fn tile<const M: usize, const N: usize>(p: &Product, c: Target) {
    // SAFETY: all offsets lie within what the caller vouches for; loads and stores need no more
    // alignment than an f32 has.
    unsafe {
        let mut sums = [[vdupq_n_f32(0.0); 4]; M];
        if !p.start.is_null() {
            for n in 0..4 {
                let start = vld1q_f32(p.start.add(4 * n));
                for row in &mut sums {
                    row[n] = start;
                }
            }
        }
        for k in 0..p.depth {
            let b = p.b.add(k * p.b_row);
            let b = [0, 4, 8, 12].map(|at| vld1q_f32(b.add(at)));
            for r in 0..M {
                let a = vdupq_n_f32(*p.a.add(r * p.a_row + k));
                for n in 0..4 {
                    sums[r][n] = vfmaq_f32(sums[r][n], a, b[n]);
                }
            }
        }
        for r in 0..M {
            for n in 0..4 {
                vst1q_f32(c.at(r, 4 * n), sums[r][n]);
            }
        }
    }
}
