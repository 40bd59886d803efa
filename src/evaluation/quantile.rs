//! Quantiles by halving: the library's own do not end for some of the fractional counts here.

use statrs::distribution::{Beta, ContinuousCDF, StudentsT};

/// The quantile of the normal distribution that 95 % intervals take.
pub const NORMAL: f64 = 1.959_963_984_540_054;

/// Halvings; 100 are beyond what a number holds.
const HALVINGS: usize = 100;

/// The quantile of a beta distribution, 0 or 1 where its parameters leave nothing else.
pub fn beta(a: f64, b: f64, p: f64) -> f64 {
    match Beta::new(a, b) {
        Ok(beta) => halve(0.0, 1.0, |x| beta.cdf(x) < p),
        Err(_) if a <= 0.0 => 0.0,
        Err(_) => 1.0,
    }
}

/// The quantile of Student's distribution that 95 % intervals take.
pub fn student(degrees: f64) -> f64 {
    match StudentsT::new(0.0, 1.0, degrees.max(1.0)) {
        // With one degree of freedom it is 12.7.
        Ok(student) => halve(1.0, 16.0, |x| student.cdf(x) < 0.975),
        Err(_) => NORMAL,
    }
}

/// Where `below` ceases to hold between two ends.
fn halve(mut low: f64, mut high: f64, below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (degrees, expected) in [(1.0, 12.706_204_7), (9.0, 2.262_157_2), (1e6, 1.959_966_4)] {
            assert!((student(degrees) - expected).abs() < 1e-6, "{degrees}");
        }
        // scipy.stats.beta.ppf(0.025, 3, 48).
        assert!((beta(3.0, 48.0, 0.025) - 0.012_548_587_8).abs() < 1e-8);
        assert!((beta(0.3, 0.7, 0.5) - 0.158_774_687).abs() < 1e-8);
        assert_eq!((beta(0.0, 3.0, 0.5), beta(3.0, 0.0, 0.5)), (0.0, 1.0));
    }
}
