//! Heads on the frozen encoder's embeddings: a training of its own, or the start of a full one.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

use super::example::codes;
use super::model::{head_parameters, in_batches, text_logits};
use super::{Example, Examples, Randomness, Recipe, TextLogits};
use crate::codebook::{Codebook, Tier};
use crate::encoder::{
    Compute, Encoder, EncoderConfig, POOLING_QUERY, PackedBatch, Parameters, Pooling, Quiet, ops,
};
use crate::error::Result;
use crate::heads::logistic::{DenseRows, Design, LinearHead, fit};
use crate::heads::{Heads, LossForm, denominators, targets};

/// The length that embeddings are brought to before heads are fitted.
const LENGTH: f64 = 8.0;

/// The embeddings of these examples, row by row; of a text in windows their mean, whose logits
/// are the mean of theirs.
fn embed(encoder: &Encoder, examples: &[Example], hidden: usize) -> Result<Vec<f32>> {
    let forward = |batch: &PackedBatch| {
        let windows = encoder.embed(batch, &mut Quiet)?;
        Ok(ops::pool(&windows, &batch.texts, Pooling::Mean)?.to_vec2::<f32>()?)
    };
    let device = encoder.device();
    let mut all: Vec<f32> =
        in_batches(device, examples, forward, |out: &mut Vec<f32>, rows, order| {
            out.resize(examples.len() * hidden, 0.0);
            for (row, &i) in rows.iter().zip(order) {
                out[i * hidden..][..hidden].copy_from_slice(row);
            }
        })?;
    all.resize(examples.len() * hidden, 0.0);
    Ok(all)
}

/// Fits every tier's head on embeddings, with the penalty whose weighted loss on the
/// validation rows is lowest (the middle one without such rows).
///
/// # Errors
/// If the encoder cannot be computed.
pub fn fit_heads(
    codebook: &Codebook,
    encoder: &Encoder,
    hidden: usize,
    examples: &Examples,
    recipe: &Recipe,
) -> Result<Vec<LinearHead>> {
    let train = embed(encoder, &examples.train, hidden)?;
    let validation = embed(encoder, &examples.validation, hidden)?;
    // One factor for all coordinates, so that penalties mean the same for every encoder: the
    // root mean square of an embedding's length becomes LENGTH.
    let square = train.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>();
    let scale = LENGTH * (examples.train.len() as f64 / square.max(1e-12)).sqrt();
    let scaled = |v: &[f32]| v.iter().map(|v| v * scale as f32).collect::<Vec<f32>>();
    let (train, validation) = (scaled(&train), scaled(&validation));
    let train = DenseRows { values: &train, rows: examples.train.len() };
    let validation = DenseRows { values: &validation, rows: examples.validation.len() };
    let rows = codes(&examples.train.iter().collect::<Vec<_>>());
    let held = codes(&examples.validation.iter().collect::<Vec<_>>());
    let weights = recipe.label_weights(codebook, &examples.train);
    let (sums, held_sums) =
        (denominators(codebook, &rows, &weights), denominators(codebook, &held, &weights));
    let plain = LossForm::default();
    let tiers: Vec<usize> = (0..codebook.tiers.len()).collect();
    Ok(tiers
        .par_iter()
        .map(|&tier| {
            let labels = codebook.tiers[tier].labels.len();
            let goal = targets(codebook, tier, &rows, &weights, plain, sums[tier]);
            let check = targets(codebook, tier, &held, &weights, plain, held_sums[tier]);
            let counted = held.iter().any(|codes| codes[tier].is_coded());
            let mut head = LinearHead::zero(labels, hidden);
            let mut best: Option<(f64, LinearHead)> = None;
            let mut penalties = recipe.penalties.clone();
            penalties.sort_by(|a, b| b.total_cmp(a));
            let middle = penalties.len() / 2;
            for (i, &penalty) in penalties.iter().enumerate() {
                head = fit(&train, &goal, penalty, head);
                let loss = if counted {
                    let logits = validation.logits(&head);
                    check.evaluate(&logits, held.len(), &mut vec![0.0; logits.len()])
                } else {
                    i.abs_diff(middle) as f64
                };
                if best.as_ref().is_none_or(|(least, _)| loss < *least) {
                    best = Some((loss, head.clone()));
                }
            }
            let mut head = best.map_or(head, |(_, head)| head);
            head.weight.iter_mut().for_each(|w| *w *= scale as f32);
            head
        })
        .collect())
}

/// The tensors that heads and attention pooling start from: heads fitted on the frozen encoder,
/// where the recipe asks for them and they are linear, and what says next to nothing yet.
///
/// Weights that are not fitted are drawn evenly: of a head from ±0.035 (standard deviation 0.02,
/// as BERT's; Devlin et al. 2019), of a hidden layer from ±√(6 / (inputs + outputs)) (Glorot and
/// Bengio 2010). With head weights of zero no gradient would reach the encoder. Biases, chains
/// and the pooling's query start as zero.
///
/// # Errors
/// If the encoder cannot be computed.
pub fn initial_heads(
    codebook: &Codebook,
    config: &EncoderConfig,
    parameters: &Parameters,
    examples: &Examples,
    recipe: &Recipe,
    randomness: Randomness,
    compute: &Compute,
) -> Result<Parameters> {
    let hidden = config.hidden_size();
    let mut tensors = BTreeMap::new();
    let fitted = |tier: &Tier| recipe.starts_fitted(tier.kind);
    if codebook.tiers.iter().any(fitted) {
        let pooling = match recipe.pooling {
            // Its query starts as zero, which gives the mean.
            Pooling::Attention => Pooling::Mean,
            other => other,
        };
        let parameters = parameters.clone().on(&config.tensors(), compute)?;
        let encoder = Encoder::new(config, pooling, &parameters)?;
        let heads = fit_heads(codebook, &encoder, hidden, examples, recipe)?;
        let wanted: Vec<String> =
            codebook.tiers.iter().filter(|t| fitted(t)).map(|t| format!("{}.", t.name)).collect();
        let heads = head_parameters(codebook, &heads, hidden)?.into_iter();
        tensors.extend(heads.filter(|(name, _)| wanted.iter().any(|tier| name.starts_with(tier))));
    }
    for spec in recipe.head_shape().tensors(codebook, hidden) {
        if tensors.contains_key(&spec.name) {
            continue;
        }
        let reach = match &spec.shape[..] {
            [outputs, inputs] if spec.name.ends_with(".hidden.weight") => {
                (6.0 / (inputs + outputs) as f64).sqrt()
            }
            [_, _] if !spec.name.ends_with(".chain.weight") => 0.035,
            _ => 0.0,
        };
        let mut stream = randomness.stream(&format!("head {}", spec.name), 0, 0);
        let mut draw = || ((f64::from(stream.next_u32()) / 2f64.powi(31) - 1.0) * reach) as f32;
        let values: Vec<f32> = (0..spec.shape.iter().product()).map(|_| draw()).collect();
        tensors.insert(spec.name, Tensor::from_vec(values, spec.shape, &Device::Cpu)?);
    }
    if recipe.pooling == Pooling::Attention {
        tensors.insert(POOLING_QUERY.into(), Tensor::zeros(hidden, DType::F32, &Device::Cpu)?);
    }
    Ok(Parameters::new(tensors))
}

/// Trains heads alone: the encoder stays as it is, and its embeddings are computed once.
///
/// # Errors
/// If the encoder cannot be computed.
pub fn train_frozen(
    codebook: &Codebook,
    encoder: &Encoder,
    hidden: usize,
    examples: &Examples,
    recipe: &Recipe,
) -> Result<(Parameters, TextLogits)> {
    let heads = fit_heads(codebook, encoder, hidden, examples, recipe)?;
    let tensors = head_parameters(codebook, &heads, hidden)?;
    let mut parameters = Parameters::new(tensors.into_iter().collect());
    recipe.label_weights(codebook, &examples.train).correct_heads(codebook, &mut parameters)?;
    let heads = Heads::new(codebook, recipe.head_shape(), &parameters)?;
    let logits = text_logits(encoder, &heads, &examples.validation)?;
    Ok((parameters, logits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::{Cut, ModelFiles};

    #[test]
    fn fitted_heads_give_the_logits_they_were_fitted_to() {
        let codebook = Codebook::find("olid").unwrap();
        let files = ModelFiles::find("minilm").unwrap();
        let config = files.config().unwrap();
        let tokens = files.tokens(&config, Cut { longest: 32, stride: None }).unwrap();
        let encoder =
            Encoder::new(&config, Default::default(), &files.parameters(&config).unwrap()).unwrap();
        let texts =
            ["you are a fool", "what a lovely day", "fools, all of you", "a lovely cup of tea"];
        let example = |i: usize| Example {
            row: i as u64,
            text: tokens.tokenize(texts[i]).unwrap(),
            ngrams: crate::heads::lexical::NGrams::of(texts[i]),
            soft: None,
            codes: vec![
                crate::codebook::Code::Coded(crate::codebook::LabelSet::one(i % 2)),
                crate::codebook::Code::NotAsked,
                crate::codebook::Code::NotAsked,
            ],
        };
        let examples = Examples {
            mask: None,
            train: (0..4).map(example).collect(),
            validation: (0..4).map(example).collect(),
        };
        let recipe = Recipe { penalties: vec![0.01], ..Recipe::default() };
        let (_, logits) = train_frozen(&codebook, &encoder, 384, &examples, &recipe).unwrap();
        for (i, text) in logits.iter().enumerate() {
            let margin = text[0][i % 2] - text[0][1 - i % 2];
            assert!(margin > 1.0 && margin < 8.0, "row {i}: {margin}");
        }
    }
}
