//! An encoder that learns from a corpus before it learns any code: no label is seen, so that what
//! comes of it may be shared between the folds of a cross-validation.

use std::sync::atomic::AtomicBool;

use super::{
    Example, Examples, FittedStart, Keep, Mode, Objective, Observer, Randomness, Recipe, RunFolder,
    Score, Start, TextLogits, TrainedEncoder, initial_heads, train,
};
use crate::codebook::Codebook;
use crate::encoder::{Compute, EncoderConfig, Parameters};
use crate::error::{Error, Result};

/// Texts of a batch, each drawn apart from all others, and what cosine similarities are divided by:
/// those of unsupervised SimCSE (Gao, Yao and Chen, EMNLP 2021, section 3).
const BATCH: usize = 64;
const TEMPERATURE: f64 = 0.05;

/// What an adaptation starts from.
pub struct Adaptation<'a> {
    /// The codebook of the training that follows.
    pub codebook: &'a Codebook,
    /// The encoder's sizes.
    pub config: &'a EncoderConfig,
    /// The encoder's tensors.
    pub parameters: &'a Parameters,
    /// The recipe of the training that follows.
    pub recipe: &'a Recipe,
    /// Where random draws come from.
    pub randomness: Randomness,
    /// Where log and checkpoints go.
    pub run: &'a RunFolder,
    /// Where and how the encoder computes.
    pub compute: &'a Compute,
}

/// Adapts an encoder to these texts, in `recipe.adaptation_epochs` passes, and returns its tensors;
/// continues from a checkpoint in the run folder.
///
/// # Errors
/// As a training.
pub fn adapt(
    adaptation: &Adaptation,
    texts: Vec<Example>,
    mask: Option<u32>,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Parameters> {
    let Adaptation { codebook, config, parameters, recipe, randomness, run, compute } = *adaptation;
    let recipe = Recipe {
        mode: Mode::Full,
        epochs: recipe.adaptation_epochs,
        learning_rate: recipe.adaptation_learning_rate,
        batch_rows: BATCH,
        pair_epochs: 0,
        keep: Keep::Last,
        fitted_start: FittedStart::None,
        ..recipe.clone()
    };
    let examples = Examples { train: texts, validation: Vec::new(), mask };
    let heads =
        initial_heads(codebook, config, parameters, &examples, &recipe, randomness, compute)?;
    let start = Start {
        codebook,
        config,
        parameters,
        examples,
        heads: &heads,
        recipe: &recipe,
        objective: Objective::Texts { temperature: TEMPERATURE },
        randomness,
        run,
        tensorboard: false,
        compute,
    };
    let unscored = |_: &TextLogits| Ok(Score::default());
    match train(start, &unscored, observer, stop)?.encoder {
        TrainedEncoder::Full(encoder) => Ok(encoder),
        TrainedEncoder::Adapter(_) => Err(Error::model("an adapter cannot be adapted further")),
    }
}
