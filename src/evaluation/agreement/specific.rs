//! Agreement about one label: where it is given, and where it is not.

use super::Unit;

/// How coders give one label.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Specific {
    /// Share of all codes, of rows with at least two, that hold the label.
    pub prevalence: Option<f64>,
    /// If one coder gives the label, the chance that another does.
    pub positive: Option<f64>,
    /// If one coder does not give it, the chance that another does not either.
    pub negative: Option<f64>,
    /// Codes that hold the label.
    pub positives: f64,
}

/// Positive and negative agreement (Cicchetti and Feinstein 1990), for more than two coders over
/// all pairs of a row, each code counting once (as in Krippendorff's coincidences).
pub fn specific(units: &[Unit], is: impl Fn(u32) -> bool) -> Specific {
    let (mut given, mut not_given, mut both, mut neither) = (0.0, 0.0, 0.0, 0.0);
    for unit in units {
        let codes: Vec<bool> = unit.codes.iter().flatten().map(|code| is(*code)).collect();
        let n = codes.len() as f64;
        if n < 2.0 {
            continue;
        }
        let yes = codes.iter().filter(|yes| **yes).count() as f64;
        let no = n - yes;
        given += unit.count * yes;
        not_given += unit.count * no;
        both += unit.count * yes * (yes - 1.0) / (n - 1.0);
        neither += unit.count * no * (no - 1.0) / (n - 1.0);
    }
    let share = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
    Specific {
        prevalence: share(given, given + not_given),
        positive: share(both, given),
        negative: share(neither, not_given),
        positives: given,
    }
}
