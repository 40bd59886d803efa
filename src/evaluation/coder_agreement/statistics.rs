//! All coefficients of one tier as one function of sums over rows, so that every resample gives
//! all of them at once.

use std::collections::HashMap;

use super::{PairKind, pairs};
use crate::codebook::{LabelSet, Tier, TierKind};
use crate::corpus::Answer;
use crate::evaluation::agreement::{Distances, Everyone, Label, LabelPair, Pair, Specific, masi};
use crate::evaluation::resampling::Parts;

/// Where each figure stands among the values.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub percent: usize,
    pub alpha: usize,
    pub ac1: usize,
    pub kappas: usize,
    pub pair_alphas: usize,
    pub pair_percents: usize,
    pub kinds: usize,
    pub labels: usize,
    pub label_percents: usize,
    pub label_ac1s: usize,
    /// Label by label, of each every pair.
    pub label_kappas: usize,
}

/// The answers that count, as numbers from 0 on.
struct Answers<'a> {
    numbers: HashMap<Answer, u32>,
    /// The set of each number; none where the tier was not asked.
    sets: Vec<Option<&'a LabelSet>>,
}

impl<'a> Answers<'a> {
    fn new(sets: &'a [LabelSet], patterns: &[Vec<Answer>], with_not_asked: bool) -> Self {
        let mut own = Self { numbers: HashMap::new(), sets: Vec::new() };
        for answer in patterns.iter().flatten() {
            let set = answer.set().map(|set| &sets[set as usize]);
            if set.is_none() && !(with_not_asked && *answer == Answer::NOT_ASKED) {
                continue;
            }
            own.numbers.entry(*answer).or_insert_with(|| {
                own.sets.push(set);
                (own.sets.len() - 1) as u32
            });
        }
        own
    }

    /// MASI distances of every two numbers.
    fn distances(&self) -> Distances {
        Distances::new(self.sets.len(), |a, b| match (self.sets[a], self.sets[b]) {
            (Some(a), Some(b)) => masi(a, b),
            // Nothing is shared by a set and not being asked.
            _ => 1.0,
        })
    }
}

/// The coefficients of one tier over one choice of rows.
pub struct Statistics {
    /// All coders that are not the gold.
    overall: Everyone,
    /// Every two coders.
    pairs: Vec<Pair>,
    labels: Vec<Label>,
    /// Label by label, of each every two coders.
    label_pairs: Vec<LabelPair>,
    /// The kinds of pairs that there are, and of which kind each pair is.
    kinds: Vec<PairKind>,
    of_pair: Vec<usize>,
    /// MASI distances of all answers in use; none for a single tier.
    distances: Option<Distances>,
    sums: usize,
}

impl Statistics {
    /// Of combinations of codes `patterns[pattern][coder]`, and what each of them adds to the sums.
    /// `kind_of_pair` holds every two coders, `overall` those that are not the gold.
    pub fn new(
        tier: &Tier,
        sets: &[LabelSet],
        patterns: &[Vec<Answer>],
        with_not_asked: bool,
        overall: &[usize],
        kind_of_pair: &[PairKind],
    ) -> (Self, Parts) {
        let answers = Answers::new(sets, patterns, with_not_asked);
        let categories = answers.sets.len();
        let everyone = Everyone::new(0, categories);
        let (mut of_pairs, mut labels, mut label_pairs) = (Vec::new(), Vec::new(), Vec::new());
        let mut sums = everyone.end();
        for _ in kind_of_pair {
            let pair = Pair::new(sums, categories);
            sums = pair.end();
            of_pairs.push(pair);
        }
        for _ in &tier.labels {
            let label = Label::new(sums, everyone);
            sums = label.end();
            labels.push(label);
            for pair in &of_pairs {
                let label_pair = LabelPair::new(sums, *pair);
                sums = label_pair.end();
                label_pairs.push(label_pair);
            }
        }
        let mut kinds: Vec<PairKind> = kind_of_pair.to_vec();
        kinds.sort_unstable();
        kinds.dedup();
        let place = |kind: &PairKind| kinds.iter().position(|own| own == kind).unwrap_or(0);
        let statistics = Self {
            overall: everyone,
            pairs: of_pairs,
            labels,
            label_pairs,
            of_pair: kind_of_pair.iter().map(place).collect(),
            kinds,
            distances: (tier.kind == TierKind::Multi).then(|| answers.distances()),
            sums,
        };
        let parts = statistics.parts(&answers, patterns, overall);
        (statistics, parts)
    }

    /// What each combination of codes adds to the sums.
    fn parts(&self, answers: &Answers, patterns: &[Vec<Answer>], overall: &[usize]) -> Parts {
        let mut parts = Parts::new(self.sums);
        let mut own = Vec::new();
        for pattern in patterns {
            let codes: Vec<Option<u32>> =
                pattern.iter().map(|answer| answers.numbers.get(answer).copied()).collect();
            let coded: Vec<Option<u32>> = overall.iter().map(|coder| codes[*coder]).collect();
            let distances = self.distances.as_ref();
            self.overall.add(&coded, distances, &mut own);
            for (pair, (a, b)) in self.pairs.iter().zip(pairs(codes.len())) {
                pair.add((codes[a], codes[b]), distances, &mut own);
            }
            let set = |code: Option<u32>| code.and_then(|code| answers.sets[code as usize]);
            let mut given: Vec<usize> =
                codes.iter().filter_map(|code| set(*code)).flat_map(LabelSet::iter).collect();
            given.sort_unstable();
            given.dedup();
            let all = coded.iter().flatten().count();
            for label in given {
                let gives = |code: Option<u32>| set(code).is_some_and(|set| set.contains(label));
                match coded.iter().filter(|code| gives(**code)).count() {
                    0 => {}
                    of_all => self.labels[label].add(of_all, all, &mut own),
                }
                let of_label = &self.label_pairs[label * self.pairs.len()..];
                for (pair, (a, b)) in of_label.iter().zip(pairs(codes.len())) {
                    if codes[a].is_some() && codes[b].is_some() {
                        pair.add([gives(codes[a]), gives(codes[b])], &mut own);
                    }
                }
            }
            parts.push(own.drain(..));
        }
        parts
    }

    /// The kinds of pairs that there are.
    pub fn kinds(&self) -> &[PairKind] {
        &self.kinds
    }

    pub fn layout(&self) -> Layout {
        let (pairs, labels) = (self.pairs.len(), self.labels.len());
        let of_labels = 3 + 3 * pairs + 2 * self.kinds.len();
        Layout {
            percent: 0,
            alpha: 1,
            ac1: 2,
            kappas: 3,
            pair_alphas: 3 + pairs,
            pair_percents: 3 + 2 * pairs,
            kinds: 3 + 3 * pairs,
            labels: of_labels,
            label_percents: of_labels + labels,
            label_ac1s: of_labels + 2 * labels,
            label_kappas: of_labels + 3 * labels,
        }
    }

    /// About how many steps one evaluation takes.
    pub fn steps(&self) -> u64 {
        let squares = match &self.distances {
            None => 0,
            Some(distances) => (1 + self.pairs.len()) * distances.pairs() / 2,
        };
        (2 * self.sums + squares) as u64
    }

    /// All figures, in the order of the layout.
    pub fn values(&self, sums: &[f64]) -> Vec<Option<f64>> {
        let distances = self.distances.as_ref();
        let overall = self.overall;
        let mut values =
            vec![overall.percent(sums), overall.alpha(sums, distances), overall.ac1(sums)];
        let kappas: Vec<Option<f64>> = self.pairs.iter().map(|pair| pair.kappa(sums)).collect();
        let alphas: Vec<Option<f64>> =
            self.pairs.iter().map(|pair| pair.alpha(sums, distances)).collect();
        let mean = |kind: usize, figures: &[Option<f64>]| {
            let own = self.of_pair.iter().zip(figures).filter(|(of, _)| **of == kind);
            let defined: Vec<f64> = own.filter_map(|(_, figure)| *figure).collect();
            (!defined.is_empty()).then(|| defined.iter().sum::<f64>() / defined.len() as f64)
        };
        let kinds: Vec<Option<f64>> = (0..self.kinds.len())
            .flat_map(|kind| [mean(kind, &kappas), mean(kind, &alphas)])
            .collect();
        values.extend(kappas);
        values.extend(alphas);
        values.extend(self.pairs.iter().map(|pair| pair.percent(sums)));
        values.extend(kinds);
        values.extend(self.labels.iter().map(|label| label.alpha(sums)));
        values.extend(self.labels.iter().map(|label| label.percent(sums)));
        values.extend(self.labels.iter().map(|label| label.ac1(sums)));
        values.extend(self.label_pairs.iter().map(|pair| pair.kappa(sums)));
        values
    }

    /// Rows that both of a pair coded.
    pub fn pair(&self, sums: &[f64], at: usize) -> f64 {
        self.pairs[at].rows(sums)
    }

    /// Rows with the answers of at least two coders.
    pub fn pairable(&self, sums: &[f64]) -> f64 {
        self.overall.pairable(sums)
    }

    /// How a label is given.
    pub fn specific(&self, sums: &[f64], label: usize) -> Specific {
        self.labels[label].specific(sums)
    }
}
