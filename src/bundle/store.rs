//! Where a bundle's files are: a folder, or the program itself.

use std::borrow::Cow;
use std::path::Path;

use crate::encoder::{LONGEST_TOKENIZER, LONGEST_WEIGHTS, Unreadable, read_within};
use crate::error::{Error, Result};

/// The names of the bundles compiled into the program.
#[cfg(feature = "embedded")]
pub const SHIPPED_BUNDLES: &[&str] = &["study"];
/// The names of the bundles compiled into the program.
#[cfg(not(feature = "embedded"))]
pub const SHIPPED_BUNDLES: &[&str] = &[];

type Files = &'static [(&'static str, &'static [u8])];

/// The files of `study`: an adapter of the shipped encoder, trained on the shipped comments.
#[cfg(feature = "embedded")]
const STUDY: Files = &[
    ("manifest.json", include_bytes!("../../models/study/manifest.json")),
    ("codebook.toml", include_bytes!("../../models/study/codebook.toml")),
    ("decision.json", include_bytes!("../../models/study/decision.json")),
    ("heads.safetensors", include_bytes!("../../models/study/heads.safetensors")),
    ("adapter_config.json", include_bytes!("../../models/study/adapter_config.json")),
    ("adapter_model.safetensors", include_bytes!("../../models/study/adapter_model.safetensors")),
    // Those of the encoder that it adapts.
    ("config.json", include_bytes!("../../models/minilm/config.json")),
    ("tokenizer.json", include_bytes!("../../models/minilm/tokenizer.json")),
];

/// A bundle's files.
#[derive(Clone, Copy, Debug)]
pub(super) enum Store<'a> {
    Folder(&'a Path),
    Shipped(&'a str, Files),
}

impl<'a> Store<'a> {
    /// The folder of this name or, where there is none, the shipped bundle of that name.
    ///
    /// # Errors
    /// If there is neither.
    pub fn find(bundle: &'a Path) -> Result<Self> {
        if bundle.is_dir() {
            return Ok(Self::Folder(bundle));
        }
        if let Some((name, files)) = bundle.to_str().and_then(|name| Some((name, shipped(name)?))) {
            return Ok(Self::Shipped(name, files));
        }
        let shipped = SHIPPED_BUNDLES.join(", ");
        Err(Error::model("there is no bundle here").at(bundle.display().to_string()).advise(
            match shipped.is_empty() {
                true => "name the folder that 'confide train -o' wrote".to_owned(),
                false => format!(
                    "name the folder that 'confide train -o' wrote, or a shipped bundle: {shipped}"
                ),
            },
        ))
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// If it is missing or cannot be read.
    pub fn read(self, file: &str) -> Result<Cow<'static, [u8]>> {
        let failed = |what: String| {
            Error::model(what)
                .at(self.place(file))
                .advise("copy the whole bundle again, or train it anew")
        };
        match self {
            Self::Folder(folder) => match read_within(folder, file, longest(file)) {
                Ok(bytes) => Ok(Cow::Owned(bytes)),
                Err(Unreadable::Missing) => Err(failed("the bundle lacks this file".into())),
                Err(Unreadable::Refused(what)) => Err(failed(what)),
            },
            Self::Shipped(_, files) => files
                .iter()
                .find(|(name, _)| *name == file)
                .map(|(_, bytes)| Cow::Borrowed(*bytes))
                .ok_or_else(|| failed("the bundle lacks this file".into())),
        }
    }

    /// How messages name a file.
    pub fn place(self, file: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(file).display().to_string(),
            Self::Shipped(name, _) => format!("{file} of the shipped bundle {name}"),
        }
    }

    /// How messages name the bundle.
    pub fn name(self) -> String {
        match self {
            Self::Folder(folder) => folder.display().to_string(),
            Self::Shipped(name, _) => name.to_owned(),
        }
    }
}

/// Bytes of a bundle's file, at most.
fn longest(file: &str) -> u64 {
    if file.ends_with(".safetensors") { LONGEST_WEIGHTS } else { LONGEST_TOKENIZER }
}

#[cfg(feature = "embedded")]
fn shipped(name: &str) -> Option<Files> {
    (name == "study").then_some(STUDY)
}

#[cfg(not(feature = "embedded"))]
fn shipped(_name: &str) -> Option<Files> {
    None
}
