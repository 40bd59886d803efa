//! From a text's vector to the answers of every tier.

pub mod agreement;
pub mod contrast;
mod form;
pub mod joint;
pub mod lexical;
pub mod logistic;
pub mod loss;
pub mod pairs;
pub mod pseudo_labels;
mod shift;
pub mod soft;
mod targets;
mod tiers;

pub use form::LossForm;
pub use shift::{scale_logits, shift_biases, shift_logits};
pub use targets::{LabelWeights, denominators, targets};
pub use tiers::{HeadShape, Heads, chain_bias};
