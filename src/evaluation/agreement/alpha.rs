//! Krippendorff's alpha, and distances between codes.

use super::Unit;
use crate::codebook::LabelSet;

/// Krippendorff's alpha of any number of coders, missing codes allowed (Krippendorff 2011,
/// "Computing Krippendorff's Alpha-Reliability"). `distance` is the squared difference of two
/// codes: 0 for equal ones. Undefined without rows of two codes, or where no two codes differ.
pub fn alpha(units: &[Unit], distance: impl Fn(u32, u32) -> f64) -> Option<f64> {
    let most = units.iter().flat_map(|unit| unit.codes.iter().flatten()).max();
    let mut totals = vec![0.0; most.map_or(0, |most| *most as usize + 1)];
    let (mut values, mut observed) = (0.0, 0.0);
    for unit in units.iter().filter(|unit| unit.count > 0.0) {
        let codes = || unit.codes.iter().flatten().copied();
        let n = codes().count();
        if n < 2 {
            continue;
        }
        let mut sum = 0.0;
        for (at, a) in codes().enumerate() {
            totals[a as usize] += unit.count;
            sum += codes()
                .skip(at + 1)
                .map(|b| if a == b { 0.0 } else { distance(a, b) })
                .sum::<f64>();
        }
        values += unit.count * n as f64;
        observed += unit.count * 2.0 * sum / (n - 1) as f64;
    }
    let used: Vec<(u32, f64)> = (0u32..).zip(totals).filter(|(_, total)| *total > 0.0).collect();
    let mut expected = 0.0;
    for (at, (a, of_a)) in used.iter().enumerate() {
        for (b, of_b) in &used[at + 1..] {
            expected += 2.0 * of_a * of_b * distance(*a, *b);
        }
    }
    (expected > 0.0).then(|| 1.0 - (values - 1.0) * observed / expected)
}

/// The distance of codes that are the same or not.
pub fn nominal(a: u32, b: u32) -> f64 {
    f64::from(u8::from(a != b))
}

/// The MASI distance of two sets (Passonneau 2006): 1 less the Jaccard index times 1 for equal
/// sets, 2/3 where one holds the other, 1/3 where they overlap, 0 where they do not. Two empty sets
/// are equal.
pub fn masi(a: &LabelSet, b: &LabelSet) -> f64 {
    let shared = a.iter().filter(|label| b.contains(*label)).count();
    let all = a.len() + b.len() - shared;
    if a == b {
        return 0.0;
    }
    let monotony = match shared {
        0 => 0.0,
        _ if shared == a.len() || shared == b.len() => 2.0 / 3.0,
        _ => 1.0 / 3.0,
    };
    1.0 - shared as f64 / all as f64 * monotony
}
