//! Tiles of bf16 numbers, widened to 32 bits, by NEON.

use std::arch::aarch64::*;

use super::super::tile::{Target, Tiles, tiles};
use super::Product;

pub(super) const TILES: Tiles<Product> = tiles!(tile; 1 2 3 4; [1]);

/// # Safety
/// The processor must have NEON; the matrices must hold `M` rows, `depth` pairs and one strip; `N`
/// is 1.
#[target_feature(enable = "neon")]
unsafe fn tile<const M: usize, const N: usize>(p: &Product, c: Target) {
    // SAFETY: all offsets lie within what the caller vouches for; loads and stores need no more
    // alignment than an f32 has.
    unsafe {
        let upper = vdupq_n_u32(0xffff_0000);
        let low = |v| vreinterpretq_f32_u32(vshlq_n_u32::<16>(v));
        let high = |v| vreinterpretq_f32_u32(vandq_u32(v, upper));
        let mut sums = [[vdupq_n_f32(0.0); 4]; M];
        for n in 0..4 {
            let bias = vld1q_f32(p.bias.add(4 * n));
            for row in &mut sums {
                row[n] = bias;
            }
        }
        for k in 0..p.depth {
            let b: *const u32 = p.b.add(k).cast();
            let b = [0, 4, 8, 12].map(|at| vld1q_u32(b.add(at)));
            for r in 0..M {
                let a = vdupq_n_u32(*p.a.add(r * p.a_row + k));
                let (first, second) = (low(a), high(a));
                for n in 0..4 {
                    sums[r][n] = vfmaq_f32(sums[r][n], first, low(b[n]));
                    sums[r][n] = vfmaq_f32(sums[r][n], second, high(b[n]));
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
