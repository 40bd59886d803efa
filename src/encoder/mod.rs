//! The open transformer: texts to tokens, tokens to vectors.

mod affine;
mod batch;
mod bert;
mod block;
mod cache;
mod compute;
mod config;
mod deberta;
mod folder;
mod fused;
mod gguf;
pub mod kernels;
mod layered;
mod llama;
mod lora;
mod modernbert;
pub mod ops;
mod quantised;
mod sentencepiece;
mod shards;
mod source;
mod tokens;
mod vectors;
mod weights;

pub use affine::Affine;
pub use batch::{PackedBatch, by_length, pack};
pub use bert::Bert;
pub use cache::{HubId, hub_cache, hub_home};
pub use compute::{
    Compute, ComputeRequest, DeviceRequest, Found, Precision, arithmetic, batch_tokens,
    device_name, each, find_device,
};
pub use config::{BertConfig, EncoderConfig};
pub use deberta::{Deberta, DebertaConfig};
pub use folder::{LONGEST_CONFIG, LONGEST_TOKENIZER, LONGEST_WEIGHTS, Unreadable, read_within};
pub use fused::{calibrate, quantised_shapes};
pub use layered::Recomputed;
pub use llama::{Llama, LlamaConfig};
pub use lora::{AdaptedModule, Adapter, LoraConfig, adapted_modules, is_up};
pub use modernbert::{ModernBert, ModernBertConfig};
pub use ops::{Pooling, Segments};
pub use quantised::{Quantised, QuantisedMatrix};
pub use sentencepiece::{SENTENCEPIECE, tokenizer_json};
pub use shards::{INDEX, WEIGHTS, is_pickle, listed, refuse_pickle};
pub use source::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, AdapterFiles, ModelFiles, SHIPPED};
pub use tokens::{Cut, TokenizedText, Tokens};
pub use vectors::{batch_by_batch, text_vectors};
pub use weights::{Packing, Parameters, TensorSpec, load_weights, save_weights};

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::error::{Error, Result};
use fused::FusedBert;
use layered::{forward, forward_recomputing};
use ops::{AttentionMask, DropoutMask};

/// Where dropout masks come from; `None` means that nothing is dropped.
pub trait Noise {
    /// A mask over a `[tokens, width]` matrix of hidden states.
    fn hidden(&mut self, segments: &Segments, width: usize) -> Option<DropoutMask>;
    /// A mask over the attention probabilities of every text and head.
    fn attention(&mut self, segments: &Segments, heads: usize) -> Option<AttentionMask>;
    /// A mask over the `[tokens, width]` matrix that one low-rank adaptation sees.
    fn adapter(&mut self, segments: &Segments, width: usize) -> Option<DropoutMask>;
    /// Another source that draws from here what this one will.
    fn fork(&self) -> Box<dyn Noise + Send + Sync>;
}

/// No dropout: evaluation and coding.
#[derive(Clone, Copy, Debug)]
pub struct Quiet;

impl Noise for Quiet {
    fn hidden(&mut self, _: &Segments, _: usize) -> Option<DropoutMask> {
        None
    }

    fn attention(&mut self, _: &Segments, _: usize) -> Option<AttentionMask> {
        None
    }

    fn adapter(&mut self, _: &Segments, _: usize) -> Option<DropoutMask> {
        None
    }

    fn fork(&self) -> Box<dyn Noise + Send + Sync> {
        Box::new(*self)
    }
}

/// An encoder ready to compute, of whatever architecture its configuration names.
#[derive(Clone, Debug)]
pub struct Encoder {
    architecture: Architecture,
    pooling: Pooling,
    /// The query of attention pooling.
    query: Option<Tensor>,
    device: Device,
}

/// The name of the query of attention pooling, `[hidden]`, which bundles keep with the heads.
pub const POOLING_QUERY: &str = "pooling.query";

#[derive(Clone, Debug)]
enum Architecture {
    Bert(Arc<Bert>),
    /// A BERT whose weights never change, on the CPU.
    Fused(Arc<FusedBert>),
    Deberta(Arc<Deberta>),
    Llama(Arc<Llama>),
    ModernBert(Arc<ModernBert>),
}

impl Encoder {
    /// Builds the encoder on its parameters, to which [`POOLING_QUERY`] belongs with attention
    /// pooling; tracked tensors make it trainable.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape than the configuration says.
    pub fn new(config: &EncoderConfig, pooling: Pooling, parameters: &Parameters) -> Result<Self> {
        let architecture = match config {
            EncoderConfig::Bert(c) if parameters.packing().is_some() => {
                Architecture::Fused(Arc::new(FusedBert::new(c, parameters)?))
            }
            EncoderConfig::Bert(c) => Architecture::Bert(Arc::new(Bert::new(c, parameters)?)),
            EncoderConfig::Deberta(c) => {
                Architecture::Deberta(Arc::new(Deberta::new(c, parameters)?))
            }
            EncoderConfig::Llama(c) => Architecture::Llama(Arc::new(Llama::new(c, parameters)?)),
            EncoderConfig::ModernBert(c) => {
                Architecture::ModernBert(Arc::new(ModernBert::new(c, parameters)?))
            }
        };
        let query = (pooling == Pooling::Attention).then(|| parameters.get(POOLING_QUERY));
        let device = parameters.get(config.words())?.device().clone();
        Ok(Self { architecture, pooling, query: query.transpose()?, device })
    }

    /// Where the encoder computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The states of all tokens, `[tokens, hidden]`.
    ///
    /// # Errors
    /// If an id or a length lies outside the encoder's tables.
    pub fn forward(&self, batch: &PackedBatch, noise: &mut dyn Noise) -> Result<Tensor> {
        match &self.architecture {
            Architecture::Bert(bert) => forward(&**bert, batch, noise),
            Architecture::Fused(bert) => bert.states(batch),
            Architecture::Deberta(deberta) => forward(&**deberta, batch, noise),
            Architecture::Llama(llama) => forward(&**llama, batch, noise),
            Architecture::ModernBert(bert) => forward(&**bert, batch, noise),
        }
    }

    /// One vector a window of a text: `[windows, hidden]`, in f32 on the CPU, where the heads
    /// compute, wherever the encoder does.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn embed(&self, batch: &PackedBatch, noise: &mut dyn Noise) -> Result<Tensor> {
        match &self.architecture {
            Architecture::Fused(bert) if self.query.is_none() => bert.pooled(batch, self.pooling),
            _ => self.pooled(&self.forward(batch, noise)?, batch),
        }
    }

    /// As [`Encoder::embed`], but the backward pass computes each layer again instead of keeping
    /// what it computed: less memory for a third more time. `plain` is this encoder without a
    /// record of its operations; `found` receives the gradients of the layers' tensors.
    ///
    /// # Errors
    /// As [`Encoder::forward`], or if `plain` is of another architecture.
    pub fn embed_recomputing(
        &self,
        plain: &Self,
        batch: &Arc<PackedBatch>,
        noise: &mut dyn Noise,
        found: &Recomputed,
    ) -> Result<Tensor> {
        use Architecture as A;
        let states = match (&self.architecture, &plain.architecture) {
            (A::Bert(a), A::Bert(b)) => forward_recomputing(a, b, batch, noise, found)?,
            (A::Deberta(a), A::Deberta(b)) => forward_recomputing(a, b, batch, noise, found)?,
            (A::Llama(a), A::Llama(b)) => forward_recomputing(a, b, batch, noise, found)?,
            (A::ModernBert(a), A::ModernBert(b)) => forward_recomputing(a, b, batch, noise, found)?,
            _ => return Err(Error::model("an encoder is computed again as another")),
        };
        self.pooled(&states, batch)
    }

    /// The mean of the states after each of these layers, counted from 1: one vector of
    /// `layers · hidden` values a window.
    ///
    /// # Errors
    /// As [`Encoder::forward`], or if the encoder has no such layer or is none packed for coding.
    pub fn means_after(&self, batch: &PackedBatch, layers: &[usize]) -> Result<Vec<Vec<f32>>> {
        match &self.architecture {
            Architecture::Fused(bert) => bert.means_after(batch, layers),
            _ => Err(Error::model("the states between layers are kept of a packed BERT alone")),
        }
    }

    fn pooled(&self, states: &Tensor, batch: &PackedBatch) -> Result<Tensor> {
        let pooled = match &self.query {
            Some(query) => {
                let query = query.to_device(states.device())?;
                ops::attention_pool(states, &query, &batch.segments)?
            }
            None => ops::pool(states, &batch.segments, self.pooling)?,
        };
        Ok(pooled.to_dtype(DType::F32)?.to_device(&Device::Cpu)?)
    }
}
