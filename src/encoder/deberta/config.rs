//! The sizes of a DeBERTa encoder, from its `config.json`.

use serde::{Deserialize, Deserializer};

use crate::encoder::config::{Architecture, Sizes, check_heads, check_sizes};
use crate::encoder::weights::{TensorSpec, WORD_EMBEDDINGS};

/// The sizes of a DeBERTa-v2 or v3 encoder (He et al. 2021 and 2023), under their Hugging Face
/// names.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct DebertaConfig {
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// Width of a token's state.
    pub hidden_size: usize,
    /// Width of the embeddings, if it is another.
    pub embedding_size: Option<usize>,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Attention heads a layer.
    pub num_attention_heads: usize,
    /// Width of a head; only hidden_size / num_attention_heads is known.
    pub attention_head_size: Option<usize>,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Longest text in tokens.
    pub max_position_embeddings: usize,
    /// Rows of the segment-type table; 0: there is none.
    #[serde(default)]
    pub type_vocab_size: usize,
    /// The term that keeps layer norm finite.
    #[serde(default = "default_epsilon")]
    pub layer_norm_eps: f64,
    /// The activation; only the exact GELU is known.
    #[serde(default = "default_activation")]
    pub hidden_act: String,
    /// Whether scores know how far tokens stand apart.
    #[serde(default)]
    pub relative_attention: bool,
    /// The largest distance that is told from others; below 1: `max_position_embeddings`.
    #[serde(default = "none")]
    pub max_relative_positions: i64,
    /// Rows of each half of the distance table, if far distances share rows.
    #[serde(default = "none")]
    pub position_buckets: i64,
    /// Which terms enter the scores: `c2p`, `p2c`.
    #[serde(default, deserialize_with = "parts")]
    pub pos_att_type: Vec<String>,
    /// Whether distances use the projections of queries and keys.
    #[serde(default)]
    pub share_att_key: bool,
    /// How the distance table is normed: `layer_norm`, or not at all.
    #[serde(default, deserialize_with = "parts")]
    pub norm_rel_ebd: Vec<String>,
    /// Whether absolute positions are added to the embeddings.
    #[serde(default = "yes")]
    pub position_biased_input: bool,
    /// Tokens that the convolution after the first layer sees; 0: there is none.
    #[serde(default)]
    pub conv_kernel_size: usize,
    /// Groups of the convolution; only 1 is known.
    #[serde(default = "one")]
    pub conv_groups: usize,
    /// The convolution's activation: `tanh` or `gelu`.
    #[serde(default = "default_convolution")]
    pub conv_act: String,
}

fn default_epsilon() -> f64 {
    1e-7
}

fn default_activation() -> String {
    "gelu".into()
}

fn default_convolution() -> String {
    "tanh".into()
}

fn none() -> i64 {
    -1
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

/// A list, or names joined by `|`, or nothing.
fn parts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Parts {
        Joined(String),
        List(Vec<String>),
        None,
    }
    Ok(match Parts::deserialize(from)? {
        Parts::Joined(text) => text.split('|').map(|part| part.trim().to_lowercase()).collect(),
        Parts::List(list) => list,
        Parts::None => Vec::new(),
    })
}

pub(super) const POSITIONS: &str = "embeddings.position_embeddings.weight";
pub(super) const KINDS: &str = "embeddings.token_type_embeddings.weight";
pub(super) const PROJECTION: &str = "embeddings.embed_proj.weight";
pub(super) const DISTANCES: &str = "encoder.rel_embeddings.weight";
pub(super) const CONVOLUTION: &str = "encoder.conv.conv";

impl DebertaConfig {
    /// Width of the embeddings.
    pub(super) fn embedding(&self) -> usize {
        self.embedding_size.unwrap_or(self.hidden_size)
    }

    /// Whether queries meet the keys of positions.
    pub(super) fn content_to_position(&self) -> bool {
        self.relative_attention && self.pos_att_type.iter().any(|part| part == "c2p")
    }

    /// Whether keys meet the queries of positions.
    pub(super) fn position_to_content(&self) -> bool {
        self.relative_attention && self.pos_att_type.iter().any(|part| part == "p2c")
    }

    /// Whether the distance table has a layer norm.
    pub(super) fn normed_distances(&self) -> bool {
        self.relative_attention && self.norm_rel_ebd.iter().any(|part| part == "layer_norm")
    }

    fn max_relative(&self) -> usize {
        usize::try_from(self.max_relative_positions)
            .ok()
            .filter(|n| *n > 0)
            .unwrap_or(self.max_position_embeddings)
    }

    /// Rows of each half of the distance table.
    pub(super) fn span(&self) -> usize {
        let buckets = usize::try_from(self.position_buckets).ok().filter(|n| *n > 0);
        buckets.unwrap_or_else(|| self.max_relative())
    }

    /// The row of the distance table for a query that stands `distance` tokens after a key.
    /// Distances beyond half the buckets share rows, spaced logarithmically (He et al. 2021,
    /// section 3.1; computed in f32 as the reference does, so that bounds fall alike).
    pub(super) fn row(&self, distance: i64) -> u32 {
        let span = self.span() as i64;
        let mut place = distance;
        if self.position_buckets > 0 {
            let middle = span / 2;
            if distance.abs() > middle {
                let ratio = distance.unsigned_abs() as f32 / middle as f32;
                let whole = ((self.max_relative() as f64 - 1.0) / middle as f64) as f32;
                let log = (ratio.ln() / whole.ln() * (middle - 1) as f32).ceil();
                place = (log as i64 + middle) * distance.signum();
            }
        }
        (place + span).clamp(0, 2 * span - 1) as u32
    }

    pub(in crate::encoder) fn validate(&self) -> Result<(), String> {
        check_sizes(&[
            ("vocab_size", self.vocab_size, 1 << 20),
            ("hidden_size", self.hidden_size, 1 << 13),
            ("embedding_size", self.embedding(), 1 << 13),
            ("num_hidden_layers", self.num_hidden_layers, 128),
            ("num_attention_heads", self.num_attention_heads, 128),
            ("intermediate_size", self.intermediate_size, 1 << 15),
            ("max_position_embeddings", self.max_position_embeddings, 1 << 15),
            ("type_vocab_size + 1", self.type_vocab_size.saturating_add(1), 1 << 10),
            ("the distance table", self.span(), 1 << 14),
        ])?;
        check_heads(self.hidden_size, self.num_attention_heads)?;
        let width = self.hidden_size / self.num_attention_heads;
        if self.attention_head_size.is_some_and(|size| size != width) {
            return Err("attention_head_size is not hidden_size / num_attention_heads".into());
        }
        if self.hidden_act != "gelu" {
            return Err("hidden_act is not 'gelu'".into());
        }
        if self.position_buckets > 0 && (self.span() < 4 || self.max_relative() <= self.span() / 2)
        {
            return Err("position_buckets does not suit max_relative_positions".into());
        }
        if let Some(part) = self.pos_att_type.iter().find(|p| !["c2p", "p2c"].contains(&&***p)) {
            let shown = if part.len() < 20 { part } else { "" };
            return Err(format!("pos_att_type names '{shown}'; known: c2p, p2c"));
        }
        if self.conv_kernel_size > 0
            && (self.conv_kernel_size.is_multiple_of(2) || self.conv_kernel_size > 99)
        {
            return Err("conv_kernel_size must be odd and below 100".into());
        }
        if self.conv_groups != 1 {
            return Err("conv_groups is not 1".into());
        }
        if !["tanh", "gelu"].contains(&&*self.conv_act) {
            return Err("conv_act is neither 'tanh' nor 'gelu'".into());
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            return Err("layer_norm_eps must lie between 0 and 1".into());
        }
        Ok(())
    }
}

impl Architecture for DebertaConfig {
    fn sizes(&self) -> Sizes {
        Sizes {
            vocabulary: self.vocab_size,
            hidden: self.hidden_size,
            layers: self.num_hidden_layers,
            longest: self.max_position_embeddings,
        }
    }

    /// The bias of the keys adds the same to all scores of a token, unless it meets the queries
    /// of positions; so does that of the keys of positions where they have their own.
    fn tensors(&self) -> Vec<TensorSpec> {
        let (h, e, f) = (self.hidden_size, self.embedding(), self.intermediate_size);
        let mut specs = Vec::new();
        let mut add = |name: String, shape: Vec<usize>, depth: usize| {
            let idle = name.ends_with("pos_key_proj.bias")
                || (name.ends_with("self.key_proj.bias") && !self.position_to_content());
            specs.push(TensorSpec { name, shape, depth, effective: !idle });
        };
        add(WORD_EMBEDDINGS.into(), vec![self.vocab_size, e], 0);
        if self.position_biased_input {
            add(POSITIONS.into(), vec![self.max_position_embeddings, e], 0);
        }
        if self.type_vocab_size > 0 {
            add(KINDS.into(), vec![self.type_vocab_size, e], 0);
        }
        if e != h {
            add(PROJECTION.into(), vec![h, e], 0);
        }
        let norm = |add: &mut dyn FnMut(String, Vec<usize>, usize), name: String, depth| {
            add(format!("{name}.weight"), vec![h], depth);
            add(format!("{name}.bias"), vec![h], depth);
        };
        norm(&mut add, "embeddings.LayerNorm".into(), 0);
        if self.content_to_position() || self.position_to_content() {
            add(DISTANCES.into(), vec![2 * self.span(), h], 0);
            if self.normed_distances() {
                norm(&mut add, "encoder.LayerNorm".into(), 0);
            }
        }
        if self.conv_kernel_size > 0 {
            add(format!("{CONVOLUTION}.weight"), vec![h, h, self.conv_kernel_size], 1);
            add(format!("{CONVOLUTION}.bias"), vec![h], 1);
            norm(&mut add, "encoder.conv.LayerNorm".into(), 1);
        }
        for layer in 0..self.num_hidden_layers {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            let depth = layer + 1;
            let own = !self.share_att_key;
            for (part, outputs, inputs, there) in [
                ("attention.self.query_proj", h, h, true),
                ("attention.self.key_proj", h, h, true),
                ("attention.self.value_proj", h, h, true),
                ("attention.self.pos_key_proj", h, h, own && self.content_to_position()),
                ("attention.self.pos_query_proj", h, h, own && self.position_to_content()),
                ("attention.output.dense", h, h, true),
                ("intermediate.dense", f, h, true),
                ("output.dense", h, f, true),
            ] {
                if there {
                    add(name(&format!("{part}.weight")), vec![outputs, inputs], depth);
                    add(name(&format!("{part}.bias")), vec![outputs], depth);
                }
            }
            norm(&mut add, name("attention.output.LayerNorm"), depth);
            norm(&mut add, name("output.LayerNorm"), depth);
        }
        specs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn config(more: &str) -> DebertaConfig {
        let json = format!(
            r#"{{"vocab_size": 50, "hidden_size": 8, "num_hidden_layers": 1,
                "num_attention_heads": 2, "intermediate_size": 16,
                "max_position_embeddings": 512{more}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn near_distances_have_rows_of_their_own_and_far_ones_share() {
        let v3 = config(
            r#", "relative_attention": true, "position_buckets": 256,
                "max_relative_positions": -1, "pos_att_type": "p2c|c2p""#,
        );
        let rows = [0, 1, -1, 128, -128, 129, 511, -511, 5000, -5000].map(|d| v3.row(d));
        // The last row of distances behind is never used: 256 + 255 is the clamp's bound.
        assert_eq!(rows, [256, 257, 255, 384, 128, 385, 511, 1, 511, 0]);
        assert!((0..511).all(|d| v3.row(d) <= v3.row(d + 1)));
        let plain = config(r#", "relative_attention": true, "max_relative_positions": 4"#);
        assert_eq!([-9, -4, 0, 3, 9].map(|d| plain.row(d)), [0, 0, 4, 7, 7]);
    }

    #[test]
    fn distances_take_the_rows_that_transformers_gives_them() {
        let table: std::collections::BTreeMap<String, Vec<u32>> =
            serde_json::from_str(include_str!("../../../tests/fixtures/parity/deberta-rows.json"))
                .unwrap();
        assert_eq!(table.len(), 4);
        for (name, rows) in table {
            let (buckets, longest) = name.split_once(' ').unwrap();
            let own = config(&format!(
                r#", "relative_attention": true, "position_buckets": {buckets},
                "max_relative_positions": {longest}"#
            ));
            let found: Vec<u32> = (0..rows.len() as i64).map(|d| own.row(d)).collect();
            assert_eq!(found, rows, "{name}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(config("").validate().is_ok());
        for more in [
            r#", "attention_head_size": 3"#,
            r#", "hidden_act": "relu""#,
            r#", "pos_att_type": ["p2p"]"#,
            r#", "conv_kernel_size": 4"#,
            r#", "conv_kernel_size": 3, "conv_groups": 2"#,
            r#", "conv_act": "relu""#,
            r#", "position_buckets": 2"#,
            r#", "type_vocab_size": 99999999"#,
        ] {
            assert!(config(more).validate().is_err(), "{more}");
        }
    }
}
