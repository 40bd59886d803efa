use super::*;

#[test]
fn a_census_has_no_error() {
    let x = [1.0, 0.0, 1.0, 0.0];
    let gold = Gold {
        x: &x,
        d: &[1.0; 4],
        model_x: &[0.0, 0.0, 1.0, 1.0],
        model_d: &[1.0; 4],
        pi: &[1.0; 4],
        cluster: None,
    };
    let mut rest = Sums::default();
    rest.add(2.0, 1.0, 1.0);
    rest.add(2.0, 0.0, 1.0);
    let mut known = Sums::default();
    known.add(6.0, 1.0, 1.0);
    let found = linear(&gold, &rest, &known, Tuning::Optimal, Target::Corpus).unwrap();
    assert!((found.estimate - 0.8).abs() < 1e-12 && found.variance == 0.0);
    assert_eq!(found.bounds(false).lower, found.bounds(true).upper);
}

#[test]
fn shares_of_a_tier_are_corrected_together() {
    // A model that calls a third of the second answer the first: q = Mᵀ p for p = (0.2, 0.5, 0.3).
    let counts = vec![vec![10.0, 0.0, 0.0], vec![4.0, 8.0, 0.0], vec![0.0, 1.0, 9.0]];
    let q = [0.2 + 0.5 / 3.0, 0.5 * 2.0 / 3.0 + 0.03, 0.27];
    let found = adjusted_shares(&counts, &q);
    for (found, expected) in found.iter().zip([0.2, 0.5, 0.3]) {
        assert!((found - expected).abs() < 1e-9, "{found}");
    }
    // Outside of what any shares could give: the nearest that sum to 1.
    let found = adjusted_shares(&counts, &[0.0, 0.0, 1.0]);
    assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-12 && found[2] > 0.99);
}

#[test]
fn one_answer_is_corrected_by_its_errors() {
    let found = rogan_gladen([[90.0, 10.0], [20.0, 80.0]], 310.0, 1_000.0, 1.0, 1.96).unwrap();
    assert!((found.share - (0.31 + 0.9 - 1.0) / 0.7).abs() < 1e-12);
    assert!(found.bounds.lower < found.share && found.share < found.bounds.upper);
    assert_eq!(rogan_gladen([[50.0, 50.0], [45.0, 55.0]], 300.0, 1_000.0, 1.0, 1.96), None);
}

#[test]
fn a_row_that_weighs_much_counts_as_it_would_without_it() {
    // Ten rows of weight 1, of which five carry the label, and one of weight 10 that does not.
    let x: Vec<f64> = (0..11).map(|row| if row < 5 { 1.0 } else { 0.0 }).collect();
    let d: Vec<f64> = (0..11).map(|row| if row < 10 { 1.0 } else { 10.0 }).collect();
    let gold =
        Gold { x: &x, d: &d, model_x: &[0.0; 11], model_d: &d, pi: &[0.011; 11], cluster: None };
    let mut rest = Sums::default();
    rest.add(1_000.0, 0.0, 20.0 / 11.0);
    let found = linear(&gold, &rest, &Sums::default(), Tuning::None, Target::Corpus).unwrap();
    assert!((found.estimate - 0.25).abs() < 1e-12);
    // Half of the weight is that row's, against an eleventh: its residual of 2.5 counts (10/11) / (1/2)
    // times.
    let squares = 5.0 * 0.75f64.powi(2) + 5.0 * 0.25f64.powi(2) + (2.5f64 * 20.0 / 11.0).powi(2);
    let expected = 11.0 / 10.0 * squares * (1.0 - 0.011) / 400.0;
    assert!((found.variance - expected).abs() < 1e-12, "{} {expected}", found.variance);
}
