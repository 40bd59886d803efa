//! Tiles of 8-bit numbers that compilers vectorise.

use super::super::tile::{Target, Tiles, tiles};
use super::{Product, STRIP};

pub(super) const TILES: Tiles<Product> = tiles!(tile; 1 2 3 4; [1]);

/// # Safety
/// The matrices must hold `M` rows, `depth` groups and `N` strips; `N` is 1.
unsafe fn tile<const M: usize, const N: usize>(p: &Product, c: Target) {
    // SAFETY: all offsets lie within what the caller vouches for.
    unsafe {
        let mut sums = [[0i32; STRIP]; M];
        for k in 0..p.depth {
            let b = &(*p.b.add(k)).0;
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = p.a.add(r * p.a_row + 4 * k).cast::<[u8; 4]>().read_unaligned();
                let a = a.map(i32::from);
                for (sum, b) in sums.iter_mut().zip(b.chunks_exact(4)) {
                    let b = [b[0], b[1], b[2], b[3]].map(i32::from);
                    *sum += a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            let (step, least) = (*p.a_steps.add(r), *p.a_least.add(r));
            for (n, &sum) in sums.iter().enumerate() {
                let base = if p.adds { *c.at(r, n) } else { *p.bias.add(n) };
                let level = least * *p.b_sums.add(n) + base;
                *c.at(r, n) = sum as f32 * (step * *p.b_steps.add(n)) + level;
            }
        }
    }
}
