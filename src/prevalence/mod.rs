//! Shares of a corpus that account for the errors of the coder who coded it: pure functions on
//! slices.
//!
//! A corpus is coded by a model; a sample of it, drawn with known inclusion probabilities, is coded by
//! people as well. Every share is a ratio of totals: the rows that carry a label over the rows that
//! are counted (all of them, or those that carry another label), each row with its weight.
//!
#![doc = include_str!("COVERAGE.md")]

mod confusion;
mod design_based;
mod difference;
mod mix;
mod ppi;
mod precision;
mod shares;
mod sums;
#[cfg(test)]
mod tests;

pub use confusion::{Confusion, adjusted_shares, rogan_gladen};
pub use design_based::design_based_mean;
pub use difference::{Linear, Tuning, linear};
pub use mix::{Corpora, MixSplit, Part, mix_splits, shared_parts, standard_weights};
pub use ppi::{PredictionPowered, prediction_powered_mean};
pub use precision::{Precision, precision};
pub use shares::{Among, Counts, NoChance, Request, Scores, Share, Shares, shares};
pub use sums::{Gold, Sums};

use serde::Serialize;

use crate::evaluation::interval::{clopper_pearson, upper_bound};

/// Positives, and negatives, that the gold must hold for an interval that rests on many rows.
pub const ENOUGH: f64 = 10.0;
/// With fewer of either, intervals are exact ones on as many rows as the variance says.
pub const SAFE: f64 = 20.0;
/// With fewer groups than this their number is said to be small.
pub const FEW_CLUSTERS: usize = 30;

/// For what an interval holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The corpus as it is.
    #[default]
    Corpus,
    /// The process that the corpus is one outcome of.
    Process,
}

/// The heading of shares by the model's codes as they are, wherever such shares stand.
pub const NAIVE_HEADING: &str = "naive (biased)";

/// How a share was estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Prediction-powered inference with a tuned weight of the model's codes (Angelopoulos, Duchi
    /// and Zrnic 2023).
    PpiPlusPlus,
    /// Design-based supervised learning (Egami, Hinck, Stewart and Wei 2023).
    Dsl,
    /// Correction by sensitivity and specificity (Rogan and Gladen 1978), over all labels of a
    /// single tier at once.
    RoganGladen,
    /// The gold rows alone, weighted by their design.
    GoldOnly,
    /// The model's codes as they are: biased.
    Naive,
}

impl Method {
    /// The name that stands in tables.
    pub fn name(self) -> &'static str {
        match self {
            Method::PpiPlusPlus => "ppi_plus_plus",
            Method::Dsl => "dsl",
            Method::RoganGladen => "rogan_gladen",
            Method::GoldOnly => "gold_only",
            Method::Naive => "naive",
        }
    }
}

/// What a reader must know of an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// The interval is exact, on the gold alone: the gold has few positives or negatives.
    ExactGoldOnly,
    /// The gold has no positive, or no negative: only one end is known.
    OneSided,
    /// There is no gold of it.
    NoGold,
    /// The denominator may be zero.
    DenominatorMayBeZero,
    /// The method is not for shares among other than all rows.
    NotForRatios,
    /// The model tells the label too poorly from its absence.
    PoorModel,
    /// The model's errors are not accounted for.
    Biased,
    /// Fewer than 30 groups.
    FewClusters,
    /// The rows' weights differ so much that its intervals would hold less than they say.
    UnevenWeights,
    /// Too few gold rows in groups carry it, or do not, for its intervals to hold what they say.
    FewInGroups,
    /// The method is for codes, and out-of-fold gold has probabilities.
    NotForProbabilities,
}

/// One share by one method.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// How it was estimated.
    pub method: Method,
    /// The share.
    pub estimate: Option<f64>,
    /// Lower end of its 95 % interval.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// Standard error.
    pub standard_error: Option<f64>,
    /// How many gold rows alone would be as precise, over how many there are.
    pub ess_gain: Option<f64>,
    /// What must be known of it.
    pub note: Option<Note>,
}

impl Estimate {
    fn none(method: Method, note: Note) -> Self {
        let blank = None;
        Self {
            method,
            estimate: blank,
            lower: blank,
            upper: blank,
            standard_error: blank,
            ess_gain: blank,
            note: Some(note),
        }
    }
}

/// One share by every method, the best-founded first and the naive one last.
///
/// `rest` sums the model's codes over the rows that the gold was drawn from, `known` those that were
/// coded by people for certain and are not to be estimated. `joint` is the share among the rows of
/// `rest` as [`adjusted_shares`] corrects it together with the tier's other answers.
pub fn estimates(
    gold: &Gold,
    rest: &Sums,
    known: &Sums,
    target: Target,
    joint: Option<f64>,
) -> Vec<Estimate> {
    let alone = linear(gold, rest, known, Tuning::None, target);
    let naive = Estimate {
        estimate: ratio(rest.numerator + known.numerator, rest.denominator + known.denominator),
        ..Estimate::none(Method::Naive, Note::Biased)
    };
    let Some(alone) = alone else {
        return vec![Estimate::none(Method::GoldOnly, Note::NoGold), naive];
    };
    if alone.denominator_may_be_zero {
        return vec![Estimate::none(Method::GoldOnly, Note::DenominatorMayBeZero), naive];
    }
    let (positives, negatives) = gold.positives_and_negatives();
    if !alone.is_census && (positives < ENOUGH || negatives < ENOUGH) {
        return vec![few(gold, &alone, positives, negatives), naive];
    }
    let few_clusters = gold
        .clusters()
        .is_some_and(|clusters| clusters < FEW_CLUSTERS)
        .then_some(Note::FewClusters);
    let of = |method: Method, found: Option<Linear>| match found {
        None => Estimate::none(method, Note::NoGold),
        Some(found) if found.denominator_may_be_zero => {
            Estimate::none(method, Note::DenominatorMayBeZero)
        }
        Some(found) => {
            // Full weight of a poor model makes the estimate lopsided with more rows than else.
            // So do weights of which few count for most.
            let doubles = method == Method::Dsl || gold.has_uneven_weights();
            let safe = if doubles { 2.0 * SAFE } else { SAFE };
            let bounds = found.bounds(positives.min(negatives) < safe);
            let gain = (found.variance > 0.0).then(|| alone.variance / found.variance);
            Estimate {
                method,
                estimate: Some(found.estimate.clamp(0.0, 1.0)),
                lower: Some(bounds.lower),
                upper: Some(bounds.upper),
                standard_error: Some(found.variance.sqrt()),
                ess_gain: if method == Method::GoldOnly { Some(1.0) } else { gain },
                note: few_clusters,
            }
        }
    };
    let of_process = linear(gold, rest, known, Tuning::None, Target::Corpus)
        .map_or(0.0, |corpus| (alone.own_variance - corpus.own_variance).max(0.0));
    let few_in_groups = gold.cluster.is_some() && positives.min(negatives) < SAFE;
    let corrected = match confusion::of_gold(gold, rest, &alone, of_process) {
        Ok(_) if few_in_groups => Estimate::none(Method::RoganGladen, Note::FewInGroups),
        Ok(found) => Estimate {
            method: Method::RoganGladen,
            estimate: Some(alone.whole(joint.unwrap_or(found.share))),
            lower: Some(alone.whole(found.bounds.lower)),
            upper: Some(alone.whole(found.bounds.upper)),
            standard_error: None,
            ess_gain: None,
            note: few_clusters,
        },
        Err(note) => Estimate::none(Method::RoganGladen, note),
    };
    vec![
        of(Method::PpiPlusPlus, linear(gold, rest, known, Tuning::Optimal, target)),
        match gold.has_uneven_weights() {
            true => Estimate::none(Method::Dsl, Note::UnevenWeights),
            false => of(Method::Dsl, linear(gold, rest, known, Tuning::Full, target)),
        },
        corrected,
        of(Method::GoldOnly, Some(alone)),
        naive,
    ]
}

/// The exact interval of the gold alone, or a bound where it has no positive or no negative.
fn few(gold: &Gold, alone: &Linear, positives: f64, negatives: f64) -> Estimate {
    let n = gold.effective_rows(alone);
    let share = alone.own_share;
    let bounds = clopper_pearson(share * n, n);
    let (lower, upper) = match (positives > 0.0, negatives > 0.0) {
        (false, _) => (Some(0.0), Some(upper_bound(n))),
        (_, false) => (Some(1.0 - upper_bound(n)), Some(1.0)),
        _ => (Some(bounds.lower), Some(bounds.upper)),
    };
    let one_sided = positives == 0.0 || negatives == 0.0;
    let whole = |share: f64| alone.whole(share);
    Estimate {
        method: Method::GoldOnly,
        estimate: Some(alone.estimate.clamp(0.0, 1.0)),
        lower: lower.map(whole),
        upper: upper.map(whole),
        standard_error: Some(alone.variance.sqrt()),
        ess_gain: Some(1.0),
        note: Some(if one_sided { Note::OneSided } else { Note::ExactGoldOnly }),
    }
}

/// A share, undefined over nothing.
fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| (part / whole).clamp(0.0, 1.0))
}
