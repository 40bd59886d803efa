//! The bundle: a folder that holds everything needed to code texts (DESIGN section 4).

mod card;
mod export;
mod figures;
mod files;
mod manifest;
mod store;
mod write;

pub use export::{Exported, export_merged, export_tier};
pub use figures::{CrossValidation, LabelRows, SetRows, TierFigures, TierRows};
use files::BundleFiles;
use manifest::FileDigests;
pub use manifest::{Manifest, PrecisionFigures};
pub use store::SHIPPED_BUNDLES;
pub use write::BundleWriter;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::codebook::Codebook;
use crate::decision::Decisions;
use crate::encoder::{
    Compute, ComputeRequest, Cut, Encoder, EncoderConfig, POOLING_QUERY, PackedBatch, Packing,
    Precision, Quiet, TokenizedText, Tokens, batch_by_batch, text_vectors,
};
use crate::error::{Error, Result};
use crate::heads::Heads;
use crate::heads::lexical::{LexicalHeads, NGrams, SparseVector};

const HEADS: &str = "heads.safetensors";
const CODEBOOK: &str = "codebook.toml";
const DECISION: &str = "decision.json";
const MANIFEST: &str = "manifest.json";
/// The encoder's matrices in 8 bits.
const ROUNDED: &str = "int8.safetensors";
const CARD: &str = "README.md";

/// What a request comes to for a bundle.
fn resolve(request: &ComputeRequest, manifest: &Manifest) -> Result<Compute> {
    let ComputeRequest { device, precision, level } = request.clone();
    let precision = match precision {
        Some(Precision::Int8) if !device.is_cpu() => {
            return Err(Error::usage("8 bits are computed on the CPU only")
                .advise("--device cpu, or --precision bf16"));
        }
        Some(precision) => precision,
        // Formats were measured on a CPU.
        None if !device.is_cpu() => Precision::F32,
        None => manifest.earned(),
    };
    Ok(Compute { device, precision, level })
}

/// A text as the model of a bundle sees it.
#[derive(Clone, Debug)]
pub struct ReadText {
    tokens: TokenizedText,
    lexical: SparseVector,
}

impl ReadText {
    /// Whether the text is longer than the encoder takes.
    pub fn truncated(&self) -> bool {
        self.tokens.truncated
    }
}

/// A bundle in memory, every file checked against the others.
#[derive(Debug)]
pub struct Bundle {
    path: PathBuf,
    codebook: Codebook,
    config: EncoderConfig,
    compute: Compute,
    encoder: Encoder,
    heads: Heads,
    lexical: Option<LexicalHeads>,
    tokens: Tokens,
    decisions: Decisions,
    manifest: Manifest,
    digest: String,
}

impl Bundle {
    /// Opens a bundle, by its folder or a shipped name; `base` says where the encoder of a bundle with an adapter is, if it is
    /// not found by the name that the manifest gives; `request` where and how it computes.
    ///
    /// # Errors
    /// If a file is missing, damaged, or does not belong to the others; it is named. A usage error
    /// for a format that the device does not know.
    pub fn load(folder: &Path, base: Option<&str>, request: &ComputeRequest) -> Result<Self> {
        let BundleFiles {
            codebook,
            files,
            config,
            mut parameters,
            head_tensors,
            lexical,
            decisions,
            manifest,
            digest,
        } = BundleFiles::read(folder, base)?;
        let cut = Cut { longest: manifest.max_tokens, stride: manifest.window_stride };
        let tokens = files.tokens(&config, cut)?;
        let compute = resolve(request, &manifest)?;
        let packing = Packing { precision: Precision::F32, level: compute.level };
        let heads = Heads::new(&codebook, manifest.heads, &head_tensors.clone().packed(packing))?;
        if let Ok(query) = head_tensors.get(POOLING_QUERY) {
            parameters.replace(POOLING_QUERY, query);
        }
        let parameters = parameters.for_coding(&config.tensors(), &compute)?;
        let encoder = Encoder::new(&config, manifest.pooling, &parameters)?;
        Ok(Self {
            path: folder.to_path_buf(),
            codebook,
            config,
            compute,
            encoder,
            heads,
            lexical,
            tokens,
            decisions,
            manifest,
            digest,
        })
    }

    /// Whether it is one that the program brings along.
    pub fn is_shipped(&self) -> bool {
        !self.path.is_dir()
    }

    /// The folder, or the name of a shipped bundle.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The codebook that it codes with.
    pub fn codebook(&self) -> &Codebook {
        &self.codebook
    }

    /// Where and how it computes.
    pub fn compute(&self) -> &Compute {
        &self.compute
    }

    /// How logits become answers.
    pub fn decisions(&self) -> &Decisions {
        &self.decisions
    }

    /// What the bundle follows from.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The sizes of the encoder.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// SHA-256 of the manifest, and so of all files that decide the codes, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Tokens and n-grams of these texts, in their order.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn read(&self, texts: &[&str]) -> Result<Vec<ReadText>> {
        let read = |text: &&str| {
            let known = |heads: &LexicalHeads| heads.vector(&NGrams::of(text));
            Ok(ReadText {
                tokens: self.tokens.tokenize(text)?,
                lexical: self.lexical.as_ref().map(known).unwrap_or_default(),
            })
        };
        // One text is not worth waking another thread for.
        match texts {
            [text] => Ok(vec![read(text)?]),
            texts => texts.par_iter().map(read).collect(),
        }
    }

    /// The logits of these texts in their order, `[text][tier][label]`. The batches, computed
    /// in parallel, depend on the texts alone, not on the number of threads.
    ///
    /// # Errors
    /// If the model cannot be computed, or as interrupted once `stop` is set.
    pub fn logits(&self, texts: &[ReadText], stop: &AtomicBool) -> Result<Vec<Vec<Vec<f64>>>> {
        let tokens: Vec<&TokenizedText> = texts.iter().map(|text| &text.tokens).collect();
        batch_by_batch(self.encoder.device(), &tokens, stop, |batch, alone| {
            let texts: Vec<&ReadText> = batch.iter().map(|&text| &texts[text]).collect();
            self.batch_logits(&texts, alone)
        })
    }

    /// One vector a text as the encoder gives it to the heads, in their order; `done` is told how many
    /// texts more are finished.
    ///
    /// # Errors
    /// As [`Bundle::logits`].
    pub fn vectors(
        &self,
        texts: &[ReadText],
        stop: &AtomicBool,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<f32>>> {
        let tokens: Vec<&TokenizedText> = texts.iter().map(|text| &text.tokens).collect();
        text_vectors(&self.encoder, &tokens, stop, done)
    }

    /// The logits of one batch, computed on this thread and, if it is `alone`, on those beside it.
    fn batch_logits(&self, texts: &[&ReadText], alone: bool) -> Result<Vec<Vec<Vec<f64>>>> {
        let tokens = texts.iter().map(|text| &text.tokens);
        let batch = PackedBatch { alone, ..PackedBatch::new(tokens) };
        let pooled = self.encoder.embed(&batch, &mut Quiet)?;
        let mut logits = match &self.lexical {
            Some(heads) => texts.iter().map(|text| heads.logits(&text.lexical)).collect(),
            None => vec![
                self.codebook.tiers.iter().map(|t| vec![0.0; t.labels.len()]).collect();
                texts.len()
            ],
        };
        for (tier, encoder) in self.heads.forward(&pooled, &batch)?.into_iter().enumerate() {
            for (text, row) in logits.iter_mut().zip(encoder.to_vec2::<f32>()?) {
                let text: &mut Vec<Vec<f64>> = text;
                for (sum, logit) in text[tier].iter_mut().zip(row) {
                    *sum += f64::from(logit);
                }
            }
        }
        Ok(logits)
    }
}
