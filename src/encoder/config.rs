//! The configuration of an encoder, from its Hugging Face `config.json`.

use serde::Deserialize;

use super::weights::{TensorSpec, WORD_EMBEDDINGS};
use super::{DebertaConfig, LlamaConfig, ModernBertConfig};
use crate::error::{Error, Result, nearest};

/// An architecture and its sizes.
#[derive(Clone, Debug, PartialEq)]
pub enum EncoderConfig {
    /// `model_type = "bert"`, `"roberta"`, `"xlm-roberta"` or `"distilbert"`.
    Bert(BertConfig),
    /// `model_type = "deberta-v2"`: DeBERTa-v2 and v3.
    Deberta(DebertaConfig),
    /// `model_type = "llama"`, `"qwen2"` or `"qwen3"`.
    Llama(LlamaConfig),
    /// `model_type = "modernbert"`.
    ModernBert(ModernBertConfig),
}

/// The sizes that do not depend on the architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Rows of the word embedding table.
    pub vocabulary: usize,
    /// Width of a token's state.
    pub hidden: usize,
    /// Number of layers, the embeddings not counted.
    pub layers: usize,
    /// The longest text in tokens, special tokens included.
    pub longest: usize,
}

/// What every architecture says of itself.
pub(super) trait Architecture {
    /// Its sizes.
    fn sizes(&self) -> Sizes;
    /// Every tensor with its shape, in the order of the layers.
    fn tensors(&self) -> Vec<TensorSpec>;
    /// The name of the word embedding table.
    fn words(&self) -> &'static str {
        WORD_EMBEDDINGS
    }
}

/// Refuses sizes of zero and beyond any model, which would exhaust the memory.
pub(super) fn check_sizes(sizes: &[(&str, usize, usize)]) -> std::result::Result<(), String> {
    for (name, size, limit) in sizes {
        if *size == 0 || size > limit {
            return Err(format!("{name} is {size}, it must be between 1 and {limit}"));
        }
        if *name == "max_position_embeddings" && *size < 3 {
            return Err("max_position_embeddings is below 3, too short for any text".into());
        }
    }
    Ok(())
}

/// Refuses heads that cannot share the hidden units.
pub(super) fn check_heads(hidden: usize, heads: usize) -> std::result::Result<(), String> {
    if hidden.is_multiple_of(heads) {
        return Ok(());
    }
    Err(format!("hidden_size {hidden} is no multiple of num_attention_heads {heads}"))
}

/// The sizes of a BERT encoder (Devlin et al. 2019), of a RoBERTa (Liu et al. 2019) or XLM-R
/// (Conneau et al. 2020), which count positions from another row, or of a DistilBERT (Sanh et al.
/// 2019), which knows no segment types; under their Hugging Face names.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct BertConfig {
    /// `bert`, `roberta`, `xlm-roberta` or `distilbert`.
    pub model_type: String,
    /// The token that pads; RoBERTa's positions begin after its number.
    #[serde(default)]
    pub pad_token_id: Option<usize>,
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// Width of a token's state.
    #[serde(alias = "dim")]
    pub hidden_size: usize,
    /// Number of layers.
    #[serde(alias = "n_layers")]
    pub num_hidden_layers: usize,
    /// Attention heads a layer.
    #[serde(alias = "n_heads")]
    pub num_attention_heads: usize,
    /// Width of the feed-forward layer.
    #[serde(alias = "hidden_dim")]
    pub intermediate_size: usize,
    /// Longest text in tokens.
    pub max_position_embeddings: usize,
    /// Rows of the segment-type table; DistilBERT has none.
    #[serde(default)]
    pub type_vocab_size: usize,
    /// The term that keeps layer norm finite.
    #[serde(default = "default_epsilon")]
    pub layer_norm_eps: f64,
    /// The activation; only the exact GELU is known.
    #[serde(default = "default_activation", alias = "activation")]
    pub hidden_act: String,
    /// How positions enter; only `absolute` is known.
    #[serde(default = "default_positions")]
    pub position_embedding_type: String,
}

fn default_epsilon() -> f64 {
    1e-12
}

fn default_activation() -> String {
    "gelu".into()
}

fn default_positions() -> String {
    "absolute".into()
}

#[derive(Deserialize)]
struct Head {
    model_type: Option<String>,
}

impl EncoderConfig {
    /// Reads a `config.json`; `place` names the file in messages.
    ///
    /// # Errors
    /// If the file is no such configuration, names an architecture that is not known, or its
    /// sizes cannot be.
    pub fn parse(json: &[u8], place: &str) -> Result<Self> {
        let bad = |what: String| {
            Error::model(what).at(place).advise("use a folder with the model's own config.json")
        };
        let head: Head = serde_json::from_slice(json)
            .map_err(|e| bad(format!("not a model configuration: {e}")))?;
        let read = |error: serde_json::Error| bad(format!("not such a configuration: {error}"));
        match head.model_type.as_deref() {
            Some("bert" | "roberta" | "xlm-roberta" | "distilbert") => {
                let config: BertConfig = serde_json::from_slice(json).map_err(read)?;
                config.validate().map_err(bad)?;
                Ok(Self::Bert(config))
            }
            Some("deberta-v2") => {
                let config: DebertaConfig = serde_json::from_slice(json).map_err(read)?;
                config.validate().map_err(bad)?;
                Ok(Self::Deberta(config))
            }
            Some("llama" | "qwen2" | "qwen3") => {
                let config: LlamaConfig = serde_json::from_slice(json).map_err(read)?;
                config.validate().map_err(bad)?;
                Ok(Self::Llama(config))
            }
            Some("modernbert") => {
                let config: ModernBertConfig = serde_json::from_slice(json).map_err(read)?;
                config.validate().map_err(bad)?;
                Ok(Self::ModernBert(config))
            }
            other => {
                let name = other.unwrap_or("none");
                let hint = nearest(name, KNOWN.iter().copied());
                let hint = hint.map(|n| format!(" (did you mean '{n}'?)")).unwrap_or_default();
                let known = KNOWN.join(", ");
                Err(bad(format!("the architecture '{name}' is not known{hint}; known: {known}")))
            }
        }
    }

    fn architecture(&self) -> &dyn Architecture {
        match self {
            Self::Bert(bert) => bert,
            Self::Deberta(deberta) => deberta,
            Self::Llama(llama) => llama,
            Self::ModernBert(bert) => bert,
        }
    }

    /// Every tensor of the encoder with its shape, in the order of the layers.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        self.architecture().tensors()
    }

    /// Whether a token sees only those before it.
    pub fn causal(&self) -> bool {
        matches!(self, Self::Llama(_))
    }

    /// The name of the word embedding table.
    pub fn words(&self) -> &'static str {
        self.architecture().words()
    }

    /// Width of a token's state.
    pub fn hidden_size(&self) -> usize {
        self.architecture().sizes().hidden
    }

    /// Rows of the word embedding table.
    pub fn vocabulary(&self) -> usize {
        self.architecture().sizes().vocabulary
    }

    /// The longest text in tokens, special tokens included.
    pub fn longest(&self) -> usize {
        self.architecture().sizes().longest
    }

    /// Number of layers, the embeddings not counted.
    pub fn layers(&self) -> usize {
        self.architecture().sizes().layers
    }
}

/// The values of `model_type` that are known.
const KNOWN: &[&str] = &[
    "bert",
    "roberta",
    "xlm-roberta",
    "distilbert",
    "modernbert",
    "deberta-v2",
    "llama",
    "qwen2",
    "qwen3",
];

impl BertConfig {
    /// The row of the position table that a text's first token takes.
    pub(super) fn first_position(&self) -> usize {
        match self.model_type.as_str() {
            "bert" | "distilbert" => 0,
            _ => self.pad_token_id.unwrap_or(1).saturating_add(1),
        }
    }

    /// Whether texts have a segment type.
    pub(super) fn has_types(&self) -> bool {
        self.model_type != "distilbert"
    }

    fn validate(&self) -> std::result::Result<(), String> {
        check_sizes(&[
            ("vocab_size", self.vocab_size, 1 << 20),
            ("hidden_size", self.hidden_size, 1 << 13),
            ("num_hidden_layers", self.num_hidden_layers, 128),
            ("num_attention_heads", self.num_attention_heads, 128),
            ("intermediate_size", self.intermediate_size, 1 << 15),
            ("max_position_embeddings", self.max_position_embeddings, 1 << 15),
            ("type_vocab_size", self.type_vocab_size.max(usize::from(!self.has_types())), 1 << 10),
        ])?;
        check_heads(self.hidden_size, self.num_attention_heads)?;
        if self.first_position().saturating_add(3) > self.max_position_embeddings {
            return Err("pad_token_id leaves too few positions for any text".into());
        }
        if self.hidden_act != "gelu" {
            return Err("hidden_act is not 'gelu'".into());
        }
        if self.position_embedding_type != "absolute" {
            return Err("position_embedding_type is not 'absolute'".into());
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            return Err("layer_norm_eps must lie between 0 and 1".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"model_type":"bert","vocab_size":100,"hidden_size":32,
        "num_hidden_layers":2,"num_attention_heads":4,"intermediate_size":64,
        "max_position_embeddings":64,"type_vocab_size":2}"#;

    #[test]
    fn a_good_configuration_is_read() {
        let config = EncoderConfig::parse(GOOD.as_bytes(), "config.json").unwrap();
        assert_eq!((config.hidden_size(), config.layers(), config.longest()), (32, 2, 64));
    }

    #[test]
    fn impossible_sizes_and_strange_architectures_are_refused() {
        for (from, to) in [
            ("\"hidden_size\":32", "\"hidden_size\":30"),
            ("\"vocab_size\":100", "\"vocab_size\":0"),
            ("\"vocab_size\":100", "\"vocab_size\":99999999999"),
            ("\"bert\"", "\"t5\""),
            ("\"bert\"", "\"roberta\",\"pad_token_id\":18446744073709551615"),
            ("{", "["),
        ] {
            let bad = GOOD.replacen(from, to, 1);
            let error = EncoderConfig::parse(bad.as_bytes(), "m/config.json").unwrap_err();
            assert_eq!(error.exit_code(), 4);
            assert!(error.to_string().contains("m/config.json"));
        }
    }
}
