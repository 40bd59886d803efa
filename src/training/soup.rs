//! One model from several that differ only in chance: the mean of their weights (model soups;
//! Wortsman et al., ICML 2022). It costs nothing when texts are coded.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::model::text_logits;
use super::{Example, Recipe, Trained, TrainedEncoder};
use crate::codebook::Codebook;
use crate::encoder::{Compute, Encoder, EncoderConfig, POOLING_QUERY, Parameters};
use crate::error::{Error, Result};
use crate::heads::Heads;

/// The mean of trainings that started from the same weights, with its own logits of the validation
/// rows. Epochs are those of the first.
///
/// # Errors
/// If there is none, they were trained as adapters, or the model cannot be computed.
pub fn soup(
    codebook: &Codebook,
    config: &EncoderConfig,
    recipe: &Recipe,
    compute: &Compute,
    mut members: Vec<Trained>,
    validation: &[Example],
) -> Result<Trained> {
    if members.len() == 1 {
        return Ok(members.remove(0));
    }
    let mut encoders = Vec::new();
    for member in &members {
        match &member.encoder {
            TrainedEncoder::Full(encoder) => encoders.push(encoder),
            TrainedEncoder::Adapter(_) => {
                return Err(Error::usage("adapters have no mean")
                    .at("the recipe: members")
                    .advise("members = 1, or mode = \"full\""));
            }
        }
    }
    let encoder = mean(&encoders)?;
    let heads = mean(&members.iter().map(|member| &member.heads).collect::<Vec<_>>())?;
    let mut all = encoder.clone().on(&config.tensors(), compute)?;
    if let Ok(query) = heads.get(POOLING_QUERY) {
        all.replace(POOLING_QUERY, query);
    }
    let model = Encoder::new(config, recipe.pooling, &all)?;
    let own = Heads::new(codebook, recipe.head_shape(), &heads)?;
    let validation = text_logits(&model, &own, validation)?;
    let steps = members.iter().map(|member| member.steps).sum();
    let first = members.swap_remove(0);
    Ok(Trained { encoder: TrainedEncoder::Full(encoder), heads, validation, steps, ..first })
}

fn mean(all: &[&Parameters]) -> Result<Parameters> {
    let share = 1.0 / all.len() as f64;
    let mut sums: BTreeMap<String, Tensor> = BTreeMap::new();
    for (name, first) in all.iter().take(1).flat_map(|parameters| parameters.iter()) {
        let mut sum = (first * share)?;
        for other in &all[1..] {
            sum = (sum + (other.get(name)? * share)?)?;
        }
        sums.insert(name.clone(), sum);
    }
    Ok(Parameters::new(sums))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_mean_is_taken_entry_by_entry() {
        let of = |values: [f32; 2]| {
            let tensor = Tensor::new(&values, &Device::Cpu).unwrap();
            Parameters::new(BTreeMap::from([("a".to_owned(), tensor)]))
        };
        let (one, two, three) = (of([1.0, 0.0]), of([2.0, -3.0]), of([6.0, 0.0]));
        let found = mean(&[&one, &two, &three]).unwrap().get("a").unwrap();
        let found = found.to_vec1::<f32>().unwrap();
        assert!((found[0] - 3.0).abs() < 1e-6 && (found[1] + 1.0).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn members_must_have_the_same_tensors() {
        let named = |name: &str| {
            let tensor = Tensor::new(&[1f32], &Device::Cpu).unwrap();
            Parameters::new(BTreeMap::from([(name.to_owned(), tensor)]))
        };
        assert!(mean(&[&named("a"), &named("b")]).is_err());
    }
}
