//! What an epoch came to, and how it stands in logs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::codebook::Codebook;

/// How good a state of the model is on the validation rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The mean over the tiers, what the best epoch is chosen by.
    pub mean: f64,
    /// One figure a tier; absent where nothing could be scored.
    pub tiers: Vec<Option<f64>>,
    /// Macro-F1 of each tier in the pipeline view, by thresholds that are not fitted yet.
    #[serde(default)]
    pub macro_f1: Vec<Option<f64>>,
}

/// What an epoch came to; epoch 0 is the state before the first update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1; 0 before training.
    pub epoch: usize,
    /// Updates made by its end.
    pub step: u64,
    /// Mean joint loss of its batches; absent for epoch 0.
    pub train_loss: Option<f64>,
    /// Joint loss on the validation rows.
    pub validation_loss: f64,
    /// The score on the validation rows.
    pub score: Score,
}

impl EpochRecord {
    /// Whether this epoch is better than `old`: a higher score, at equal scores a lower loss.
    pub(super) fn better_than(&self, old: &Self) -> bool {
        (self.score.mean, -self.validation_loss) > (old.score.mean, -old.validation_loss)
    }

    /// The figures under the names that an evaluation has in the `log_history` of Hugging Face's
    /// `trainer_state.json`: `step`, `epoch` (a fraction), `eval_` and what was evaluated. A
    /// figure that is not defined is left out.
    pub fn figures(&self, codebook: &Codebook) -> Map<String, Value> {
        let mut figures = Map::new();
        figures.insert("step".into(), self.step.into());
        figures.insert("epoch".into(), (self.epoch as f64).into());
        figures.insert("eval_loss".into(), self.validation_loss.into());
        figures.insert("eval_score".into(), self.score.mean.into());
        for (what, values) in [("score", &self.score.tiers), ("macro_f1", &self.score.macro_f1)] {
            for (tier, value) in codebook.tiers.iter().zip(values) {
                if let Some(value) = value {
                    figures.insert(format!("eval_{}_{what}", tier.name), (*value).into());
                }
            }
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::GATED;

    fn record(mean: f64, validation_loss: f64) -> EpochRecord {
        EpochRecord {
            epoch: 2,
            step: 14,
            train_loss: None,
            validation_loss,
            score: Score {
                mean,
                tiers: vec![Some(0.5), None],
                macro_f1: vec![Some(0.5), Some(0.25)],
            },
        }
    }

    #[test]
    fn ties_in_score_go_to_the_lower_loss() {
        assert!(record(0.6, 2.0).better_than(&record(0.5, 1.0)));
        assert!(record(0.5, 0.9).better_than(&record(0.5, 1.0)));
        assert!(!record(0.5, 1.0).better_than(&record(0.5, 1.0)));
    }

    #[test]
    fn figures_have_the_names_of_the_tiers_and_undefined_ones_are_left_out() {
        let codebook = Codebook::parse(GATED, "b.toml").unwrap();
        assert_eq!(
            Value::Object(record(0.5, 1.5).figures(&codebook)).to_string(),
            "{\"step\":14,\"epoch\":2.0,\"eval_loss\":1.5,\"eval_score\":0.5,\
             \"eval_use_score\":0.5,\"eval_use_macro_f1\":0.5,\"eval_topics_macro_f1\":0.25}"
        );
    }
}
