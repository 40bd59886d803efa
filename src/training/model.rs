//! The encoder and its heads while they are trained.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{Device, Tensor, Var};
use rayon::prelude::*;

use super::example::packed;
use super::optimiser::AdamW;
use super::schedule::layer_factor;
use super::{Example, Examples, Recipe};
use crate::codebook::Codebook;
use crate::encoder::{
    Encoder, EncoderConfig, PackedBatch, Parameters, Quiet, WORD_EMBEDDINGS, by_length,
};
use crate::error::{Error, Result};
use crate::heads::Heads;
use crate::heads::logistic::LinearHead;

/// Logits by text, tier and label.
pub type TextLogits = Vec<Vec<Vec<f64>>>;

/// Tokens that an evaluation batch holds at most.
const EVALUATION_TOKENS: usize = 2048;

const HEAD: &str = "heads.";

/// Trainable encoder and heads. The word embeddings are held for the tokens of the data only:
/// the others receive no gradient and no decay, so leaving them out changes nothing but time
/// and memory.
pub struct TrainingModel {
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
}

/// Replaces the examples' token ids by positions in the returned list of the ids in use.
pub(super) fn compact(examples: &mut Examples) -> Vec<u32> {
    let all = || examples.train.iter().chain(&examples.validation);
    let used: BTreeSet<u32> =
        all().flat_map(|e| e.text.ids.iter().copied()).chain(examples.mask).collect();
    let vocabulary: Vec<u32> = used.into_iter().collect();
    if let Some(mask) = &mut examples.mask {
        *mask = vocabulary.partition_point(|v| v < mask) as u32;
    }
    for example in examples.train.iter_mut().chain(&mut examples.validation) {
        for id in &mut example.text.ids {
            *id = vocabulary.partition_point(|v| v < id) as u32;
        }
    }
    vocabulary
}

impl TrainingModel {
    /// Makes the encoder's effective tensors and the heads trainable; `vocabulary` lists the
    /// token ids that the examples (whose ids are positions in it) use.
    ///
    /// # Errors
    /// If a tensor is missing.
    pub fn new(
        codebook: &Codebook,
        config: &EncoderConfig,
        parameters: &Parameters,
        vocabulary: Vec<u32>,
        heads: &[LinearHead],
        recipe: &Recipe,
    ) -> Result<Self> {
        let words = parameters.get(WORD_EMBEDDINGS)?;
        let index = Tensor::from_slice(&vocabulary, vocabulary.len(), &Device::Cpu)?;
        let mut optimiser = AdamW::new(recipe.averaging);
        let mut tracked = BTreeMap::new();
        let mut fixed = BTreeMap::new();
        for spec in config.tensors() {
            let mut tensor = parameters.get(&spec.name)?;
            if spec.name == WORD_EMBEDDINGS {
                tensor = words.index_select(&index, 0)?;
            }
            if spec.effective {
                let var = Var::from_tensor(&tensor)?;
                tracked.insert(spec.name.clone(), var.as_tensor().clone());
                let pace = layer_factor(spec.depth, config.layers(), recipe.layer_decay);
                let decays = spec.depth > 0 && spec.shape.len() > 1;
                optimiser.add(spec.name, var, pace, decays)?;
            } else {
                tracked.insert(spec.name.clone(), tensor.clone());
                fixed.insert(spec.name, tensor);
            }
        }
        let head_pace = recipe.head_learning_rate / recipe.learning_rate.max(f64::MIN_POSITIVE);
        let mut head_tensors = BTreeMap::new();
        for (name, tensor) in head_parameters(codebook, heads, config.hidden_size())? {
            let var = Var::from_tensor(&tensor)?;
            head_tensors.insert(name.clone(), var.as_tensor().clone());
            optimiser.add(format!("{HEAD}{name}"), var, head_pace, tensor.rank() > 1)?;
        }
        let detached = |tensors: &BTreeMap<String, Tensor>| {
            Parameters::new(tensors.iter().map(|(n, t)| (n.clone(), t.detach())).collect())
        };
        let (plain, plain_heads) = (detached(&tracked), detached(&head_tensors));
        Ok(Self {
            words,
            vocabulary,
            fixed: Parameters::new(fixed),
            optimiser,
            encoder: Encoder::new(config, &Parameters::new(tracked))?,
            heads: Heads::new(codebook, &Parameters::new(head_tensors))?,
            plain_encoder: Encoder::new(config, &plain)?,
            plain_heads: Heads::new(codebook, &plain_heads)?,
        })
    }

    /// The logits of these examples without dropout, in their order.
    ///
    /// # Errors
    /// If the model cannot be computed.
    pub fn logits(&self, examples: &[Example]) -> Result<TextLogits> {
        text_logits(&self.plain_encoder, &self.plain_heads, examples)
    }

    /// A copy of all current weights by name, heads under `heads.`.
    ///
    /// # Errors
    /// If a tensor cannot be copied.
    pub fn weights(&self) -> Result<BTreeMap<String, Tensor>> {
        self.optimiser.tensors().map(|(n, t)| Ok((n.clone(), t.var.as_tensor().copy()?))).collect()
    }

    /// Puts saved weights in the place of the current ones.
    ///
    /// # Errors
    /// If one is missing or has another shape.
    pub fn set_weights(&self, weights: &BTreeMap<String, Tensor>) -> Result<()> {
        for (name, trainable) in self.optimiser.tensors() {
            let saved = weights
                .get(name)
                .ok_or_else(|| Error::model(format!("the saved weights lack '{name}'")))?;
            trainable.var.set(saved)?;
        }
        Ok(())
    }

    /// The encoder's tensors in full, the whole vocabulary included, and the heads'.
    ///
    /// # Errors
    /// If a tensor cannot be copied.
    pub fn finished(&self) -> Result<(Parameters, Parameters)> {
        let mut encoder = self.fixed.clone();
        let mut heads = Parameters::default();
        for (name, tensor) in self.weights()? {
            match name.strip_prefix(HEAD) {
                Some(name) => heads.replace(name, tensor),
                None if name == WORD_EMBEDDINGS => {
                    let mut all = self.words.to_vec2::<f32>()?;
                    for (row, &id) in tensor.to_vec2::<f32>()?.into_iter().zip(&self.vocabulary) {
                        all[id as usize] = row;
                    }
                    let shape = self.words.shape();
                    encoder.replace(&name, Tensor::from_vec(all.concat(), shape, &Device::Cpu)?);
                }
                None => encoder.replace(&name, tensor),
            }
        }
        Ok((encoder, heads))
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
pub(super) fn text_logits(
    encoder: &Encoder,
    heads: &Heads,
    examples: &[Example],
) -> Result<TextLogits> {
    let forward = |batch: &PackedBatch| -> Result<Vec<Vec<Vec<f32>>>> {
        let logits = heads.forward(&encoder.embed(batch, &mut Quiet)?)?;
        logits.iter().map(|t| Ok(t.to_vec2::<f32>()?)).collect()
    };
    in_batches(examples, forward, |out: &mut TextLogits, tiers, rows| {
        out.resize(examples.len(), Vec::new());
        for tier in tiers {
            for (logits, &row) in tier.into_iter().zip(rows) {
                out[row].push(logits.into_iter().map(f64::from).collect());
            }
        }
    })
}

/// Computes batches in parallel, each on one thread, and gathers them in a fixed order.
pub(super) fn in_batches<T: Send, O: Default>(
    examples: &[Example],
    forward: impl Fn(&PackedBatch) -> Result<T> + Sync,
    mut gather: impl FnMut(&mut O, T, &[usize]),
) -> Result<O> {
    let texts: Vec<_> = examples.iter().map(|example| &example.text).collect();
    let batches = by_length(&texts, EVALUATION_TOKENS, usize::MAX);
    let results: Vec<T> = batches
        .par_iter()
        .map(|rows| forward(&packed(&rows.iter().map(|&i| &examples[i]).collect::<Vec<_>>())))
        .collect::<Result<_>>()?;
    let mut out = O::default();
    for (result, rows) in results.into_iter().zip(&batches) {
        gather(&mut out, result, rows);
    }
    Ok(out)
}
