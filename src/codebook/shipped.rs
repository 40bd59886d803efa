//! The codebooks that come with the program.

use std::path::Path;

use super::Codebook;
use crate::error::{Error, Result, nearest};

const SHIPPED: [(&str, &str); 5] = [
    ("llm-mental-health", include_str!("../../configs/codebooks/llm-mental-health.toml")),
    ("olid", include_str!("../../configs/codebooks/olid.toml")),
    ("edos", include_str!("../../configs/codebooks/edos.toml")),
    ("goemotions", include_str!("../../configs/codebooks/goemotions.toml")),
    ("suicide-risk", include_str!("../../configs/codebooks/suicide-risk.toml")),
];

/// The TOML of a shipped codebook by its name.
pub fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, toml)| *toml)
}

/// The names of all shipped codebooks.
pub fn shipped_names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

impl Codebook {
    /// The codebook that an argument means: a file if there is one, else a shipped name.
    ///
    /// # Errors
    /// A usage error (exit 2) if it is neither, or if the file is no sound codebook.
    pub fn find(arg: &str) -> Result<Self> {
        let path = Path::new(arg);
        if path.exists() {
            return Self::load(path);
        }
        if let Some(toml) = shipped(arg) {
            return Self::parse(toml, &format!("{arg} (shipped)"));
        }
        let error =
            Error::usage("there is no such file and no shipped codebook of that name").at(arg);
        Err(match nearest(arg, shipped_names()) {
            Some(near) => error.advise(format!("did you mean the shipped codebook '{near}'?")),
            None => {
                let names: Vec<&str> = shipped_names().collect();
                error.advise(format!("check the path; shipped codebooks: {}", names.join(", ")))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_codebook_is_sound() {
        for name in shipped_names() {
            assert_eq!(Codebook::find(name).unwrap().name, name);
        }
        let error = Codebook::find("llm-mental-heath").unwrap_err();
        assert!(error.to_string().contains("'llm-mental-health'"), "{error}");
    }
}
