//! The bundle: a folder that holds everything needed to code texts (DESIGN section 4).

mod card;
mod manifest;
mod write;

use manifest::FileDigests;
pub use manifest::{Manifest, TierFigures};
pub use write::BundleWriter;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::codebook::{Codebook, hex_sha256};
use crate::decision::Decisions;
use crate::encoder::{
    ADAPTER_CONFIG, ADAPTER_WEIGHTS, Cut, Encoder, EncoderConfig, ModelFiles, POOLING_QUERY,
    PackedBatch, Pooling, Quiet, TensorSpec, TokenizedText, Tokens, by_length, load_weights,
};
use crate::error::{Error, Result};
use crate::heads::Heads;
use crate::heads::lexical::{LexicalHeads, NGrams, SparseVector};

const HEADS: &str = "heads.safetensors";
const CODEBOOK: &str = "codebook.toml";
const DECISION: &str = "decision.json";
const MANIFEST: &str = "manifest.json";
const CARD: &str = "README.md";

/// Tokens that a batch holds at most.
const BATCH_TOKENS: usize = 2048;

/// Texts that a batch holds at most.
const BATCH_TEXTS: usize = 256;

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
    encoder: Encoder,
    heads: Heads,
    lexical: Option<LexicalHeads>,
    tokens: Tokens,
    decisions: Decisions,
    manifest: Manifest,
    digest: String,
}

impl Bundle {
    /// Opens a bundle; `base` says where the encoder of a bundle with an adapter is, if it is
    /// not found by the name that the manifest gives.
    ///
    /// # Errors
    /// If a file is missing, damaged, or does not belong to the others; it is named.
    pub fn load(folder: &Path, base: Option<&str>) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::model("there is no bundle here")
                .at(folder.display().to_string())
                .advise("name the folder that 'confide train -o' wrote"));
        }
        let manifest_bytes = read(folder, MANIFEST)?;
        let (manifest, digests) = Manifest::parse(&manifest_bytes, &place(folder, MANIFEST))?;
        let whole = |name: &str, bytes: &[u8]| digests.check(name, bytes, &place(folder, name));
        let codebook_text = read(folder, CODEBOOK)?;
        whole(CODEBOOK, &codebook_text)?;
        let codebook = String::from_utf8(codebook_text.clone())
            .map_err(|_| Error::model("not a codebook").at(place(folder, CODEBOOK)))
            .and_then(|text| {
                Codebook::parse(&text, &place(folder, CODEBOOK))
                    .map_err(|e| Error::model(format!("the bundle's codebook is damaged: {e}")))
            })?;
        if codebook.digest() != manifest.codebook {
            return Err(Error::model("this is not the codebook that the bundle was trained with")
                .at(place(folder, CODEBOOK))
                .advise("copy the whole bundle again, or train it anew"));
        }
        let files = encoder_files(folder, &manifest, &digests, base)?;
        let config = files.config()?;
        let cut = Cut { longest: manifest.max_tokens, stride: manifest.window_stride };
        let tokens = files.tokens(&config, cut)?;
        let head_bytes = read(folder, HEADS)?;
        whole(HEADS, &head_bytes)?;
        let hidden = config.hidden_size();
        let mut specs = manifest.heads.stored(&codebook, hidden);
        if manifest.pooling == Pooling::Attention {
            specs.push(TensorSpec {
                name: POOLING_QUERY.into(),
                shape: vec![hidden],
                depth: usize::MAX,
                effective: true,
            });
        }
        let head_tensors = load_weights(&head_bytes, &specs, &place(folder, HEADS))?;
        let heads = Heads::new(&codebook, manifest.heads, &head_tensors)?;
        let mut parameters = files.parameters(&config)?;
        if let Ok(query) = head_tensors.get(POOLING_QUERY) {
            parameters.replace(POOLING_QUERY, query);
        }
        let encoder = Encoder::new(&config, manifest.pooling, &parameters)?;
        let lexical = LexicalHeads::read(&head_bytes, &codebook, &place(folder, HEADS))?;
        let decision_bytes = read(folder, DECISION)?;
        whole(DECISION, &decision_bytes)?;
        let decisions = Decisions::from_json(&decision_bytes, &place(folder, DECISION), &codebook)?;
        Ok(Self {
            path: folder.to_path_buf(),
            codebook,
            config,
            encoder,
            heads,
            lexical,
            tokens,
            decisions,
            manifest,
            digest: hex_sha256(&manifest_bytes),
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The codebook that it codes with.
    pub fn codebook(&self) -> &Codebook {
        &self.codebook
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
        texts.par_iter().map(read).collect()
    }

    /// The logits of these texts in their order, `[text][tier][label]`. The batches, computed
    /// in parallel, depend on the texts alone, not on the number of threads.
    ///
    /// # Errors
    /// If the model cannot be computed, or as interrupted once `stop` is set.
    pub fn logits(&self, texts: &[ReadText], stop: &AtomicBool) -> Result<Vec<Vec<Vec<f64>>>> {
        let tokens: Vec<&TokenizedText> = texts.iter().map(|text| &text.tokens).collect();
        let batches = by_length(&tokens, BATCH_TOKENS, BATCH_TEXTS);
        let of_batch = |batch: &Vec<usize>| {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::interrupted("stopped"));
            }
            let texts: Vec<&ReadText> = batch.iter().map(|&text| &texts[text]).collect();
            self.batch_logits(&texts)
        };
        let done: Vec<Vec<Vec<Vec<f64>>>> =
            batches.par_iter().with_max_len(1).map(of_batch).collect::<Result<_>>()?;
        let mut all = vec![Vec::new(); texts.len()];
        for (&text, logits) in batches.iter().flatten().zip(done.into_iter().flatten()) {
            all[text] = logits;
        }
        Ok(all)
    }

    /// The logits of one batch, computed on this thread.
    fn batch_logits(&self, texts: &[&ReadText]) -> Result<Vec<Vec<Vec<f64>>>> {
        let batch = PackedBatch::new(texts.iter().map(|text| &text.tokens));
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

/// The encoder's files: the bundle's own, or its adapter on a base of the digest that the
/// manifest holds.
fn encoder_files(
    folder: &Path,
    manifest: &Manifest,
    digests: &FileDigests,
    base: Option<&str>,
) -> Result<ModelFiles> {
    let name = folder.display().to_string();
    let whole = |file: &str, bytes: &[u8]| digests.check(file, bytes, &place(folder, file));
    if !digests.lists(ADAPTER_WEIGHTS) {
        let files = ModelFiles::read(folder, &name)?;
        whole("config.json", &files.config)?;
        whole("tokenizer.json", &files.tokenizer)?;
        whole("model.safetensors", &files.weights)?;
        return Ok(files);
    }
    let wanted = base.unwrap_or(&manifest.base);
    let base = ModelFiles::find(wanted).map_err(|error| match base {
        Some(_) => error,
        None => Error::model(format!(
            "the bundle is an adapter of the encoder '{wanted}', which is not found: {error}"
        ))
        .at(name.clone())
        .advise("name the encoder's folder with --base"),
    })?;
    if base.digest() != manifest.plan.base {
        return Err(Error::model(format!(
            "the bundle is an adapter of another encoder than '{wanted}' (the digests differ)"
        ))
        .at(name)
        .advise("name the encoder that it was trained on with --base"));
    }
    for file in ["config.json", "tokenizer.json"] {
        whole(file, &read(folder, file)?)?;
    }
    let files = ModelFiles::adapted(folder, &name, base)?;
    if let Some(adapter) = &files.adapter {
        whole(ADAPTER_CONFIG, &adapter.config)?;
        whole(ADAPTER_WEIGHTS, &adapter.weights)?;
    }
    Ok(files)
}

fn place(folder: &Path, file: &str) -> String {
    folder.join(file).display().to_string()
}

fn read(folder: &Path, file: &str) -> Result<Vec<u8>> {
    std::fs::read(folder.join(file)).map_err(|e| {
        let what = match e.kind() {
            std::io::ErrorKind::NotFound => "the bundle lacks this file".to_owned(),
            kind => format!("the file cannot be read: {kind}"),
        };
        Error::model(what)
            .at(place(folder, file))
            .advise("copy the whole bundle again, or train it anew")
    })
}
