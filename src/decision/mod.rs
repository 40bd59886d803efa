//! From a head's logits to decisions: temperatures, thresholds and the review rule, chosen on
//! validation rows and kept in a bundle's `decision.json`.

mod blend;
mod file;
mod fit;
mod margin;
mod path;
mod review;
mod temperature;
mod thresholds;
mod views;

pub use blend::{blend, fit_blend};
pub use file::{Decisions, TierDecision};
pub use fit::fit;
pub use margin::fit_margins;
pub use path::{PathLine, fit_line, fit_paths, right};
pub use review::ReviewRule;
pub use temperature::{sigmoid, softmax};
pub use thresholds::{common_threshold, fit_thresholds};
pub use views::{Answers, both_views};
