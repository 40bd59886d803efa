//! What a training decides on rows that did not train: how logits become answers, which labels are
//! in conformal sets, and which texts are for review.

use super::cross_fitting::Crossed;
use super::messages::Messages;
use super::training_rows::{teaches, tied};
use crate::codebook::{Code, Codebook};
use crate::corpus::{GoldRow, folds};
use crate::decision::{
    CONFIDENCE, ConformalSets, Fitted, FittedOn, HeldOut, ReviewRule, fit, fit_decisions, held_out,
    judged,
};
use crate::heads::{LabelWeights, scale_logits};
use crate::training::TextLogits;

/// Parts of the validation rows, each answered by decisions fitted on the others.
const PARTS: usize = 5;

/// Rows that did not train the model whose logits they have.
pub(super) struct Unseen<'a> {
    logits: TextLogits,
    gold: Vec<&'a [Code]>,
    /// The rows that conformal sets and the review rule rest on, in parts.
    parts: Vec<Option<usize>>,
    fitted_on: FittedOn,
    /// What the logits of the bundle's own model are divided by to be as sure as these.
    scales: Vec<f64>,
}

impl<'a> Unseen<'a> {
    /// The validation rows; beside them, of a training with folds, those that train, as models
    /// answered that had not seen them.
    pub fn new(
        codebook: &Codebook,
        validation: &TextLogits,
        gold: &[&'a [Code]],
        crossed: Option<&'a Crossed>,
        rows: &[GoldRow],
        seed: u64,
    ) -> Self {
        let (mut logits, mut gold) = (validation.clone(), gold.to_vec());
        let Some(crossed) = crossed else {
            let rows: Vec<GoldRow> = rows.iter().filter(|row| teaches(row)).cloned().collect();
            let units = tied(&rows);
            let parts = folds(&units, PARTS.min(units.len()).max(1), seed);
            return Self {
                logits,
                gold,
                parts: parts.into_iter().map(Some).collect(),
                fitted_on: FittedOn::Validation,
                scales: vec![1.0; codebook.tiers.len()],
            };
        };
        // Models that stopped at different epochs are sure of themselves to different degrees.
        let scales = fit(codebook, &logits, &gold).temperatures();
        scale_logits(&mut logits, &scales);
        let mut parts = vec![None; logits.len()];
        logits.extend(crossed.logits.iter().cloned());
        gold.extend(crossed.gold.iter().map(Vec::as_slice));
        parts.extend(crossed.folds.iter().map(|fold| Some(*fold)));
        Self { logits, gold, parts, fitted_on: FittedOn::OutOfFold, scales }
    }

    /// Margins and decisions for the logits of the bundle's own model. A review rule is fitted if
    /// `risk` is above 0.
    pub fn decide(
        self,
        codebook: &Codebook,
        weights: Option<&LabelWeights>,
        risk: f64,
        messages: &Messages,
    ) -> Fitted {
        let answers = held_out(codebook, &self.logits, &self.gold, &self.parts, weights);
        let sets = ConformalSets::fit(codebook, &answers, self.fitted_on);
        let review = review(&answers, risk, messages);
        drop(answers);
        let mut fitted = fit_decisions(codebook, self.logits, &self.gold, weights);
        for margins in fitted.margins.iter_mut() {
            for (margins, scale) in margins.iter_mut().zip(&self.scales) {
                margins.iter_mut().for_each(|margin| *margin *= scale);
            }
        }
        for (tier, scale) in fitted.decisions.tiers.iter_mut().zip(&self.scales) {
            tier.temperature *= scale;
        }
        fitted.decisions.sets = Some(sets);
        fitted.decisions.review = review;
        fitted
    }
}

/// The rule that keeps to the risk; none, with a warning, where no rule can be promised to.
fn review(answers: &[HeldOut], risk: f64, messages: &Messages) -> Option<ReviewRule> {
    if risk <= 0.0 {
        return None;
    }
    let rows = judged(answers);
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    match ReviewRule::fit(&rows, risk) {
        Ok(rule) => Some(rule),
        Err(least) => {
            let least = least.map_or_else(
                || "no row is coded in every tier that is asked".to_owned(),
                |least| format!("the least that {} rows allow is {}", rows.len(), percent(least)),
            );
            messages.warn(&format!(
                "review_risk = {risk}: no rule can be promised, at {:.0} %, to leave no more than {} \
                 of texts with a wrong code; {least}. The bundle has no review rule: it leaves every \
                 text as ok",
                100.0 * CONFIDENCE,
                percent(risk),
            ));
            None
        }
    }
}
