//! One pass over the training rows: batches, shards, gradients.

use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use rand_chacha::rand_core::Rng;

use super::example::{Example, codes, packed, shards, soft_codes};
use super::randomness::{DropoutRates, KeyedNoise, Randomness};
use super::{Recipe, TextLogits, TrainingModel};
use crate::codebook::{Code, Codebook, LabelSet, TierKind};
use crate::encoder::ops::{self, dropout};
use crate::encoder::{Noise, PackedBatch, Pooling, Quiet, Recomputed, Segments, each, pack};
use crate::error::Result;
use crate::heads::agreement::divergence;
use crate::heads::contrast::Contrast;
use crate::heads::loss::{Targets, tier_loss};
use crate::heads::pairs::pair_loss;
use crate::heads::soft::{SoftTargets, soft_denominators};
use crate::heads::{LabelWeights, LossForm, denominators, targets};

/// What a training learns from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Objective {
    /// Codes, and what teachers say of texts without any.
    Codes,
    /// The texts alone: two passes over a text, which differ in dropout and hidden tokens, are drawn
    /// together, and all other texts of the batch apart (unsupervised SimCSE; Gao, Yao and Chen,
    /// EMNLP 2021).
    Texts {
        /// What cosine similarities are divided by.
        temperature: f64,
    },
}

/// What a backward pass needs and does not change.
pub(super) struct Context<'a> {
    pub codebook: &'a Codebook,
    pub objective: Objective,
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

/// What the tiers' losses over a batch are divided by.
struct Sums {
    gold: Vec<f32>,
    soft: Vec<f32>,
}

/// A shard on its way back.
struct Pass {
    /// The texts' pooled vectors, `[texts, hidden]`.
    vectors: Tensor,
    loss: Tensor,
    found: Option<Recomputed>,
}

impl Pass {
    /// The gradients, those along the vectors' slope included.
    fn backward(&self, slope: Option<&Tensor>) -> Result<Shard> {
        let total = match slope {
            Some(slope) => (&self.loss + (&self.vectors * slope)?.sum_all()?)?,
            None => self.loss.clone(),
        };
        let mut gradients = total.backward()?;
        if let Some(found) = &self.found {
            found.join(&mut gradients)?;
        }
        Ok(Shard { loss: f64::from(self.loss.to_scalar::<f32>()?), gradients })
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
        let sums = Sums {
            gold: denominators(self.codebook, &codes(&all), self.weights),
            soft: soft_denominators(self.codebook, &soft_codes(&all)),
        };
        let filled: Vec<&Vec<&Example>> = shards.iter().filter(|s| !s.is_empty()).collect();
        let device = self.model.encoder.device();
        if epoch.is_none_or(|epoch| !self.contrasts(epoch)) {
            return each(device, &filled, |shard| {
                self.forward(shard, &sums, epoch)?.backward(None)
            });
        }
        // Texts are drawn apart across the whole batch; a GPU that computes its parts one after
        // another, to hold one at a time, does so within each.
        let together = if device.is_cpu() { filled.len().max(1) } else { 1 };
        let mut done = Vec::new();
        for shards in filled.chunks(together) {
            let passes = each(device, shards, |shard| self.forward(shard, &sums, epoch))?;
            let (loss, slopes) = self.contrast(&passes, shards, epoch)?;
            let passes: Vec<(Pass, Tensor)> = passes.into_iter().zip(slopes).collect();
            let mut shards = each(device, &passes, |(pass, slope)| pass.backward(Some(slope)))?;
            shards[0].loss += loss;
            done.extend(shards);
        }
        Ok(done)
    }

    /// Whether an epoch tunes the encoder on pairs of texts alone.
    fn by_pairs(&self, epoch: usize) -> bool {
        epoch < self.recipe.pair_epochs
    }

    /// Whether an epoch draws texts together and apart.
    fn contrasts(&self, epoch: usize) -> bool {
        self.objective != Objective::Codes
            || self.by_pairs(epoch)
            || self.codebook.tiers.iter().any(|tier| self.recipe.contrast(tier.kind).is_some())
    }

    fn forward(&self, shard: &[&Example], sums: &Sums, epoch: Option<usize>) -> Result<Pass> {
        let found = self.recipe.gradient_checkpointing.then(Recomputed::default);
        let again = found.as_ref();
        let (vectors, loss) = match epoch {
            Some(epoch) if self.objective != Objective::Codes => {
                let (one, logits) = self.pass("dropout", epoch, shard, again)?;
                let (other, _) = self.pass("other dropout", epoch, shard, again)?;
                // Texts without codes leave the heads as they are.
                (Tensor::cat(&[one, other], 0)?, self.loss(&logits, shard, sums)?)
            }
            Some(epoch) if self.by_pairs(epoch) => {
                // Every tensor needs a gradient; that of the heads is zero. A factor that is a number
                // would be left out of the backward pass.
                let (vectors, logits) = self.pass("dropout", epoch, shard, again)?;
                let loss = self.loss(&logits, shard, sums)?;
                (vectors, loss.mul(&loss.zeros_like()?)?)
            }
            Some(epoch) if self.recipe.consistency > 0.0 => {
                self.two_passes(shard, sums, epoch, again)?
            }
            Some(epoch) => {
                let (vectors, logits) = self.pass("dropout", epoch, shard, again)?;
                (vectors, self.loss(&logits, shard, sums)?)
            }
            None => {
                let (vectors, logits) = self.logits(packed(shard), &mut Quiet, again)?;
                (vectors, self.loss(&logits, shard, sums)?)
            }
        };
        Ok(Pass { vectors, loss, found })
    }

    /// The contrast of the pooled vectors of a batch's shards, or that of its pairs: its loss, and its
    /// gradient by pass.
    fn contrast(
        &self,
        passes: &[Pass],
        shards: &[&Vec<&Example>],
        epoch: Option<usize>,
    ) -> Result<(f64, Vec<Tensor>)> {
        let mut vectors = Vec::new();
        for pass in passes {
            vectors.extend(pass.vectors.flatten_all()?.to_vec1::<f32>()?);
        }
        let mut slope = vec![0f32; vectors.len()];
        let mut loss = 0.0;
        if let Objective::Texts { temperature } = self.objective {
            // Each shard's texts stand there twice; a text is its own label.
            let twice = shards.iter().flat_map(|shard| [shard, shard]).flat_map(|s| s.iter());
            let rows: Vec<u64> = twice.map(|example| example.row).collect();
            let mut known = rows.clone();
            known.sort_unstable();
            let own = |row: &u64| Code::Coded(LabelSet::one(known.partition_point(|r| r < row)));
            let codes: Vec<Code> = rows.iter().map(own).collect();
            let contrast = Contrast { weight: 1.0, temperature };
            let codes: Vec<&Code> = codes.iter().collect();
            let width = vectors.len() / codes.len().max(1);
            loss += contrast.evaluate(&vectors, width, &codes, &mut slope);
        } else {
            let rows: Vec<&Example> = shards.iter().flat_map(|s| s.iter().copied()).collect();
            let width = vectors.len() / rows.len().max(1);
            for (at, tier) in self.codebook.tiers.iter().enumerate() {
                let codes: Vec<&Code> = rows.iter().map(|example| &example.codes[at]).collect();
                if epoch.is_some_and(|epoch| self.by_pairs(epoch)) {
                    loss += pair_loss(&vectors, width, &codes, &mut slope);
                } else if let Some(contrast) = self.recipe.contrast(tier.kind) {
                    loss += contrast.evaluate(&vectors, width, &codes, &mut slope);
                }
            }
        }
        let mut rest = &slope[..];
        let mut slopes = Vec::new();
        for pass in passes {
            let (own, others) = rest.split_at(pass.vectors.elem_count());
            rest = others;
            slopes.push(Tensor::from_slice(own, pass.vectors.shape(), pass.vectors.device())?);
        }
        Ok((loss, slopes))
    }

    /// The texts' vectors and logits of one pass with dropout and hidden tokens, drawn for this
    /// purpose.
    fn pass(
        &self,
        purpose: &str,
        epoch: usize,
        shard: &[&Example],
        found: Option<&Recomputed>,
    ) -> Result<(Tensor, Vec<Tensor>)> {
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
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let batch = &Arc::new(batch);
        let pooled = self.model.embed(batch, noise, found)?;
        let one_each = Segments::new(vec![1; batch.segments.len()]);
        let pooled = dropout(&pooled, noise.hidden(&one_each, pooled.dim(1)?).as_ref())?;
        let logits = self.model.heads.forward(&pooled, batch)?;
        Ok((ops::pool(&pooled, &batch.texts, Pooling::Mean)?, logits))
    }

    /// The first one's vectors, the mean loss of two passes with different dropout, and their
    /// divergence.
    fn two_passes(
        &self,
        shard: &[&Example],
        sums: &Sums,
        epoch: usize,
        found: Option<&Recomputed>,
    ) -> Result<(Tensor, Tensor)> {
        let (vectors, one) = self.pass("dropout", epoch, shard, found)?;
        let (_, other) = self.pass("other dropout", epoch, shard, found)?;
        let both = (self.loss(&one, shard, sums)? + self.loss(&other, shard, sums)?)?;
        let mut total = (both * 0.5)?;
        let (rows, plain) = (codes(shard), LossForm::default());
        for (tier, (one, other)) in one.iter().zip(&other).enumerate() {
            let goal = targets(self.codebook, tier, &rows, self.weights, plain, sums.gold[tier]);
            let weight = self.recipe.consistency * self.weight(tier);
            total = (total + (divergence(one, other, goal)? * weight)?)?;
        }
        Ok((vectors, total))
    }

    /// The joint loss of these logits, on gold codes and on what a teacher says.
    fn loss(&self, logits: &[Tensor], examples: &[&Example], sums: &Sums) -> Result<Tensor> {
        let (rows, taught) = (codes(examples), soft_codes(examples));
        let mut total = Tensor::zeros((), candle_core::DType::F32, &candle_core::Device::Cpu)?;
        for (tier, logits) in logits.iter().enumerate() {
            let form = self.recipe.loss_form();
            let goal = targets(self.codebook, tier, &rows, self.weights, form, sums.gold[tier]);
            total = (total + (tier_loss(logits, goal)? * self.weight(tier))?)?;
            if taught.iter().any(Option::is_some) {
                let soft = Targets::Soft(SoftTargets {
                    kind: self.codebook.tiers[tier].kind,
                    labels: self.codebook.tiers[tier].labels.len(),
                    rows: taught.iter().map(|soft| soft.map(|codes| codes[tier].clone())).collect(),
                    denominator: sums.soft[tier],
                });
                let weight = self.weight(tier) * self.recipe.soft_weight;
                total = (total + (tier_loss(logits, soft)? * weight)?)?;
            }
        }
        Ok(total)
    }

    /// The joint loss of examples with these logits.
    pub fn loss_of(&self, logits: &TextLogits, examples: &[Example]) -> Result<f64> {
        let examples: Vec<&Example> = examples.iter().collect();
        let rows = codes(&examples);
        let sums = denominators(self.codebook, &rows, self.weights);
        let mut total = 0.0;
        for tier in 0..self.codebook.tiers.len() {
            let form = self.recipe.loss_form();
            let goal = targets(self.codebook, tier, &rows, self.weights, form, sums[tier]);
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
