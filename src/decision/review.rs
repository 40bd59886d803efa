//! Which texts a person should look at.

use serde::{Deserialize, Serialize};

/// Texts of low confidence go to review. A bundle without a rule sends none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewRule {
    /// A text is for review if the path probability of any of its answers lies below this.
    pub below: f64,
}

impl ReviewRule {
    /// Whether a text with these path probabilities (one list per tier) is for review.
    pub fn applies(&self, path: &[Vec<f64>]) -> bool {
        path.iter().flatten().any(|p| *p < self.below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_doubtful_answer_is_enough() {
        let rule = ReviewRule { below: 0.5 };
        assert!(rule.applies(&[vec![0.9], vec![0.8, 0.4]]));
        assert!(!rule.applies(&[vec![0.9], vec![], vec![0.5]]));
    }
}
