//! The encoder and its heads while they are trained.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor, Var};

use super::example::packed;
use super::optimiser::{AdamW, Pace};
use super::schedule::layer_factor;
use super::{Example, Recipe};
use crate::codebook::Codebook;
use crate::encoder::{
    Adapter, Compute, Encoder, EncoderConfig, LoraConfig, Noise, POOLING_QUERY, PackedBatch,
    Parameters, Quiet, Recomputed, batch_tokens, by_length, each,
};
use crate::error::{Error, Result};
use crate::heads::logistic::LinearHead;
use crate::heads::{Heads, chain_bias};

/// Logits by text, tier and label.
pub type TextLogits = Vec<Vec<Vec<f64>>>;

const HEAD: &str = "heads.";

/// Trainable encoder and heads. The word embeddings are held for the tokens of the data only:
/// the others receive no gradient and no decay, so leaving them out changes nothing but time
/// and memory.
pub struct TrainingModel {
    words_name: &'static str,
    words: Tensor,
    vocabulary: Vec<u32>,
    fixed: Parameters,
    /// Weights, moments and their update.
    pub optimiser: AdamW,
    /// The encoder whose operations are recorded for the backward pass.
    pub encoder: Encoder,
    /// The heads whose operations are recorded for the backward pass.
    pub heads: Heads,
    plain_encoder: Encoder,
    plain_heads: Heads,
    lora: Option<LoraConfig>,
    chained: bool,
}

/// What a model under training starts from.
pub struct Begun<'a> {
    /// The encoder's sizes.
    pub config: &'a EncoderConfig,
    /// The encoder's tensors.
    pub parameters: &'a Parameters,
    /// The token ids that the examples, whose ids are positions in it, use.
    pub vocabulary: Vec<u32>,
    /// The tensors that heads and pooling start from.
    pub heads: &'a Parameters,
    /// The adapter that is trained instead of the encoder itself.
    pub adapter: Option<Adapter>,
    /// Where and how the encoder computes; heads and loss stay on the CPU, in f32.
    pub compute: &'a Compute,
}

/// The encoder as a training leaves it.
pub enum TrainedEncoder {
    /// All of its tensors.
    Full(Parameters),
    /// An adapter of the base.
    Adapter(Adapter),
}

/// Tensors on their way into a model: those that are trained, under way to the optimiser, and
/// those that are not.
struct Tracked {
    tensors: BTreeMap<String, Tensor>,
    fixed: BTreeMap<String, Tensor>,
    vars: BTreeMap<String, (Var, Pace)>,
}

impl Tracked {
    fn train(&mut self, name: String, tensor: &Tensor, rate: f64, decays: bool) -> Result<()> {
        let var = Var::from_tensor(tensor)?;
        self.tensors.insert(name.clone(), var.as_tensor().clone());
        self.vars.insert(name, (var, Pace { rate, decays }));
        Ok(())
    }
}

/// The same tensors without a record of their operations.
fn detached<'a>(
    tensors: impl IntoIterator<Item = (&'a String, &'a Tensor)>,
) -> BTreeMap<String, Tensor> {
    tensors.into_iter().map(|(name, tensor)| (name.clone(), tensor.detach())).collect()
}

impl TrainingModel {
    /// Makes the heads trainable, and with them the adapter or, without one, the encoder's
    /// effective tensors.
    ///
    /// # Errors
    /// If a tensor is missing.
    pub fn new(codebook: &Codebook, begun: Begun, recipe: &Recipe) -> Result<Self> {
        let Begun { config, parameters, vocabulary, heads, adapter, compute } = begun;
        let device = &compute.device;
        let words = parameters.get(config.words())?;
        let index = Tensor::from_slice(&vocabulary, vocabulary.len(), &Device::Cpu)?;
        let mut model =
            Tracked { tensors: BTreeMap::new(), fixed: BTreeMap::new(), vars: BTreeMap::new() };
        let pace = |depth| layer_factor(depth, config.layers(), recipe.layer_decay);
        for spec in config.tensors() {
            let mut tensor = parameters.get(&spec.name)?;
            if spec.name == config.words() {
                tensor = words.index_select(&index, 0)?;
            }
            if spec.effective && adapter.is_none() {
                let decays = spec.depth > 0 && spec.shape.len() > 1;
                let tensor = tensor.to_device(device)?;
                model.train(spec.name, &tensor, pace(spec.depth), decays)?;
            } else {
                let tensor = compute.place(&tensor, spec.is_linear())?;
                model.tensors.insert(spec.name.clone(), tensor.clone());
                model.fixed.insert(spec.name, tensor);
            }
        }
        let base = Parameters::new(std::mem::take(&mut model.tensors));
        let depths: BTreeMap<String, usize> =
            config.tensors().into_iter().map(|spec| (spec.name, spec.depth)).collect();
        for (name, tensor) in adapter.iter().flat_map(Adapter::tensors) {
            let module = name.split(".lora_").next().unwrap_or_default();
            let depth = depths.get(&format!("{module}.weight")).copied().unwrap_or_default();
            model.train(name, &tensor.to_device(device)?, pace(depth), true)?;
        }
        let low_rank = std::mem::take(&mut model.tensors);
        let fitted: Vec<String> = codebook
            .tiers
            .iter()
            .filter(|tier| recipe.starts_fitted(tier.kind))
            .map(|tier| format!("{}.", tier.name))
            .collect();
        for (name, tensor) in heads.iter() {
            let rate = match fitted.iter().any(|tier| name.starts_with(tier)) {
                true => recipe.fitted_head_learning_rate,
                false => recipe.head_learning_rate,
            };
            let head_pace = rate / recipe.learning_rate.max(f64::MIN_POSITIVE);
            let decays = tensor.rank() > 1;
            model.train(format!("{HEAD}{name}"), tensor, head_pace, decays)?;
        }
        let head_tensors: BTreeMap<String, Tensor> = model
            .tensors
            .iter()
            .filter_map(|(name, t)| Some((name.strip_prefix(HEAD)?.to_owned(), t.clone())))
            .collect();
        let adapted =
            |base: Parameters, low_rank: &BTreeMap<String, Tensor>, heads: &Parameters| {
                let base = base.multiplied_in(compute.precision);
                let mut all = match &adapter {
                    Some(a) => Adapter::of_tensors(a.config().clone(), low_rank)?.beside(base),
                    None => base,
                };
                if let Ok(query) = heads.get(POOLING_QUERY) {
                    all.replace(POOLING_QUERY, query);
                }
                Ok::<_, Error>(all)
            };
        let plain_heads = Parameters::new(detached(&head_tensors));
        let plain = Parameters::new(detached(base.iter()));
        let plain = adapted(plain, &detached(&low_rank), &plain_heads)?;
        let head_tensors = Parameters::new(head_tensors);
        let shape = recipe.head_shape();
        Ok(Self {
            words_name: config.words(),
            words,
            vocabulary,
            fixed: Parameters::new(model.fixed),
            optimiser: AdamW::new(model.vars, recipe.averaging)?,
            encoder: Encoder::new(
                config,
                recipe.pooling,
                &adapted(base, &low_rank, &head_tensors)?,
            )?,
            heads: Heads::new(codebook, shape, &head_tensors)?,
            plain_encoder: Encoder::new(config, recipe.pooling, &plain)?,
            plain_heads: Heads::new(codebook, shape, &plain_heads)?,
            lora: adapter.map(|adapter| adapter.config().clone()),
            chained: recipe.chained,
        })
    }

    /// The logits of these examples without dropout, in their order.
    ///
    /// # Errors
    /// If the model cannot be computed.
    pub fn logits(&self, examples: &[Example]) -> Result<TextLogits> {
        text_logits(&self.plain_encoder, &self.plain_heads, examples)
    }

    /// The pooled vectors of a batch for the backward pass, whose layers are computed again if
    /// `found` says where their gradients go.
    ///
    /// # Errors
    /// If the model cannot be computed.
    pub fn embed(
        &self,
        batch: &Arc<PackedBatch>,
        noise: &mut dyn Noise,
        found: Option<&Recomputed>,
    ) -> Result<Tensor> {
        match found {
            Some(found) => self.encoder.embed_recomputing(&self.plain_encoder, batch, noise, found),
            None => self.encoder.embed(batch, noise),
        }
    }

    /// A copy of all current weights by name, heads under `heads.`.
    ///
    /// # Errors
    /// If a tensor cannot be copied.
    pub fn weights(&self) -> Result<BTreeMap<String, Tensor>> {
        self.optimiser.vars().map(|(n, var)| Ok((n.clone(), var.as_tensor().copy()?))).collect()
    }

    /// Puts saved weights in the place of the current ones.
    ///
    /// # Errors
    /// If one is missing or has another shape.
    pub fn set_weights(&self, weights: &BTreeMap<String, Tensor>) -> Result<()> {
        for (name, var) in self.optimiser.vars() {
            let saved = weights
                .get(name)
                .ok_or_else(|| Error::model(format!("the saved weights lack '{name}'")))?;
            var.set(&saved.to_device(var.device())?)?;
        }
        Ok(())
    }

    /// The encoder, the whole vocabulary included, or its adapter, and the tensors of heads and
    /// pooling, those included by which the tiers of a chain see each other.
    ///
    /// # Errors
    /// If a tensor cannot be copied.
    pub fn finished(&self, codebook: &Codebook) -> Result<(TrainedEncoder, Parameters)> {
        let here = |(name, tensor): (_, Tensor)| Ok((name, tensor.to_device(&Device::Cpu)?));
        let mut encoder: BTreeMap<String, Tensor> =
            self.weights()?.into_iter().map(here).collect::<Result<_>>()?;
        let is_head = |name: &String| name.starts_with(HEAD);
        let heads: BTreeMap<String, Tensor> = encoder
            .iter()
            .filter(|(name, _)| is_head(name))
            .map(|(name, tensor)| (name[HEAD.len()..].to_owned(), tensor.clone()))
            .collect();
        encoder.retain(|name, _| !is_head(name));
        let mut heads = Parameters::new(heads);
        if self.chained {
            for tier in &codebook.tiers {
                heads.replace(&chain_bias(tier), heads.get(&format!("{}.bias", tier.name))?);
            }
        }
        if let Some(lora) = &self.lora {
            let adapter = Adapter::of_tensors(lora.clone(), &encoder)?;
            return Ok((TrainedEncoder::Adapter(adapter), heads));
        }
        if let Some(trained) = encoder.get(self.words_name) {
            let mut all = self.words.to_vec2::<f32>()?;
            for (row, &id) in trained.to_vec2::<f32>()?.into_iter().zip(&self.vocabulary) {
                all[id as usize] = row;
            }
            let all = Tensor::from_vec(all.concat(), self.words.shape(), &Device::Cpu)?;
            encoder.insert(self.words_name.to_owned(), all);
        }
        for (name, tensor) in self.fixed.iter() {
            encoder.insert(name.clone(), tensor.to_device(&Device::Cpu)?);
        }
        Ok((TrainedEncoder::Full(Parameters::new(encoder)), heads))
    }
}

/// Heads as tensors, `TIER.weight` and `TIER.bias`.
pub(super) fn head_parameters(
    codebook: &Codebook,
    heads: &[LinearHead],
    hidden: usize,
) -> Result<Vec<(String, Tensor)>> {
    let mut out = Vec::new();
    for (tier, head) in codebook.tiers.iter().zip(heads) {
        let labels = tier.labels.len();
        let weight = Tensor::from_slice(&head.weight, (labels, hidden), &Device::Cpu)?;
        out.push((format!("{}.weight", tier.name), weight));
        out.push((
            format!("{}.bias", tier.name),
            Tensor::from_slice(&head.bias, labels, &Device::Cpu)?,
        ));
    }
    Ok(out)
}

/// The logits of these examples without dropout, in their order.
///
/// # Errors
/// If the model cannot be computed.
pub fn text_logits(encoder: &Encoder, heads: &Heads, examples: &[Example]) -> Result<TextLogits> {
    let forward = |batch: &PackedBatch| -> Result<Vec<Vec<Vec<f32>>>> {
        let logits = heads.forward(&encoder.embed(batch, &mut Quiet)?, batch)?;
        logits.iter().map(|t| Ok(t.to_vec2::<f32>()?)).collect()
    };
    let device = encoder.device();
    in_batches(device, examples, forward, |out: &mut TextLogits, tiers, rows| {
        out.resize(examples.len(), Vec::new());
        for tier in tiers {
            for (logits, &row) in tier.into_iter().zip(rows) {
                out[row].push(logits.into_iter().map(f64::from).collect());
            }
        }
    })
}

/// Computes batches (on the CPU in parallel, each on one thread) and gathers them in a fixed
/// order.
pub(super) fn in_batches<T: Send, O: Default>(
    device: &Device,
    examples: &[Example],
    forward: impl Fn(&PackedBatch) -> Result<T> + Sync,
    mut gather: impl FnMut(&mut O, T, &[usize]),
) -> Result<O> {
    let texts: Vec<_> = examples.iter().map(|example| &example.text).collect();
    let batches = by_length(&texts, batch_tokens(device), usize::MAX);
    let results: Vec<T> = each(device, &batches, |rows: &Vec<usize>| {
        forward(&packed(&rows.iter().map(|&i| &examples[i]).collect::<Vec<_>>()))
    })?;
    let mut out = O::default();
    for (result, rows) in results.into_iter().zip(&batches) {
        gather(&mut out, result, rows);
    }
    Ok(out)
}
