//! The alternative annotator test (Calderon, Reichart and Dror 2025, "The Alternative Annotator Test
//! for LLM-as-a-Judge"): whether a model agrees with people at least as well as one of them does,
//! each of them left out in turn.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::paired::benjamini_yekutieli;
use crate::codebook::{Codebook, TierKind};
use crate::corpus::{Answer, Codings};

/// The false discovery rate over people.
const RATE: f64 = 0.05;
/// With fewer rows a person is not tested: the test rests on a mean's normality.
const LEAST_ROWS: usize = 30;

/// The model in place of one person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InPlaceOf {
    /// The person.
    pub name: String,
    /// Rows that the person, the model and somebody else coded.
    pub n: usize,
    /// Share of rows in which the model agrees with the others at least as well as the person.
    pub advantage: Option<f64>,
    /// Share of rows in which the person does at least as well as the model.
    pub human_advantage: Option<f64>,
    /// One-sided p that the model's share is not below the person's by epsilon or more.
    pub p: Option<f64>,
    /// p after Benjamini and Yekutieli's correction over people.
    pub p_adjusted: Option<f64>,
    /// Whether the model is as good as the person, epsilon granted.
    pub rejected: bool,
}

/// The whole test of one model in one tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlternativeAnnotators {
    /// What replacing a person is worth.
    pub epsilon: f64,
    /// Every person.
    pub humans: Vec<InPlaceOf>,
    /// Share of the people tested whom the model is as good as.
    pub winning_rate: Option<f64>,
    /// Mean of the model's advantages.
    pub mean_advantage: Option<f64>,
    /// Whether the winning rate is at least one half.
    pub passes: bool,
}

/// Tests a model in one tier over the rows that at least one person was asked of. Two answers
/// of a single tier are alike or not; two sets are as alike as their Jaccard index says, and not
/// being asked is like itself alone.
pub fn alternative_annotators(
    codebook: &Codebook,
    codings: &Codings,
    tier: usize,
    model: usize,
    humans: &[usize],
    epsilon: f64,
) -> AlternativeAnnotators {
    let kind = codebook.tiers[tier].kind;
    let alike = |a: Answer, b: Answer| match (kind, a.set(), b.set()) {
        (TierKind::Multi, Some(first), Some(second)) if a != b => {
            let sets = codings.sets(tier);
            let (first, second) = (&sets[first as usize], &sets[second as usize]);
            let shared = first.iter().filter(|label| second.contains(*label)).count();
            shared as f64 / (first.len() + second.len() - shared) as f64
        }
        _ => f64::from(u8::from(a == b)),
    };
    let answer = |coder: usize, row: usize| codings.answers(coder, tier)[row];
    let asked: Vec<usize> = (0..codings.rows())
        .filter(|&row| humans.iter().any(|&human| answer(human, row).set().is_some()))
        .collect();
    let mut results: Vec<InPlaceOf> = humans
        .iter()
        .map(|&human| {
            let mut rows = Rows::default();
            for &row in &asked {
                let (own, given) = (answer(human, row), answer(model, row));
                let others = humans.iter().filter(|&&other| other != human);
                let others: Vec<Answer> = others
                    .map(|&other| answer(other, row))
                    .filter(|answer| *answer != Answer::MISSING)
                    .collect();
                if own == Answer::MISSING || given == Answer::MISSING || others.is_empty() {
                    continue;
                }
                let like = |one: Answer| others.iter().map(|o| alike(one, *o)).sum::<f64>();
                rows.add(like(given), like(own));
            }
            rows.result(codings.coders[human].clone(), epsilon)
        })
        .collect();
    let p: Vec<f64> = results.iter().filter_map(|result| result.p).collect();
    let mut adjusted = benjamini_yekutieli(&p).into_iter();
    for result in results.iter_mut().filter(|result| result.p.is_some()) {
        result.p_adjusted = adjusted.next();
        result.rejected = result.p_adjusted.is_some_and(|p| p <= RATE);
    }
    let tested = p.len();
    let won = results.iter().filter(|result| result.rejected).count();
    let winning_rate = (tested > 0).then(|| won as f64 / tested as f64);
    let advantages: Vec<f64> = results.iter().filter_map(|result| result.advantage).collect();
    let mean = advantages.iter().sum::<f64>() / advantages.len().max(1) as f64;
    AlternativeAnnotators {
        epsilon,
        humans: results,
        winning_rate,
        mean_advantage: (!advantages.is_empty()).then_some(mean),
        passes: winning_rate.is_some_and(|rate| rate >= 0.5),
    }
}

/// Rows so far, by whether the model and the person do at least as well as the other.
#[derive(Default)]
struct Rows {
    n: usize,
    model: usize,
    human: usize,
    only_model: usize,
    only_human: usize,
}

impl Rows {
    fn add(&mut self, model: f64, human: f64) {
        // Sums of the same thirds in another order may differ in the last place.
        let (model_ahead, human_ahead) = (model > human + 1e-9, human > model + 1e-9);
        self.n += 1;
        self.model += usize::from(!human_ahead);
        self.human += usize::from(!model_ahead);
        self.only_model += usize::from(model_ahead);
        self.only_human += usize::from(human_ahead);
    }

    fn result(&self, name: String, epsilon: f64) -> InPlaceOf {
        let n = self.n as f64;
        let share = |count: usize| (self.n > 0).then(|| count as f64 / n);
        InPlaceOf {
            name,
            n: self.n,
            advantage: share(self.model),
            human_advantage: share(self.human),
            p: (self.n >= LEAST_ROWS).then(|| self.p(epsilon)),
            p_adjusted: None,
            rejected: false,
        }
    }

    /// Student's one-sided test that the mean of d, 1 where only the person does as well, -1 where
    /// only the model does, is below epsilon.
    fn p(&self, epsilon: f64) -> f64 {
        let n = self.n as f64;
        let (above, below) = (self.only_human as f64, self.only_model as f64);
        let mean = (above - below) / n;
        let variance = ((above + below) - n * mean * mean) / (n - 1.0);
        if variance <= 1e-15 {
            return if mean < epsilon { 0.0 } else { 1.0 };
        }
        let t = (mean - epsilon) / (variance / n).sqrt();
        StudentsT::new(0.0, 1.0, n - 1.0).map_or(1.0, |student| student.cdf(t))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_is_that_of_the_one_sided_t_test() {
        // scipy.stats.ttest_1samp([1]*10 + [-1]*20 + [0]*70, 0.0, alternative="less").
        let rows = Rows { n: 100, only_human: 10, only_model: 20, ..Rows::default() };
        let t = -0.1 / ((30.0 - 1.0) / 99.0 / 100.0f64).sqrt();
        let student = StudentsT::new(0.0, 1.0, 99.0).unwrap();
        assert!((rows.p(0.0) - student.cdf(t)).abs() < 1e-12);
        assert!(rows.p(0.0) > rows.p(0.1));
        let alike = Rows { n: 40, ..Rows::default() };
        assert_eq!((alike.p(0.1), alike.p(0.0)), (0.0, 1.0));
        assert_eq!(Rows { n: 10, ..Rows::default() }.result("a".into(), 0.1).p, None);
    }
}
