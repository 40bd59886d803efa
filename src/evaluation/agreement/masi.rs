//! The distance of two sets of labels.

use crate::codebook::LabelSet;

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
