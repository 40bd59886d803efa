//! Joint decoding: the answers of all tiers at once, so that gates always hold.
//!
//! Each tier's classifier speaks only of P(label | asked). Which tiers are asked, and which
//! labels are permitted, depends on the answers above, so the probabilities are combined over
//! all consistent answers (*worlds*). Downstream tiers see an answer only through the
//! conditions it meets; worlds that meet the same conditions are therefore one, and both the
//! marginals and the best answers follow exactly by dynamic programming over sets of
//! conditions met. Beyond [`MAX_WORLDS`] sets only the most probable (for the marginals, then
//! rescaled to sum to one) and the best scored (for the answers) are kept.
//!
//! The answers maximise the expected number of rightly decided tiers among all that the
//! codebook permits (the Bayes decision under Hamming loss over tiers; Dembczyński et al.,
//! Machine Learning 88, 2012). "Not asked" is an answer too; it counts as much as the tier's
//! surest answer would if it were asked. Counted in full, it would close gates merely because
//! what lies below them is hard, and rare branches of a codebook would never be reached.

mod plan;
mod validity;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::codebook::{Code, Codebook, GateState, LabelSet, TierKind};
use plan::{Met, TierPlan};

pub use validity::{Breach, Violation, violations};

/// How many distinct sets of met conditions are followed before the least probable go.
pub const MAX_WORLDS: usize = 20_000;

/// The threshold of a multi label for which none is given.
pub const DEFAULT_THRESHOLD: f64 = 0.5;

/// Probabilities of one tier's answer: one for a single tier, one per chosen label for a
/// multi tier in codebook order (one for `none` if no label is chosen), none if not asked.
pub type TierProbability = Vec<f64>;

/// What is said of one text; every list has one entry per tier.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The answers, [`Code::Coded`] or [`Code::NotAsked`], always within the codebook.
    pub codes: Vec<Code>,
    /// P(asked ∧ permitted ∧ answer), over every path that leads there.
    pub path: Vec<TierProbability>,
    /// P(answer | asked), given the answers decided above.
    pub conditional: Vec<TierProbability>,
    /// P(asked ∧ permitted ∧ label) for every label of the tier.
    pub marginal: Vec<Vec<f64>>,
    /// P(asked).
    pub asked: Vec<f64>,
}

/// Joint decoding prepared for one codebook.
#[derive(Clone, Debug)]
pub struct Joint {
    tiers: Vec<TierPlan>,
    words: usize,
}

/// What the worlds say of one tier.
struct Marginals {
    asked: f64,
    labels: Vec<f64>,
    no_label: f64,
}

/// The best answers so far among those that meet the same conditions.
struct Partial {
    score: f64,
    answers: Vec<Option<LabelSet>>,
}

impl Partial {
    fn beats(&self, other: &Partial) -> bool {
        self.score > other.score || (self.score == other.score && self.answers < other.answers)
    }
}

/// Decides one text. Prefer [`Joint`] for many.
///
/// `probabilities[tier][label]` is P(label | asked): a softmax for a single tier, independent
/// probabilities for a multi tier. `thresholds[tier][label]` is read for multi tiers only. A
/// value that is absent or not a number counts as 0 (a threshold: as [`DEFAULT_THRESHOLD`]);
/// a single tier without mass on its permitted labels is uniform over them. Ties go to the
/// earlier label.
pub fn decide(
    codebook: &Codebook,
    probabilities: &[Vec<f64>],
    thresholds: &[Vec<f64>],
) -> Decision {
    Joint::new(codebook).decide(probabilities, thresholds)
}

/// Decides one tier given the gold answers above it (the oracle view).
///
/// `probabilities` and `thresholds` are those of this tier. A closed gate gives
/// [`Code::NotAsked`]; a gate that rests on a missing answer counts as open.
pub fn decide_given(
    codebook: &Codebook,
    tier: usize,
    probabilities: &[f64],
    thresholds: &[f64],
    gold_above: &[Code],
) -> Code {
    let Some((permitted, probabilities)) = given_gold(codebook, tier, probabilities, gold_above)
    else {
        return Code::NotAsked;
    };
    match codebook.tiers[tier].kind {
        TierKind::Multi => Code::Coded(chosen(&probabilities, thresholds, &permitted)),
        TierKind::Single => best(&probabilities, |label| permitted[label])
            .map_or(Code::NotAsked, |label| Code::Coded(LabelSet::one(label))),
    }
}

/// Which labels of a tier the gold answers above permit, and P(label | asked) given these; none
/// where the gate is closed. A gate that rests on a missing answer counts as open.
pub fn given_gold(
    codebook: &Codebook,
    tier: usize,
    probabilities: &[f64],
    gold_above: &[Code],
) -> Option<(Vec<bool>, Vec<f64>)> {
    let padded: Vec<Code>;
    let above = if gold_above.len() < tier {
        padded = (0..tier).map(|t| gold_above.get(t).cloned().unwrap_or(Code::Missing)).collect();
        &padded
    } else {
        gold_above
    };
    let tier = &codebook.tiers[tier];
    if tier.asked_when.state(above) == GateState::Closed {
        return None;
    }
    let permitted: Vec<bool> =
        tier.labels.iter().map(|l| l.only_when.state(above) != GateState::Closed).collect();
    let probabilities = plan::given(tier.kind, &clean(probabilities, permitted.len()), &permitted);
    Some((permitted, probabilities))
}

impl Joint {
    /// Prepares the tables that every decision needs.
    pub fn new(codebook: &Codebook) -> Self {
        let (tiers, words) = plan::prepare(codebook);
        Self { tiers, words }
    }

    /// Decides one text; see [`decide`] for the shapes.
    pub fn decide(&self, probabilities: &[Vec<f64>], thresholds: &[Vec<f64>]) -> Decision {
        let probabilities: Vec<Vec<f64>> = self
            .tiers
            .iter()
            .enumerate()
            .map(|(t, tier)| clean(slice(probabilities, t), tier.labels))
            .collect();
        let marginals = self.marginals(&probabilities);
        let answers = self.best_answers(&probabilities, thresholds, &marginals);
        self.describe(&probabilities, answers, marginals)
    }

    /// P(asked ∧ permitted ∧ label) of every label, `[tier][label]`.
    pub fn marginal(&self, probabilities: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let tiers = self.tiers.iter().enumerate();
        let cleaned: Vec<Vec<f64>> =
            tiers.map(|(t, tier)| clean(slice(probabilities, t), tier.labels)).collect();
        self.marginals(&cleaned).into_iter().map(|tier| tier.labels).collect()
    }

    fn marginals(&self, probabilities: &[Vec<f64>]) -> Vec<Marginals> {
        let mut worlds = BTreeMap::from([(vec![0; self.words], 1.0)]);
        let mut marginals = Vec::with_capacity(self.tiers.len());
        for (tier, p) in self.tiers.iter().zip(probabilities) {
            let mut sums = Marginals { asked: 0.0, labels: vec![0.0; tier.labels], no_label: 0.0 };
            let mut answered = Vec::new();
            for (met, &mass) in &worlds {
                let Some(permitted) = tier.permitted(met) else {
                    if tier.gates {
                        answered.push((met.clone(), mass, None));
                    }
                    continue;
                };
                let q = plan::given(tier.kind, p, &permitted);
                sums.asked += mass;
                for (sum, q) in sums.labels.iter_mut().zip(&q) {
                    *sum += mass * q;
                }
                sums.no_label += mass * q.iter().map(|q| 1.0 - q).product::<f64>();
                if tier.gates {
                    answered.push((met.clone(), mass, Some(tier.class_probabilities(&q))));
                }
            }
            if tier.gates {
                worlds = tier.branch(answered);
            }
            sums.asked = sums.asked.min(1.0);
            sums.no_label = sums.no_label.min(1.0);
            sums.labels.iter_mut().for_each(|m| *m = m.min(1.0));
            marginals.push(sums);
        }
        marginals
    }

    fn best_answers(
        &self,
        probabilities: &[Vec<f64>],
        thresholds: &[Vec<f64>],
        marginals: &[Marginals],
    ) -> Vec<Option<LabelSet>> {
        let start = Partial { score: 0.0, answers: Vec::with_capacity(self.tiers.len()) };
        let mut partials = BTreeMap::from([(vec![0; self.words], start)]);
        for (t, tier) in self.tiers.iter().enumerate() {
            let mut next: BTreeMap<Met, Partial> = BTreeMap::new();
            for (met, partial) in partials {
                let mut push = |met: Met, answer: Option<LabelSet>, gain: f64| {
                    let mut answers = partial.answers.clone();
                    answers.push(answer);
                    let candidate = Partial { score: partial.score + gain, answers };
                    match next.entry(met) {
                        std::collections::btree_map::Entry::Vacant(free) => {
                            free.insert(candidate);
                        }
                        std::collections::btree_map::Entry::Occupied(mut held) => {
                            if candidate.beats(held.get()) {
                                held.insert(candidate);
                            }
                        }
                    }
                };
                let m = &marginals[t];
                let Some(permitted) = tier.permitted(&met) else {
                    push(met, None, (1.0 - m.asked) * m.sureness(tier.kind));
                    continue;
                };
                match tier.kind {
                    TierKind::Single => {
                        for (class, conditions) in tier.classes.iter().enumerate() {
                            let label =
                                best(&m.labels, |l| permitted[l] && tier.class_of[l] == class);
                            if let Some(label) = label {
                                let met = plan::union(&met, conditions);
                                push(met, Some(LabelSet::one(label)), m.labels[label]);
                            }
                        }
                    }
                    TierKind::Multi => {
                        let set = chosen(&probabilities[t], slice(thresholds, t), &permitted);
                        let gain = m.expected_share(&set, &permitted);
                        let met = set
                            .iter()
                            .fold(met, |met, l| plan::union(&met, &tier.classes[tier.class_of[l]]));
                        push(met, Some(set), gain);
                    }
                }
            }
            partials = keep_best(next);
        }
        let best = partials.into_values().reduce(|a, b| if b.beats(&a) { b } else { a });
        best.map(|partial| partial.answers).unwrap_or_default()
    }

    fn describe(
        &self,
        probabilities: &[Vec<f64>],
        answers: Vec<Option<LabelSet>>,
        marginals: Vec<Marginals>,
    ) -> Decision {
        let mut decision = Decision {
            codes: Vec::with_capacity(answers.len()),
            path: Vec::with_capacity(answers.len()),
            conditional: Vec::with_capacity(answers.len()),
            marginal: Vec::with_capacity(answers.len()),
            asked: Vec::with_capacity(answers.len()),
        };
        let mut met = vec![0; self.words];
        for (t, (answer, m)) in answers.into_iter().zip(marginals).enumerate() {
            let tier = &self.tiers[t];
            let (code, path, conditional) = match (answer, tier.permitted(&met)) {
                (Some(set), Some(permitted)) => {
                    let q = plan::given(tier.kind, &probabilities[t], &permitted);
                    let no_label = q.iter().map(|q| 1.0 - q).product();
                    let path = of_answer(&set, &m.labels, m.no_label);
                    let conditional = of_answer(&set, &q, no_label);
                    for l in set.iter() {
                        met = plan::union(&met, &tier.classes[tier.class_of[l]]);
                    }
                    (Code::Coded(set), path, conditional)
                }
                _ => (Code::NotAsked, Vec::new(), Vec::new()),
            };
            decision.codes.push(code);
            decision.path.push(path);
            decision.conditional.push(conditional);
            decision.marginal.push(m.labels);
            decision.asked.push(m.asked);
        }
        decision
    }
}

impl Marginals {
    /// How probably the surest answer to the tier is right if the tier is asked; for a multi
    /// tier the mean over its labels.
    fn sureness(&self, kind: TierKind) -> f64 {
        if self.asked <= 0.0 || self.labels.is_empty() {
            return 1.0;
        }
        let sure = match kind {
            TierKind::Single => self.labels.iter().copied().fold(0.0, f64::max),
            TierKind::Multi => {
                let each = self.labels.iter().map(|p| p.max(self.asked - p));
                each.sum::<f64>() / self.labels.len() as f64
            }
        };
        (sure / self.asked).min(1.0)
    }

    /// The expected share of permitted labels whose presence or absence `set` states rightly.
    fn expected_share(&self, set: &LabelSet, permitted: &[bool]) -> f64 {
        let (mut sum, mut n) = (0.0, 0.0);
        for (label, _) in permitted.iter().enumerate().filter(|(_, p)| **p) {
            let present = self.labels[label];
            sum += if set.contains(label) { present } else { (self.asked - present).max(0.0) };
            n += 1.0;
        }
        if n > 0.0 { sum / n } else { self.no_label }
    }
}

fn of_answer(set: &LabelSet, labels: &[f64], no_label: f64) -> TierProbability {
    if set.is_empty() { vec![no_label] } else { set.iter().map(|l| labels[l]).collect() }
}

fn slice(tiers: &[Vec<f64>], tier: usize) -> &[f64] {
    tiers.get(tier).map_or(&[], Vec::as_slice)
}

/// `n` probabilities within [0, 1], whatever was given.
fn clean(given: &[f64], n: usize) -> Vec<f64> {
    let clean = |p: &f64| if p.is_nan() { 0.0 } else { p.clamp(0.0, 1.0) };
    given.iter().map(clean).chain(std::iter::repeat(0.0)).take(n).collect()
}

/// The permitted labels of a multi tier that reach their thresholds.
fn chosen(probabilities: &[f64], thresholds: &[f64], permitted: &[bool]) -> LabelSet {
    let threshold = |label: usize| match thresholds.get(label) {
        Some(t) if t.is_finite() => *t,
        _ => DEFAULT_THRESHOLD,
    };
    let reaches = |&l: &usize| permitted[l] && probabilities[l] >= threshold(l);
    LabelSet::new((0..permitted.len()).filter(reaches).collect())
}

/// The eligible label of the highest value, the earliest of equals.
fn best(values: &[f64], eligible: impl Fn(usize) -> bool) -> Option<usize> {
    let eligible = (0..values.len()).filter(|&l| eligible(l));
    eligible.reduce(|a, b| if values[b] > values[a] { b } else { a })
}

fn keep_best(partials: BTreeMap<Met, Partial>) -> BTreeMap<Met, Partial> {
    if partials.len() <= MAX_WORLDS {
        return partials;
    }
    let mut ranked: Vec<(Met, Partial)> = partials.into_iter().collect();
    ranked.sort_by(|(_, a), (_, b)| {
        b.score.total_cmp(&a.score).then_with(|| a.answers.cmp(&b.answers))
    });
    ranked.truncate(MAX_WORLDS);
    ranked.into_iter().collect()
}
