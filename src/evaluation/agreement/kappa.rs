//! Cohen's kappa.

use std::collections::BTreeMap;

use super::Unit;

/// Cohen's kappa of two coders over the rows that both coded (Cohen 1960); undefined where chance
/// alone makes them agree everywhere.
pub fn kappa(units: &[Unit], a: usize, b: usize) -> Option<f64> {
    let (mut rows, mut same) = (0.0, 0.0);
    // In the order of the codes, so that equal tables give equal sums.
    let mut margins: BTreeMap<u32, [f64; 2]> = BTreeMap::new();
    for unit in units {
        let (Some(first), Some(second)) = (unit.codes[a], unit.codes[b]) else { continue };
        rows += unit.count;
        same += if first == second { unit.count } else { 0.0 };
        margins.entry(first).or_default()[0] += unit.count;
        margins.entry(second).or_default()[1] += unit.count;
    }
    if rows == 0.0 {
        return None;
    }
    let chance = margins.values().map(|[a, b]| a / rows * (b / rows)).sum::<f64>();
    let observed = same / rows;
    (1.0 - chance > 1e-12).then(|| (observed - chance) / (1.0 - chance))
}
