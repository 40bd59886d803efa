use super::*;
use crate::codebook::LabelSet;

/// Rows of codes, `0` for missing, as units of one row each.
fn with_units<T>(rows: &[Vec<u32>], then: impl Fn(&[Unit]) -> T) -> T {
    let codes: Vec<Vec<Option<u32>>> =
        rows.iter().map(|row| row.iter().map(|code| code.checked_sub(1)).collect()).collect();
    let units: Vec<Unit> = codes.iter().map(|codes| Unit { codes, count: 1.0 }).collect();
    then(&units)
}

/// The four coders and twelve units of Krippendorff (2011), section C.
fn krippendorff() -> Vec<Vec<u32>> {
    let coders = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ];
    (0..12).map(|unit| coders.iter().map(|coder| coder[unit]).collect()).collect()
}

#[test]
fn alpha_is_that_of_the_paper() {
    let alpha = with_units(&krippendorff(), |units| alpha(units, nominal)).unwrap();
    assert!((alpha - 0.743).abs() < 5e-4, "{alpha}");
}

#[test]
fn kappa_and_ac1_are_those_by_hand() {
    // Both yes 40, a alone 10, b alone 20, both no 30.
    let codes = [[Some(1), Some(1)], [Some(1), Some(0)], [Some(0), Some(1)], [Some(0), Some(0)]];
    let counts = [40.0, 10.0, 20.0, 30.0];
    let units: Vec<Unit> =
        codes.iter().zip(counts).map(|(codes, count)| Unit { codes, count }).collect();
    assert!((percent(&units).unwrap() - 0.7).abs() < 1e-12);
    let chance = 0.5 * 0.6 + 0.5 * 0.4;
    assert!((kappa(&units, 0, 1).unwrap() - (0.7 - chance) / (1.0 - chance)).abs() < 1e-12);
    let chance = 2.0 * 0.55 * 0.45;
    assert!((ac1(&units, 2).unwrap() - (0.7 - chance) / (1.0 - chance)).abs() < 1e-12);
    let label = specific(&units, |code| code == 1);
    assert!((label.positive.unwrap() - 80.0 / 110.0).abs() < 1e-12);
    assert!((label.negative.unwrap() - 60.0 / 90.0).abs() < 1e-12);
    assert!((label.prevalence.unwrap() - 0.55).abs() < 1e-12);
}

#[test]
fn what_cannot_be_said_is_undefined() {
    let same = vec![vec![1, 1], vec![1, 1]];
    with_units(&same, |units| {
        assert_eq!(percent(units), Some(1.0));
        assert_eq!(kappa(units, 0, 1), None);
        assert_eq!(alpha(units, nominal), None);
        assert_eq!(ac1(units, 1), None);
        assert_eq!(specific(units, |code| code == 5).positive, None);
    });
    with_units(&[vec![1, 0], vec![0, 2]], |units| {
        assert_eq!(percent(units), None);
        assert_eq!(kappa(units, 0, 1), None);
        assert_eq!(alpha(units, nominal), None);
        assert_eq!(ac1(units, 2), None);
        assert_eq!(specific(units, |code| code == 1).prevalence, None);
    });
    with_units(&[], |units| assert_eq!(alpha(units, nominal), None));
}

#[test]
fn counts_weigh_as_rows_do() {
    let rows = vec![vec![1, 1], vec![1, 2], vec![1, 2], vec![2, 2], vec![2, 2], vec![2, 2]];
    let codes = [[Some(0), Some(0)], [Some(0), Some(1)], [Some(1), Some(1)]];
    let units: Vec<Unit> =
        codes.iter().zip([1.0, 2.0, 3.0]).map(|(codes, count)| Unit { codes, count }).collect();
    let by_row = with_units(&rows, |units| (alpha(units, nominal), ac1(units, 2)));
    assert_eq!(by_row, (alpha(&units, nominal), ac1(&units, 2)));
}

#[test]
fn masi_distances_are_those_of_the_paper() {
    let set = |labels: &[usize]| LabelSet::new(labels.to_vec());
    assert_eq!(masi(&set(&[]), &set(&[])), 0.0);
    assert_eq!(masi(&set(&[1]), &set(&[])), 1.0);
    assert_eq!(masi(&set(&[1]), &set(&[2])), 1.0);
    assert!((masi(&set(&[1]), &set(&[1, 2])) - (1.0 - 0.5 * 2.0 / 3.0)).abs() < 1e-12);
    assert!((masi(&set(&[1, 3]), &set(&[1, 2])) - (1.0 - 1.0 / 9.0)).abs() < 1e-12);
}
