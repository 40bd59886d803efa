//! Top layers that begin anew (Zhang et al., "Revisiting Few-sample BERT Fine-tuning", ICLR 2021):
//! they are the most bound to what the encoder learnt first.

use candle_core::{Device, Tensor};
use rand_chacha::rand_core::Rng;

use super::Randomness;
use crate::encoder::{EncoderConfig, Parameters};
use crate::error::{Error, Result};

/// Weights are drawn evenly from ±REACH: standard deviation 0.02, as BERT's (Devlin et al. 2019).
const REACH: f64 = 0.035;

/// # Errors
/// If the encoder has fewer layers than are to begin anew.
pub fn has_layers(config: &EncoderConfig, count: usize) -> Result<()> {
    let layers = config.layers();
    if count > layers {
        return Err(Error::usage(format!("the encoder has {layers} layers, fewer than {count}"))
            .at("the recipe: reinitialised_layers"));
    }
    Ok(())
}

/// The parameters with the top `count` layers as a pretraining would start them: matrices as drawn,
/// biases zero, the scales of norms one.
///
/// # Errors
/// If the encoder has fewer layers, or a tensor is missing.
pub fn reinitialised(
    config: &EncoderConfig,
    parameters: &Parameters,
    count: usize,
    randomness: Randomness,
) -> Result<Parameters> {
    has_layers(config, count)?;
    let kept = config.layers() - count;
    let mut out = parameters.clone();
    for spec in config.tensors().into_iter().filter(|spec| spec.depth > kept) {
        let size = spec.shape.iter().product();
        let values: Vec<f32> = if spec.shape.len() > 1 {
            let mut stream = randomness.stream(&format!("layer {}", spec.name), 0, 0);
            let mut draw = || ((f64::from(stream.next_u32()) / 2f64.powi(31) - 1.0) * REACH) as f32;
            (0..size).map(|_| draw()).collect()
        } else {
            vec![if spec.name.ends_with(".bias") { 0.0 } else { 1.0 }; size]
        };
        out.replace(&spec.name, Tensor::from_vec(values, spec.shape, &Device::Cpu)?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ModelFiles;

    #[test]
    fn the_top_layers_begin_anew_and_the_others_stay() {
        let files = ModelFiles::find("minilm").unwrap();
        let config = files.config().unwrap();
        let before = files.parameters(&config).unwrap();
        let after = reinitialised(&config, &before, 2, Randomness::new(3)).unwrap();
        let values = |of: &Parameters, name: &str| {
            of.get(name).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        for spec in config.tensors() {
            let (old, new) = (values(&before, &spec.name), values(&after, &spec.name));
            if spec.depth <= config.layers() - 2 {
                assert!(old == new, "{}", spec.name);
            } else if spec.shape.len() > 1 {
                let n = new.len() as f64;
                let square: f64 = new.iter().map(|v| f64::from(*v).powi(2)).sum();
                assert!(((square / n).sqrt() - 0.0202).abs() < 3e-4, "{}", spec.name);
            } else {
                let start = if spec.name.ends_with(".bias") { 0.0 } else { 1.0 };
                assert!(new.iter().all(|v| *v == start), "{}", spec.name);
            }
        }
        let again = reinitialised(&config, &before, 2, Randomness::new(3)).unwrap();
        let name = config.tensors().into_iter().rfind(|s| s.shape.len() > 1).unwrap().name;
        assert_eq!(values(&after, &name), values(&again, &name));
        let other = reinitialised(&config, &before, 2, Randomness::new(4)).unwrap();
        assert_ne!(values(&after, &name), values(&other, &name));
    }

    #[test]
    fn more_layers_than_there_are_is_a_mistake() {
        let files = ModelFiles::find("minilm").unwrap();
        let config = files.config().unwrap();
        let parameters = files.parameters(&config).unwrap();
        let error = reinitialised(&config, &parameters, 99, Randomness::new(0)).err().unwrap();
        assert_eq!(error.exit_code(), 2);
    }
}
