//! A training from its first step or its last checkpoint to its best epoch.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rand_chacha::rand_core::Rng;
use serde_json::{Value, json};

use super::checkpoint::State;
use super::epoch::{Context, Objective, batches};
use super::example::Example;
use super::log::Log;
use super::model::Begun;
use super::optimiser::Limits;
use super::proof::prove;
use super::schedule::linear_warmup_decay;
use super::vocabulary::compact;
use super::{
    EpochRecord, Examples, Keep, Mode, Randomness, Recipe, RunFolder, Score, TextLogits,
    TrainedEncoder, TrainingModel,
};
use crate::codebook::Codebook;
use crate::encoder::{Adapter, Compute, EncoderConfig, Parameters, adapted_modules};
use crate::error::{Error, Kind, Result};
use crate::heads::LabelWeights;

/// Scores the logits of the validation rows.
pub type Scorer<'a> = &'a dyn Fn(&TextLogits) -> Result<Score>;

/// Is told how a training goes.
pub trait Observer {
    /// A training continues where an earlier one stopped.
    fn resumed(&mut self, epoch: usize, batch: usize);
    /// A batch is done.
    fn batch(&mut self, epoch: usize, epochs: usize, batch: usize, batches: usize, loss: f64);
    /// An epoch is done.
    fn epoch(&mut self, record: &EpochRecord, best: bool);
}

/// A finished training.
pub struct Trained {
    /// The encoder or its adapter.
    pub encoder: TrainedEncoder,
    /// The heads' tensors.
    pub heads: Parameters,
    /// The best state's logits of the validation rows.
    pub validation: TextLogits,
    /// Every epoch.
    pub history: Vec<EpochRecord>,
    /// The epoch that was kept.
    pub best: usize,
    /// Updates made.
    pub steps: u64,
}

/// What a training starts from.
pub struct Start<'a> {
    /// The codebook.
    pub codebook: &'a Codebook,
    /// The encoder's sizes.
    pub config: &'a EncoderConfig,
    /// The encoder's tensors.
    pub parameters: &'a Parameters,
    /// The rows.
    pub examples: Examples,
    /// The tensors that heads and pooling start from.
    pub heads: &'a Parameters,
    /// How to train.
    pub recipe: &'a Recipe,
    /// What to learn from.
    pub objective: Objective,
    /// Where random draws come from.
    pub randomness: Randomness,
    /// Where log and checkpoints go.
    pub run: &'a RunFolder,
    /// Whether TensorBoard's event file is written there, too.
    pub tensorboard: bool,
    /// Where and how the encoder computes.
    pub compute: &'a Compute,
}

/// Trains encoder and heads; continues from a checkpoint in the run folder.
///
/// # Errors
/// If a tensor cannot learn, the loss is no longer finite, the state cannot be written, or the
/// user stops it (the state is saved then).
pub fn train(
    start: Start,
    scorer: Scorer,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Trained> {
    let Start { codebook, config, parameters, mut examples, heads, recipe, objective, .. } = start;
    let randomness = start.randomness;
    let (run, compute, tensorboard) = (start.run, start.compute, start.tensorboard);
    let vocabulary = compact(&mut examples);
    let weights = recipe.label_weights(codebook, &examples.train);
    let adapter = match recipe.mode {
        Mode::Lora => Some(initial_adapter(config, recipe, randomness)?),
        Mode::Full | Mode::Frozen => None,
    };
    let begun = Begun { config, parameters, vocabulary, heads, adapter, compute };
    let model = TrainingModel::new(codebook, begun, recipe)?;
    let mut session = Session {
        codebook,
        recipe,
        objective,
        randomness,
        run,
        tensorboard,
        scorer,
        observer,
        stop,
        weights,
        examples,
        model,
        state: State::default(),
        saved: Instant::now(),
    };
    session.run()
}

fn initial_adapter(
    config: &EncoderConfig,
    recipe: &Recipe,
    randomness: Randomness,
) -> Result<Adapter> {
    let modules = adapted_modules(&config.tensors(), &recipe.lora_targets)?;
    Adapter::initial(recipe.lora(), &modules, |module| {
        let mut stream = randomness.stream(&format!("adapter {module}"), 0, 0);
        move || f64::from(stream.next_u32()) / 2f64.powi(31) - 1.0
    })
}

struct Session<'a> {
    codebook: &'a Codebook,
    recipe: &'a Recipe,
    objective: Objective,
    randomness: Randomness,
    run: &'a RunFolder,
    tensorboard: bool,
    scorer: Scorer<'a>,
    observer: &'a mut dyn Observer,
    stop: &'a AtomicBool,
    weights: LabelWeights,
    examples: Examples,
    model: TrainingModel,
    state: State,
    saved: Instant,
}

impl Session<'_> {
    fn context(&self) -> Context<'_> {
        Context {
            codebook: self.codebook,
            objective: self.objective,
            recipe: self.recipe,
            model: &self.model,
            weights: &self.weights,
            randomness: self.randomness,
            mask: self.examples.mask.filter(|_| self.recipe.token_masking > 0.0),
        }
    }

    fn run(&mut self) -> Result<Trained> {
        let mut log = self.begin()?;
        while !self.state.finished {
            self.epoch(&mut log)?;
        }
        let best = self.state.best.unwrap_or(0);
        self.model.set_weights(&self.run.load_best(best)?)?;
        let validation = self.corrected(self.model.logits(&self.examples.validation)?);
        let (encoder, mut heads) = self.model.finished(self.codebook)?;
        self.weights.correct_heads(self.codebook, &mut heads)?;
        Ok(Trained {
            encoder,
            heads,
            validation,
            history: self.state.history.clone(),
            best,
            steps: self.state.steps,
        })
    }

    /// Proves that the model can learn, then starts, or continues from the last checkpoint.
    fn begin(&mut self) -> Result<Log> {
        if self.objective == Objective::Codes {
            prove(&self.context(), &self.examples.train)?;
        }
        if let Some((state, tensors)) = self.run.load()? {
            self.model.optimiser.restore(state.steps, |name| {
                tensors
                    .get(name)
                    .cloned()
                    .ok_or_else(|| Error::model(format!("the checkpoint lacks '{name}'")))
            })?;
            self.observer.resumed(state.epoch, state.batch);
            self.state = state;
            return Log::open(self.run, self.state.log, self.tensorboard);
        }
        let mut log = Log::open(self.run, 0, self.tensorboard)?;
        self.assess(None, &mut log)?;
        self.checkpoint(&log)?;
        Ok(log)
    }

    fn checkpoint(&mut self, log: &Log) -> Result<()> {
        self.state.log = log.kept()?;
        self.state.steps = self.model.optimiser.steps();
        self.run.save(&self.state, self.model.weights()?, self.model.optimiser.moments()?)?;
        self.saved = Instant::now();
        Ok(())
    }

    fn epoch(&mut self, log: &mut Log) -> Result<()> {
        let epoch = self.state.epoch;
        let batches = batches(&self.examples.train, self.recipe, &self.randomness, epoch);
        while self.state.batch < batches.len() {
            if self.stop.load(Ordering::Relaxed) {
                self.checkpoint(log)?;
                return Err(Error::interrupted("stopped; the training is saved")
                    .at(self.run.path().display().to_string())
                    .advise("the same command continues it"));
            }
            self.update(&batches, log)?;
            if self.saved.elapsed().as_secs_f64() >= self.recipe.checkpoint_seconds {
                self.checkpoint(log)?;
            }
        }
        self.state.epoch += 1;
        self.state.batch = 0;
        let loss = self.state.loss / batches.len().max(1) as f64;
        self.state.loss = 0.0;
        self.assess(Some(loss), log)?;
        let best = self.state.best.unwrap_or(0);
        self.state.finished = self.state.epoch >= self.recipe.epochs
            || self.state.epoch >= best + self.recipe.patience;
        self.checkpoint(log)
    }

    /// The logits without what the positives' weights added to them.
    fn corrected(&self, mut logits: TextLogits) -> TextLogits {
        self.weights.correct_logits(&mut logits);
        logits
    }

    /// One batch: gradients of its shards, clipped, applied.
    fn update(&mut self, batches: &[Vec<usize>], log: &mut Log) -> Result<()> {
        let (epoch, at) = (self.state.epoch, self.state.batch);
        let batch: Vec<&Example> = batches[at].iter().map(|&i| &self.examples.train[i]).collect();
        let context = self.context();
        let shards = context
            .backward(&context.cut(&batch), Some(epoch))
            .map_err(|error| smaller(error, self.recipe, batch.len()))?;
        let loss: f64 = shards.iter().map(super::epoch::Shard::loss).sum();
        let done =
            (epoch as f64 + (at as f64 + 0.5) / batches.len() as f64) / self.recipe.epochs as f64;
        let rate = self.recipe.learning_rate * linear_warmup_decay(done, self.recipe.warmup);
        let update = self.model.optimiser.step(
            &shards,
            |shard, var| shard.gradient(var),
            Limits { rate, decay: self.recipe.weight_decay, clip: self.recipe.clip_norm },
        )?;
        self.state.batch += 1;
        self.state.loss += loss;
        log.write(&json!({
            "step": self.model.optimiser.steps(),
            "epoch": epoch as f64 + (at + 1) as f64 / batches.len() as f64,
            "loss": loss,
            "learning_rate": rate,
            "grad_norm": update.norm,
        }))?;
        self.observer.batch(epoch + 1, self.recipe.epochs, at + 1, batches.len(), loss);
        Ok(())
    }

    /// Scores the present state (the averaged weights, where they are averaged) on the
    /// validation rows, and keeps it if it is the best.
    fn assess(&mut self, train_loss: Option<f64>, log: &mut Log) -> Result<()> {
        let (weights, averages) = (self.model.weights()?, self.model.optimiser.averages()?);
        self.model.set_weights(&averages)?;
        let logits = self.model.logits(&self.examples.validation)?;
        self.model.set_weights(&weights)?;
        let record = EpochRecord {
            epoch: self.state.epoch,
            step: self.model.optimiser.steps(),
            train_loss,
            validation_loss: self.context().loss_of(&logits, &self.examples.validation)?,
            score: (self.scorer)(&self.corrected(logits))?,
        };
        let old = self.state.best.map(|best| &self.state.history[best]);
        let is_best =
            self.recipe.keep == Keep::Last || old.is_none_or(|old| record.better_than(old));
        log.write(&Value::Object(record.figures(self.codebook)))?;
        self.observer.epoch(&record, is_best && self.recipe.keep == Keep::Best);
        self.state.history.push(record);
        if is_best {
            let before = self.state.best.replace(self.state.epoch);
            self.run.save_best(self.state.epoch, &averages)?;
            if let Some(before) = before {
                self.run.remove_best(before);
            }
        }
        Ok(())
    }
}

/// Says of a GPU that is out of memory which smaller batch to try.
fn smaller(error: Error, recipe: &Recipe, rows: usize) -> Error {
    if error.kind() != Kind::Resource {
        return error;
    }
    let parts = recipe.accumulation;
    let advice = if rows.div_ceil(parts) > 1 {
        let (parts, rows) = (2 * parts, rows.div_ceil(2 * parts));
        format!("accumulation = {parts} in the recipe, which computes {rows} texts at once")
    } else if !recipe.gradient_checkpointing {
        "gradient_checkpointing = true in the recipe".into()
    } else {
        format!("max_tokens below {} in the recipe, or --device cpu", recipe.max_tokens)
    };
    error.advise(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_gpu_is_told_what_to_try() {
        let full = || Error::resource("the GPU is out of memory");
        let said = |recipe: &Recipe, rows| smaller(full(), recipe, rows).to_string();
        let recipe = Recipe::default();
        assert!(said(&recipe, 16).contains("accumulation = 2 in the recipe, which computes 8"));
        assert!(said(&recipe, 1).contains("gradient_checkpointing"));
        let small = Recipe { gradient_checkpointing: true, ..recipe.clone() };
        assert!(said(&small, 1).contains("max_tokens below 256"));
        let other = smaller(Error::model("shapes"), &recipe, 16);
        assert_eq!(other.to_string(), "shapes");
    }
}
