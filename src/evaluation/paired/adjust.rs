//! p values of families of tests.

/// Holm's step-down correction (Holm 1979), in the order given.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let order = ascending(p);
    let n = p.len();
    let mut adjusted = vec![0.0; n];
    let mut largest: f64 = 0.0;
    for (rank, &at) in order.iter().enumerate() {
        largest = largest.max(p[at] * (n - rank) as f64);
        adjusted[at] = largest.min(1.0);
    }
    adjusted
}

/// Benjamini and Yekutieli's correction (2001) of the false discovery rate under any dependence.
pub fn benjamini_yekutieli(p: &[f64]) -> Vec<f64> {
    let order = ascending(p);
    let n = p.len();
    let harmonic: f64 = (1..=n).map(|i| 1.0 / i as f64).sum();
    let mut adjusted = vec![0.0; n];
    let mut smallest: f64 = 1.0;
    for (rank, &at) in order.iter().enumerate().rev() {
        smallest = smallest.min(p[at] * n as f64 * harmonic / (rank + 1) as f64);
        adjusted[at] = smallest;
    }
    adjusted
}

fn ascending(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]).then(a.cmp(&b)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_are_those_by_hand() {
        let p = [0.01, 0.04, 0.03, 0.005];
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close(&holm(&p), &[0.03, 0.06, 0.06, 0.02]));
        let c = 4.0 * (1.0 + 0.5 + 1.0 / 3.0 + 0.25);
        let expected = [0.01 * c / 2.0, 0.04 * c / 4.0, 0.03 * c / 3.0, 0.01 * c / 2.0];
        assert!(close(&benjamini_yekutieli(&p), &expected.map(|p: f64| p.min(0.04 * c / 4.0))));
        assert!(holm(&[]).is_empty() && benjamini_yekutieli(&[]).is_empty());
    }
}
