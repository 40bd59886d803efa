//! Gwet's AC1.

use super::{Unit, percent};

/// Gwet's first-order agreement coefficient of any number of coders (Gwet 2008, "Computing
/// inter-rater reliability and its variance in the presence of high agreement"), missing codes
/// allowed as in the package irrCAC: observed agreement over rows with at least two codes, chance
/// over all rows with one. `categories` is how many answers are in use; with fewer than two it is
/// undefined.
pub fn ac1(units: &[Unit], categories: usize) -> Option<f64> {
    let observed = percent(units)?;
    let mut shares = vec![0.0; categories];
    let mut rows = 0.0;
    for unit in units.iter().filter(|unit| unit.count > 0.0) {
        let given = unit.codes.iter().flatten().count();
        for code in unit.codes.iter().flatten() {
            shares[*code as usize] += unit.count / given as f64;
        }
        rows += if given > 0 { unit.count } else { 0.0 };
    }
    if categories < 2 {
        return None;
    }
    let spread: f64 = shares.iter().map(|share| share / rows * (1.0 - share / rows)).sum();
    let chance = spread / (categories - 1) as f64;
    (1.0 - chance > 1e-12).then(|| (observed - chance) / (1.0 - chance))
}
