//! The files of a bundle, each checked against the manifest and the others.

use std::path::Path;

use super::manifest::FileDigests;
use super::store::Store;
use super::{CODEBOOK, DECISION, HEADS, MANIFEST, Manifest, ROUNDED};
use crate::codebook::{Codebook, hex_sha256};
use crate::decision::Decisions;
use crate::encoder::{
    ADAPTER_CONFIG, ADAPTER_WEIGHTS, AdapterFiles, EncoderConfig, ModelFiles, POOLING_QUERY,
    Parameters, Pooling, Quantised, TensorSpec, load_weights, quantised_shapes,
};
use crate::error::{Error, Result};
use crate::heads::lexical::LexicalHeads;

/// What a bundle's files hold.
pub(super) struct BundleFiles {
    pub codebook: Codebook,
    /// The encoder's files, of an adapter those of its base included.
    pub files: ModelFiles,
    pub config: EncoderConfig,
    /// The encoder's tensors, an adapter merged into them.
    pub parameters: Parameters,
    /// The tensors of the heads, and of attention pooling.
    pub head_tensors: Parameters,
    pub lexical: Option<LexicalHeads>,
    pub decisions: Decisions,
    pub manifest: Manifest,
    /// SHA-256 of the manifest, in hexadecimal.
    pub digest: String,
}

impl BundleFiles {
    /// Reads a bundle; `base` as in [`super::Bundle::load`].
    ///
    /// # Errors
    /// If a file is missing, damaged, or does not belong to the others; it is named.
    pub fn read(bundle: &Path, base: Option<&str>) -> Result<Self> {
        let store = Store::find(bundle)?;
        let manifest_bytes = store.read(MANIFEST)?;
        let (manifest, digests) = Manifest::parse(&manifest_bytes, &store.place(MANIFEST))?;
        let whole = |name: &str, bytes: &[u8]| digests.check(name, bytes, &store.place(name));
        let codebook_text = store.read(CODEBOOK)?;
        whole(CODEBOOK, &codebook_text)?;
        let codebook = String::from_utf8(codebook_text.into_owned())
            .map_err(|_| Error::model("not a codebook").at(store.place(CODEBOOK)))
            .and_then(|text| {
                Codebook::parse(&text, &store.place(CODEBOOK))
                    .map_err(|e| Error::model(format!("the bundle's codebook is damaged: {e}")))
            })?;
        if codebook.digest() != manifest.codebook {
            return Err(Error::model("this is not the codebook that the bundle was trained with")
                .at(store.place(CODEBOOK))
                .advise("copy the whole bundle again, or train it anew"));
        }
        let files = encoder_files(store, &manifest, &digests, base)?;
        let config = files.config()?;
        let head_bytes = store.read(HEADS)?;
        whole(HEADS, &head_bytes)?;
        let hidden = config.hidden_size();
        let mut specs = manifest.heads.stored(&codebook, hidden);
        if manifest.pooling == Pooling::Attention {
            let (name, shape) = (POOLING_QUERY.into(), vec![hidden]);
            specs.push(TensorSpec { name, shape, depth: usize::MAX, effective: true });
        }
        let head_tensors = load_weights(&head_bytes, &specs, &store.place(HEADS))?;
        let lexical = LexicalHeads::read(&head_bytes, &codebook, &store.place(HEADS))?;
        let decision_bytes = store.read(DECISION)?;
        whole(DECISION, &decision_bytes)?;
        let decisions = Decisions::from_json(&decision_bytes, &store.place(DECISION), &codebook)?;
        let mut parameters = files.parameters(&config)?;
        if let EncoderConfig::Bert(config) = &config
            && digests.lists(ROUNDED)
        {
            let bytes = store.read(ROUNDED)?;
            whole(ROUNDED, &bytes)?;
            let shapes = quantised_shapes(config);
            let shape = |module: &str| shapes.get(module).copied();
            let rounded = Quantised::from_bytes(&bytes, shape, &store.place(ROUNDED))?;
            parameters = parameters.rounded(rounded);
        }
        Ok(Self {
            parameters,
            digest: hex_sha256(&manifest_bytes),
            codebook,
            files,
            config,
            head_tensors,
            lexical,
            decisions,
            manifest,
        })
    }
}

/// The encoder's files: the bundle's own, or its adapter on a base of the digest that the
/// manifest holds.
fn encoder_files(
    store: Store,
    manifest: &Manifest,
    digests: &FileDigests,
    base: Option<&str>,
) -> Result<ModelFiles> {
    let name = store.name();
    let whole = |file: &str, bytes: &[u8]| digests.check(file, bytes, &store.place(file));
    if let Store::Folder(folder) = store
        && !digests.lists(ADAPTER_WEIGHTS)
    {
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
        whole(file, &store.read(file)?)?;
    }
    let adapter = AdapterFiles {
        config: store.read(ADAPTER_CONFIG)?.into_owned(),
        weights: store.read(ADAPTER_WEIGHTS)?.into_owned(),
        place: name.clone(),
    };
    whole(ADAPTER_CONFIG, &adapter.config)?;
    whole(ADAPTER_WEIGHTS, &adapter.weights)?;
    base.with(&name, adapter)
}
