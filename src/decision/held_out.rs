//! All decisions of a bundle at once, and what such decisions answer to rows that they were not
//! fitted on (cross-fitting, Stone 1974).

use super::{Decisions, both_views, fit, fit_margins, fit_paths};
use crate::codebook::{Code, Codebook};
use crate::heads::joint::Decision;
use crate::heads::{LabelWeights, shift_logits};

/// What is fitted on rows that did not train.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// What is added to the logits of every tier's labels, where labels were weighted.
    pub margins: Option<Vec<Vec<f64>>>,
    /// Decisions for logits that have the margins added.
    pub decisions: Decisions,
}

/// Fits margins (if labels were weighted in training), temperatures, thresholds and paths, in this
/// order; `logits[text][tier][label]`.
pub fn fit_decisions(
    codebook: &Codebook,
    mut logits: Vec<Vec<Vec<f64>>>,
    gold: &[&[Code]],
    weights: Option<&LabelWeights>,
) -> Fitted {
    let margins = weights.map(|weights| fit_margins(codebook, &logits, gold, weights));
    add(&mut logits, margins.as_deref());
    let mut decisions = fit(codebook, &logits, gold);
    fit_paths(codebook, &mut decisions, &logits, gold);
    Fitted { margins, decisions }
}

fn add(logits: &mut [Vec<Vec<f64>>], margins: Option<&[Vec<f64>]>) {
    if let Some(margins) = margins {
        shift_logits(logits, |tier, label| margins[tier][label]);
    }
}

/// An answer to a row on which the decisions were not fitted.
#[derive(Clone, Debug)]
pub struct HeldOut<'a> {
    /// What is answered.
    pub decision: Decision,
    /// The row's gold.
    pub gold: &'a [Code],
}

/// What decisions that are fitted on all other rows answer to the rows of each part, part by part;
/// rows without a part only fit.
pub fn held_out<'a>(
    codebook: &Codebook,
    logits: &[Vec<Vec<f64>>],
    gold: &[&'a [Code]],
    parts: &[Option<usize>],
    weights: Option<&LabelWeights>,
) -> Vec<HeldOut<'a>> {
    let last = parts.iter().flatten().max().map_or(0, |last| last + 1);
    let of_part = |part: usize| {
        let chosen = |within: bool| -> (Vec<Vec<Vec<f64>>>, Vec<&'a [Code]>) {
            let rows = (0..parts.len()).filter(|&row| (parts[row] == Some(part)) == within);
            rows.map(|row| (logits[row].clone(), gold[row])).unzip()
        };
        let (others, others_gold) = chosen(false);
        let fitted = fit_decisions(codebook, others, &others_gold, weights);
        let (mut own, own_gold) = chosen(true);
        add(&mut own, fitted.margins.as_deref());
        let answers = both_views(codebook, &fitted.decisions, &own, &own_gold);
        let each = answers.into_iter().zip(own_gold);
        each.map(|(answers, gold)| HeldOut { decision: answers.pipeline, gold }).collect::<Vec<_>>()
    };
    (0..last).flat_map(of_part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::{GATED, LabelSet};

    #[test]
    fn no_row_is_answered_by_decisions_fitted_on_it() {
        let codebook = Codebook::parse(GATED, "b").unwrap();
        let code = |label| vec![Code::Coded(LabelSet::one(label)), Code::Missing];
        // Every row says yes with odds of e to one; those of part 0 are all wrong, the others right.
        let logits = vec![vec![vec![1.0, 0.0], vec![0.0, 0.0]]; 60];
        let codes: Vec<Vec<Code>> = (0..60).map(|row| code(usize::from(row < 20))).collect();
        let gold: Vec<&[Code]> = codes.iter().map(Vec::as_slice).collect();
        let parts: Vec<Option<usize>> = (0..60).map(|row| (row < 40).then_some(row / 20)).collect();
        let found = held_out(&codebook, &logits, &gold, &parts, None);
        assert_eq!(found.len(), 40);
        let yes = |row: usize| found[row].decision.marginal[0][0];
        assert!(yes(0) > 0.8, "the other rows are all right: {}", yes(0));
        assert!(yes(20) < yes(0) - 0.1, "half of the other rows are wrong: {}", yes(20));
        assert_eq!(found[0].gold, code(1));
    }
}
