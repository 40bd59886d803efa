//! The ModernBERT encoder (Warner et al. 2024), trainable, on packed batches: rotary positions,
//! gated feed-forward layers, and attention that in most layers reaches near tokens only.

mod config;

pub use config::ModernBertConfig;

use std::sync::Arc;

use candle_core::Tensor;

use super::affine::{Affine, Norm};
use super::layered::Layered;
use super::ops::{Heads, Rotations, attention, dropout, dropout_add, gelu, lookup, rotate};
use super::{Noise, PackedBatch, Parameters};
use crate::error::Result;
use config::WORDS;

/// A ModernBERT encoder on its parameters.
#[derive(Clone, Debug)]
pub struct ModernBert {
    config: ModernBertConfig,
    words: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
    final_norm: Norm,
}

#[derive(Clone, Debug)]
struct Layer {
    /// None before the first layer, which follows the norm of the embeddings.
    attention_norm: Option<Norm>,
    queries_keys_values: Affine,
    context: Affine,
    feed_forward_norm: Norm,
    widen: Affine,
    narrow: Affine,
    window: Option<usize>,
}

/// `parts` matrices of equal width that stand side by side in the columns of `x`.
fn split(x: &Tensor, parts: usize) -> candle_core::Result<Vec<Tensor>> {
    let width = x.dim(1)? / parts;
    (0..parts).map(|part| x.narrow(1, part * width, width)?.contiguous()).collect()
}

impl ModernBert {
    /// Builds the encoder on its parameters.
    ///
    /// # Errors
    /// If a tensor is missing.
    pub fn new(config: &ModernBertConfig, parameters: &Parameters) -> Result<Self> {
        let layers = (0..config.num_hidden_layers)
            .map(|i| {
                let name = |part: &str| format!("layers.{i}.{part}");
                let norm = |part: &str| Norm::new(parameters, &name(part));
                Ok(Layer {
                    attention_norm: (i > 0).then(|| norm("attn_norm")).transpose()?,
                    queries_keys_values: Affine::new(parameters, &name("attn.Wqkv"))?,
                    context: Affine::new(parameters, &name("attn.Wo"))?,
                    feed_forward_norm: norm("mlp_norm")?,
                    widen: Affine::new(parameters, &name("mlp.Wi"))?,
                    narrow: Affine::new(parameters, &name("mlp.Wo"))?,
                    window: config.window(i),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            words: parameters.get(WORDS)?,
            norm: Norm::new(parameters, "embeddings.norm")?,
            layers,
            final_norm: Norm::new(parameters, "final_norm")?,
            config: config.clone(),
        })
    }
}

/// Where the tokens of a batch stand, for layers that see all of a text and for those that see
/// what is near.
#[derive(Clone)]
pub struct Places {
    rotations: [Arc<Rotations>; 2],
    positions: Arc<Vec<u32>>,
}

impl Layered for ModernBert {
    type Shared = Places;

    fn begin(&self, batch: &PackedBatch, noise: &mut dyn Noise) -> Result<(Tensor, Places)> {
        let segments = &batch.segments;
        let rotations = [false, true].map(|windowed| {
            let frequencies = self.config.frequencies(windowed);
            Arc::new(Rotations::new(&frequencies, segments.longest()))
        });
        let places = Places { rotations, positions: Arc::new(batch.positions()) };
        let x = self.norm.forward(&lookup(&self.words, &batch.ids)?, self.config.norm_eps)?;
        let mask = noise.hidden(segments, x.dim(1)?);
        Ok((dropout(&x, mask.as_ref())?, places))
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
        let (layer, segments, epsilon) = (&self.layers[at], &batch.segments, self.config.norm_eps);
        let width = x.dim(1)?;
        let y = match &layer.attention_norm {
            Some(norm) => norm.forward(x, epsilon)?,
            None => x.clone(),
        };
        let heads = Heads { window: layer.window, ..Heads::full(self.config.num_attention_heads) };
        let mask = noise.attention(segments, heads.queries);
        let joined = layer.queries_keys_values.forward(&y, segments, noise)?;
        let parts = split(&joined, 3)?;
        let rotations = &places.rotations[usize::from(layer.window.is_some())];
        let turn = |x| rotate(x, rotations, &places.positions);
        let (q, k) = (turn(&parts[0])?, turn(&parts[1])?);
        let context = attention(&q, &k, &parts[2], segments, heads, mask.as_ref())?;
        let context = layer.context.forward(&context, segments, noise)?;
        let mask = noise.hidden(segments, width);
        let x = dropout_add(&context, x, mask.as_ref())?;
        let y = layer.feed_forward_norm.forward(&x, epsilon)?;
        let parts = split(&layer.widen.forward(&y, segments, noise)?, 2)?;
        let wide = (gelu(&parts[0])? * &parts[1])?;
        let narrow = layer.narrow.forward(&wide, segments, noise)?;
        let mask = noise.hidden(segments, width);
        Ok(dropout_add(&narrow, &x, mask.as_ref())?)
    }

    fn end(&self, x: Tensor) -> Result<Tensor> {
        Ok(self.final_norm.forward(&x, self.config.norm_eps)?)
    }
}
