//! The tokens that a training has embeddings for.

use std::collections::BTreeSet;

use super::Examples;

/// Replaces the examples' token ids by positions in the returned list of the ids in use.
///
/// The embedding of a token that stands nowhere in the data stays as it was: its gradient is zero
/// in every step, so are both of its moments, and weight decay is for matrices of layers alone.
/// Leaving these rows out of gradients, moments and averages changes time and memory, not the
/// training.
///
/// The row of a token of the data that is not in a batch is updated like any other, by a gradient of
/// zero: its moments shrink, and what is left of the first one still moves it. Only rows that are in
/// a batch would move under the *lazy* variant of Adam for sparse gradients, which is another
/// optimiser (Kingma and Ba 2015 define the dense one).
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

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::codebook::{Code, Codebook, GATED, LabelSet};
    use crate::encoder::ops::gradient_check::values;
    use crate::encoder::{Compute, EncoderConfig, Parameters, TensorSpec, TokenizedText};
    use crate::heads::lexical::NGrams;
    use crate::training::epoch::{Context, Shard};
    use crate::training::model::{Begun, TrainingModel};
    use crate::training::optimiser::Limits;
    use crate::training::{Example, Randomness, Recipe, TextLogits, TrainedEncoder};

    const CONFIG: &str = r#"{
        "model_type": "bert", "vocab_size": 101, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 40,
        "type_vocab_size": 2
    }"#;
    const MASK: u32 = 4;

    /// Texts of few tokens, between those of their ends.
    fn examples() -> Examples {
        let example = |row: u64| {
            let inner = (0..4 + row % 5).map(|i| 5 + 7 * ((row * row + 3 * i) % 9) as u32);
            let ids = [1].into_iter().chain(inner).chain([2]).collect();
            Example {
                row,
                text: TokenizedText::whole(ids),
                ngrams: NGrams::default(),
                codes: match row % 2 {
                    0 => [0, row as usize / 2 % 2].map(|l| Code::Coded(LabelSet::one(l))).into(),
                    _ => vec![Code::Coded(LabelSet::one(1)), Code::NotAsked],
                },
                soft: None,
            }
        };
        Examples {
            train: (0..12).map(example).collect(),
            validation: (12..16).map(example).collect(),
            mask: Some(MASK),
        }
    }

    /// Some value for every tensor, whatever the vocabulary.
    fn tensor(shape: &[usize], seed: usize) -> Tensor {
        let count = shape.iter().product();
        let values = values(count, seed as u64 + 1).into_iter().map(|v| 0.3 * v).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    struct Outcome {
        logits: TextLogits,
        words: Vec<Vec<f32>>,
        begun: Vec<Vec<f32>>,
    }

    /// Twelve updates, in the course of which most tokens are now in a batch, now not.
    fn trained(examples: &Examples, vocabulary: Vec<u32>, clip: f64) -> Outcome {
        let codebook = Codebook::parse(GATED, "b.toml").unwrap();
        let config = EncoderConfig::parse(CONFIG.as_bytes(), "config.json").unwrap();
        let of = |(seed, spec): (usize, TensorSpec)| (spec.name, tensor(&spec.shape, seed));
        let parameters =
            Parameters::new(config.tensors().into_iter().enumerate().map(of).collect());
        let heads = ["use", "topics"].into_iter().flat_map(|tier| {
            let weight = (format!("{tier}.weight"), tensor(&[2, 32], 90));
            [weight, (format!("{tier}.bias"), tensor(&[2], 91))]
        });
        let (heads, compute) = (Parameters::new(heads.collect()), Compute::default());
        let recipe = Recipe { token_masking: 0.3, ..Recipe::default() };
        let (parameters, heads) = (&parameters, &heads);
        let (config, compute) = (&config, &compute);
        let begun = Begun { config, parameters, vocabulary, heads, adapter: None, compute };
        let mut model = TrainingModel::new(&codebook, begun, &recipe).unwrap();
        let weights = recipe.label_weights(&codebook, &examples.train);
        for step in 0..12 {
            let batch: Vec<&Example> = examples.train.iter().skip(step % 4 * 3).take(3).collect();
            let context = Context {
                codebook: &codebook,
                objective: crate::training::Objective::Codes,
                recipe: &recipe,
                model: &model,
                weights: &weights,
                randomness: Randomness::new(7),
                mask: examples.mask,
            };
            let shards = context.backward(&context.cut(&batch), Some(step)).unwrap();
            let limits = Limits { rate: 0.01, decay: 0.1, clip };
            model.optimiser.step(&shards, |s: &Shard, var| s.gradient(var), limits).unwrap();
        }
        let logits = model.logits(&examples.validation).unwrap();
        let Ok((TrainedEncoder::Full(encoder), _)) = model.finished(&codebook) else {
            panic!("the whole encoder is trained");
        };
        let words = |parameters: &Parameters| {
            parameters.get(config.words()).unwrap().to_vec2::<f32>().unwrap()
        };
        Outcome { logits, words: words(&encoder), begun: words(parameters) }
    }

    #[test]
    fn a_training_with_the_tokens_in_use_is_that_with_all_tokens() {
        let whole = examples();
        let mut few = whole.clone();
        let vocabulary = compact(&mut few);
        assert_eq!(vocabulary, [1, 2, 4, 5, 12, 26, 33, 47, 54]);
        let (few, all) =
            (trained(&few, vocabulary.clone(), 0.0), trained(&whole, (0..101).collect(), 0.0));
        assert_eq!(few.logits, all.logits);
        assert_eq!(few.words, all.words);
        for (id, (row, begun)) in all.words.iter().zip(&all.begun).enumerate() {
            assert_eq!(row == begun, !vocabulary.contains(&(id as u32)), "token {id}");
        }
    }

    #[test]
    fn clipping_differs_by_rounding_alone() {
        let whole = examples();
        let mut few = whole.clone();
        let vocabulary = compact(&mut few);
        let (few, all) =
            (trained(&few, vocabulary, 0.05), trained(&whole, (0..101).collect(), 0.05));
        for (a, b) in few.logits.concat().concat().iter().zip(all.logits.concat().concat()) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}
