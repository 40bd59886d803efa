//! How far rare labels of single tiers are preferred by a trained encoder.
//!
//! Class weights stop mattering once an encoder tells its training rows apart (Byrd and Lipton,
//! ICML 2019): it then takes rare labels for frequent ones on new rows. One number a tier gives
//! the preference back, measured on rows that did not train.

use super::fit::coded;
use super::temperature::{Goal, golden_section, minimise};
use crate::codebook::{Code, Codebook, TierKind};
use crate::heads::LabelWeights;

/// Stands against τ², as a share of the log-likelihood of all rows: with more rows the direction is
/// better known, but not better liked.
const RIDGE: f64 = 0.08;

/// Rows beside those at hand that would have no margin: of a hundred validation rows a third may
/// code a tier, and the few of a rare label among them say next to nothing of its share.
const DOUBT: f64 = 300.0;

/// τ is looked for between −RANGE and RANGE.
const RANGE: f64 = 2.0;

/// What to add to the logits of every tier's labels, `[tier][label]`; multi tiers have
/// thresholds instead, and tiers that no row codes stay as they are.
///
/// Added is T · τ · ln w for a label of class weight w (logit adjustment after training, Menon
/// et al., ICLR 2021), with τ and a temperature T that minimise the validation rows' negative
/// log-likelihood, each row weighted as it would be in training; τ is pulled towards 0, T
/// towards 1. Without class weights nothing is added.
pub fn fit_margins(
    codebook: &Codebook,
    logits: &[Vec<Vec<f64>>],
    gold: &[&[Code]],
    weights: &LabelWeights,
) -> Vec<Vec<f64>> {
    let of_tier = |tier: usize| {
        let weights: Vec<f64> = weights.tier(tier).iter().map(|w| f64::from(*w)).collect();
        let (own, sets) = coded(codebook, tier, logits, gold);
        let kind = codebook.tiers[tier].kind;
        if kind == TierKind::Multi || sets.is_empty() {
            return vec![0.0; weights.len()];
        }
        let of_row =
            |set: &crate::codebook::LabelSet| set.iter().next().map_or(1.0, |l| weights[l]);
        let rows: Vec<f64> = sets.iter().map(of_row).collect();
        let mean = rows.iter().sum::<f64>() / rows.len() as f64;
        let goal = Goal::weighted(kind, &sets, rows.iter().map(|w| w / mean).collect());
        let direction: Vec<f64> = weights.iter().map(|w| w.ln()).collect();
        let fitted = |tau: f64| {
            minimise(|temperature| {
                goal.loss(&moved(&own, &direction, temperature * tau), temperature)
            })
        };
        let ridge = RIDGE * (logits.len() as f64 + DOUBT);
        let (tau, value) = golden_section(|tau| fitted(tau).1 + ridge * tau * tau, -RANGE, RANGE);
        let size = if value.is_finite() { tau * fitted(tau).0 } else { 0.0 };
        direction.iter().map(|d| size * d).collect()
    };
    (0..codebook.tiers.len()).map(of_tier).collect()
}

fn moved(rows: &[Vec<f64>], direction: &[f64], size: f64) -> Vec<Vec<f64>> {
    let of_row = |row: &Vec<f64>| row.iter().zip(direction).map(|(l, d)| l + size * d).collect();
    rows.iter().map(of_row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::LabelSet;

    /// The margins of the codebook's first tier, two labels, for rows of (logits, gold, count).
    fn margins(rows: &[([f64; 2], usize, usize)], power: f64) -> Vec<f64> {
        let codebook = Codebook::find("olid").unwrap();
        let code =
            |label: usize| vec![Code::Coded(LabelSet::one(label)), Code::Missing, Code::Missing];
        let each = || rows.iter().flat_map(|(l, gold, n)| std::iter::repeat_n((l, *gold), *n));
        let codes: Vec<Vec<Code>> = each().map(|(_, gold)| code(gold)).collect();
        let gold: Vec<&[Code]> = codes.iter().map(Vec::as_slice).collect();
        let logits: Vec<_> =
            each().map(|(l, _)| vec![l.to_vec(), vec![0.0; 2], vec![0.0; 3]]).collect();
        let weights = LabelWeights::new(&codebook, &gold, power, 0.0, 10.0);
        let all = fit_margins(&codebook, &logits, &gold, &weights);
        assert_eq!((&all[1], &all[2]), (&vec![0.0; 2], &vec![0.0; 3]));
        all[0].clone()
    }

    #[test]
    fn many_rows_are_pulled_alike_and_few_rows_farther() {
        // Nine tenths are label 0, and logits of (ln 9, 0) say so of every row: balanced, both
        // labels are as likely, so label 1 would gain ln 9 on label 0 if nothing pulled it back.
        let gain = |ten: usize| {
            let found = margins(&[([9f64.ln(), 0.0], 0, 9 * ten), ([9f64.ln(), 0.0], 1, ten)], 1.0);
            found[1] - found[0]
        };
        let large = gain(1_000);
        assert!(large > 0.8 * 9f64.ln() && large < 9f64.ln(), "{large}");
        assert!((gain(4_000) - large).abs() < 0.05, "{} {large}", gain(4_000));
        let few = gain(10);
        assert!(few > 0.5 * large && few < 0.85 * large, "{few} {large}");
    }

    #[test]
    fn few_rows_move_little_and_balanced_ones_not_at_all() {
        let some = margins(&[([9f64.ln(), 0.0], 0, 18), ([9f64.ln(), 0.0], 1, 2)], 1.0);
        assert!(some[1] - some[0] > 0.0 && some[1] - some[0] < 0.3 * 9f64.ln() + 0.1, "{some:?}");
        let even = margins(&[([1.0, 0.0], 0, 40), ([0.0, 1.0], 1, 40)], 1.0);
        assert!(even.iter().all(|m| m.abs() < 1e-9), "{even:?}");
        let unweighted = margins(&[([9f64.ln(), 0.0], 0, 90), ([9f64.ln(), 0.0], 1, 10)], 0.0);
        assert!(unweighted.iter().all(|m| *m == 0.0), "{unweighted:?}");
    }

    #[test]
    fn hostile_logits_give_finite_margins() {
        let found = margins(&[([f64::NAN, 1e30], 0, 5), ([-1e30, 1e30], 1, 2)], 1.0);
        assert!(found.iter().all(|m| m.is_finite()), "{found:?}");
    }
}
