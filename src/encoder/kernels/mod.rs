//! Products of activations with weights that never change: y = x Wᵀ + b, in 32, 16 or 8 bits, by the
//! widest instructions that the processor has.
//!
//! Weights are packed once, in strips of sixteen outputs. A tile of a few rows and strips is kept in
//! registers over the whole inner dimension, so that a row's result depends neither on the rows
//! beside it nor on their number (Goto and van de Geijn 2008 describe the general scheme).
//!
//! Processors of other kinds than x86-64 and 64-bit ARM run the portable tiles, which compilers turn
//! into their vector instructions. `tests/kernels/run.sh` runs the tests of this module by NEON, with
//! and without its dot products, under QEMU: no ARM processor has been at hand, and nothing is known
//! of their speed. Under Miri it runs what that can execute.

// A tile's loops run over registers: the number of one counts, in several arrays and addresses.
#![allow(clippy::needless_range_loop)]

mod affine;
mod bfloat;
mod float;
mod int8;
pub(super) mod lanes;
mod level;
mod operand;
mod tile;

pub use affine::PackedAffine;
pub use float::{View, multiply_views};
pub use int8::weight_step;
pub use level::Level;
pub use operand::{GROUP, Operand, Rows as OperandRows, input_groups};

/// Outputs of a strip.
pub const STRIP: usize = 16;

#[cfg(test)]
mod tests;
