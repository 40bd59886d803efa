//! How often a model's codes are right where a person looked at them: what a check that showed the
//! person the code can say, and all that it can.

use std::collections::HashMap;

use serde::Serialize;

use crate::codebook::Codebook;
use crate::corpus::{Answer, Codings};
use crate::evaluation::interval::clopper_pearson;

/// The precision of one label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Precision {
    /// The tier.
    pub tier: String,
    /// The label.
    pub label: String,
    /// Checked rows that the model gave the label.
    pub proposed: usize,
    /// Those of them that the person gave it, too.
    pub confirmed: usize,
    /// The share confirmed; with inclusion probabilities, that of all rows so drawn.
    pub precision: Option<f64>,
    /// Lower end of its exact 95 % interval on as many rows as the weights are worth (Clopper and
    /// Pearson 1934; Kish 1965, section 11.7); rows of a group count as independent.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
}

/// The precision of every label of the tiers that were checked, and how many checked rows are not in
/// the corpus; both codings hold one coder.
pub fn precision(
    codebook: &Codebook,
    corpus: &Codings,
    checked: &Codings,
) -> (Vec<Precision>, usize) {
    let places: HashMap<&str, usize> =
        corpus.ids.iter().enumerate().map(|(row, id)| (id.as_str(), row)).collect();
    let pairs: Vec<(usize, usize)> = checked
        .ids
        .iter()
        .enumerate()
        .filter_map(|(row, id)| Some((*places.get(id.as_str())?, row)))
        .collect();
    let unmatched = checked.rows() - pairs.len();
    // A row without a chance was not drawn.
    let has_chance = |row: usize| checked.pi.as_ref().and_then(|pi| pi[row]) != Some(0.0);
    let pairs: Vec<(usize, usize)> =
        pairs.into_iter().filter(|(_, row)| has_chance(*row)).collect();
    let weight = |row: usize| checked.pi.as_ref().and_then(|pi| pi[row]).map_or(1.0, |pi| 1.0 / pi);
    let mut all = Vec::new();
    for (at, tier) in codebook.tiers.iter().enumerate() {
        let answers = checked.answers(0, at);
        if answers.iter().all(|answer| *answer == Answer::MISSING) {
            continue;
        }
        for (label, own) in tier.labels.iter().enumerate() {
            let (mut proposed, mut confirmed) = (0, 0);
            let (mut weights, mut squares, mut right) = (0.0, 0.0, 0.0);
            for &(place, row) in &pairs {
                let model = corpus.answers(0, at)[place];
                if answers[row] == Answer::MISSING || !corpus.holds(at, model, label) {
                    continue;
                }
                let is_right = checked.holds(at, answers[row], label);
                proposed += 1;
                confirmed += usize::from(is_right);
                weights += weight(row);
                squares += weight(row) * weight(row);
                right += if is_right { weight(row) } else { 0.0 };
            }
            let share = (proposed > 0).then(|| right / weights);
            let bounds = share.map(|share| {
                let rows = weights * weights / squares;
                clopper_pearson(share * rows, rows)
            });
            all.push(Precision {
                tier: tier.name.clone(),
                label: own.name.clone(),
                proposed,
                confirmed,
                precision: share,
                lower: bounds.map(|bounds| bounds.lower),
                upper: bounds.map(|bounds| bounds.upper),
            });
        }
    }
    (all, unmatched)
}
