//! McNemar's test.

use statrs::distribution::{Binomial, DiscreteCDF};

/// Two-sided exact p that each coder is right alone equally often (McNemar 1947, exact binomial
/// form): twice the smaller tail of Binomial(n, 1/2), at most 1.
pub fn mcnemar_exact(only_a_right: u64, only_b_right: u64) -> f64 {
    let n = only_a_right + only_b_right;
    match Binomial::new(0.5, n) {
        Ok(binomial) => (2.0 * binomial.cdf(only_a_right.min(only_b_right))).min(1.0),
        Err(_) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_is_that_of_the_binomial() {
        // 2 · (1 + 10 + 45) / 1024.
        assert!((mcnemar_exact(2, 8) - 112.0 / 1024.0).abs() < 1e-12);
        assert_eq!(mcnemar_exact(5, 5), 1.0);
        assert_eq!(mcnemar_exact(0, 0), 1.0);
        let p = mcnemar_exact(499_000, 501_000);
        // Two standard deviations of a binomial: about 0.0455.
        assert!((p - 0.0455).abs() < 1e-3, "{p}");
    }
}
