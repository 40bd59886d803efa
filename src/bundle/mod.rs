//! The bundle: a folder that holds everything needed to code texts (DESIGN section 4).

mod card;
mod manifest;
mod write;

use manifest::FileDigests;
pub use manifest::{Manifest, TierFigures};
pub use write::BundleWriter;

use std::path::{Path, PathBuf};

use candle_core::Tensor;

use crate::codebook::{Codebook, hex_sha256};
use crate::decision::Decisions;
use crate::encoder::{
    Encoder, EncoderConfig, ModelFiles, PackedBatch, Quiet, Tokens, load_weights,
};
use crate::error::{Error, Result};
use crate::heads::Heads;

const HEADS: &str = "heads.safetensors";
const CODEBOOK: &str = "codebook.toml";
const DECISION: &str = "decision.json";
const MANIFEST: &str = "manifest.json";
const CARD: &str = "README.md";

/// A bundle in memory, every file checked against the others.
#[derive(Debug)]
pub struct Bundle {
    path: PathBuf,
    codebook: Codebook,
    config: EncoderConfig,
    encoder: Encoder,
    heads: Heads,
    tokens: Tokens,
    decisions: Decisions,
    manifest: Manifest,
    digest: String,
}

impl Bundle {
    /// Opens a bundle.
    ///
    /// # Errors
    /// If a file is missing, damaged, or does not belong to the others; it is named.
    pub fn load(folder: &Path) -> Result<Self> {
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
        let files = ModelFiles::read(folder, &folder.display().to_string())?;
        whole("config.json", &files.config)?;
        whole("tokenizer.json", &files.tokenizer)?;
        whole("model.safetensors", &files.weights)?;
        let config = files.config()?;
        let tokens = files.tokens(&config, manifest.max_tokens)?;
        let encoder = Encoder::new(&config, &files.parameters(&config)?)?;
        let head_bytes = read(folder, HEADS)?;
        whole(HEADS, &head_bytes)?;
        let specs = Heads::tensors(&codebook, config.hidden_size());
        let heads =
            Heads::new(&codebook, &load_weights(&head_bytes, &specs, &place(folder, HEADS))?)?;
        let decision_bytes = read(folder, DECISION)?;
        whole(DECISION, &decision_bytes)?;
        let decisions = Decisions::from_json(&decision_bytes, &place(folder, DECISION), &codebook)?;
        Ok(Self {
            path: folder.to_path_buf(),
            codebook,
            config,
            encoder,
            heads,
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

    /// The tokenizer, cutting texts to the length that the bundle was trained with.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
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

    /// The logits of each text of the batch, `[text][tier][label]`, computed on this thread.
    ///
    /// # Errors
    /// If the model cannot be computed.
    pub fn logits(&self, batch: &PackedBatch) -> Result<Vec<Vec<Vec<f64>>>> {
        let pooled: Tensor = self.encoder.embed(batch, &mut Quiet)?;
        let mut texts = vec![Vec::with_capacity(self.codebook.tiers.len()); batch.segments.len()];
        for tier in self.heads.forward(&pooled)? {
            for (text, row) in texts.iter_mut().zip(tier.to_vec2::<f32>()?) {
                text.push(row.into_iter().map(f64::from).collect());
            }
        }
        Ok(texts)
    }
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
