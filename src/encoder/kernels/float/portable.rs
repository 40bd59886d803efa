//! Tiles in 32 bits that compilers vectorise.

use super::super::tile::{Target, Tiles, tiles};
use super::{Product, STRIP};

pub(super) const TILES: Tiles<Product> = tiles!(tile; 1 2 3 4; [1]);

/// a · b + c, fused where the processor certainly can.
#[inline(always)]
fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

/// # Safety
/// The matrices must hold `M` rows, `depth` inner entries and `N` strips; `N` is 1.
unsafe fn tile<const M: usize, const N: usize>(p: &Product, c: Target) {
    // SAFETY: all offsets lie within what the caller vouches for.
    unsafe {
        let mut sums = [[0f32; STRIP]; M];
        if !p.start.is_null() {
            sums = [p.start.cast::<[f32; STRIP]>().read_unaligned(); M];
        }
        for k in 0..p.depth {
            let b = p.b.add(k * p.b_row).cast::<[f32; STRIP]>().read_unaligned();
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = *p.a.add(r * p.a_row + k);
                for (sum, b) in sums.iter_mut().zip(&b) {
                    *sum = multiply_add(a, *b, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            c.at(r, 0).cast::<[f32; STRIP]>().write_unaligned(*sums);
        }
    }
}
