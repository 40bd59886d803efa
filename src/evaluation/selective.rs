//! How often answers are wrong if only the surest are kept (El-Yaniv and Wiener 2010, "On the
//! Foundations of Noise-free Selective Classification").

use serde::Serialize;

use super::interval::{Bounds, wilson};
use super::quantile::NORMAL;
use crate::codebook::Code;
use crate::decision::Answers;

/// Shares of the rows that are kept.
const COVERAGES: [f64; 6] = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5];

/// What is wrong among the answers that are kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SelectiveRisk {
    /// The share of answers that is kept, the surest.
    pub coverage: f64,
    /// How many these are.
    pub n: usize,
    /// Their least probability: the `below` of a rule that sends the others to review.
    pub below: f64,
    /// The share of them that is wrong.
    pub risk: f64,
    /// 95 % interval of the risk (Wilson 1927).
    pub lower: f64,
    /// Its upper end.
    pub upper: f64,
}

/// How sure each answer of a tier is in the pipeline view, and whether it is right, the surest first:
/// an answer is as sure as the least probable of its labels, and right if it is the gold's. Rows whose
/// gold is missing, and those that the tier is rightly or wrongly not asked of, have no answer.
pub fn judged(tier: usize, answers: &[Answers], gold: &[&[Code]]) -> Vec<(f64, bool)> {
    let mut judged: Vec<(f64, bool)> = answers
        .iter()
        .zip(gold)
        .filter(|(_, gold)| gold[tier] != Code::Missing)
        .filter_map(|(answers, gold)| {
            let own = &answers.pipeline;
            let sure = own.path[tier].iter().copied().reduce(f64::min)?;
            Some((sure, own.codes[tier] == gold[tier]))
        })
        .collect();
    judged.sort_by(|a, b| b.0.total_cmp(&a.0));
    judged
}

/// The curve of answers, the surest first.
pub fn coverage_risk(judged: &[(f64, bool)]) -> Vec<SelectiveRisk> {
    let of_coverage = |coverage: f64| {
        let n = (coverage * judged.len() as f64).round() as usize;
        let kept = judged.get(..n)?;
        let wrong = kept.iter().filter(|(_, right)| !right).count();
        let risk = wrong as f64 / n as f64;
        let Bounds { lower, upper } = wilson(risk, n as f64, NORMAL);
        Some(SelectiveRisk { coverage, n, below: kept.last()?.0, risk, lower, upper })
    };
    COVERAGES.into_iter().filter_map(of_coverage).collect()
}

/// The area under the curve: the mean risk of the surest 1, 2, … all answers (Geifman, Uziel and
/// El-Yaniv 2019); of equally sure ones as on average in any order.
pub fn risk_area(judged: &[(f64, bool)]) -> Option<f64> {
    let (mut kept, mut wrong, mut sum) = (0.0, 0.0, 0.0);
    for equal in judged.chunk_by(|a, b| a.0 == b.0) {
        let own = equal.iter().filter(|(_, right)| !right).count() as f64 / equal.len() as f64;
        for _ in equal {
            kept += 1.0;
            wrong += own;
            sum += wrong / kept;
        }
    }
    (kept > 0.0).then(|| sum / kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::LabelSet;
    use crate::heads::joint::Decision;

    fn answer(label: usize, p: f64) -> Answers {
        let codes = vec![Code::Coded(LabelSet::one(label))];
        let pipeline = Decision {
            codes: codes.clone(),
            path: vec![vec![p]],
            conditional: vec![vec![p]],
            marginal: vec![],
            asked: vec![1.0],
        };
        Answers { oracle: codes, pipeline }
    }

    #[test]
    fn the_surest_answers_are_kept() {
        // Ten answers, the two least sure wrong; one more row without gold.
        let mut answers: Vec<Answers> = (0..10).map(|i| answer(0, 0.9 - 0.05 * i as f64)).collect();
        answers.push(answer(0, 0.99));
        let code = |label: usize| vec![Code::Coded(LabelSet::one(label))];
        let mut gold: Vec<Vec<Code>> = (0..10).map(|i| code(usize::from(i >= 8))).collect();
        gold.push(vec![Code::Missing]);
        let gold: Vec<&[Code]> = gold.iter().map(Vec::as_slice).collect();
        let all = judged(0, &answers, &gold);
        let curve = coverage_risk(&all);
        let risks: Vec<(usize, f64)> = curve.iter().map(|r| (r.n, r.risk)).collect();
        assert_eq!(risks[..3], [(10, 0.2), (9, 1.0 / 9.0), (8, 0.0)]);
        assert!((curve[2].below - 0.55).abs() < 1e-12);
        // 1/9 after the ninth, 2/10 after the tenth, nothing before.
        assert!((risk_area(&all).unwrap() - (1.0 / 9.0 + 0.2) / 10.0).abs() < 1e-12);
        assert!(coverage_risk(&[]).is_empty() && risk_area(&[]).is_none());
    }

    #[test]
    fn the_order_of_equally_sure_answers_does_not_matter() {
        let (right, wrong) = ((0.5, true), (0.5, false));
        assert_eq!(risk_area(&[right, wrong]), Some(0.5));
        assert_eq!(risk_area(&[wrong, right]), Some(0.5));
    }
}
