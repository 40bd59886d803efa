//! Training: batches, loss, updates, checkpoints (same in, same out).

mod adaptation;
mod checkpoint;
mod embedded_heads;
mod epoch;
mod event_file;
mod example;
mod lexical_heads;
mod log;
mod model;
mod optimiser;
mod plan;
mod proof;
mod randomness;
mod recipe;
mod record;
mod reinitialised;
mod rounding;
mod schedule;
mod session;
mod soup;
mod strategies;
mod vocabulary;

pub use adaptation::{Adaptation, adapt};
pub use checkpoint::{RunFolder, RunLock};
pub use embedded_heads::{initial_heads, train_frozen};
pub use epoch::Objective;
pub use example::{Example, Examples};
pub use lexical_heads::fit_lexical;
pub use model::{TextLogits, TrainedEncoder, TrainingModel, text_logits};
pub use plan::Plan;
pub use randomness::Randomness;
pub use recipe::{FittedStart, Keep, Mode, Recipe};
pub use record::{EpochRecord, Score};
pub use reinitialised::{has_layers, reinitialised};
pub use rounding::rounded_weights;
pub use session::{Observer, Scorer, Start, Trained, train};
pub use soup::Soup;
pub use strategies::{
    FINALISTS, FIRST_FOLDS, FOLDS, Strategy, Work, affordable, least_budget, members, strategies,
};
