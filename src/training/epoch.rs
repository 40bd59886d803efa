//! One pass over the training rows: batches, shards, gradients.

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use rayon::prelude::*;

use super::example::{Example, codes, packed, shards};
use super::randomness::{KeyedNoise, Randomness};
use super::{Recipe, TrainingModel};
use crate::codebook::{Codebook, TierKind};
use crate::encoder::ops::dropout;
use crate::encoder::{Noise, Quiet, Segments, pack};
use crate::error::Result;
use crate::heads::loss::tier_loss;
use crate::heads::{LabelWeights, denominators, targets};

/// What a backward pass needs and does not change.
pub(super) struct Context<'a> {
    pub codebook: &'a Codebook,
    pub recipe: &'a Recipe,
    pub model: &'a TrainingModel,
    pub weights: &'a LabelWeights,
    pub randomness: Randomness,
}

/// The loss and the gradients of one shard.
pub(super) struct Shard {
    loss: f64,
    gradients: GradStore,
}

impl Shard {
    pub fn gradient(&self, var: &Var) -> Option<Tensor> {
        self.gradients.get(var).cloned()
    }

    pub fn loss(&self) -> f64 {
        self.loss
    }
}

/// The batches of an epoch as indices of training rows: shuffled anew, cut by rows and tokens.
pub(super) fn batches(
    train: &[Example],
    recipe: &Recipe,
    randomness: &Randomness,
    epoch: usize,
) -> Vec<Vec<usize>> {
    let order = randomness.permutation("shuffle", epoch, train.len());
    let lengths: Vec<usize> = order.iter().map(|&i| train[i].text.ids.len()).collect();
    pack(&lengths, recipe.batch_tokens, recipe.batch_rows)
        .into_iter()
        .map(|range| order[range].to_vec())
        .collect()
}

impl Context<'_> {
    /// Cuts a batch into the recipe's shards.
    pub fn cut<'e>(&self, batch: &[&'e Example]) -> Vec<Vec<&'e Example>> {
        shards(batch, self.recipe.shards)
    }

    /// The gradients of a batch's shards, in their order; with dropout if an epoch is given.
    pub fn backward(&self, shards: &[Vec<&Example>], epoch: Option<usize>) -> Result<Vec<Shard>> {
        let all: Vec<&Example> = shards.concat();
        let sums = denominators(self.codebook, &codes(&all), self.weights);
        shards
            .par_iter()
            .filter(|shard| !shard.is_empty())
            .map(|shard| self.shard(shard, &sums, epoch))
            .collect()
    }

    fn shard(&self, shard: &[&Example], sums: &[f32], epoch: Option<usize>) -> Result<Shard> {
        let mut noise: Box<dyn Noise> = match epoch {
            None => Box::new(Quiet),
            Some(epoch) => Box::new(KeyedNoise::new(
                &self.randomness,
                epoch,
                shard.iter().map(|e| e.row),
                self.recipe.dropout,
                self.recipe.attention_dropout,
            )),
        };
        let pooled = self.model.encoder.embed(&packed(shard), noise.as_mut())?;
        let one_each = Segments::new(vec![1; shard.len()]);
        let pooled = dropout(&pooled, noise.hidden(&one_each, pooled.dim(1)?).as_ref())?;
        let total = self.loss(&self.model.heads.forward(&pooled)?, shard, sums)?;
        let gradients = total.backward()?;
        Ok(Shard { loss: f64::from(total.to_scalar::<f32>()?), gradients })
    }

    /// The joint loss of these logits.
    fn loss(&self, logits: &[Tensor], examples: &[&Example], sums: &[f32]) -> Result<Tensor> {
        let rows = codes(examples);
        let mut total: Option<Tensor> = None;
        for (tier, logits) in logits.iter().enumerate() {
            let smoothing = self.recipe.label_smoothing;
            let goal = targets(self.codebook, tier, &rows, self.weights, smoothing, sums[tier]);
            let mut loss = tier_loss(logits, goal)?;
            if self.codebook.tiers[tier].kind == TierKind::Multi {
                loss = (loss * self.recipe.multi_weight)?;
            }
            total = Some(match total {
                None => loss,
                Some(total) => (total + loss)?,
            });
        }
        match total {
            Some(total) => Ok(total),
            None => Ok(Tensor::zeros((), candle_core::DType::F32, &candle_core::Device::Cpu)?),
        }
    }

    /// The joint loss of the validation rows, without dropout.
    pub fn validation_loss(&self, logits: &super::TierLogits, examples: &[Example]) -> Result<f64> {
        let examples: Vec<&Example> = examples.iter().collect();
        let sums = denominators(self.codebook, &codes(&examples), self.weights);
        let tensors = logits
            .iter()
            .zip(&self.codebook.tiers)
            .map(|(rows, tier)| {
                let shape = (rows.len(), tier.labels.len());
                Ok(Tensor::from_vec(rows.concat(), shape, &candle_core::Device::Cpu)?)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(f64::from(self.loss(&tensors, &examples, &sums)?.to_scalar::<f32>()?))
    }
}
