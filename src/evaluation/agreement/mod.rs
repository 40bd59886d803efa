//! Coefficients of agreement between coders, as functions of how many rows have each combination of
//! codes.

mod ac1;
mod alpha;
mod kappa;
mod specific;
#[cfg(test)]
mod tests;

pub use ac1::ac1;
pub use alpha::{alpha, masi, nominal};
pub use kappa::kappa;
pub use specific::{Specific, specific};

/// One combination of codes, one a coder, and how many rows have it; `None` is a missing code.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    /// The codes, coder by coder.
    pub codes: &'a [Option<u32>],
    /// Rows with these codes.
    pub count: f64,
}

/// Observed agreement: of every row with at least two codes the share of pairs of codes that are
/// the same, and of these shares the mean over rows (Gwet 2008, equation 8).
pub fn percent(units: &[Unit]) -> Option<f64> {
    let (mut sum, mut rows) = (0.0, 0.0);
    for unit in units.iter().filter(|unit| unit.count > 0.0) {
        let given: Vec<u32> = unit.codes.iter().flatten().copied().collect();
        let n = given.len();
        if n < 2 {
            continue;
        }
        let same =
            (0..n).map(|a| (a + 1..n).filter(|&b| given[a] == given[b]).count()).sum::<usize>();
        sum += unit.count * same as f64 / (n * (n - 1) / 2) as f64;
        rows += unit.count;
    }
    (rows > 0.0).then(|| sum / rows)
}
