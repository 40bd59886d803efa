//! `manifest.json`: what a bundle follows from, and how good it was on validation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CrossValidation, TierFigures, TierRows};
use crate::codebook::hex_sha256;
use crate::encoder::{Pooling, Precision};
use crate::error::{Error, Result};
use crate::evaluation::selection::Choice;
use crate::heads::HeadShape;
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
    pub pooling: Pooling,
    /// How the heads are built.
    #[serde(default)]
    pub heads: HeadShape,
    /// Tokens of a text, or of a window of one, at most.
    pub max_tokens: usize,
    /// How many tokens each window of a longer text begins after the one before it; `None`: longer
    /// texts are cut.
    #[serde(default)]
    pub window_stride: Option<usize>,
    /// The recipe with every field.
    pub recipe: serde_json::Value,
    /// Digests of everything that the training followed from.
    pub plan: Plan,
    /// Rows that trained.
    pub train_rows: usize,
    /// Rows that validated.
    pub validation_rows: usize,
    /// How many of them hold each answer.
    #[serde(default)]
    pub rows: Vec<TierRows>,
    /// Every epoch.
    pub epochs: Vec<EpochRecord>,
    /// How many trainings' weights were averaged.
    #[serde(default = "one")]
    pub members: usize,
    /// The epoch that was kept, of several members the first one's; 0 is the state before the first
    /// update.
    pub best_epoch: usize,
    /// How far coding in narrower formats agrees with coding in 32 bits, on the validation rows.
    #[serde(default)]
    pub precisions: Vec<PrecisionFigures>,
    /// Figures on the validation rows, which also chose epoch, temperatures and thresholds.
    pub validation: Vec<TierFigures>,
    /// Figures of models that had not seen the rows, if the training had folds.
    #[serde(default)]
    pub cross_validation: Option<CrossValidation>,
    /// How the recipe was chosen, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
    /// The encoders of the models that taught what they say of uncoded texts, where they are others
    /// than this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teachers: Vec<String>,
}

fn one() -> usize {
    1
}

/// How far coding in one format agrees with coding in 32 bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrecisionFigures {
    /// The format.
    pub precision: Precision,
    /// The instructions that it was measured with.
    pub level: String,
    /// Rows that were coded in both.
    pub rows: usize,
    /// The share of all codes, over rows and tiers, that are the same.
    pub agreement: f64,
    /// The same for each tier.
    pub tiers: Vec<f64>,
    /// By how much each tier's macro-F1 is higher, in the pipeline view; none where it is not
    /// defined.
    pub macro_f1_change: Vec<Option<f64>>,
}

/// The share of codes that must be those of 32 bits for a format to be taken unasked.
const AGREEMENT: f64 = 0.995;

/// How much macro-F1 a tier may lose to a format that is taken unasked.
const LOSS: f64 = 0.003;

impl PrecisionFigures {
    /// Whether codes in this format are as good as those in 32 bits.
    pub fn is_good(&self) -> bool {
        let keeps = |change: &Option<f64>| change.is_none_or(|change| change >= -LOSS);
        self.rows > 0 && self.agreement >= AGREEMENT && self.macro_f1_change.iter().all(keeps)
    }
}

impl Manifest {
    /// The narrowest format that was measured as good, 8 bits before 16; f32 without one.
    pub fn earned(&self) -> Precision {
        let good = |precision: &Precision| {
            self.precisions.iter().any(|f| f.precision == *precision && f.is_good())
        };
        [Precision::Int8, Precision::Bf16].into_iter().find(good).unwrap_or(Precision::F32)
    }
}

/// The SHA-256 of each file that decides the codes, by its name: what the manifest holds so
/// that a damaged file, or one of another bundle, is never trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct FileDigests(BTreeMap<String, String>);

impl FileDigests {
    /// Notes a file.
    pub fn add(&mut self, name: &str, bytes: &[u8]) {
        self.0.insert(name.to_owned(), hex_sha256(bytes));
    }

    /// Whether the bundle has such a file.
    pub fn lists(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Refuses bytes that are not those of the file; `place` names it.
    pub fn check(&self, name: &str, bytes: &[u8], place: &str) -> Result<()> {
        if self.0.get(name).is_some_and(|noted| *noted == hex_sha256(bytes)) {
            return Ok(());
        }
        Err(Error::model("the file is damaged, or belongs to another bundle")
            .at(place)
            .advise("copy the whole bundle again, or train it anew"))
    }
}

/// `manifest.json` as it stands in the file.
#[derive(Serialize, Deserialize)]
struct Stored<M> {
    #[serde(flatten)]
    manifest: M,
    files: FileDigests,
}

impl Manifest {
    /// The file's content.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub(super) fn to_json(&self, files: &FileDigests) -> Result<String> {
        let stored = Stored { manifest: self, files: files.clone() };
        let json = serde_json::to_string_pretty(&stored)
            .map_err(|e| Error::resource(format!("the manifest cannot be written: {e}")))?;
        Ok(json + "\n")
    }

    /// Reads a manifest; `place` names it.
    ///
    /// # Errors
    /// If it is damaged or of another layout.
    pub fn from_json(bytes: &[u8], place: &str) -> Result<Self> {
        Self::parse(bytes, place).map(|(manifest, _)| manifest)
    }

    /// Reads a manifest and the digests of the bundle's files; `place` names it.
    ///
    /// # Errors
    /// If it is damaged or of another layout.
    pub(super) fn parse(bytes: &[u8], place: &str) -> Result<(Self, FileDigests)> {
        let bad = |what: String| {
            Error::model(what).at(place).advise("copy the whole bundle again, or train it anew")
        };
        let Stored { manifest, files }: Stored<Self> =
            serde_json::from_slice(bytes).map_err(|e| bad(format!("not a manifest: {e}")))?;
        if manifest.format != 1 {
            return Err(bad(format!(
                "bundle format {} is not known to this version, only 1",
                manifest.format
            )));
        }
        Ok((manifest, files))
    }
}
