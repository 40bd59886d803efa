//! Tiles of bf16 numbers that compilers vectorise.

use super::super::tile::{Target, Tiles, tiles};
use super::{Product, STRIP};

pub(super) const TILES: Tiles<Product> = tiles!(tile; 1 2 3 4; [1]);

/// # Safety
/// The matrices must hold `M` rows, `depth` pairs and `N` strips; `N` is 1.
unsafe fn tile<const M: usize, const N: usize>(p: &Product, c: Target) {
    let low = |pair: u32| f32::from_bits(pair << 16);
    let high = |pair: u32| f32::from_bits(pair & 0xffff_0000);
    // SAFETY: all offsets lie within what the caller vouches for.
    unsafe {
        let mut sums = [p.bias.cast::<[f32; STRIP]>().read_unaligned(); M];
        for k in 0..p.depth {
            let b = (*p.b.add(k)).0;
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = *p.a.add(r * p.a_row + k);
                for (sum, &b) in sums.iter_mut().zip(&b) {
                    *sum += low(a) * low(b) + high(a) * high(b);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            c.at(r, 0).cast::<[f32; STRIP]>().write_unaligned(*sums);
        }
    }
}
