//! Llama and its kin (Touvron et al. 2023, Llama 3, SmolLM2, TinyLlama; Qwen2 and Qwen3) as
//! encoders: trainable, on packed batches, every token seeing those before it.
//!
//! The models know no dropout of hidden states; here it falls on what each sublayer adds.

mod config;

pub use config::LlamaConfig;

use std::sync::Arc;

use candle_core::Tensor;

use super::affine::Affine;
use super::layered::Layered;
use super::ops::{Heads, Rotations, attention, dropout_add, lookup, rms_norm, rotate, swiglu};
use super::{Noise, PackedBatch, Parameters, Segments};
use crate::error::Result;
use config::WORDS;

/// A Llama encoder on its parameters.
#[derive(Clone, Debug)]
pub struct Llama {
    words: Tensor,
    layers: Vec<Layer>,
    norm: Tensor,
    frequencies: Vec<f32>,
    heads: Heads,
    epsilon: f64,
}

#[derive(Clone, Debug)]
struct Layer {
    attention_norm: Tensor,
    query: Affine,
    key: Affine,
    value: Affine,
    /// Qwen3's norms of every head's queries and keys.
    head_norms: Option<(Tensor, Tensor)>,
    context: Affine,
    feed_forward_norm: Tensor,
    gate: Affine,
    up: Affine,
    down: Affine,
}

/// Where the tokens of a batch stand.
#[derive(Clone)]
pub struct Places {
    rotations: Arc<Rotations>,
    positions: Arc<Vec<u32>>,
    segments: Arc<Segments>,
}

impl Llama {
    /// Builds the encoder on its parameters.
    ///
    /// # Errors
    /// If a tensor is missing.
    pub fn new(config: &LlamaConfig, parameters: &Parameters) -> Result<Self> {
        let layers = (0..config.num_hidden_layers)
            .map(|i| {
                let tensor = |part: &str| parameters.get(&format!("layers.{i}.{part}.weight"));
                let affine = |part: &str| Affine::new(parameters, &format!("layers.{i}.{part}"));
                let norms = || {
                    Ok::<_, crate::error::Error>((
                        tensor("self_attn.q_norm")?,
                        tensor("self_attn.k_norm")?,
                    ))
                };
                Ok(Layer {
                    attention_norm: tensor("input_layernorm")?,
                    query: affine("self_attn.q_proj")?,
                    key: affine("self_attn.k_proj")?,
                    value: affine("self_attn.v_proj")?,
                    head_norms: config.norms_heads().then(norms).transpose()?,
                    context: affine("self_attn.o_proj")?,
                    feed_forward_norm: tensor("post_attention_layernorm")?,
                    gate: affine("mlp.gate_proj")?,
                    up: affine("mlp.up_proj")?,
                    down: affine("mlp.down_proj")?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            words: parameters.get(WORDS)?,
            layers,
            norm: parameters.get("norm.weight")?,
            frequencies: config.frequencies(),
            heads: Heads {
                queries: config.num_attention_heads,
                keys: config.key_heads(),
                causal: true,
                window: None,
            },
            epsilon: config.rms_norm_eps,
        })
    }

    fn attend(
        &self,
        layer: &Layer,
        x: &Tensor,
        places: &Places,
        noise: &mut dyn Noise,
    ) -> Result<Tensor> {
        let segments = &places.segments;
        let mask = noise.attention(segments, self.heads.queries);
        let mut q = layer.query.forward(x, segments, noise)?;
        let mut k = layer.key.forward(x, segments, noise)?;
        let v = layer.value.forward(x, segments, noise)?;
        if let Some((queries, keys)) = &layer.head_norms {
            q = self.normed(&q, queries)?;
            k = self.normed(&k, keys)?;
        }
        let q = rotate(&q, &places.rotations, &places.positions)?;
        let k = rotate(&k, &places.rotations, &places.positions)?;
        Ok(attention(&q, &k, &v, segments, self.heads, mask.as_ref())?)
    }

    /// Every head of `[tokens, heads · width]` normed by itself.
    fn normed(&self, x: &Tensor, gain: &Tensor) -> Result<Tensor> {
        let width = gain.dim(0)?;
        let heads = x.reshape((x.elem_count() / width, width))?;
        Ok(rms_norm(&heads, gain, self.epsilon)?.reshape(x.shape())?)
    }
}

impl Layered for Llama {
    type Shared = Places;

    fn begin(&self, batch: &PackedBatch, _: &mut dyn Noise) -> Result<(Tensor, Places)> {
        let places = Places {
            rotations: Arc::new(Rotations::new(&self.frequencies, batch.segments.longest())),
            positions: Arc::new(batch.positions()),
            segments: batch.segments.clone(),
        };
        Ok((lookup(&self.words, &batch.ids)?, places))
    }

    fn layers(&self) -> usize {
        self.layers.len()
    }

    fn layer(
        &self,
        at: usize,
        x: &Tensor,
        places: &Places,
        batch: &PackedBatch,
        noise: &mut dyn Noise,
    ) -> Result<Tensor> {
        let (layer, segments) = (&self.layers[at], &batch.segments);
        let width = x.dim(1)?;
        let y = rms_norm(x, &layer.attention_norm, self.epsilon)?;
        let context = self.attend(layer, &y, places, noise)?;
        let context = layer.context.forward(&context, segments, noise)?;
        let mask = noise.hidden(segments, width);
        let x = dropout_add(&context, x, mask.as_ref())?;
        let y = rms_norm(&x, &layer.feed_forward_norm, self.epsilon)?;
        let gate = layer.gate.forward(&y, segments, noise)?;
        let wide = swiglu(&gate, &layer.up.forward(&y, segments, noise)?)?;
        let narrow = layer.down.forward(&wide, segments, noise)?;
        let mask = noise.hidden(segments, width);
        Ok(dropout_add(&narrow, &x, mask.as_ref())?)
    }

    fn end(&self, x: Tensor) -> Result<Tensor> {
        Ok(rms_norm(&x, &self.norm, self.epsilon)?)
    }
}
