//! Conformal sets: labels among which the gold is as often as was asked, whatever the model is like
//! (split-conformal, Vovk, Gammerman and Shafer 2005; sets of least size, Sadinle, Lei and
//! Wasserman 2019).
//!
//! Of a single tier the set holds labels, and *not asked* where the tier has a gate; of a multi tier
//! it holds every label that may apply, and is judged by rows whose gold has a label, since a row
//! without one is in any set (outer sets, Cauchois, Gupta and Duchi 2021). The share of sets that
//! hold the gold is that over all such rows: no label and no platform is promised it by itself, and
//! of texts from elsewhere or later nothing is said.

use serde::{Deserialize, Serialize};

use super::HeldOut;
use crate::codebook::{Code, Codebook, LabelSet, Tier, TierKind};
use crate::heads::joint::Decision;

/// Per cent of sets that can be asked to hold the gold.
pub const LEVELS: [u8; 4] = [80, 90, 95, 99];

/// In a set: the tier is not asked. Reserved among labels, read as blank.
const NOT_ASKED: &str = "na";

/// The rows that sets were fitted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FittedOn {
    /// Training rows, as models answered that had not seen them. Of sets of those models
    /// 1 - 2 alpha are guaranteed to hold the gold, and 1 - alpha are observed to (Vovk et al. 2018;
    /// Barber et al. 2021); the bundle's own model, of more rows, stands in their place.
    OutOfFold,
    /// Validation rows, on which other choices rest as well: 1 - alpha is approximate, nothing is
    /// guaranteed.
    Validation,
}

impl FittedOn {
    /// Of sets that are asked to hold the gold so often, the share that is guaranteed to, if any.
    pub fn guaranteed(self, asked: f64) -> Option<f64> {
        (self == FittedOn::OutOfFold).then_some(2.0 * asked - 1.0)
    }
}

/// How probable a label must be to be in a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConformalSets {
    /// The rows that tell it.
    pub fitted_on: FittedOn,
    /// Per cent of sets that are to hold the gold.
    pub levels: Vec<u8>,
    /// The tiers, as they stand in the codebook.
    pub tiers: Vec<TierSets>,
}

/// The sets of one tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierSets {
    /// Rows whose gold tells it.
    pub rows: usize,
    /// For each level the probability from which on a label is in the set; where the rows are too
    /// few none, and every label is.
    pub least: Vec<Option<f64>>,
}

/// What may be the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlausibleSet {
    /// The labels.
    pub labels: LabelSet,
    /// Whether that the tier is not asked.
    pub not_asked: bool,
}

impl ConformalSets {
    /// From answers to rows that neither trained nor fitted the decisions.
    pub fn fit(codebook: &Codebook, rows: &[HeldOut], fitted_on: FittedOn) -> Self {
        let of_tier = |(at, tier): (usize, &Tier)| {
            let gold = |row: &HeldOut| probability_of_gold(tier, at, &row.decision, &row.gold[at]);
            let stated: Vec<f64> = rows.iter().filter_map(gold).collect();
            let least = LEVELS.iter().map(|level| least_probability(&stated, *level)).collect();
            TierSets { rows: stated.len(), least }
        };
        let tiers = codebook.tiers.iter().enumerate().map(of_tier).collect();
        Self { fitted_on, levels: LEVELS.to_vec(), tiers }
    }

    /// Where a level stands in `levels`, if it is one.
    pub fn place(&self, level: u8) -> Option<usize> {
        self.levels.iter().position(|own| *own == level)
    }

    /// The set of one text and tier at the level that stands there.
    pub fn set(&self, tier: &Tier, at: usize, decision: &Decision, level: usize) -> PlausibleSet {
        PlausibleSet::of(tier, at, decision, self.tiers[at].least[level])
    }
}

/// The (⌈(n + 1)(1 - alpha)⌉)-th largest of the probabilities that n gold answers were given, level
/// being 1 - alpha in per cent; none where that is beyond n.
pub fn least_probability(gold: &[f64], level: u8) -> Option<f64> {
    let place = ((gold.len() + 1) * usize::from(level)).div_ceil(100);
    let mut sorted = gold.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    sorted.get(place.checked_sub(1)?).copied()
}

/// The probability of the gold, of several labels that of the least probable; none where the gold is
/// missing, or a multi tier's has no label.
pub fn probability_of_gold(tier: &Tier, at: usize, own: &Decision, gold: &Code) -> Option<f64> {
    match (tier.kind, gold) {
        (_, Code::Missing) | (TierKind::Multi, Code::NotAsked) => None,
        (TierKind::Single, Code::NotAsked) => Some(1.0 - own.asked[at]),
        (_, Code::Coded(labels)) => {
            labels.iter().map(|label| own.marginal[at][label]).reduce(f64::min)
        }
    }
}

impl PlausibleSet {
    /// What has at least this probability; everything without one.
    pub fn of(tier: &Tier, at: usize, own: &Decision, least: Option<f64>) -> Self {
        let plausible = |p: f64| least.is_none_or(|least| p >= least);
        let labels = (0..tier.labels.len()).filter(|label| plausible(own.marginal[at][*label]));
        let has_gate = tier.kind == TierKind::Single && !tier.asked_when.conditions.is_empty();
        Self {
            labels: LabelSet::new(labels.collect()),
            not_asked: has_gate && plausible(1.0 - own.asked[at]),
        }
    }

    /// How many answers it holds.
    pub fn size(&self) -> usize {
        self.labels.len() + usize::from(self.not_asked)
    }

    /// Whether it holds the gold.
    pub fn holds(&self, gold: &Code) -> bool {
        match gold {
            Code::Coded(gold) => gold.iter().all(|label| self.labels.contains(label)),
            Code::NotAsked => self.not_asked,
            Code::Missing => false,
        }
    }

    /// As it stands in a table: labels joined by `|`, `na` for *not asked*; a multi tier without a
    /// plausible label is `none`, a single tier without a plausible answer blank.
    pub fn cell(&self, tier: &Tier) -> String {
        let labels = self.labels.iter().map(|label| tier.labels[label].name.as_str());
        let names: Vec<&str> = labels.chain(self.not_asked.then_some(NOT_ASKED)).collect();
        match (tier.kind, names.is_empty()) {
            (TierKind::Multi, true) => "none".to_owned(),
            _ => names.join("|"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::GATED;
    use crate::heads::joint::decide;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn book() -> Codebook {
        Codebook::parse(GATED, "b").unwrap()
    }

    fn decision(yes: f64, topics: [f64; 2]) -> Decision {
        decide(&book(), &[vec![yes, 1.0 - yes], topics.to_vec()], &[vec![], vec![0.5, 0.5]])
    }

    #[test]
    fn the_least_probability_is_the_quantile_for_so_many_rows() {
        // Nine rows: at 80 % the 8th largest, at 90 % the 9th, at 95 % the 10th, which is not there.
        let gold: Vec<f64> = (1..=9).map(|i| f64::from(i) / 10.0).collect();
        assert_eq!(least_probability(&gold, 80), Some(0.2));
        assert_eq!(least_probability(&gold, 90), Some(0.1));
        assert_eq!(least_probability(&gold, 95), None);
        assert_eq!(least_probability(&[], 80), None);
    }

    #[test]
    fn sets_hold_what_is_probable_enough() {
        let book = book();
        let (first, second) = (&book.tiers[0], &book.tiers[1]);
        let own = decision(0.8, [0.5, 0.1]);
        let cell = |tier: &Tier, at, least| PlausibleSet::of(tier, at, &own, least).cell(tier);
        assert_eq!(cell(first, 0, Some(0.3)), "yes");
        assert_eq!(cell(first, 0, Some(0.19)), "yes|no");
        assert_eq!(cell(first, 0, Some(0.9)), "");
        assert_eq!(cell(first, 0, None), "yes|no", "without a gate it is always asked");
        assert_eq!(cell(second, 1, Some(0.39)), "a");
        assert_eq!(cell(second, 1, Some(0.07)), "a|b");
        assert_eq!(cell(second, 1, Some(0.5)), "none");
        assert_eq!(PlausibleSet::of(second, 1, &own, None).size(), 2);
    }

    #[test]
    fn gold_is_as_probable_as_its_least_probable_label() {
        let book = book();
        let own = decision(0.8, [0.5, 0.1]);
        let of = |at: usize, gold: &Code| probability_of_gold(&book.tiers[at], at, &own, gold);
        let set = |labels: &[usize]| Code::Coded(LabelSet::new(labels.to_vec()));
        assert!((of(0, &set(&[1])).unwrap() - 0.2).abs() < 1e-12);
        assert!((of(1, &set(&[0, 1])).unwrap() - 0.08).abs() < 1e-12);
        assert_eq!(
            (of(1, &set(&[])), of(1, &Code::NotAsked), of(0, &Code::Missing)),
            Default::default()
        );
        let both = PlausibleSet::of(&book.tiers[1], 1, &own, Some(0.39));
        assert!(both.holds(&set(&[0])) && both.holds(&set(&[])) && !both.holds(&set(&[0, 1])));
    }

    #[test]
    fn a_gated_tier_may_not_be_asked() {
        let mut book = book();
        book.tiers[1].kind = TierKind::Single;
        let tier = &book.tiers[1];
        let probabilities = [vec![0.3, 0.7], vec![0.9, 0.1]];
        let own = decide(&book, &probabilities, &[vec![], vec![]]);
        let set = PlausibleSet::of(tier, 1, &own, Some(0.2));
        assert_eq!((set.cell(tier).as_str(), set.size()), ("a|na", 2));
        assert!(set.holds(&Code::NotAsked) && !set.holds(&Code::Missing));
        assert!((probability_of_gold(tier, 1, &own, &Code::NotAsked).unwrap() - 0.7).abs() < 1e-12);
    }

    /// Answers of a model that is too sure of itself, with the gold as it came.
    fn drawn(n: usize, seed: u64) -> Vec<(Decision, Vec<Code>)> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut unit = move || (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        (0..n)
            .map(|_| {
                let truth = [unit(), 0.6 * unit(), 0.6 * unit()];
                let sure = |p: f64| p * p / (p * p + (1.0 - p) * (1.0 - p));
                let own = decision(sure(truth[0]), [sure(truth[1]), sure(truth[2])]);
                let yes = unit() < truth[0];
                let topics = [0, 1].into_iter().filter(|t| unit() < truth[t + 1]).collect();
                let below = if yes { Code::Coded(LabelSet::new(topics)) } else { Code::NotAsked };
                (own, vec![Code::Coded(LabelSet::one(usize::from(!yes))), below])
            })
            .collect()
    }

    #[test]
    fn over_200_random_splits_as_many_sets_hold_the_gold_as_was_asked() {
        let book = book();
        let rows = drawn(1400, 11);
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let mut covered = [[0.0; 4]; 2];
        for _ in 0..200 {
            for last in (1..order.len()).rev() {
                order.swap(last, crate::corpus::below(&mut random, last + 1));
            }
            let (fitting, rest) = order.split_at(700);
            let held: Vec<HeldOut> = fitting
                .iter()
                .map(|&row| HeldOut { decision: rows[row].0.clone(), gold: &rows[row].1 })
                .collect();
            let sets = ConformalSets::fit(&book, &held, FittedOn::OutOfFold);
            for (at, tier) in book.tiers.iter().enumerate() {
                for (level, sum) in covered[at].iter_mut().enumerate() {
                    let judged = rest.iter().map(|&row| &rows[row]).filter(|(own, gold)| {
                        probability_of_gold(tier, at, own, &gold[at]).is_some()
                    });
                    let held: Vec<bool> = judged
                        .map(|(own, gold)| sets.set(tier, at, own, level).holds(&gold[at]))
                        .collect();
                    let share = held.iter().filter(|held| **held).count() as f64;
                    *sum += share / held.len() as f64 / 200.0;
                }
            }
        }
        for (at, tier) in covered.iter().enumerate() {
            for (found, level) in tier.iter().zip(LEVELS) {
                let asked = f64::from(level) / 100.0;
                assert!((found - asked).abs() < 0.01, "tier {at}: {found} where {asked} was asked");
            }
        }
    }
}
