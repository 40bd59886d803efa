//! Writing a bundle: whole, or not at all.

use std::path::{Path, PathBuf};

use super::{CARD, CODEBOOK, DECISION, FileDigests, HEADS, MANIFEST, Manifest, ROUNDED, card};
use crate::codebook::Codebook;
use crate::corpus::{WholeFile, replace_folder};
use crate::decision::Decisions;
use crate::encoder::{
    ADAPTER_CONFIG, ADAPTER_WEIGHTS, Adapter, ModelFiles, Parameters, Quantised, save_weights,
};
use crate::error::{Error, Result};

/// A bundle being written under a temporary name.
pub struct BundleWriter {
    folder: PathBuf,
    target: PathBuf,
    digests: FileDigests,
}

impl BundleWriter {
    /// Begins a bundle that will stand at `target`; until then it grows in `scratch`, a folder
    /// on the same disk.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn begin(target: &Path, scratch: &Path) -> Result<Self> {
        let folder = scratch.join("bundle.partial");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(|e| Error::writing(&folder, &e))?;
        }
        std::fs::create_dir_all(&folder).map_err(|e| Error::writing(&folder, &e))?;
        Ok(Self { folder, target: target.to_path_buf(), digests: FileDigests::default() })
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.digests.add(name, bytes);
        WholeFile::write_all_to(&self.folder.join(name), bytes)
    }

    /// Writes the encoder as trained, with the base's own configuration and tokenizer.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn encoder(&mut self, base: &ModelFiles, trained: &Parameters) -> Result<()> {
        self.texts_to_tokens(base)?;
        self.put("model.safetensors", &save_weights(trained.iter(), None)?)
    }

    /// Writes the encoder as it was.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn base(&mut self, base: &ModelFiles) -> Result<()> {
        self.texts_to_tokens(base)?;
        self.put("model.safetensors", &base.weights)
    }

    /// Writes an adapter in the place of the encoder's weights; the manifest refers to these by
    /// name and digest.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn adapter(&mut self, base: &ModelFiles, adapter: &Adapter, name: &str) -> Result<()> {
        self.texts_to_tokens(base)?;
        let (config, weights) = adapter.files(name)?;
        self.put(ADAPTER_CONFIG, &config)?;
        self.put(ADAPTER_WEIGHTS, &weights)
    }

    /// Writes the encoder's matrices in 8 bits.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn rounded(&mut self, quantised: &Quantised) -> Result<()> {
        self.put(ROUNDED, &quantised.to_bytes()?)
    }

    fn texts_to_tokens(&mut self, base: &ModelFiles) -> Result<()> {
        self.put("config.json", &base.config)?;
        self.put("tokenizer.json", &base.tokenizer)
    }

    /// Writes heads, codebook, decisions, manifest and model card.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn rest(
        &mut self,
        heads: &Parameters,
        codebook: &Codebook,
        decisions: &Decisions,
        manifest: &Manifest,
    ) -> Result<()> {
        self.put(HEADS, &save_weights(heads.iter(), None)?)?;
        self.put(CODEBOOK, codebook.to_toml().as_bytes())?;
        self.put(DECISION, decisions.to_json()?.as_bytes())?;
        let json = manifest.to_json(&self.digests)?;
        self.put(MANIFEST, json.as_bytes())?;
        self.put(CARD, card::card(codebook, decisions, manifest).as_bytes())
    }

    /// Gives the bundle its name, in the place of an earlier one.
    ///
    /// # Errors
    /// If it cannot be renamed; an earlier one then still stands.
    pub fn finish(self) -> Result<()> {
        replace_folder(&self.folder, &self.target)
    }
}
