//! The sizes of a Llama encoder, from its `config.json`.

use serde::{Deserialize, Serialize};

use crate::encoder::config::{Architecture, Sizes, check_heads, check_sizes};
use crate::encoder::weights::TensorSpec;

/// The sizes of a Llama, Qwen2 or Qwen3 model, under their Hugging Face names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LlamaConfig {
    /// `llama`, `qwen2` or `qwen3`.
    pub model_type: String,
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// Width of a token's state.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Heads of the queries a layer.
    pub num_attention_heads: usize,
    /// Heads of keys and values, if they are fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_key_value_heads: Option<usize>,
    /// Width of a head, if it is not hidden_size / num_attention_heads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Longest text in tokens.
    pub max_position_embeddings: usize,
    /// The term that keeps the norms finite.
    #[serde(default = "default_epsilon")]
    pub rms_norm_eps: f64,
    /// The activation; only SiLU is known.
    #[serde(default = "default_activation")]
    pub hidden_act: String,
    /// Whether all maps of attention have a bias (Llama).
    #[serde(default)]
    pub attention_bias: bool,
    /// Whether the maps of the feed-forward layers have a bias.
    #[serde(default)]
    pub mlp_bias: bool,
    /// The base of the rotations' frequencies, where older files have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// How the frequencies are changed for longer texts, where older files have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<Rope>,
    /// Base and change of the frequencies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<Rope>,
    /// Whether a token sees only some that are near; not known here.
    #[serde(default)]
    pub use_sliding_window: bool,
}

/// The rotations' frequencies, under Hugging Face's names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rope {
    /// `default` or `llama3`.
    #[serde(alias = "type")]
    pub rope_type: Option<String>,
    /// The base.
    pub rope_theta: Option<f64>,
    /// By how much low frequencies are lowered.
    pub factor: Option<f64>,
    /// Wavelengths longer than the original length over this are lowered in full.
    pub low_freq_factor: Option<f64>,
    /// Wavelengths shorter than the original length over this stay.
    pub high_freq_factor: Option<f64>,
    /// The length that the model was trained with at first.
    pub original_max_position_embeddings: Option<f64>,
}

fn default_epsilon() -> f64 {
    1e-6
}

fn default_activation() -> String {
    "silu".into()
}

/// The word embedding table.
pub(super) const WORDS: &str = "embed_tokens.weight";

impl LlamaConfig {
    /// Heads of keys and values.
    pub fn key_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of a head.
    pub(super) fn head_width(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    /// Whether every head's queries and keys have a norm.
    pub(super) fn norms_heads(&self) -> bool {
        self.model_type == "qwen3"
    }

    fn rope(&self) -> Rope {
        let rope = self.rope_parameters.clone().or_else(|| self.rope_scaling.clone());
        let rope = rope.unwrap_or_default();
        Rope { rope_theta: rope.rope_theta.or(self.rope_theta), ..rope }
    }

    /// By how much each pair of a head turns from one position to the next: θ^(-2i/width), and
    /// for Llama 3 lowered where a turn takes longer than the first training's texts.
    pub(super) fn frequencies(&self) -> Vec<f32> {
        let (rope, width) = (self.rope(), self.head_width());
        let theta = rope.rope_theta.unwrap_or(10_000.0);
        let plain = (0..width / 2).map(|i| 1.0 / theta.powf(2.0 * i as f64 / width as f64));
        let changed = |frequency: f64| {
            if rope.rope_type.as_deref() != Some("llama3") {
                return frequency;
            }
            let factor = rope.factor.unwrap_or(1.0);
            let (low, high) =
                (rope.low_freq_factor.unwrap_or(1.0), rope.high_freq_factor.unwrap_or(4.0));
            let original = rope.original_max_position_embeddings.unwrap_or(8192.0);
            let turns = original * frequency / std::f64::consts::TAU;
            if turns < low {
                frequency / factor
            } else if turns > high {
                frequency
            } else {
                let share = (turns - low) / (high - low);
                (1.0 - share) * frequency / factor + share * frequency
            }
        };
        plain.map(|frequency| changed(frequency) as f32).collect()
    }

    pub(in crate::encoder) fn validate(&self) -> Result<(), String> {
        check_sizes(&[
            ("vocab_size", self.vocab_size, 1 << 20),
            ("hidden_size", self.hidden_size, 1 << 13),
            ("num_hidden_layers", self.num_hidden_layers, 128),
            ("num_attention_heads", self.num_attention_heads, 128),
            ("num_key_value_heads", self.key_heads(), 128),
            ("intermediate_size", self.intermediate_size, 1 << 15),
            ("max_position_embeddings", self.max_position_embeddings, 1 << 20),
        ])?;
        if self.head_dim.is_none() {
            check_heads(self.hidden_size, self.num_attention_heads)?;
        }
        let width = self.head_width();
        if width == 0 || width > 1 << 10 || !width.is_multiple_of(2) {
            return Err(format!("a head of width {width} cannot be turned"));
        }
        if !self.num_attention_heads.is_multiple_of(self.key_heads()) {
            return Err("num_attention_heads is no multiple of num_key_value_heads".into());
        }
        if self.hidden_act != "silu" {
            return Err("hidden_act is not 'silu'".into());
        }
        if self.use_sliding_window {
            return Err("use_sliding_window is set, which is not known here".into());
        }
        let rope = self.rope();
        if rope.rope_type.as_deref().is_some_and(|kind| !["default", "llama3"].contains(&kind)) {
            return Err("rope_type is neither 'default' nor 'llama3'".into());
        }
        if rope.rope_theta.is_some_and(|theta| !(theta > 1.0 && theta.is_finite())) {
            return Err("rope_theta must be above 1".into());
        }
        if !(self.rms_norm_eps > 0.0 && self.rms_norm_eps < 1.0) {
            return Err("rms_norm_eps must lie between 0 and 1".into());
        }
        Ok(())
    }
}

impl Architecture for LlamaConfig {
    fn sizes(&self) -> Sizes {
        Sizes {
            vocabulary: self.vocab_size,
            hidden: self.hidden_size,
            layers: self.num_hidden_layers,
            longest: self.max_position_embeddings,
        }
    }

    fn words(&self) -> &'static str {
        WORDS
    }

    fn tensors(&self) -> Vec<TensorSpec> {
        let (h, f, width) = (self.hidden_size, self.intermediate_size, self.head_width());
        let (queries, keys) = (self.num_attention_heads * width, self.key_heads() * width);
        let inner = self.attention_bias || self.model_type == "qwen2";
        let mut specs = Vec::new();
        let mut add = |name: String, shape: Vec<usize>, depth: usize| {
            specs.push(TensorSpec { name, shape, depth, effective: true });
        };
        add(WORDS.into(), vec![self.vocab_size, h], 0);
        for layer in 0..self.num_hidden_layers {
            let name = |part: &str| format!("layers.{layer}.{part}");
            let depth = layer + 1;
            for (part, outputs, inputs, biased) in [
                ("self_attn.q_proj", queries, h, inner),
                ("self_attn.k_proj", keys, h, inner),
                ("self_attn.v_proj", keys, h, inner),
                ("self_attn.o_proj", h, queries, self.attention_bias),
                ("mlp.gate_proj", f, h, self.mlp_bias),
                ("mlp.up_proj", f, h, self.mlp_bias),
                ("mlp.down_proj", h, f, self.mlp_bias),
            ] {
                add(name(&format!("{part}.weight")), vec![outputs, inputs], depth);
                if biased {
                    add(name(&format!("{part}.bias")), vec![outputs], depth);
                }
            }
            for part in ["input_layernorm", "post_attention_layernorm"] {
                add(name(&format!("{part}.weight")), vec![h], depth);
            }
            if self.norms_heads() {
                for part in ["self_attn.q_norm", "self_attn.k_norm"] {
                    add(name(&format!("{part}.weight")), vec![width], depth);
                }
            }
        }
        add("norm.weight".into(), vec![h], self.num_hidden_layers);
        specs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &str) -> LlamaConfig {
        let json = format!(
            r#"{{"model_type": "llama", "vocab_size": 50, "hidden_size": 128,
                "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
                "max_position_embeddings": 512{more}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn frequencies_fall_and_llama_3_lowers_the_low_ones() {
        let plain = config(r#", "rope_theta": 500000.0"#).frequencies();
        assert_eq!((plain.len(), plain[0]), (32, 1.0));
        let llama3 = config(
            r#", "rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
            "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192}"#,
        )
        .frequencies();
        assert_eq!(llama3[..15], plain[..15]);
        assert!((llama3[31] - plain[31] / 8.0).abs() < 1e-12);
        let newer =
            config(r#", "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}"#);
        assert_eq!(newer.frequencies(), plain);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(config("").validate().is_ok());
        for more in [
            r#", "num_key_value_heads": 3"#,
            r#", "num_key_value_heads": 0"#,
            r#", "head_dim": 3"#,
            r#", "hidden_act": "gelu""#,
            r#", "use_sliding_window": true"#,
            r#", "rope_scaling": {"type": "yarn", "factor": 2.0}"#,
            r#", "rope_theta": 0.5"#,
        ] {
            assert!(config(more).validate().is_err(), "{more}");
        }
    }
}
