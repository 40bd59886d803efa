//! Coefficients of agreement between coders, as functions of sums over rows.

mod distances;
mod everyone;
mod label;
mod masi;
mod pair;
#[cfg(test)]
mod tests;

pub use distances::Distances;
pub use everyone::Everyone;
pub use label::{Label, LabelPair, Specific};
pub use masi::masi;
pub use pair::Pair;

/// Krippendorff's alpha (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability") of how
/// often each code is given in rows of two codes or more, and of the observed disagreement: over
/// all pairs of codes of a row, in both orders, their distance divided by one less than the row's
/// codes. Without distances codes are the same or not. Undefined without such rows, or where no two
/// codes differ.
fn alpha(totals: &[f64], observed: f64, distances: Option<&Distances>) -> Option<f64> {
    let values: f64 = totals.iter().sum();
    let expected = match distances {
        None => values * values - totals.iter().map(|total| total * total).sum::<f64>(),
        Some(distances) => 2.0 * distances.between_all(totals),
    };
    (expected > 0.0).then(|| 1.0 - (values - 1.0) * observed / expected)
}

fn between(distances: Option<&Distances>, a: u32, b: u32) -> f64 {
    match distances {
        None => f64::from(u8::from(a != b)),
        Some(distances) => distances.get(a, b),
    }
}

/// Gwet's first-order agreement coefficient (Gwet 2008, "Computing inter-rater reliability and its
/// variance in the presence of high agreement"), of observed agreement over rows with at least two
/// codes, and of the sums over all rows with one of the shares of each code in use. With fewer
/// than two of these it is undefined.
fn ac1(percent: Option<f64>, shares: &[f64], rows: f64) -> Option<f64> {
    let observed = percent?;
    if shares.len() < 2 {
        return None;
    }
    let spread: f64 = shares.iter().map(|share| share / rows * (1.0 - share / rows)).sum();
    let chance = spread / (shares.len() - 1) as f64;
    (1.0 - chance > 1e-12).then(|| (observed - chance) / (1.0 - chance))
}

/// What observed agreement is beyond that of chance (Cohen 1960), of the same codes and of both
/// coders' counts of every code; undefined without rows, and where chance alone makes them agree
/// everywhere.
fn kappa(rows: f64, same: f64, margins: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    if rows == 0.0 {
        return None;
    }
    let chance = margins.map(|(a, b)| a / rows * (b / rows)).sum::<f64>();
    (1.0 - chance > 1e-12).then(|| (same / rows - chance) / (1.0 - chance))
}
