//! Tiles of 8-bit numbers by NEON: by its dot products where the processor has them, else by
//! products in 16 bits whose neighbours are added in 32.
//!
//! Both instructions take signed numbers on both sides, so a row's u is taken as u - 128 and its
//! least value as least + 128 · step.

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::tile::{Target, Tiles, tiles};
use super::Product;

pub(super) const TILES: Tiles<Product> = tiles!(widening; 1 2; [1]);
pub(super) const DOT_TILES: Tiles<Product> = tiles!(dot; 1 2 3 4 5 6; [1]);

/// Group `k` of a row, less 128 each, four times.
///
/// # Safety
/// The processor must have NEON; the row must hold the group.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn group(p: &Product, r: usize, k: usize) -> int8x16_t {
    // SAFETY: the caller vouches for the group's four bytes.
    let group = unsafe { p.a.add(r * p.a_row + 4 * k).cast::<u32>().read_unaligned() };
    vreinterpretq_s8_u32(vdupq_n_u32(group ^ 0x8080_8080))
}

/// Line `k` of the strip, four outputs a vector.
///
/// # Safety
/// The processor must have NEON; the strip must hold the line.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn line(p: &Product, k: usize) -> [int8x16_t; 4] {
    // SAFETY: a line is 64 bytes long.
    unsafe {
        let line: *const i8 = p.b.add(k).cast();
        [0, 16, 32, 48].map(|at| vld1q_s8(line.add(at)))
    }
}

/// # Safety
/// The processor must have NEON; the matrices must hold `M` rows, `depth` groups and one strip; `N`
/// is 1.
#[target_feature(enable = "neon")]
unsafe fn widening<const M: usize, const N: usize>(p: &Product, c: Target) {
    // SAFETY: all offsets lie within what the caller vouches for.
    unsafe {
        // Of two outputs each, two sums: over inputs 0 and 1, and 2 and 3, of every group.
        let mut sums = [[[vdupq_n_s32(0); 2]; 4]; M];
        for k in 0..p.depth {
            let b = line(p, k);
            for r in 0..M {
                let a = group(p, r, k);
                for n in 0..4 {
                    let [low, high] = &mut sums[r][n];
                    *low = vpadalq_s16(*low, vmull_s8(vget_low_s8(a), vget_low_s8(b[n])));
                    *high = vpadalq_s16(*high, vmull_high_s8(a, b[n]));
                }
            }
        }
        for r in 0..M {
            finish(p, c, r, sums[r].map(|[low, high]| vpaddq_s32(low, high)));
        }
    }
}

/// Adds the dot products of four groups of four to as many sums.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn add_dots(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction, whose intrinsic is not stable, changes nothing but its first
    // register; the function's features include it.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {a:v}.16b, {b:v}.16b",
            sums = inout(vreg) sums,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// # Safety
/// The processor must have NEON and its dot products; the matrices must hold `M` rows, `depth`
/// groups and one strip; `N` is 1.
#[target_feature(enable = "neon,dotprod")]
unsafe fn dot<const M: usize, const N: usize>(p: &Product, c: Target) {
    // SAFETY: all offsets lie within what the caller vouches for.
    unsafe {
        let mut sums = [[vdupq_n_s32(0); 4]; M];
        for k in 0..p.depth {
            let b = line(p, k);
            for r in 0..M {
                let a = group(p, r, k);
                for n in 0..4 {
                    sums[r][n] = add_dots(sums[r][n], a, b[n]);
                }
            }
        }
        for r in 0..M {
            finish(p, c, r, sums[r]);
        }
    }
}

/// Writes a row of the result from its sums of products.
///
/// # Safety
/// The processor must have NEON; the matrices must hold row `r` and one strip.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn finish(p: &Product, c: Target, r: usize, sums: [int32x4_t; 4]) {
    // SAFETY: all offsets lie within what the caller vouches for; loads and stores need no more
    // alignment than an f32 has.
    unsafe {
        let step = *p.a_steps.add(r);
        let middle = vdupq_n_f32(step.mul_add(128.0, *p.a_least.add(r)));
        for (n, sum) in sums.into_iter().enumerate() {
            let base = if p.adds { c.at(r, 4 * n).cast_const() } else { p.bias.add(4 * n) };
            let level = vfmaq_f32(vld1q_f32(base), middle, vld1q_f32(p.b_sums.add(4 * n)));
            let step = vmulq_n_f32(vld1q_f32(p.b_steps.add(4 * n)), step);
            vst1q_f32(c.at(r, 4 * n), vfmaq_f32(level, vcvtq_f32_s32(sum), step));
        }
    }
}
