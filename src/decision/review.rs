//! Which texts a person should look at.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};

use super::HeldOut;
use crate::codebook::Code;
use crate::heads::joint::Decision;

/// How probably a rule keeps what it promises.
pub const CONFIDENCE: f64 = 0.95;

/// Shares of the rows that a rule may leave: 5 %, 10 %, … 100 %.
const STEPS: usize = 20;

/// Texts of low confidence go to review. A bundle without a rule sends none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewRule {
    /// A text is for review if the path probability of any of its answers lies below this.
    pub below: f64,
    /// The share of the texts that are not for review, but have a wrong code, that the rule was
    /// fitted to keep to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<f64>,
}

/// An answer, and whether the codes of any tier are not the gold's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JudgedText {
    /// The path probability of its least probable answer.
    pub sureness: f64,
    /// Whether any code is wrong.
    pub is_wrong: bool,
}

impl ReviewRule {
    /// Whether a text with these path probabilities (one list per tier) is for review.
    pub fn applies(&self, path: &[Vec<f64>]) -> bool {
        path.iter().flatten().any(|p| *p < self.below)
    }

    /// The rule that leaves most rows and still keeps the share of wrong ones among them to `risk`:
    /// with a probability of [`CONFIDENCE`] over the rows it is fitted on (selection with guaranteed
    /// risk, Geifman and El-Yaniv 2017, with Bonferroni's correction over the shares tried).
    ///
    /// # Errors
    /// If no rule keeps to it; the least risk that one could keep to, if any.
    pub fn fit(rows: &[JudgedText], risk: f64) -> Result<Self, Option<f64>> {
        let all = candidates(rows);
        let fit = all.iter().rev().find(|(_, bound)| *bound <= risk);
        fit.map(|(below, _)| Self { below: *below, risk: Some(risk) })
            .ok_or_else(|| all.iter().map(|(_, bound)| *bound).reduce(f64::min))
    }
}

/// Where each share of the rows, the surest, is cut off, and what their risk is at most; the least
/// share first.
fn candidates(rows: &[JudgedText]) -> Vec<(f64, f64)> {
    let mut sorted = rows.to_vec();
    sorted.sort_by(|a, b| b.sureness.total_cmp(&a.sureness));
    let of_step = |step: usize| {
        // Given the first row that is left out, the surer ones are drawn alike and independently.
        let out = sorted.get((step * sorted.len()).div_ceil(STEPS));
        let below = out.map_or(0.0, |row| row.sureness.next_up());
        let kept = sorted.iter().filter(|row| row.sureness >= below);
        let (mut n, mut wrong) = (0, 0);
        for row in kept {
            n += 1;
            wrong += u64::from(row.is_wrong);
        }
        (n > 0).then(|| (below, upper_bound(wrong, n, (1.0 - CONFIDENCE) / STEPS as f64)))
    };
    (1..=STEPS).filter_map(of_step).collect()
}

/// The largest share that shows at most so many in `n` with a probability above `alpha` (Clopper
/// and Pearson 1934, one-sided).
fn upper_bound(count: u64, n: u64, alpha: f64) -> f64 {
    if count >= n {
        return 1.0;
    }
    let (mut low, mut high) = (count as f64 / n as f64, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        match Binomial::new(middle, n) {
            Ok(binomial) if binomial.cdf(count) > alpha => low = middle,
            _ => high = middle,
        }
    }
    high
}

/// How sure an answer is, and whether it is wrong; none where any tier's gold is missing.
pub fn judge(decision: &Decision, gold: &[Code]) -> Option<JudgedText> {
    if gold.contains(&Code::Missing) {
        return None;
    }
    let sureness = decision.path.iter().flatten().copied().reduce(f64::min)?;
    Some(JudgedText { sureness, is_wrong: decision.codes != gold })
}

/// The rows of which it is known whether any code is wrong.
pub fn judged(rows: &[HeldOut]) -> Vec<JudgedText> {
    rows.iter().filter_map(|row| judge(&row.decision, row.gold)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::{Codebook, GATED, LabelSet};
    use crate::heads::joint::decide;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn one_doubtful_answer_is_enough() {
        let rule = ReviewRule { below: 0.5, risk: None };
        assert!(rule.applies(&[vec![0.9], vec![0.8, 0.4]]));
        assert!(!rule.applies(&[vec![0.9], vec![], vec![0.5]]));
    }

    #[test]
    fn bounds_are_those_of_the_tables() {
        // None wrong of 59: 1 - 0.05^(1/59). scipy.stats.beta.ppf(0.95, 4, 47) for 3 of 50.
        assert!((upper_bound(0, 59, 0.05) - (1.0 - 0.05f64.powf(1.0 / 59.0))).abs() < 1e-9);
        assert!(
            (upper_bound(3, 50, 0.05) - 0.147_839).abs() < 1e-5,
            "{}",
            upper_bound(3, 50, 0.05)
        );
        assert_eq!(upper_bound(4, 4, 0.05), 1.0);
    }

    /// Rows of which the surer half is right and the other half wrong.
    fn halves(n: usize) -> Vec<JudgedText> {
        let row =
            |i: usize| JudgedText { sureness: 1.0 - i as f64 / n as f64, is_wrong: 2 * i >= n };
        (0..n).map(row).collect()
    }

    #[test]
    fn the_rule_leaves_most_rows_that_keep_to_the_risk() {
        // Of 400 rows 200 are right; none wrong of 200 promises 1 - 0.0025^(1/200) = 2.95 %, and 20
        // wrong of 220 promise 15.8 %.
        let rows = halves(400);
        let below = |risk| ReviewRule::fit(&rows, risk).map(|rule| rule.below);
        assert_eq!(below(0.03), Ok(rows[200].sureness.next_up()));
        assert_eq!(below(0.17), Ok(rows[220].sureness.next_up()));
        assert_eq!(below(0.99), Ok(0.0));
        let least = below(0.02).unwrap_err().unwrap();
        assert!((least - (1.0 - 0.0025f64.powf(1.0 / 200.0))).abs() < 1e-9, "{least}");
        assert_eq!(ReviewRule::fit(&[], 0.1), Err(None));
    }

    #[test]
    fn equal_rows_stay_together() {
        let rows = vec![JudgedText { sureness: 0.7, is_wrong: false }; 100];
        assert_eq!(ReviewRule::fit(&rows, 0.1).unwrap().below, 0.0);
        assert_eq!(candidates(&rows).len(), 1, "none of them is surer than another");
    }

    #[test]
    fn a_promise_is_rarely_broken() {
        // A text of sureness p is wrong with probability 1 - p: above t, half of 1 - t are.
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut unit = move || (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let mut broken = 0;
        for _ in 0..300 {
            let rows: Vec<JudgedText> = (0..300)
                .map(|_| {
                    let sureness = unit();
                    JudgedText { sureness, is_wrong: unit() > sureness }
                })
                .collect();
            let below = ReviewRule::fit(&rows, 0.25).map_or(1.0, |rule| rule.below);
            broken += u32::from((1.0 - below) / 2.0 > 0.25);
        }
        assert!(broken <= 15, "{broken} of 300");
    }

    #[test]
    fn a_row_is_wrong_if_any_code_is() {
        let book = Codebook::parse(GATED, "b").unwrap();
        let own = decide(&book, &[vec![0.8, 0.2], vec![0.9, 0.1]], &[vec![], vec![0.5, 0.5]]);
        let coded = |label| Code::Coded(LabelSet::one(label));
        let judge = |gold: [Code; 2]| judge(&own, &gold);
        let right = judge([coded(0), coded(0)]).unwrap();
        assert!(!right.is_wrong && (right.sureness - 0.72).abs() < 1e-12);
        assert!(judge([coded(0), coded(1)]).unwrap().is_wrong);
        assert!(judge([coded(1), Code::NotAsked]).unwrap().is_wrong);
        assert_eq!(judge([coded(0), Code::Missing]), None);
    }
}
