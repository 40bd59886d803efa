//! All coefficients of one tier as one function of how many rows have each combination of codes,
//! so that every resample gives all of them at once.

use std::collections::HashMap;

use super::{PairKind, pairs};
use crate::codebook::{LabelSet, Tier, TierKind};
use crate::corpus::Answer;
use crate::evaluation::agreement::{
    Specific, Unit, ac1, alpha, kappa, masi, nominal, percent, specific,
};

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

/// Combinations of codes after a change of the codes; equal ones stand together.
struct Projection {
    distinct: Vec<Vec<Option<u32>>>,
    of: Vec<u32>,
}

impl Projection {
    fn of(patterns: &[Vec<Option<u32>>], coders: &[usize], code: impl Fn(u32) -> u32) -> Self {
        let mut places: HashMap<Vec<Option<u32>>, u32> = HashMap::new();
        let mut distinct = Vec::new();
        let of = patterns
            .iter()
            .map(|pattern| {
                let own: Vec<Option<u32>> =
                    coders.iter().map(|&coder| pattern[coder].map(&code)).collect();
                *places.entry(own).or_insert_with_key(|own| {
                    distinct.push(own.clone());
                    (distinct.len() - 1) as u32
                })
            })
            .collect();
        Self { distinct, of }
    }

    fn units(&self, counts: &[f64]) -> Vec<Unit<'_>> {
        let mut units: Vec<Unit> =
            self.distinct.iter().map(|codes| Unit { codes, count: 0.0 }).collect();
        for (place, count) in self.of.iter().zip(counts) {
            units[*place as usize].count += count;
        }
        units
    }
}

/// The coefficients of one tier over one choice of rows.
pub struct Statistics {
    /// All coders that are not the gold.
    overall: Projection,
    /// Every two coders.
    pairs: Vec<Projection>,
    /// Every label: 1 where it is given.
    labels: Vec<Projection>,
    /// The same of every two coders, label by label.
    label_pairs: Vec<Projection>,
    /// The kinds of pairs that there are, and of which kind each pair is.
    kinds: Vec<PairKind>,
    of_pair: Vec<usize>,
    categories: usize,
    /// MASI distances of all sets in use; none for a single tier.
    distances: Option<Vec<f32>>,
}

impl Statistics {
    /// `patterns[pattern][coder]`; codes become numbers from 0 on of the answers in use. `kind_of_pair`
    /// holds every two coders, `overall` those that are not the gold.
    pub fn new(
        tier: &Tier,
        sets: &[LabelSet],
        patterns: &[Vec<Answer>],
        with_not_asked: bool,
        overall: Vec<usize>,
        kind_of_pair: &[PairKind],
    ) -> Self {
        let coders = (1..).find(|n| n * (n - 1) / 2 >= kind_of_pair.len()).unwrap_or(1);
        let coders = patterns.first().map_or(coders, Vec::len);
        let mut in_use: Vec<Answer> = Vec::new();
        let mut numbers: HashMap<Answer, u32> = HashMap::new();
        let mut number = |answer: Answer| {
            let counts = answer.set().is_some() || (with_not_asked && answer == Answer::NOT_ASKED);
            counts.then(|| {
                *numbers.entry(answer).or_insert_with(|| {
                    in_use.push(answer);
                    (in_use.len() - 1) as u32
                })
            })
        };
        let patterns: Vec<Vec<Option<u32>>> = patterns
            .iter()
            .map(|pattern| pattern.iter().map(|answer| number(*answer)).collect())
            .collect();
        let set = |code: u32| in_use[code as usize].set().map(|set| &sets[set as usize]);
        let everyone: Vec<usize> = (0..coders).collect();
        let labels = (0..tier.labels.len()).map(|label| {
            let given = |code: u32| u32::from(set(code).is_some_and(|set| set.contains(label)));
            Projection::of(&patterns, &overall, given)
        });
        let labels = labels.collect();
        let label_pairs = (0..tier.labels.len()).flat_map(|label| {
            let given =
                move |code: u32| u32::from(set(code).is_some_and(|set| set.contains(label)));
            let patterns = &patterns;
            pairs(coders).map(move |(a, b)| Projection::of(patterns, &[a, b], given))
        });
        let label_pairs = label_pairs.collect();
        let distances = (tier.kind == TierKind::Multi).then(|| {
            let codes = 0..in_use.len() as u32;
            let distance = |(a, b)| match (set(a), set(b)) {
                (Some(a), Some(b)) => masi(a, b) as f32,
                (None, None) => 0.0,
                // Nothing is shared by a set and not being asked.
                _ => 1.0,
            };
            codes.clone().flat_map(|a| codes.clone().map(move |b| (a, b))).map(distance).collect()
        });
        let mut kinds: Vec<PairKind> = kind_of_pair.to_vec();
        kinds.sort_unstable();
        kinds.dedup();
        let place = |kind: &PairKind| kinds.iter().position(|own| own == kind).unwrap_or(0);
        let of_pair = kind_of_pair.iter().map(place).collect();
        Self {
            overall: Projection::of(&patterns, &overall, |code| code),
            pairs: pairs(coders)
                .map(|(a, b)| Projection::of(&patterns, &[everyone[a], everyone[b]], |code| code))
                .collect(),
            labels,
            label_pairs,
            kinds,
            of_pair,
            categories: in_use.len(),
            distances,
        }
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
        let of = |projection: &Projection| {
            let coders = projection.distinct.first().map_or(0, Vec::len);
            projection.of.len() + projection.distinct.len() * coders * coders * 4
        };
        let of_labels = self.labels.iter().chain(&self.label_pairs);
        let all = [&self.overall].into_iter().chain(&self.pairs).chain(of_labels);
        let squares = (1 + self.pairs.len()) * self.categories * self.categories;
        (all.map(of).sum::<usize>() + squares) as u64
    }

    fn alpha(&self, units: &[Unit]) -> Option<f64> {
        match &self.distances {
            None => alpha(units, nominal),
            Some(distances) => {
                alpha(units, |a, b| f64::from(distances[a as usize * self.categories + b as usize]))
            }
        }
    }

    /// All figures, in the order of the layout.
    pub fn values(&self, counts: &[f64]) -> Vec<Option<f64>> {
        let units = self.overall.units(counts);
        let mut values = vec![percent(&units), self.alpha(&units), ac1(&units, self.categories)];
        let of_pairs: Vec<Vec<Unit>> = self.pairs.iter().map(|pair| pair.units(counts)).collect();
        let kappas: Vec<Option<f64>> = of_pairs.iter().map(|units| kappa(units, 0, 1)).collect();
        let alphas: Vec<Option<f64>> = of_pairs.iter().map(|units| self.alpha(units)).collect();
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
        values.extend(of_pairs.iter().map(|units| percent(units)));
        values.extend(kinds);
        let of_labels: Vec<Vec<Unit>> =
            self.labels.iter().map(|label| label.units(counts)).collect();
        values.extend(of_labels.iter().map(|units| alpha(units, nominal)));
        values.extend(of_labels.iter().map(|units| percent(units)));
        values.extend(of_labels.iter().map(|units| ac1(units, 2)));
        values.extend(self.label_pairs.iter().map(|pair| kappa(&pair.units(counts), 0, 1)));
        values
    }

    /// Rows that both of a pair coded.
    pub fn pair(&self, counts: &[f64], at: usize) -> f64 {
        let units = self.pairs[at].units(counts);
        let both = units.iter().filter(|unit| unit.codes.iter().all(Option::is_some));
        both.map(|unit| unit.count).sum()
    }

    /// Rows with the answers of at least two coders.
    pub fn pairable(&self, counts: &[f64]) -> f64 {
        let units = self.overall.units(counts);
        let two = |unit: &&Unit| unit.codes.iter().flatten().count() >= 2;
        units.iter().filter(two).map(|unit| unit.count).sum()
    }

    /// How a label is given.
    pub fn specific(&self, counts: &[f64], label: usize) -> Specific {
        specific(&self.labels[label].units(counts), |code| code == 1)
    }
}
