//! One pass over the training rows: batches, shards, gradients.

use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use rand_chacha::rand_core::Rng;

use super::example::{Example, codes, packed, shards};
use super::randomness::{DropoutRates, KeyedNoise, Randomness};
use super::{Recipe, TextLogits, TrainingModel};
use crate::codebook::{Codebook, TierKind};
use crate::encoder::ops::dropout;
use crate::encoder::{Noise, PackedBatch, Quiet, Recomputed, Segments, each, pack};
use crate::error::Result;
use crate::heads::agreement::divergence;
use crate::heads::loss::tier_loss;
use crate::heads::{LabelWeights, denominators, targets};

/// What a backward pass needs and does not change.
pub(super) struct Context<'a> {
    pub codebook: &'a Codebook,
    pub recipe: &'a Recipe,
    pub model: &'a TrainingModel,
    pub weights: &'a LabelWeights,
    pub randomness: Randomness,
    /// The token that hides others, if the recipe hides any and the encoder knows one.
    pub mask: Option<u32>,
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

/// Replaces each token but the first and the last by the mask with this probability.
fn hide(ids: &mut [u32], mask: u32, rate: f64, stream: &mut impl Rng) {
    let inner = ids.len().saturating_sub(1);
    for id in ids.iter_mut().take(inner).skip(1) {
        if f64::from(stream.next_u32()) < rate * 2f64.powi(32) {
            *id = mask;
        }
    }
}

impl Context<'_> {
    /// Cuts a batch into the recipe's shards.
    pub fn cut<'e>(&self, batch: &[&'e Example]) -> Vec<Vec<&'e Example>> {
        let device = self.model.encoder.device();
        shards(batch, if device.is_cpu() { self.recipe.shards } else { self.recipe.accumulation })
    }

    /// The gradients of a batch's shards, in their order; with dropout if an epoch is given.
    pub fn backward(&self, shards: &[Vec<&Example>], epoch: Option<usize>) -> Result<Vec<Shard>> {
        let all: Vec<&Example> = shards.concat();
        let sums = denominators(self.codebook, &codes(&all), self.weights);
        let filled: Vec<&Vec<&Example>> = shards.iter().filter(|s| !s.is_empty()).collect();
        each(self.model.encoder.device(), &filled, |shard| self.shard(shard, &sums, epoch))
    }

    fn shard(&self, shard: &[&Example], sums: &[f32], epoch: Option<usize>) -> Result<Shard> {
        let found = self.recipe.gradient_checkpointing.then(Recomputed::default);
        let again = found.as_ref();
        let total = match epoch {
            Some(epoch) if self.recipe.consistency > 0.0 => {
                self.two_passes(shard, sums, epoch, again)?
            }
            Some(epoch) => self.loss(&self.pass("dropout", epoch, shard, again)?, shard, sums)?,
            None => {
                let logits = self.logits(packed(shard), &mut Quiet, again)?;
                self.loss(&logits, shard, sums)?
            }
        };
        let mut gradients = total.backward()?;
        if let Some(found) = found {
            found.join(&mut gradients)?;
        }
        Ok(Shard { loss: f64::from(total.to_scalar::<f32>()?), gradients })
    }

    /// The logits of one pass with dropout and hidden tokens, drawn for this purpose.
    fn pass(
        &self,
        purpose: &str,
        epoch: usize,
        shard: &[&Example],
        found: Option<&Recomputed>,
    ) -> Result<Vec<Tensor>> {
        let rows = shard.iter().map(|e| (e.row, e.text.windows.len()));
        let rates = DropoutRates {
            hidden: self.recipe.dropout,
            attention: self.recipe.attention_dropout,
            adapter: self.recipe.lora_dropout,
        };
        let mut noise = KeyedNoise::new(&self.randomness, purpose, epoch, rows, rates);
        let mut batch = packed(shard);
        if let Some(mask) = self.mask {
            let purpose = format!("hidden tokens, {purpose}");
            let mut windows = batch.segments.ranges();
            for example in shard {
                let mut stream = self.randomness.stream(&purpose, epoch, example.row);
                for range in windows.by_ref().take(example.text.windows.len()) {
                    hide(&mut batch.ids[range], mask, self.recipe.token_masking, &mut stream);
                }
            }
        }
        self.logits(batch, &mut noise, found)
    }

    fn logits(
        &self,
        batch: PackedBatch,
        noise: &mut dyn Noise,
        found: Option<&Recomputed>,
    ) -> Result<Vec<Tensor>> {
        let batch = &Arc::new(batch);
        let pooled = self.model.embed(batch, noise, found)?;
        let one_each = Segments::new(vec![1; batch.segments.len()]);
        let pooled = dropout(&pooled, noise.hidden(&one_each, pooled.dim(1)?).as_ref())?;
        self.model.heads.forward(&pooled, batch)
    }

    /// The mean loss of two passes with different dropout, and their divergence.
    fn two_passes(
        &self,
        shard: &[&Example],
        sums: &[f32],
        epoch: usize,
        found: Option<&Recomputed>,
    ) -> Result<Tensor> {
        let one = self.pass("dropout", epoch, shard, found)?;
        let other = self.pass("other dropout", epoch, shard, found)?;
        let both = (self.loss(&one, shard, sums)? + self.loss(&other, shard, sums)?)?;
        let mut total = (both * 0.5)?;
        let rows = codes(shard);
        for (tier, (one, other)) in one.iter().zip(&other).enumerate() {
            let goal = targets(self.codebook, tier, &rows, self.weights, 0.0, sums[tier]);
            let weight = self.recipe.consistency * self.weight(tier);
            total = (total + (divergence(one, other, goal)? * weight)?)?;
        }
        Ok(total)
    }

    /// The joint loss of these logits.
    fn loss(&self, logits: &[Tensor], examples: &[&Example], sums: &[f32]) -> Result<Tensor> {
        let rows = codes(examples);
        let mut total: Option<Tensor> = None;
        for (tier, logits) in logits.iter().enumerate() {
            let smoothing = self.recipe.label_smoothing;
            let goal = targets(self.codebook, tier, &rows, self.weights, smoothing, sums[tier]);
            let loss = (tier_loss(logits, goal)? * self.weight(tier))?;
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

    /// The joint loss of examples with these logits.
    pub fn loss_of(&self, logits: &TextLogits, examples: &[Example]) -> Result<f64> {
        let examples: Vec<&Example> = examples.iter().collect();
        let rows = codes(&examples);
        let sums = denominators(self.codebook, &rows, self.weights);
        let mut total = 0.0;
        for tier in 0..self.codebook.tiers.len() {
            let smoothing = self.recipe.label_smoothing;
            let goal = targets(self.codebook, tier, &rows, self.weights, smoothing, sums[tier]);
            let flat: Vec<f32> =
                logits.iter().flat_map(|text| text[tier].iter().map(|v| *v as f32)).collect();
            let loss = goal.evaluate(&flat, rows.len(), &mut vec![0.0; flat.len()]);
            total += loss * self.weight(tier);
        }
        Ok(total)
    }

    /// The weight of a tier in the joint loss.
    fn weight(&self, tier: usize) -> f64 {
        match self.codebook.tiers[tier].kind {
            TierKind::Single => 1.0,
            TierKind::Multi => self.recipe.multi_weight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_hidden_at_the_rate_asked_for_and_never_at_the_ends() {
        let mut ids = vec![7u32; 10_002];
        let mut stream = Randomness::new(1).stream("t", 0, 0);
        hide(&mut ids, 3, 0.1, &mut stream);
        assert_eq!((ids[0], ids[10_001]), (7, 7));
        let hidden = ids.iter().filter(|id| **id == 3).count();
        assert!((900..1100).contains(&hidden), "{hidden}");
        let mut short = vec![7u32, 7];
        hide(&mut short, 3, 1.0, &mut stream);
        assert_eq!(short, [7, 7]);
    }
}
