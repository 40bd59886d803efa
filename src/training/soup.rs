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

/// Trainings that started from the same weights, on their way to their mean; one alone stays what it
/// is. Only the sum of those added is held.
pub struct Soup {
    count: usize,
    sum: Option<Trained>,
}

impl Soup {
    /// A mean of so many.
    pub fn of(count: usize) -> Self {
        Self { count, sum: None }
    }

    /// Adds one of them.
    ///
    /// # Errors
    /// If it is one of several and was trained as an adapter, or has other tensors than the first.
    pub fn add(&mut self, member: Trained) -> Result<()> {
        if self.count == 1 {
            self.sum = Some(member);
            return Ok(());
        }
        let share = 1.0 / self.count as f64;
        let so_far = self.sum.take();
        let encoder = {
            let so_far = so_far.as_ref().map(|sum| full(&sum.encoder)).transpose()?;
            TrainedEncoder::Full(sum(so_far, full(&member.encoder)?, share)?)
        };
        let heads = sum(so_far.as_ref().map(|sum| &sum.heads), &member.heads, share)?;
        self.sum = Some(match so_far {
            None => Trained { encoder, heads, ..member },
            Some(first) => Trained { encoder, heads, steps: first.steps + member.steps, ..first },
        });
        Ok(())
    }

    /// Their mean, with its own logits of the validation rows. Epochs are those of the first.
    ///
    /// # Errors
    /// If none was added, or the model cannot be computed.
    pub fn mean(
        self,
        codebook: &Codebook,
        config: &EncoderConfig,
        recipe: &Recipe,
        compute: &Compute,
        validation: &[Example],
    ) -> Result<Trained> {
        let trained = self.sum.ok_or_else(|| Error::model("no training has a mean"))?;
        let TrainedEncoder::Full(encoder) = &trained.encoder else { return Ok(trained) };
        if self.count == 1 {
            return Ok(trained);
        }
        let mut all = encoder.clone().on(&config.tensors(), compute)?;
        if let Ok(query) = trained.heads.get(POOLING_QUERY) {
            all.replace(POOLING_QUERY, query);
        }
        let model = Encoder::new(config, recipe.pooling, &all)?;
        let own = Heads::new(codebook, recipe.head_shape(), &trained.heads)?;
        let validation = text_logits(&model, &own, validation)?;
        Ok(Trained { validation, ..trained })
    }
}

fn full(encoder: &TrainedEncoder) -> Result<&Parameters> {
    match encoder {
        TrainedEncoder::Full(encoder) => Ok(encoder),
        TrainedEncoder::Adapter(_) => Err(Error::usage("adapters have no mean")
            .at("the recipe: members")
            .advise("members = 1, or mode = \"full\"")),
    }
}

/// What is there already and this share of every tensor.
fn sum(so_far: Option<&Parameters>, more: &Parameters, share: f64) -> Result<Parameters> {
    let mut sums: BTreeMap<String, Tensor> = BTreeMap::new();
    for (name, tensor) in more.iter() {
        let own = (tensor * share)?;
        let sum = match so_far {
            Some(so_far) => (so_far.get(name)? + own)?,
            None => own,
        };
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
        let mut found = None;
        for member in [&one, &two, &three] {
            found = Some(sum(found.as_ref(), member, 1.0 / 3.0).unwrap());
        }
        let found = found.unwrap().get("a").unwrap();
        let found = found.to_vec1::<f32>().unwrap();
        assert!((found[0] - 3.0).abs() < 1e-6 && (found[1] + 1.0).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn members_must_have_the_same_tensors() {
        let named = |name: &str| {
            let tensor = Tensor::new(&[1f32], &Device::Cpu).unwrap();
            Parameters::new(BTreeMap::from([(name.to_owned(), tensor)]))
        };
        assert!(sum(Some(&named("a")), &named("b"), 0.5).is_err());
    }
}
