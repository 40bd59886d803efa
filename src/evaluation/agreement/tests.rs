use super::*;
use crate::codebook::LabelSet;

/// The sums of what rows add, each so many times.
fn sums<'a>(
    end: usize,
    rows: &'a [(Vec<Option<u32>>, f64)],
    add: impl Fn(&'a [Option<u32>], &mut Vec<(usize, f64)>),
) -> Vec<f64> {
    let mut sums = vec![0.0; end];
    for (row, count) in rows {
        let mut own = Vec::new();
        add(row, &mut own);
        own.into_iter().for_each(|(place, amount)| sums[place] += amount * count);
    }
    sums
}

/// Rows of codes, `0` for missing, once each.
fn once(rows: &[&[u32]]) -> Vec<(Vec<Option<u32>>, f64)> {
    rows.iter().map(|row| (row.iter().map(|code| code.checked_sub(1)).collect(), 1.0)).collect()
}

/// All coefficients of rows of codes below 5.
struct Found {
    percent: Option<f64>,
    alpha: Option<f64>,
    ac1: Option<f64>,
    /// Of the first two coders.
    kappa: Option<f64>,
    /// The label that code 1 is.
    label: Specific,
    label_alpha: Option<f64>,
    label_kappa: Option<f64>,
}

fn found(rows: &[(Vec<Option<u32>>, f64)], categories: usize) -> Found {
    let everyone = Everyone::new(0, categories);
    let pair = Pair::new(everyone.end(), categories);
    let label = Label::new(pair.end(), everyone);
    let label_pair = LabelPair::new(label.end(), pair);
    let all = sums(label_pair.end(), rows, |row, own| {
        everyone.add(row, None, own);
        pair.add((row[0], row[1]), None, own);
        let given = row.iter().filter(|code| **code == Some(1)).count();
        if given > 0 {
            label.add(given, row.iter().flatten().count(), own);
        }
        if row[0].is_some() && row[1].is_some() {
            label_pair.add([row[0] == Some(1), row[1] == Some(1)], own);
        }
    });
    let two = pair.alpha(&all, None);
    if rows.iter().all(|(row, _)| row.len() == 2) {
        assert_eq!(two.is_some(), everyone.alpha(&all, None).is_some());
    }
    Found {
        percent: everyone.percent(&all),
        alpha: everyone.alpha(&all, None),
        ac1: everyone.ac1(&all),
        kappa: pair.kappa(&all),
        label: label.specific(&all),
        label_alpha: label.alpha(&all),
        label_kappa: label_pair.kappa(&all),
    }
}

/// The four coders and twelve units of Krippendorff (2011), section C.
fn krippendorff() -> Vec<(Vec<Option<u32>>, f64)> {
    let coders = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ];
    let rows: Vec<Vec<u32>> =
        (0..12).map(|unit| coders.iter().map(|coder| coder[unit]).collect()).collect();
    once(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

#[test]
fn alpha_is_that_of_the_paper() {
    let alpha = found(&krippendorff(), 5).alpha.unwrap();
    assert!((alpha - 0.743).abs() < 5e-4, "{alpha}");
}

#[test]
fn a_label_is_measured_as_two_codes_are() {
    let rows = krippendorff();
    let whole = found(&rows, 5);
    let binary: Vec<(Vec<Option<u32>>, f64)> = rows
        .into_iter()
        .map(|(row, n)| (row.iter().map(|code| code.map(|c| u32::from(c == 1))).collect(), n))
        .collect();
    let alone = found(&binary, 2);
    for (of_label, of_codes) in [
        (whole.label_alpha, alone.alpha),
        (whole.label_kappa, alone.kappa),
        (whole.label.positive, alone.label.positive),
        (whole.label.negative, alone.label.negative),
        (whole.label.prevalence, alone.label.prevalence),
    ] {
        assert!((of_label.unwrap() - of_codes.unwrap()).abs() < 1e-12);
    }
    let everyone = Everyone::new(0, 2);
    let label = Label::new(everyone.end(), everyone);
    let sums = sums(label.end(), &binary, |row, own| {
        everyone.add(row, None, own);
        let given = row.iter().filter(|code| **code == Some(1)).count();
        if given > 0 {
            label.add(given, row.iter().flatten().count(), own);
        }
    });
    assert!((label.percent(&sums).unwrap() - alone.percent.unwrap()).abs() < 1e-12);
    assert!((label.ac1(&sums).unwrap() - alone.ac1.unwrap()).abs() < 1e-12);
}

#[test]
fn kappa_and_ac1_are_those_by_hand() {
    // Both yes 40, a alone 10, b alone 20, both no 30.
    let rows = [([1, 1], 40.0), ([1, 0], 10.0), ([0, 1], 20.0), ([0, 0], 30.0)]
        .map(|(codes, count)| (codes.map(Some).to_vec(), count));
    let found = found(&rows, 2);
    assert!((found.percent.unwrap() - 0.7).abs() < 1e-12);
    let chance = 0.5 * 0.6 + 0.5 * 0.4;
    for kappa in [found.kappa, found.label_kappa] {
        assert!((kappa.unwrap() - (0.7 - chance) / (1.0 - chance)).abs() < 1e-12);
    }
    let chance = 2.0 * 0.55 * 0.45;
    assert!((found.ac1.unwrap() - (0.7 - chance) / (1.0 - chance)).abs() < 1e-12);
    assert!((found.label.positive.unwrap() - 80.0 / 110.0).abs() < 1e-12);
    assert!((found.label.negative.unwrap() - 60.0 / 90.0).abs() < 1e-12);
    assert!((found.label.prevalence.unwrap() - 0.55).abs() < 1e-12);
}

#[test]
fn what_cannot_be_said_is_undefined() {
    let same = found(&once(&[&[1, 1], &[1, 1]]), 1);
    assert_eq!((same.percent, same.kappa, same.alpha, same.ac1), (Some(1.0), None, None, None));
    assert_eq!((same.label.positive, same.label_kappa, same.label_alpha), (None, None, None));
    let alone = found(&once(&[&[1, 0], &[0, 2]]), 2);
    assert_eq!((alone.percent, alone.kappa, alone.alpha, alone.ac1), (None, None, None, None));
    assert_eq!((alone.label.prevalence, alone.label_kappa), (None, None));
    assert_eq!(found(&[], 0).alpha, None);
}

#[test]
fn counts_weigh_as_rows_do() {
    let by_row = found(&once(&[&[1, 1], &[1, 2], &[1, 2], &[2, 2], &[2, 2], &[2, 2]]), 2);
    let rows = [([0, 0], 1.0), ([0, 1], 2.0), ([1, 1], 3.0)]
        .map(|(codes, count)| (codes.map(Some).to_vec(), count));
    let by_count = found(&rows, 2);
    assert_eq!((by_row.alpha, by_row.ac1), (by_count.alpha, by_count.ac1));
}

#[test]
fn distances_weigh_in_alpha_of_everyone_and_of_two() {
    let distances = Distances::new(3, |a, b| a.abs_diff(b) as f64 / 4.0);
    let rows = once(&[&[1, 2], &[2, 2], &[1, 3], &[3, 3], &[1, 1]]);
    let (everyone, pair) = (Everyone::new(0, 3), Pair::new(0, 3));
    let all = sums(everyone.end(), &rows, |row, own| everyone.add(row, Some(&distances), own));
    let two = sums(pair.end(), &rows, |row, own| {
        pair.add((row[0], row[1]), Some(&distances), own);
    });
    // Four ones, three twos, three threes. Observed 2 (1/4 + 2/4); expected 2 (12/4 + 12 · 2/4 + 9/4).
    let expected = 1.0 - 9.0 * 1.5 / 22.5;
    assert!((everyone.alpha(&all, Some(&distances)).unwrap() - expected).abs() < 1e-12);
    assert!((pair.alpha(&two, Some(&distances)).unwrap() - expected).abs() < 1e-12);
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
