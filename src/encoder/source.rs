//! Where an encoder comes from: a folder, the one compiled in, or the Hugging Face cache.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::cache::{HubId, hub_cache};
use super::folder::{LONGEST_CONFIG, LONGEST_TOKENIZER, LONGEST_WEIGHTS, Unreadable, read_within};
use super::gguf::{Gguf, is_gguf};
use super::lora::named_base;
use super::sentencepiece::{SENTENCEPIECE, tokenizer_json};
use super::shards::{INDEX, WEIGHTS, is_pickle, joined, refuse_pickle};
use super::{Adapter, Compute, Cut, Encoder, EncoderConfig, Parameters, Tokens, load_weights};
use crate::codebook::hex;
use crate::error::{Error, Result};

/// The names of the encoders compiled into the program.
#[cfg(feature = "embedded")]
pub const SHIPPED: &[&str] = &["minilm"];
/// The names of the encoders compiled into the program.
#[cfg(not(feature = "embedded"))]
pub const SHIPPED: &[&str] = &[];

/// The files of an encoder, in memory.
#[derive(Clone, Debug)]
pub struct ModelFiles {
    /// The name under which the user asked for it.
    pub name: String,
    /// `config.json`.
    pub config: Cow<'static, [u8]>,
    /// `tokenizer.json`.
    pub tokenizer: Cow<'static, [u8]>,
    /// `model.safetensors`, of several parts all in one, or a GGUF file.
    pub weights: Cow<'static, [u8]>,
    /// An adapter of the weights, if there is one.
    pub adapter: Option<AdapterFiles>,
    place: String,
}

/// The files of an adapter in PEFT's layout.
#[derive(Clone, Debug)]
pub struct AdapterFiles {
    /// `adapter_config.json`.
    pub config: Vec<u8>,
    /// `adapter_model.safetensors`.
    pub weights: Vec<u8>,
    /// How messages name where they are.
    pub place: String,
}

/// The file that describes an adapter.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";
/// The file with an adapter's tensors.
pub const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";

/// Whether a folder holds an adapter instead of an encoder's own weights.
pub fn is_adapter(folder: &Path) -> bool {
    folder.join(ADAPTER_CONFIG).is_file() && !has_weights(folder)
}

/// Whether a folder holds weights as safetensors.
fn has_weights(folder: &Path) -> bool {
    [WEIGHTS, INDEX].iter().any(|name| folder.join(name).is_file())
}

/// The weights of a folder.
fn weights(folder: &Path) -> Result<Cow<'static, [u8]>> {
    if !folder.join(WEIGHTS).is_file() {
        if folder.join(INDEX).is_file() {
            return Ok(Cow::Owned(joined(folder)?));
        }
        if let Some(pickle) = names(folder).find(|name| is_pickle(name)) {
            return Err(refuse_pickle(&pickle).at(folder.display().to_string()));
        }
    }
    file(folder, WEIGHTS, LONGEST_WEIGHTS)
}

fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

/// The tokenizer of a folder, made from a SentencePiece model where there is no other.
fn tokenizer(folder: &Path) -> Result<Cow<'static, [u8]>> {
    let spm = SENTENCEPIECE.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    match spm {
        Some(path) if !folder.join("tokenizer.json").is_file() => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let model = file(folder, &name, LONGEST_TOKENIZER)?;
            let config = file(folder, "config.json", LONGEST_CONFIG)?;
            tokenizer_json(&model, &config, &path.display().to_string()).map(Cow::Owned)
        }
        _ => file(folder, "tokenizer.json", LONGEST_TOKENIZER),
    }
}

/// The GGUF file of a folder that holds one and no other weights.
fn only_gguf(folder: &Path) -> Option<PathBuf> {
    if has_weights(folder) {
        return None;
    }
    let mut found = names(folder).filter(|name| name.ends_with(".gguf"));
    found.next().filter(|_| found.next().is_none()).map(|name| folder.join(name))
}

fn file(folder: &Path, file: &str, most: u64) -> Result<Cow<'static, [u8]>> {
    read_within(folder, file, most).map(Cow::Owned).map_err(|why| {
        let what = match why {
            Unreadable::Missing => "the file is missing".to_owned(),
            Unreadable::Refused(what) => what,
        };
        Error::model(what)
            .at(folder.join(file).display().to_string())
            .advise("a model folder holds config.json, tokenizer.json and model.safetensors")
    })
}

impl ModelFiles {
    /// Finds MODEL: a folder, a GGUF file, a shipped name, or a hub id in the local Hugging Face cache.
    ///
    /// # Errors
    /// If it is none of these, or a file is missing.
    pub fn find(model: &str) -> Result<Self> {
        if let Some(shipped) = shipped(model) {
            return Ok(shipped);
        }
        let path = Path::new(model);
        if path.is_dir() {
            return Self::read(path, model);
        }
        if path.is_file() {
            return Self::gguf(path, model);
        }
        let id = HubId::parse(model);
        let cached = || id.as_ref()?.snapshot(&hub_cache()?);
        if let Some(folder) = cached() {
            return Self::read(&folder, model);
        }
        let mut error = Error::model(format!(
            "there is no folder '{model}', no shipped encoder of that name ({}), and the local \
             Hugging Face cache does not hold it",
            SHIPPED.join(", ")
        ));
        if id.is_some() {
            error = error.advise(format!("confide pull {model}"));
        }
        Err(error)
    }

    /// Reads the files of a model folder: an encoder's, or an adapter's that names its base.
    ///
    /// # Errors
    /// If a file is missing or cannot be read.
    pub fn read(folder: &Path, name: &str) -> Result<Self> {
        if is_adapter(folder) {
            let json = file(folder, ADAPTER_CONFIG, LONGEST_CONFIG)?;
            let base = named_base(&json, &folder.join(ADAPTER_CONFIG).display().to_string())?;
            let beside = folder.join(&base);
            let base = if beside.is_dir() && !is_adapter(&beside) {
                Self::read(&beside, &base)?
            } else {
                Self::find(&base)?
            };
            return Self::adapted(folder, name, base);
        }
        if let Some(path) = only_gguf(folder) {
            return Self::gguf(&path, name);
        }
        Ok(Self {
            name: name.to_owned(),
            config: file(folder, "config.json", LONGEST_CONFIG)?,
            tokenizer: tokenizer(folder)?,
            weights: weights(folder)?,
            adapter: None,
            place: folder.display().to_string(),
        })
    }

    /// Reads a GGUF file, which holds configuration and tokenizer as well.
    ///
    /// # Errors
    /// If it cannot be read, or holds no model that is known.
    pub fn gguf(path: &Path, name: &str) -> Result<Self> {
        let place = path.display().to_string();
        let name_in = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let weights =
            file(folder.unwrap_or(Path::new(".")), &name_in, LONGEST_WEIGHTS)?.into_owned();
        Self::of_gguf(weights, name, &place)
    }

    /// The files that the bytes of a GGUF file hold; `place` names it.
    ///
    /// # Errors
    /// If they are damaged, or hold no model that is known.
    pub fn of_gguf(weights: Vec<u8>, name: &str, place: &str) -> Result<Self> {
        if !is_gguf(&weights) {
            return Err(Error::model("the file is no GGUF file")
                .at(place)
                .advise("name a model's folder, or a GGUF file"));
        }
        let gguf = Gguf::parse(&weights, place)?;
        let (config, tokenizer) = (gguf.config()?, gguf.tokenizer()?);
        Ok(Self {
            name: name.to_owned(),
            config: Cow::Owned(config),
            tokenizer: Cow::Owned(tokenizer),
            weights: Cow::Owned(weights),
            adapter: None,
            place: place.to_owned(),
        })
    }

    /// Whether the weights are those of the files as they are: not of a GGUF file, and without
    /// an adapter.
    pub fn is_plain(&self) -> bool {
        self.adapter.is_none() && !is_gguf(&self.weights)
    }

    /// The adapter in a folder on this base.
    ///
    /// # Errors
    /// If a file cannot be read, or the base has an adapter itself.
    pub fn adapted(folder: &Path, name: &str, base: Self) -> Result<Self> {
        let adapter = AdapterFiles {
            config: file(folder, ADAPTER_CONFIG, LONGEST_CONFIG)?.into_owned(),
            weights: file(folder, ADAPTER_WEIGHTS, LONGEST_WEIGHTS)?.into_owned(),
            place: folder.display().to_string(),
        };
        base.with(name, adapter)
    }

    /// This base with an adapter, under a new name.
    ///
    /// # Errors
    /// If it has one already.
    pub fn with(self, name: &str, adapter: AdapterFiles) -> Result<Self> {
        if self.adapter.is_some() {
            return Err(Error::model("the adapter's base is an adapter itself")
                .at(adapter.place)
                .advise("merge the base first"));
        }
        Ok(Self { name: name.to_owned(), adapter: Some(adapter), ..self })
    }

    fn place(&self, file: &str) -> String {
        format!("{}/{file}", self.place)
    }

    /// The sizes of the encoder.
    ///
    /// # Errors
    /// As [`EncoderConfig::parse`].
    pub fn config(&self) -> Result<EncoderConfig> {
        EncoderConfig::parse(&self.config, &self.place("config.json"))
    }

    /// The tokenizer, cutting texts as asked for, to as many tokens as the encoder sees at most.
    ///
    /// # Errors
    /// As [`Tokens::new`].
    pub fn tokens(&self, config: &EncoderConfig, cut: Cut) -> Result<Tokens> {
        let cut = Cut { longest: cut.longest.min(config.longest()), ..cut };
        Tokens::new(&self.tokenizer, cut, config.vocabulary(), &self.place("tokenizer.json"))
    }

    /// The weights as f32, an adapter merged into them.
    ///
    /// # Errors
    /// As [`load_weights`].
    pub fn parameters(&self, config: &EncoderConfig) -> Result<Parameters> {
        let specs = config.tensors();
        let base = match config {
            EncoderConfig::Llama(llama) if is_gguf(&self.weights) => {
                Gguf::parse(&self.weights, &self.place)?.parameters(llama, &specs)?
            }
            _ => load_weights(&self.weights, &specs, &self.place("model.safetensors"))?,
        };
        match &self.adapter {
            Some(a) => Adapter::parse(&a.config, &a.weights, &specs, &a.place)?.merge(&base),
            None => Ok(base),
        }
    }

    /// The encoder as it is, to code with, with the mean of its states, and its tokenizer.
    ///
    /// # Errors
    /// If either cannot be opened.
    pub fn for_coding(&self, cut: Cut, compute: &Compute) -> Result<(Encoder, Tokens)> {
        let config = self.config()?;
        let tokens = self.tokens(&config, cut)?;
        let parameters = self.parameters(&config)?.for_coding(&config.tensors(), compute)?;
        Ok((Encoder::new(&config, Default::default(), &parameters)?, tokens))
    }

    /// The SHA-256 over the three files, in hexadecimal.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let adapter = self.adapter.iter().flat_map(|a| [&a.config[..], &a.weights[..]]);
        let mut own = vec![&self.config[..], &self.tokenizer[..], &self.weights[..]];
        if is_gguf(&self.weights) {
            // The others follow from it.
            own = vec![&self.weights[..]];
        }
        for part in own.into_iter().chain(adapter) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hex(&hash.finalize())
    }
}

#[cfg(feature = "embedded")]
fn shipped(name: &str) -> Option<ModelFiles> {
    (name == "minilm").then(|| ModelFiles {
        name: name.to_owned(),
        config: Cow::Borrowed(include_bytes!("../../models/minilm/config.json")),
        tokenizer: Cow::Borrowed(include_bytes!("../../models/minilm/tokenizer.json")),
        weights: Cow::Borrowed(include_bytes!("../../models/minilm/model.safetensors")),
        adapter: None,
        place: "the shipped minilm".into(),
    })
}

#[cfg(not(feature = "embedded"))]
fn shipped(_name: &str) -> Option<ModelFiles> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_hub_id_names_the_pull_line() {
        let error = ModelFiles::find("nobody/nothing-at-all").unwrap_err();
        assert_eq!(error.exit_code(), 4);
        assert!(error.to_string().contains("confide pull nobody/nothing-at-all"));
    }
}
