//! Passes over rows, compiled once for every kind of instructions.
//!
//! Each pass is written once, over sixteen lanes that compilers turn into vectors; the order of
//! its sums does not depend on their width. Only whether a product and a sum are rounded once or
//! twice differs between levels.

use super::Level;
use crate::encoder::ops::{Apart, Fused, MultiplyAdd};

/// A pass over rows.
pub trait Pass {
    /// Makes the pass.
    fn run<F: MultiplyAdd>(self);
}

/// Makes a pass by the instructions of a level.
///
/// # Panics
/// If the processor lacks them.
pub fn run(level: Level, pass: impl Pass) {
    assert!(level.is_here(), "this processor lacks {level}");
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Avx512Vnni | Level::Avx512Bf16 => {
            #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl")]
            fn avx512(pass: impl Pass) {
                pass.run::<Fused>();
            }
            // SAFETY: the assertion found these instructions on this processor.
            unsafe { avx512(pass) }
        }
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::Avx2Vnni => {
            #[target_feature(enable = "avx2,fma")]
            fn avx2(pass: impl Pass) {
                pass.run::<Fused>();
            }
            // SAFETY: as above.
            unsafe { avx2(pass) }
        }
        _ if cfg!(target_arch = "aarch64") => pass.run::<Fused>(),
        _ => pass.run::<Apart>(),
    }
}
