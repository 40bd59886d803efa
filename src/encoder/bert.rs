//! The BERT encoder (Devlin et al. 2019) and its kin RoBERTa and XLM-R, trainable, on packed
//! batches.

use candle_core::Tensor;

use super::affine::{Affine, Norm};
use super::config::{Architecture, Sizes};
use super::ops::{Heads, attention, dropout, dropout_add, embeddings, gelu};
use super::weights::{Parameters, TensorSpec, WORD_EMBEDDINGS};
use super::{BertConfig, Noise, PackedBatch};
use crate::error::Result;

/// A BERT encoder on its parameters.
#[derive(Clone, Debug)]
pub struct Bert {
    words: Tensor,
    positions: Tensor,
    kinds: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
    heads: usize,
    first_position: u32,
    epsilon: f64,
}

#[derive(Clone, Debug)]
struct Layer {
    query: Affine,
    key: Affine,
    value: Affine,
    context: Affine,
    attention_norm: Norm,
    widen: Affine,
    narrow: Affine,
    output_norm: Norm,
}

impl Architecture for BertConfig {
    fn sizes(&self) -> Sizes {
        Sizes {
            vocabulary: self.vocab_size,
            hidden: self.hidden_size,
            layers: self.num_hidden_layers,
            longest: self.max_position_embeddings - self.first_position(),
        }
    }

    /// The bias of the keys adds the same to all scores of a token, which softmax ignores: the
    /// output does not depend on it.
    fn tensors(&self) -> Vec<TensorSpec> {
        let (h, f) = (self.hidden_size, self.intermediate_size);
        let mut specs = Vec::new();
        let mut add = |name: String, shape: Vec<usize>, depth: usize| {
            let effective = !name.ends_with("attention.self.key.bias");
            specs.push(TensorSpec { name, shape, depth, effective });
        };
        add(WORD_EMBEDDINGS.into(), vec![self.vocab_size, h], 0);
        add(POSITIONS.into(), vec![self.max_position_embeddings, h], 0);
        add(KINDS.into(), vec![self.type_vocab_size, h], 0);
        add("embeddings.LayerNorm.weight".into(), vec![h], 0);
        add("embeddings.LayerNorm.bias".into(), vec![h], 0);
        for layer in 0..self.num_hidden_layers {
            for (part, outputs, inputs) in [
                ("attention.self.query", h, h),
                ("attention.self.key", h, h),
                ("attention.self.value", h, h),
                ("attention.output.dense", h, h),
                ("intermediate.dense", f, h),
                ("output.dense", h, f),
            ] {
                add(
                    format!("encoder.layer.{layer}.{part}.weight"),
                    vec![outputs, inputs],
                    layer + 1,
                );
                add(format!("encoder.layer.{layer}.{part}.bias"), vec![outputs], layer + 1);
            }
            for part in ["attention.output.LayerNorm", "output.LayerNorm"] {
                add(format!("encoder.layer.{layer}.{part}.weight"), vec![h], layer + 1);
                add(format!("encoder.layer.{layer}.{part}.bias"), vec![h], layer + 1);
            }
        }
        specs
    }
}

const POSITIONS: &str = "embeddings.position_embeddings.weight";
const KINDS: &str = "embeddings.token_type_embeddings.weight";

impl Bert {
    /// Builds the encoder on its parameters.
    ///
    /// # Errors
    /// If a tensor is missing.
    pub fn new(config: &BertConfig, parameters: &Parameters) -> Result<Self> {
        let layers = (0..config.num_hidden_layers)
            .map(|i| {
                let name = |part: &str| format!("encoder.layer.{i}.{part}");
                Ok(Layer {
                    query: Affine::new(parameters, &name("attention.self.query"))?,
                    key: Affine::new(parameters, &name("attention.self.key"))?,
                    value: Affine::new(parameters, &name("attention.self.value"))?,
                    context: Affine::new(parameters, &name("attention.output.dense"))?,
                    attention_norm: Norm::new(parameters, &name("attention.output.LayerNorm"))?,
                    widen: Affine::new(parameters, &name("intermediate.dense"))?,
                    narrow: Affine::new(parameters, &name("output.dense"))?,
                    output_norm: Norm::new(parameters, &name("output.LayerNorm"))?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            words: parameters.get(WORD_EMBEDDINGS)?,
            positions: parameters.get(POSITIONS)?,
            kinds: parameters.get(KINDS)?,
            norm: Norm::new(parameters, "embeddings.LayerNorm")?,
            layers,
            heads: config.num_attention_heads,
            first_position: config.first_position() as u32,
            epsilon: config.layer_norm_eps,
        })
    }

    /// The states of all tokens after the last layer, `[tokens, hidden]`.
    ///
    /// # Errors
    /// If an id or a length lies outside the tables.
    pub fn forward(&self, batch: &PackedBatch, noise: &mut dyn Noise) -> Result<Tensor> {
        let segments = &batch.segments;
        let positions: Vec<u32> =
            batch.positions().into_iter().map(|place| place + self.first_position).collect();
        let x = embeddings(&self.words, &self.positions, &self.kinds, &batch.ids, &positions)?;
        let x = self.norm.forward(&x, self.epsilon)?;
        let width = x.dim(1)?;
        let mut x = dropout(&x, noise.hidden(segments, width).as_ref())?;
        for layer in &self.layers {
            let mask = noise.attention(segments, self.heads);
            let context = attention(
                &layer.query.forward(&x, segments, noise)?,
                &layer.key.forward(&x, segments, noise)?,
                &layer.value.forward(&x, segments, noise)?,
                segments,
                Heads::full(self.heads),
                mask.as_ref(),
            )?;
            let context = layer.context.forward(&context, segments, noise)?;
            let mask = noise.hidden(segments, width);
            let y = dropout_add(&context, &x, mask.as_ref())?;
            let y = layer.attention_norm.forward(&y, self.epsilon)?;
            let wide = gelu(&layer.widen.forward(&y, segments, noise)?)?;
            let narrow = layer.narrow.forward(&wide, segments, noise)?;
            let mask = noise.hidden(segments, width);
            let z = dropout_add(&narrow, &y, mask.as_ref())?;
            x = layer.output_norm.forward(&z, self.epsilon)?;
        }
        Ok(x)
    }
}
