//! Intervals of shares.

use super::quantile::beta;

/// The ends of an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// Wilson's interval (1927) of a share seen in `n` rows, which need be no whole number.
pub fn wilson(share: f64, n: f64, quantile: f64) -> Bounds {
    if !n.is_finite() || n <= 0.0 {
        return Bounds { lower: share, upper: share };
    }
    let square = quantile * quantile;
    let middle = (share + square / (2.0 * n)) / (1.0 + square / n);
    let half =
        quantile / (1.0 + square / n) * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
    Bounds { lower: (middle - half).max(0.0), upper: (middle + half).min(1.0) }
}

/// The exact 95 % interval (Clopper and Pearson 1934) of `count` in `n` rows; effective counts need
/// be no whole numbers (Korn and Graubard 1998).
pub fn clopper_pearson(count: f64, n: f64) -> Bounds {
    let lower = if count <= 0.0 { 0.0 } else { beta(count, n - count + 1.0, 0.025) };
    let upper = if count >= n { 1.0 } else { beta(count + 1.0, n - count, 0.975) };
    Bounds { lower, upper }
}

/// What a share of which `n` rows show nothing is at most, at 95 %.
pub fn upper_bound(n: f64) -> f64 {
    1.0 - 0.05f64.powf(1.0 / n.max(1.0))
}
