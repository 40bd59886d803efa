//! From a head's logits to decisions: temperatures, thresholds, conformal sets and the review
//! rule, chosen on rows that did not train and kept in a bundle's `decision.json`.

mod blend;
mod conformal;
mod file;
mod fit;
mod held_out;
mod margin;
mod path;
mod review;
mod temperature;
mod thresholds;
mod views;

pub use blend::{blend, fit_blend};
pub use conformal::{
    ConformalSets, FittedOn, LEVELS, PlausibleSet, TierSets, least_probability, probability_of_gold,
};
pub use file::{Decisions, TierDecision};
pub use fit::fit;
pub use held_out::{Fitted, HeldOut, fit_decisions, held_out};
pub use margin::fit_margins;
pub use path::{PathLine, fit_line, fit_paths, right};
pub use review::{CONFIDENCE, JudgedText, ReviewRule, judge, judged};
pub use temperature::{sigmoid, softmax};
pub use thresholds::fit_thresholds;
pub use views::{Answers, both_views};
