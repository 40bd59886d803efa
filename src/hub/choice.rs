//! Which of a model's files are needed.

use crate::encoder::{
    ADAPTER_CONFIG, ADAPTER_WEIGHTS, INDEX, SENTENCEPIECE, WEIGHTS, is_pickle, refuse_pickle,
};
use crate::error::{Error, Result};

/// The files to fetch, the small ones first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// Configuration and tokenizer.
    pub first: Vec<String>,
    /// The weights, or the index that lists their files.
    pub weights: Vec<String>,
}

/// What tells more of a tokenizer.
const DETAILS: [&str; 3] =
    ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];

impl Choice {
    /// Chooses from all files of a model.
    ///
    /// # Errors
    /// If there are no weights in safetensors or in one GGUF file, or no tokenizer.
    pub fn of(names: &[String]) -> Result<Self> {
        let has = |name: &str| names.iter().any(|n| n == name);
        let owned = |chosen: &[&str]| -> Vec<String> {
            chosen.iter().filter(|name| has(name)).map(|name| (*name).to_owned()).collect()
        };
        let weights = owned(&[WEIGHTS, INDEX]).into_iter().next();
        let Some(weights) = weights else {
            if has(ADAPTER_WEIGHTS) && has(ADAPTER_CONFIG) {
                return Ok(Self {
                    first: owned(&[ADAPTER_CONFIG]),
                    weights: owned(&[ADAPTER_WEIGHTS]),
                });
            }
            let mut gguf = names.iter().filter(|n| n.ends_with(".gguf") && !n.contains('/'));
            return match (gguf.next(), gguf.next(), names.iter().find(|name| is_pickle(name))) {
                (Some(one), None, _) => Ok(Self { first: Vec::new(), weights: vec![one.clone()] }),
                (Some(_), Some(_), _) => Err(Error::model("it holds several GGUF files")
                    .advise("download the one that you want, and name it with --base")),
                (None, _, Some(pickle)) => Err(refuse_pickle(pickle)),
                (None, _, None) => Err(Error::model("it holds no weights in safetensors or GGUF")),
            };
        };
        let mut first = owned(&["config.json", "tokenizer.json"]);
        if !has("config.json") {
            return Err(Error::model("it holds no config.json"));
        }
        if !has("tokenizer.json") {
            let Some(model) = owned(&SENTENCEPIECE).into_iter().next() else {
                return Err(Error::model(
                    "it holds neither tokenizer.json nor a model of SentencePiece",
                ));
            };
            first.push(model);
        }
        first.extend(owned(&DETAILS));
        Ok(Self { first, weights: vec![weights] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Result<(String, String)> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Choice::of(&names).map(|choice| (choice.first.join(" "), choice.weights.join(" ")))
    }

    #[test]
    fn safetensors_come_first_and_nothing_that_is_not_needed() {
        let all = [
            "README.md",
            "config.json",
            "model.safetensors",
            "onnx/model.onnx",
            "pytorch_model.bin",
            "spm.model",
            "tokenizer.json",
            "tokenizer_config.json",
        ];
        let first = "config.json tokenizer.json tokenizer_config.json".to_owned();
        assert_eq!(of(&all).unwrap(), (first, WEIGHTS.to_owned()));
        let spm = ["config.json", "spm.model", "model.safetensors.index.json"];
        assert_eq!(of(&spm).unwrap(), ("config.json spm.model".into(), INDEX.to_owned()));
        let adapter = [ADAPTER_CONFIG, ADAPTER_WEIGHTS, "tokenizer.json"];
        assert_eq!(of(&adapter).unwrap(), (ADAPTER_CONFIG.into(), ADAPTER_WEIGHTS.into()));
        assert_eq!(of(&["a.gguf", "b.txt"]).unwrap(), (String::new(), "a.gguf".into()));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for (names, why) in [
            (&["config.json", "tokenizer.json", "pytorch_model.bin"][..], "pickle"),
            (&["config.json", "tokenizer.json"], "no weights"),
            (&["a.gguf", "b.gguf"], "several"),
            (&["tokenizer.json", "model.safetensors"], "config.json"),
            (&["config.json", "model.safetensors"], "neither"),
        ] {
            let error = of(names).unwrap_err();
            assert!(error.exit_code() == 4 && error.to_string().contains(why), "{error}");
        }
    }
}
