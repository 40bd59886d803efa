//! Design-based supervised learning of a mean in its published form.

/// The mean of the design-adjusted outcomes f + (R/π)(Y − f) over all rows, and its standard error
/// (Egami, Hinck, Stewart and Wei 2023, equation 4). `truth` is `None` where R is 0; undefined
/// with fewer than two rows.
pub fn design_based_mean(
    predicted: &[f64],
    truth: &[Option<f64>],
    pi: &[f64],
) -> Option<(f64, f64)> {
    let n = predicted.len() as f64;
    if predicted.len() < 2 || truth.len() != predicted.len() || pi.len() != predicted.len() {
        return None;
    }
    let outcomes: Vec<f64> = predicted
        .iter()
        .zip(truth)
        .zip(pi)
        .map(|((f, y), pi)| f + y.map_or(0.0, |y| (y - f) / pi))
        .collect();
    let mean = outcomes.iter().sum::<f64>() / n;
    let variance = outcomes.iter().map(|o| (o - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Some((mean, (variance / n).sqrt()))
}
