//! How well scores rank labels, before any threshold.

/// Average precision as scikit-learn's `average_precision_score`: Σ (Rₙ − Rₙ₋₁)·Pₙ over the
/// distinct scores from the highest down, equal scores entering together. Undefined without
/// anything relevant (scikit-learn gives 0); a score that is not a number ranks last.
pub fn average_precision(scores: &[f64], relevant: &[bool]) -> Option<f64> {
    let key = |score: f64| if score.is_nan() { f64::NEG_INFINITY } else { score };
    let mut ranked: Vec<(f64, bool)> =
        scores.iter().zip(relevant).map(|(score, relevant)| (key(*score), *relevant)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let all = ranked.iter().filter(|(_, relevant)| *relevant).count();
    if all == 0 {
        return None;
    }
    let (mut found, mut seen, mut sum) = (0usize, 0usize, 0.0);
    for equal in ranked.chunk_by(|a, b| a.0 == b.0) {
        let new = equal.iter().filter(|(_, relevant)| *relevant).count();
        found += new;
        seen += equal.len();
        sum += new as f64 * (found as f64 / seen as f64);
    }
    Some(sum / all as f64)
}

/// Micro-averaged average precision: all cells `[row][label]` ranked as one list
/// (`average_precision_score(average="micro")`).
pub fn micro_average_precision(scores: &[Vec<f64>], relevant: &[Vec<bool>]) -> Option<f64> {
    let cells = scores
        .iter()
        .zip(relevant)
        .flat_map(|(scores, relevant)| scores.iter().copied().zip(relevant.iter().copied()));
    let (scores, relevant): (Vec<f64>, Vec<bool>) = cells.unzip();
    average_precision(&scores, &relevant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_textbook_ranking() {
        // Relevant at ranks 1 and 3 of four: (1/1 + 2/3) / 2.
        let ap = average_precision(&[0.9, 0.8, 0.7, 0.1], &[true, false, true, false]).unwrap();
        assert!((ap - 5.0 / 6.0).abs() < 1e-15, "{ap}");
    }

    #[test]
    fn equal_scores_enter_together() {
        let ap = average_precision(&[0.5, 0.5, 0.5, 0.5], &[true, false, false, false]);
        assert_eq!(ap, Some(0.25));
        assert_eq!(average_precision(&[0.0, -0.0], &[true, false]), Some(0.5));
    }

    #[test]
    fn nothing_relevant_is_undefined_and_nan_ranks_last() {
        assert_eq!(average_precision(&[0.5], &[false]), None);
        assert_eq!(average_precision(&[], &[]), None);
        assert_eq!(average_precision(&[f64::NAN, 0.1], &[true, false]), Some(0.5));
    }

    #[test]
    fn micro_pools_all_cells() {
        let scores = [vec![0.9, 0.7], vec![0.8, 0.1]];
        let relevant = [vec![true, true], vec![false, false]];
        assert_eq!(
            micro_average_precision(&scores, &relevant),
            average_precision(&[0.9, 0.8, 0.7, 0.1], &[true, false, true, false])
        );
    }
}
