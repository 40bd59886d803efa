//! Tests of two coders on the same rows, and corrections for many of them.

mod adjust;
mod mcnemar;

pub use adjust::{benjamini_yekutieli, holm};
pub use mcnemar::mcnemar_exact;
