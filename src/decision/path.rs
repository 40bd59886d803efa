//! The probability that an answer is right, its path through the gates included. Products of
//! calibrated conditionals are not calibrated themselves, and the answer given is the one that
//! looked best; what came of such answers sets both right (Platt 1999, on the logit).

use serde::{Deserialize, Serialize};

use super::{Decisions, both_views};
use crate::codebook::{Code, Codebook};

/// Pulls slope towards 1 and intercept towards 0, in units of an answer's log-likelihood: a handful
/// of answers hardly moves them.
const RIDGE: f64 = 2.0;

/// A slope below it would say that all answers are about equally right, or turn their order.
const LEAST_SLOPE: f64 = 0.05;

/// p becomes the logistic function of intercept + slope · logit p.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathLine {
    /// Above 0; below 1 where answers are less sure than the product says.
    pub slope: f64,
    /// Below 0 where they are less often right.
    pub intercept: f64,
}

impl PathLine {
    /// What is said of answers that the product gives this probability.
    pub fn of(&self, p: f64) -> f64 {
        1.0 / (1.0 + (-(self.intercept + self.slope * logit(p))).exp())
    }

    /// Whether it keeps the order of answers.
    pub fn is_usable(&self) -> bool {
        self.slope.is_finite() && self.slope > 0.0 && self.intercept.is_finite()
    }
}

fn logit(p: f64) -> f64 {
    let p = p.clamp(1e-6, 1.0 - 1e-6);
    (p / (1.0 - p)).ln()
}

/// The line of every tier from answers to rows that did not train: of a single tier the answer, of
/// a multi tier each chosen label (or that none is).
pub fn fit_paths(
    codebook: &Codebook,
    decisions: &mut Decisions,
    logits: &[Vec<Vec<f64>>],
    gold: &[&[Code]],
) {
    decisions.tiers.iter_mut().for_each(|tier| tier.path = None);
    let answers = both_views(codebook, decisions, logits, gold);
    for (tier, decision) in decisions.tiers.iter_mut().enumerate() {
        let mut events = Vec::new();
        for (answers, gold) in answers.iter().zip(gold) {
            let stated = &answers.pipeline.path[tier];
            events.extend(
                stated.iter().copied().zip(right(&answers.pipeline.codes[tier], &gold[tier])),
            );
        }
        decision.path = fit_line(&events, RIDGE)
            .map(|(slope, intercept)| PathLine { slope: slope.max(LEAST_SLOPE), intercept });
    }
}

/// Whether each part of an answer, as its probabilities stand in [`Decision::path`], is right;
/// nothing where the gold is missing.
///
/// [`Decision::path`]: crate::heads::joint::Decision::path
pub fn right(answer: &Code, gold: &Code) -> Vec<bool> {
    match (answer, gold) {
        (_, Code::Missing) | (Code::Missing | Code::NotAsked, _) => Vec::new(),
        (Code::Coded(labels), _) if labels.is_empty() => vec![answer == gold],
        (Code::Coded(labels), _) => {
            let has = |label| gold.labels().is_some_and(|gold| gold.contains(label));
            labels.iter().map(has).collect()
        }
    }
}

/// Slope and intercept of the logistic regression of events, true or not, on the logit of what was
/// stated (Cox 1958), by Newton's method; `ridge` pulls them towards 1 and 0. None where the events
/// do not determine them.
pub fn fit_line(events: &[(f64, bool)], ridge: f64) -> Option<(f64, f64)> {
    let points: Vec<(f64, f64)> = events.iter().map(|(p, y)| (logit(*p), f64::from(*y))).collect();
    let (mut slope, mut intercept) = (0.0, 0.0);
    for _ in 0..100 {
        let (mut g0, mut g1) = (-ridge * intercept, -ridge * (slope - 1.0));
        let (mut h00, mut h01, mut h11) = (ridge, 0.0, ridge);
        for (x, y) in &points {
            let p = 1.0 / (1.0 + (-(intercept + slope * x)).exp());
            let w = p * (1.0 - p);
            g0 += y - p;
            g1 += (y - p) * x;
            h00 += w;
            h01 += w * x;
            h11 += w * x * x;
        }
        let determinant = h00 * h11 - h01 * h01;
        if determinant.is_nan() || determinant <= 1e-9 * h00 * h11 {
            return None;
        }
        let (a, b) = ((h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant);
        intercept += a;
        slope += b;
        if a.abs().max(b.abs()) < 1e-10 {
            return Some((slope, intercept));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::LabelSet;

    #[test]
    fn a_line_is_that_of_the_odds() {
        // Of those stated as 0.8, 0.6 came true; of those stated as 0.2, 0.4: slope ln 1.5 / ln 4.
        let events: Vec<(f64, bool)> = (0..10).flat_map(|i| [(0.8, i < 6), (0.2, i < 4)]).collect();
        let (slope, intercept) = fit_line(&events, 0.0).unwrap();
        assert!((slope - 1.5f64.ln() / 4f64.ln()).abs() < 1e-9 && intercept.abs() < 1e-9);
        let line = PathLine { slope, intercept };
        assert!((line.of(0.8) - 0.6).abs() < 1e-9 && (line.of(0.2) - 0.4).abs() < 1e-9);
        let (pulled, _) = fit_line(&events, 2.0).unwrap();
        assert!(slope < pulled && pulled < 1.0);
    }

    #[test]
    fn nothing_leaves_probabilities_as_they_are() {
        assert_eq!(fit_line(&[], 0.0), None);
        let (slope, intercept) = fit_line(&[], RIDGE).unwrap();
        assert!((slope - 1.0).abs() < 1e-9 && intercept.abs() < 1e-9);
        assert_eq!(fit_line(&[(0.5, true), (0.5, false)], 0.0), None);
    }

    #[test]
    fn every_part_of_an_answer_is_judged() {
        let set = |labels: &[usize]| Code::Coded(LabelSet::new(labels.to_vec()));
        assert_eq!(right(&set(&[0, 2]), &set(&[2])), [false, true]);
        assert_eq!(right(&set(&[]), &set(&[])), [true]);
        assert_eq!(right(&set(&[]), &Code::NotAsked), [false]);
        assert_eq!(right(&set(&[1]), &Code::NotAsked), [false]);
        assert!(right(&set(&[1]), &Code::Missing).is_empty());
        assert!(right(&Code::NotAsked, &set(&[1])).is_empty());
    }
}
