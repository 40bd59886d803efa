//! The BERT encoder (Devlin et al. 2019) and its kin RoBERTa, XLM-R and DistilBERT, trainable, on
//! packed batches.

use candle_core::Tensor;

use super::affine::{Affine, Norm};
use super::block::{BLOCK, Block, BlockNames};
use super::config::{Architecture, Sizes};
use super::layered::Layered;
use super::ops::{Heads, attention, dropout, embeddings, lookup};
use super::weights::{Parameters, TensorSpec, WORD_EMBEDDINGS};
use super::{BertConfig, Noise, PackedBatch};
use crate::error::Result;

/// A BERT encoder on its parameters.
#[derive(Clone, Debug)]
pub struct Bert {
    words: Tensor,
    positions: Tensor,
    kinds: Option<Tensor>,
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
    block: Block,
}

/// How a family names the parts of a layer.
pub(super) struct Names {
    pub layers: &'static str,
    pub query: &'static str,
    pub key: &'static str,
    pub value: &'static str,
    pub block: BlockNames,
}

const BERT: Names = Names {
    layers: "encoder.layer",
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    block: BLOCK,
};

const DISTILBERT: Names = Names {
    layers: "transformer.layer",
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    block: BlockNames {
        context: "attention.out_lin",
        attention_norm: "sa_layer_norm",
        widen: "ffn.lin1",
        narrow: "ffn.lin2",
        output_norm: "output_layer_norm",
    },
};

impl BertConfig {
    pub(super) fn names(&self) -> Names {
        if self.model_type == "distilbert" { DISTILBERT } else { BERT }
    }
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
        let (h, f, names) = (self.hidden_size, self.intermediate_size, self.names());
        let key_bias = format!("{}.bias", names.key);
        let mut specs = Vec::new();
        let mut add = |name: String, shape: Vec<usize>, depth: usize| {
            let effective = !name.ends_with(&key_bias);
            specs.push(TensorSpec { name, shape, depth, effective });
        };
        add(WORD_EMBEDDINGS.into(), vec![self.vocab_size, h], 0);
        add(POSITIONS.into(), vec![self.max_position_embeddings, h], 0);
        if self.has_types() {
            add(KINDS.into(), vec![self.type_vocab_size, h], 0);
        }
        add("embeddings.LayerNorm.weight".into(), vec![h], 0);
        add("embeddings.LayerNorm.bias".into(), vec![h], 0);
        for layer in 0..self.num_hidden_layers {
            for (part, outputs, inputs) in [
                (names.query, h, h),
                (names.key, h, h),
                (names.value, h, h),
                (names.block.context, h, h),
                (names.block.widen, f, h),
                (names.block.narrow, h, f),
            ] {
                let name = format!("{}.{layer}.{part}", names.layers);
                add(format!("{name}.weight"), vec![outputs, inputs], layer + 1);
                add(format!("{name}.bias"), vec![outputs], layer + 1);
            }
            for part in [names.block.attention_norm, names.block.output_norm] {
                let name = format!("{}.{layer}.{part}", names.layers);
                add(format!("{name}.weight"), vec![h], layer + 1);
                add(format!("{name}.bias"), vec![h], layer + 1);
            }
        }
        specs
    }
}

pub(super) const POSITIONS: &str = "embeddings.position_embeddings.weight";
pub(super) const KINDS: &str = "embeddings.token_type_embeddings.weight";

impl Bert {
    /// Builds the encoder on its parameters.
    ///
    /// # Errors
    /// If a tensor is missing.
    pub fn new(config: &BertConfig, parameters: &Parameters) -> Result<Self> {
        let names = config.names();
        let layers = (0..config.num_hidden_layers)
            .map(|i| {
                let name = |part: &str| format!("{}.{i}.{part}", names.layers);
                Ok(Layer {
                    query: Affine::new(parameters, &name(names.query))?,
                    key: Affine::new(parameters, &name(names.key))?,
                    value: Affine::new(parameters, &name(names.value))?,
                    block: Block::new(
                        parameters,
                        &format!("{}.{i}", names.layers),
                        &names.block,
                        config.layer_norm_eps,
                    )?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            words: parameters.get(WORD_EMBEDDINGS)?,
            positions: parameters.get(POSITIONS)?,
            kinds: config.has_types().then(|| parameters.get(KINDS)).transpose()?,
            norm: Norm::new(parameters, "embeddings.LayerNorm")?,
            layers,
            heads: config.num_attention_heads,
            first_position: config.first_position() as u32,
            epsilon: config.layer_norm_eps,
        })
    }
}

impl Layered for Bert {
    type Shared = ();

    fn begin(&self, batch: &PackedBatch, noise: &mut dyn Noise) -> Result<(Tensor, ())> {
        let segments = &batch.segments;
        let positions: Vec<u32> =
            batch.positions().into_iter().map(|place| place + self.first_position).collect();
        let (words, places) = (&self.words, &self.positions);
        let x = match &self.kinds {
            Some(kinds) => embeddings(words, places, kinds, &batch.ids, &positions)?,
            None => (lookup(words, &batch.ids)? + lookup(places, &positions)?)?,
        };
        let x = self.norm.forward(&x, self.epsilon)?;
        let width = x.dim(1)?;
        Ok((dropout(&x, noise.hidden(segments, width).as_ref())?, ()))
    }

    fn layers(&self) -> usize {
        self.layers.len()
    }

    fn layer(
        &self,
        at: usize,
        x: &Tensor,
        (): &(),
        batch: &PackedBatch,
        noise: &mut dyn Noise,
    ) -> Result<Tensor> {
        let (layer, segments) = (&self.layers[at], &batch.segments);
        let mask = noise.attention(segments, self.heads);
        let context = attention(
            &layer.query.forward(x, segments, noise)?,
            &layer.key.forward(x, segments, noise)?,
            &layer.value.forward(x, segments, noise)?,
            segments,
            Heads::full(self.heads),
            mask.as_ref(),
        )?;
        layer.block.forward(&context, x, segments, noise)
    }
}
