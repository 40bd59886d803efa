//! The DeBERTa-v2 and v3 encoder (He et al., ICLR 2021 and 2023), trainable, on packed batches.
//!
//! Dropout falls on tokens' states and attention probabilities, each drawn per text; the
//! distance table, which all texts of a batch share, has none.

mod config;

pub use config::DebertaConfig;

use std::sync::Arc;

use candle_core::Tensor;

use super::affine::{Affine, Norm};
use super::block::{BLOCK, Block};
use super::layered::Layered;
use super::ops::{
    Disentangled, Heads, attention, disentangled_attention, dropout, gelu, lookup, windows,
};
use super::weights::{Parameters, WORD_EMBEDDINGS};
use super::{Noise, PackedBatch, Precision, Quiet, Segments};
use crate::error::Result;
use config::{CONVOLUTION, DISTANCES, KINDS, POSITIONS, PROJECTION};

/// A DeBERTa encoder on its parameters.
#[derive(Clone, Debug)]
pub struct Deberta {
    config: DebertaConfig,
    words: Tensor,
    positions: Option<Tensor>,
    kinds: Option<Tensor>,
    projection: Option<Affine>,
    norm: Norm,
    distances: Option<Tensor>,
    distance_norm: Option<Norm>,
    convolution: Option<Convolution>,
    layers: Vec<Layer>,
}

#[derive(Clone, Debug)]
struct Layer {
    query: Affine,
    key: Affine,
    value: Affine,
    position_key: Option<Affine>,
    position_query: Option<Affine>,
    block: Block,
}

/// The convolution over the embeddings that the xlarge models add to their first layer.
#[derive(Clone, Debug)]
struct Convolution {
    /// Of the states that it sees at once to one.
    map: Affine,
    norm: Norm,
    size: usize,
    gelu: bool,
}

impl Convolution {
    fn new(config: &DebertaConfig, parameters: &Parameters) -> Result<Self> {
        let (size, hidden) = (config.conv_kernel_size, config.hidden_size);
        let weight = parameters.get(&format!("{CONVOLUTION}.weight"))?;
        let weight = weight.transpose(1, 2)?.contiguous()?.reshape((hidden, size * hidden))?;
        let bias = parameters.get(&format!("{CONVOLUTION}.bias"))?;
        Ok(Self {
            map: Affine::of_tensors(parameters, weight, Some(bias), Precision::F32)?,
            norm: Norm::new(parameters, "encoder.conv.LayerNorm")?,
            size,
            gelu: config.conv_act == "gelu",
        })
    }

    fn forward(
        &self,
        embedded: &Tensor,
        first: &Tensor,
        segments: &Arc<Segments>,
        noise: &mut dyn Noise,
        epsilon: f64,
    ) -> Result<Tensor> {
        let x = self.map.of(&windows(embedded, segments, self.size)?)?;
        let x = dropout(&x, noise.hidden(segments, x.dim(1)?).as_ref())?;
        let x = if self.gelu { gelu(&x)? } else { x.tanh()? };
        Ok(self.norm.forward(&(first + x)?, epsilon)?)
    }
}

/// The distance table of one batch: its rows in use, and which of them a distance takes.
#[derive(Clone)]
pub struct Distances {
    table: Tensor,
    rows: Arc<Vec<u32>>,
}

impl Deberta {
    /// Builds the encoder on its parameters.
    ///
    /// # Errors
    /// If a tensor is missing.
    pub fn new(config: &DebertaConfig, parameters: &Parameters) -> Result<Self> {
        let (c2p, p2c) = (config.content_to_position(), config.position_to_content());
        let layers = (0..config.num_hidden_layers)
            .map(|i| {
                let name = |part: &str| format!("encoder.layer.{i}.{part}");
                let affine = |part: &str| Affine::new(parameters, &name(part));
                let own = |there: bool, part: &str| {
                    (there && !config.share_att_key).then(|| affine(part)).transpose()
                };
                Ok(Layer {
                    query: affine("attention.self.query_proj")?,
                    key: affine("attention.self.key_proj")?,
                    value: affine("attention.self.value_proj")?,
                    position_key: own(c2p, "attention.self.pos_key_proj")?,
                    position_query: own(p2c, "attention.self.pos_query_proj")?,
                    block: Block::new(
                        parameters,
                        &format!("encoder.layer.{i}"),
                        &BLOCK,
                        config.layer_norm_eps,
                    )?,
                })
            })
            .collect::<Result<_>>()?;
        let optional = |there: bool, name: &str| there.then(|| parameters.get(name)).transpose();
        Ok(Self {
            words: parameters.get(WORD_EMBEDDINGS)?,
            positions: optional(config.position_biased_input, POSITIONS)?,
            kinds: optional(config.type_vocab_size > 0, KINDS)?,
            projection: optional(config.embedding() != config.hidden_size, PROJECTION)?
                .map(|weight| Affine::of_tensors(parameters, weight, None, Precision::F32))
                .transpose()?,
            norm: Norm::new(parameters, "embeddings.LayerNorm")?,
            distances: optional(c2p || p2c, DISTANCES)?,
            distance_norm: ((c2p || p2c) && config.normed_distances())
                .then(|| Norm::new(parameters, "encoder.LayerNorm"))
                .transpose()?,
            convolution: (config.conv_kernel_size > 0)
                .then(|| Convolution::new(config, parameters))
                .transpose()?,
            layers,
            config: config.clone(),
        })
    }

    fn embed(&self, batch: &PackedBatch) -> Result<Tensor> {
        let mut x = lookup(&self.words, &batch.ids)?;
        if let Some(positions) = &self.positions {
            x = (x + lookup(positions, &batch.positions())?)?;
        }
        if let Some(kinds) = &self.kinds {
            x = (x + lookup(kinds, &vec![0; batch.ids.len()])?)?;
        }
        if let Some(projection) = &self.projection {
            x = projection.of(&x)?;
        }
        Ok(self.norm.forward(&x, self.config.layer_norm_eps)?)
    }

    /// The rows of the distance table that texts of up to `longest` tokens use.
    fn distances(&self, longest: usize) -> Result<Option<Distances>> {
        let Some(table) = &self.distances else { return Ok(None) };
        let far = longest.max(1) as i64 - 1;
        let rows: Vec<u32> = (-far..=far).map(|distance| self.config.row(distance)).collect();
        let (low, high) = (rows[0], rows[rows.len() - 1]);
        let mut table = table.narrow(0, low as usize, (high - low) as usize + 1)?.contiguous()?;
        if let Some(norm) = &self.distance_norm {
            table = norm.forward(&table, self.config.layer_norm_eps)?;
        }
        Ok(Some(Distances { table, rows: Arc::new(rows.iter().map(|row| row - low).collect()) }))
    }

    fn attend(
        &self,
        layer: &Layer,
        x: &Tensor,
        distances: Option<&Distances>,
        segments: &Arc<Segments>,
        noise: &mut dyn Noise,
    ) -> Result<Tensor> {
        let heads = self.config.num_attention_heads;
        let mask = noise.attention(segments, heads);
        let q = layer.query.forward(x, segments, noise)?;
        let k = layer.key.forward(x, segments, noise)?;
        let v = layer.value.forward(x, segments, noise)?;
        let Some(Distances { table, rows }) = distances else {
            return Ok(attention(&q, &k, &v, segments, Heads::full(heads), mask.as_ref())?);
        };
        let how = Disentangled {
            segments: segments.clone(),
            heads,
            rows: rows.clone(),
            content_to_position: self.config.content_to_position(),
            position_to_content: self.config.position_to_content(),
            mask,
        };
        let mut positions = Vec::new();
        let mut project = |there: bool, own: &Option<Affine>, shared: &Affine| -> Result<()> {
            if there {
                let affine = own.as_ref().unwrap_or(shared);
                positions.push(affine.forward(table, segments, &mut Quiet)?);
            }
            Ok(())
        };
        project(how.content_to_position, &layer.position_key, &layer.key)?;
        project(how.position_to_content, &layer.position_query, &layer.query)?;
        let positions = Tensor::cat(&positions, 1)?;
        Ok(disentangled_attention(&Tensor::cat(&[q, k, v], 1)?, &positions, &how)?)
    }
}

impl Layered for Deberta {
    type Shared = Option<Distances>;

    fn begin(
        &self,
        batch: &PackedBatch,
        noise: &mut dyn Noise,
    ) -> Result<(Tensor, Option<Distances>)> {
        let segments = &batch.segments;
        let mask = noise.hidden(segments, self.config.hidden_size);
        let embedded = dropout(&self.embed(batch)?, mask.as_ref())?;
        Ok((embedded, self.distances(segments.longest())?))
    }

    fn layers(&self) -> usize {
        self.layers.len()
    }

    fn layer(
        &self,
        at: usize,
        x: &Tensor,
        distances: &Option<Distances>,
        batch: &PackedBatch,
        noise: &mut dyn Noise,
    ) -> Result<Tensor> {
        let (layer, segments) = (&self.layers[at], &batch.segments);
        let context = self.attend(layer, x, distances.as_ref(), segments, noise)?;
        let z = layer.block.forward(&context, x, segments, noise)?;
        match (at, &self.convolution) {
            // What the first layer sees is what was embedded.
            (0, Some(convolution)) => {
                convolution.forward(x, &z, segments, noise, self.config.layer_norm_eps)
            }
            _ => Ok(z),
        }
    }

    fn trained(distances: &Option<Distances>) -> Option<&Tensor> {
        distances.as_ref().map(|distances| &distances.table)
    }

    fn replaced(distances: &Option<Distances>, table: Tensor) -> Option<Distances> {
        distances.as_ref().map(|distances| Distances { table, rows: distances.rows.clone() })
    }
}
