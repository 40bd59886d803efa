//! `manifest.json`: what a bundle follows from, and how good it was on validation.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::training::{EpochRecord, Plan};

/// The manifest; it holds nothing that differs between equal trainings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the bundle's layout; 1.
    pub format: u32,
    /// Name and version of the codebook.
    pub codebook_name: String,
    /// Digest of the codebook.
    pub codebook: String,
    /// The encoder that the training started from, as it was asked for.
    pub base: String,
    /// How the encoder's token states become one vector.
    pub pooling: String,
    /// Tokens of a text at most.
    pub max_tokens: usize,
    /// The recipe with every field.
    pub recipe: serde_json::Value,
    /// Digests of everything that the training followed from.
    pub plan: Plan,
    /// Rows that trained.
    pub train_rows: usize,
    /// Rows that validated.
    pub validation_rows: usize,
    /// Every epoch.
    pub epochs: Vec<EpochRecord>,
    /// The epoch that was kept; 0 is the state before the first update.
    pub best_epoch: usize,
    /// Figures on the validation rows, which also chose epoch, temperatures and thresholds.
    pub validation: Vec<TierFigures>,
}

/// How good one tier was on the validation rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TierFigures {
    /// The tier.
    pub tier: String,
    /// Coded rows.
    pub n: usize,
    /// Macro-F1 given the gold answers above.
    pub oracle_macro_f1: Option<f64>,
    /// Macro-F1 as the bundle is used.
    pub pipeline_macro_f1: Option<f64>,
}

impl Manifest {
    /// Reads a manifest; `place` names it.
    ///
    /// # Errors
    /// If it is damaged or of another layout.
    pub fn parse(bytes: &[u8], place: &str) -> Result<Self> {
        let bad = |what: String| {
            Error::model(what).at(place).advise("copy the whole bundle again, or train it anew")
        };
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|e| bad(format!("not a manifest: {e}")))?;
        if manifest.format != 1 {
            return Err(bad(format!(
                "bundle format {} is not known to this version, only 1",
                manifest.format
            )));
        }
        if manifest.pooling != "mean" {
            return Err(bad("the manifest names a pooling that is not known; known: mean".into()));
        }
        Ok(manifest)
    }
}
