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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_intervals_are_those_of_the_tables() {
        // scipy.stats.binomtest(3, 50).proportion_ci(method="exact").
        let found = clopper_pearson(3.0, 50.0);
        assert!((found.lower - 0.012_548_588).abs() < 1e-8, "{found:?}");
        assert!((found.upper - 0.165_481_947).abs() < 1e-8, "{found:?}");
        assert_eq!(clopper_pearson(0.0, 10.0).lower, 0.0);
        assert!((upper_bound(59.0) - 0.0495).abs() < 1e-3);
    }

    #[test]
    fn wilson_intervals_are_those_of_the_formula() {
        // R: prop.test(10, 50, correct = FALSE).
        let found = wilson(0.2, 50.0, 1.959_963_985);
        assert!((found.lower - 0.112_437_5).abs() < 1e-6, "{found:?}");
        assert!((found.upper - 0.330_371_06).abs() < 1e-6, "{found:?}");
        assert_eq!(wilson(0.0, 5.0, 1.96).lower, 0.0);
    }
}
