//! The codebook as joint decoding needs it: which conditions each label meets.

use std::collections::BTreeMap;

use super::MAX_WORLDS;
use crate::codebook::{Codebook, Condition, Gate, TierKind};

/// The set of conditions met so far, one bit each.
pub(super) type Met = Vec<u64>;

/// A world in which a tier has been put: the conditions met above it, its probability, and
/// the tier's class probabilities if it was asked.
pub(super) type Answered = (Met, f64, Option<Vec<f64>>);

/// One tier, its gates as positions among the codebook's distinct conditions.
#[derive(Clone, Debug)]
pub(super) struct TierPlan {
    pub kind: TierKind,
    /// How many labels it has.
    pub labels: usize,
    /// Whether any later gate names it.
    pub gates: bool,
    /// The class of each label: labels that meet the same conditions are one class.
    pub class_of: Vec<usize>,
    /// The conditions that each class meets.
    pub classes: Vec<Met>,
    asked_when: Vec<usize>,
    only_when: Vec<Vec<usize>>,
}

/// The plans of all tiers, and the length of a [`Met`].
pub(super) fn prepare(codebook: &Codebook) -> (Vec<TierPlan>, usize) {
    let mut conditions: Vec<&Condition> = Vec::new();
    for tier in &codebook.tiers {
        for gate in
            std::iter::once(&tier.asked_when).chain(tier.labels.iter().map(|l| &l.only_when))
        {
            for condition in &gate.conditions {
                if !conditions.contains(&condition) {
                    conditions.push(condition);
                }
            }
        }
    }
    let words = conditions.len().div_ceil(64);
    let positions = |gate: &Gate| -> Vec<usize> {
        let position = |c: &Condition| conditions.iter().position(|known| *known == c);
        gate.conditions.iter().filter_map(position).collect()
    };
    let plan = |(t, tier): (usize, &crate::codebook::Tier)| {
        let mut classes: Vec<Met> = Vec::new();
        let class_of = (0..tier.labels.len()).map(|label| {
            let mut met = vec![0; words];
            for (position, condition) in conditions.iter().enumerate() {
                if condition.tier == t && condition.labels.contains(&label) {
                    met[position / 64] |= 1 << (position % 64);
                }
            }
            classes.iter().position(|class| *class == met).unwrap_or_else(|| {
                classes.push(met);
                classes.len() - 1
            })
        });
        let class_of = class_of.collect();
        TierPlan {
            kind: tier.kind,
            labels: tier.labels.len(),
            gates: classes.iter().flatten().any(|word| *word != 0),
            class_of,
            classes,
            asked_when: positions(&tier.asked_when),
            only_when: tier.labels.iter().map(|label| positions(&label.only_when)).collect(),
        }
    };
    (codebook.tiers.iter().enumerate().map(plan).collect(), words)
}

impl TierPlan {
    /// Which labels may be given, or nothing if the tier is not asked. A single tier left
    /// without a permitted label, which no codebook read from a file has, is not asked.
    pub fn permitted(&self, met: &Met) -> Option<Vec<bool>> {
        let open = |gate: &[usize]| gate.iter().all(|c| met[c / 64] >> (c % 64) & 1 == 1);
        if !open(&self.asked_when) {
            return None;
        }
        let permitted: Vec<bool> = self.only_when.iter().map(|gate| open(gate)).collect();
        (self.kind == TierKind::Multi || permitted.contains(&true)).then_some(permitted)
    }

    /// P(the answer has a label of the class), for each class.
    pub fn class_probabilities(&self, labels: &[f64]) -> Vec<f64> {
        match self.kind {
            TierKind::Single => {
                let mut sums = vec![0.0; self.classes.len()];
                labels.iter().zip(&self.class_of).for_each(|(p, class)| sums[*class] += p);
                sums
            }
            TierKind::Multi => {
                let mut none = vec![1.0; self.classes.len()];
                labels.iter().zip(&self.class_of).for_each(|(p, class)| none[*class] *= 1.0 - p);
                none.into_iter().map(|none| 1.0 - none).collect()
            }
        }
    }

    /// The worlds after this tier's answer: one class of a single tier, or any subset of the
    /// classes of a multi tier, whose labels are independent.
    pub fn branch(&self, answered: Vec<Answered>) -> BTreeMap<Met, f64> {
        let mut worlds = BTreeMap::new();
        let mut add = |met: Met, mass: f64| {
            if mass > 0.0 {
                *worlds.entry(met).or_insert(0.0) += mass;
            }
        };
        if self.kind == TierKind::Single {
            for (met, mass, classes) in answered {
                match classes {
                    None => add(met, mass),
                    Some(p) => {
                        for (conditions, p) in self.classes.iter().zip(p) {
                            add(union(&met, conditions), mass * p);
                        }
                    }
                }
            }
        } else {
            for (met, mass) in self.branch_multi(&answered) {
                add(met, mass);
            }
        }
        let mut worlds: Vec<(Met, f64)> = worlds.into_iter().collect();
        keep_most_probable(&mut worlds);
        worlds.into_iter().collect()
    }

    fn branch_multi(&self, answered: &[Answered]) -> Vec<(Met, f64)> {
        let start = |(i, (met, mass, _)): (usize, &Answered)| ((i, met.clone()), *mass);
        let mut open: Vec<((usize, Met), f64)> = answered.iter().enumerate().map(start).collect();
        for (class, conditions) in self.classes.iter().enumerate() {
            if conditions.iter().all(|word| *word == 0) {
                continue;
            }
            let mut split = Vec::with_capacity(open.len() * 2);
            for ((origin, met), mass) in open {
                let p = answered[origin].2.as_ref().map_or(0.0, |classes| classes[class]);
                if p > 0.0 {
                    split.push(((origin, union(&met, conditions)), mass * p));
                }
                if p < 1.0 {
                    split.push(((origin, met), mass * (1.0 - p)));
                }
            }
            keep_most_probable(&mut split);
            open = split;
        }
        open.into_iter().map(|((_, met), mass)| (met, mass)).collect()
    }
}

/// P(label | asked, permitted): a single tier's mass is shared among its permitted labels
/// (equally if they have none), a multi tier's other labels are ruled out.
pub(super) fn given(kind: TierKind, labels: &[f64], permitted: &[bool]) -> Vec<f64> {
    let masked = labels.iter().zip(permitted).map(|(p, ok)| if *ok { *p } else { 0.0 });
    if kind == TierKind::Multi {
        return masked.collect();
    }
    let mass: f64 = masked.clone().sum();
    if mass > 0.0 {
        return masked.map(|p| (p / mass).min(1.0)).collect();
    }
    let n = permitted.iter().filter(|ok| **ok).count() as f64;
    permitted.iter().map(|ok| if *ok { 1.0 / n } else { 0.0 }).collect()
}

/// The conditions met by either.
pub(super) fn union(a: &Met, b: &Met) -> Met {
    a.iter().zip(b).map(|(a, b)| a | b).collect()
}

/// Drops all but the [`MAX_WORLDS`] most probable, the earlier of equals first, and hands
/// their probability to the rest in proportion.
fn keep_most_probable<K>(worlds: &mut Vec<(K, f64)>) {
    if worlds.len() <= MAX_WORLDS {
        return;
    }
    let total: f64 = worlds.iter().map(|w| w.1).sum();
    worlds.sort_by(|a, b| b.1.total_cmp(&a.1));
    worlds.truncate(MAX_WORLDS);
    let kept: f64 = worlds.iter().map(|w| w.1).sum();
    worlds.iter_mut().for_each(|w| w.1 *= total / kept);
}
