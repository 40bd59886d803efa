//! The sizes of a ModernBERT encoder, from its `config.json`.

use serde::Deserialize;

use crate::encoder::config::{Architecture, Sizes, check_heads, check_sizes};
use crate::encoder::weights::TensorSpec;

/// The sizes of a ModernBERT encoder (Warner et al. 2024), under their Hugging Face names.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ModernBertConfig {
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// Width of a token's state.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Attention heads a layer.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Longest text in tokens.
    pub max_position_embeddings: usize,
    /// The term that keeps the norms finite.
    #[serde(default = "default_epsilon")]
    pub norm_eps: f64,
    /// Whether the norms have a bias.
    #[serde(default)]
    pub norm_bias: bool,
    /// Whether the maps of attention have a bias.
    #[serde(default)]
    pub attention_bias: bool,
    /// Whether the maps of the feed-forward layers have a bias.
    #[serde(default)]
    pub mlp_bias: bool,
    /// The activation; only the exact GELU is known.
    #[serde(default = "default_activation")]
    pub hidden_activation: String,
    /// Every so manieth layer, from the first, sees whole texts.
    #[serde(default = "default_every")]
    pub global_attn_every_n_layers: usize,
    /// Tokens that the other layers see: half of them before each token, half after.
    #[serde(default = "default_local")]
    pub local_attention: usize,
    /// The base of the rotations' frequencies in layers that see whole texts.
    #[serde(default)]
    pub global_rope_theta: Option<f64>,
    /// The same in the other layers.
    #[serde(default)]
    pub local_rope_theta: Option<f64>,
    /// What each layer sees, where newer files say it: `full_attention` or `sliding_attention`.
    #[serde(default)]
    pub layer_types: Option<Vec<String>>,
    /// The bases of both kinds of layers, where newer files have them.
    #[serde(default)]
    pub rope_parameters: Option<Ropes>,
}

/// The rotations of both kinds of layers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Ropes {
    full_attention: Rope,
    sliding_attention: Rope,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Rope {
    rope_theta: f64,
    #[serde(default)]
    rope_type: Option<String>,
}

fn default_epsilon() -> f64 {
    1e-5
}

fn default_activation() -> String {
    "gelu".into()
}

fn default_every() -> usize {
    3
}

fn default_local() -> usize {
    128
}

const FULL: &str = "full_attention";
const SLIDING: &str = "sliding_attention";

/// The word embedding table.
pub(super) const WORDS: &str = "embeddings.tok_embeddings.weight";

impl ModernBertConfig {
    /// How far a layer's tokens see to either side; `None`: as far as the text goes.
    pub(super) fn window(&self, layer: usize) -> Option<usize> {
        let full = match &self.layer_types {
            Some(types) => types.get(layer).is_none_or(|kind| kind == FULL),
            None => layer.is_multiple_of(self.global_attn_every_n_layers),
        };
        (!full).then_some(self.local_attention / 2)
    }

    /// By how much each pair of a head turns from one position to the next, in layers with or
    /// without a window.
    pub(super) fn frequencies(&self, windowed: bool) -> Vec<f32> {
        let global = self.global_rope_theta.unwrap_or(160_000.0);
        let theta = match (&self.rope_parameters, windowed) {
            (Some(ropes), false) => ropes.full_attention.rope_theta,
            (Some(ropes), true) => ropes.sliding_attention.rope_theta,
            (None, false) => global,
            (None, true) => self.local_rope_theta.unwrap_or(10_000.0),
        };
        let width = self.hidden_size / self.num_attention_heads;
        let pairs = 0..width / 2;
        pairs.map(|i| (1.0 / theta.powf(2.0 * i as f64 / width as f64)) as f32).collect()
    }

    /// Says what cannot be.
    pub(in crate::encoder) fn validate(&self) -> Result<(), String> {
        check_sizes(&[
            ("vocab_size", self.vocab_size, 1 << 20),
            ("hidden_size", self.hidden_size, 1 << 13),
            ("num_hidden_layers", self.num_hidden_layers, 128),
            ("num_attention_heads", self.num_attention_heads, 128),
            ("intermediate_size", self.intermediate_size, 1 << 15),
            ("max_position_embeddings", self.max_position_embeddings, 1 << 17),
            ("global_attn_every_n_layers", self.global_attn_every_n_layers, 128),
            ("local_attention", self.local_attention, 1 << 17),
        ])?;
        check_heads(self.hidden_size, self.num_attention_heads)?;
        if !(self.hidden_size / self.num_attention_heads).is_multiple_of(2) {
            return Err("the heads are of an odd width, which rotations cannot turn".into());
        }
        if self.hidden_activation != "gelu" {
            return Err("hidden_activation is not 'gelu'".into());
        }
        if !(self.norm_eps > 0.0 && self.norm_eps < 1.0) {
            return Err("norm_eps must lie between 0 and 1".into());
        }
        if let Some(types) = &self.layer_types {
            let known = types.iter().all(|kind| kind == FULL || kind == SLIDING);
            if types.len() != self.num_hidden_layers || !known {
                return Err(format!("layer_types must name {FULL} or {SLIDING} for each layer"));
            }
        }
        if let Some(ropes) = &self.rope_parameters {
            let plain = |rope: &Rope| rope.rope_type.as_deref().is_none_or(|t| t == "default");
            if !plain(&ropes.full_attention) || !plain(&ropes.sliding_attention) {
                return Err("rope_type is not 'default'".into());
            }
        }
        Ok(())
    }
}

impl Architecture for ModernBertConfig {
    fn sizes(&self) -> Sizes {
        Sizes {
            vocabulary: self.vocab_size,
            hidden: self.hidden_size,
            layers: self.num_hidden_layers,
            longest: self.max_position_embeddings,
        }
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        let (h, f) = (self.hidden_size, self.intermediate_size);
        let mut specs = Vec::new();
        let mut add = |name: String, shape: Vec<usize>, depth: usize, biased: bool| {
            // Nothing that softmax ignores stands alone: queries, keys and values share a bias.
            let spec = |part: &str, shape: Vec<usize>| TensorSpec {
                name: format!("{name}.{part}"),
                shape,
                depth,
                effective: true,
            };
            specs.push(spec("weight", shape.clone()));
            if biased {
                specs.push(spec("bias", vec![shape[0]]));
            }
        };
        add("embeddings.tok_embeddings".into(), vec![self.vocab_size, h], 0, false);
        add("embeddings.norm".into(), vec![h], 0, self.norm_bias);
        for layer in 0..self.num_hidden_layers {
            let mut add = |part: &str, shape: Vec<usize>, biased: bool| {
                add(format!("layers.{layer}.{part}"), shape, layer + 1, biased);
            };
            if layer > 0 {
                add("attn_norm", vec![h], self.norm_bias);
            }
            add("attn.Wqkv", vec![3 * h, h], self.attention_bias);
            add("attn.Wo", vec![h, h], self.attention_bias);
            add("mlp_norm", vec![h], self.norm_bias);
            add("mlp.Wi", vec![2 * f, h], self.mlp_bias);
            add("mlp.Wo", vec![h, f], self.mlp_bias);
        }
        add("final_norm".into(), vec![h], self.num_hidden_layers, self.norm_bias);
        specs
    }

    fn words(&self) -> &'static str {
        WORDS
    }
}
