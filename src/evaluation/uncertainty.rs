//! Intervals of a tier's figures: percentiles of bootstrap resamples of rows, or of whole groups of
//! rows (Efron and Tibshirani 1993, chapters 8 and 13).

use serde::Serialize;

use super::contribution::{Contribution, Scores, sums};
use super::resampling::{Parts, Resampler, interval};
use crate::codebook::{Code, Codebook, Tier, TierKind};

/// Resamples of each interval; fewer of very many rows, whose intervals are narrow anyway.
const RESAMPLES: u64 = 2_000;
const FEWEST: u64 = 200;
const STEPS: u64 = 1_000_000_000;

/// The 95 % intervals of one view's figures; absent where the figure is not defined in most resamples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ViewIntervals {
    /// Of macro-F1, over the labels with gold support in the resample.
    pub macro_f1: Option<[f64; 2]>,
    /// Of accuracy.
    pub accuracy: Option<[f64; 2]>,
}

/// The intervals of one tier in both views.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TierIntervals {
    /// What was drawn: `rows` or `groups`.
    pub resampled: &'static str,
    /// Given the gold answers above.
    pub oracle: ViewIntervals,
    /// As it will be used.
    pub pipeline: ViewIntervals,
}

/// The intervals of every tier, of the rows and views of [`super::evaluate`]; `groups[row]` is the
/// group of a row, without groups rows are drawn.
pub fn intervals(
    codebook: &Codebook,
    gold: &[Vec<Code>],
    oracle: &[Vec<Code>],
    pipeline: &[Vec<Code>],
    groups: Option<&[u32]>,
) -> Vec<TierIntervals> {
    let of_tier = |(place, tier): (usize, &Tier)| {
        let view = |predicted: &[Vec<Code>], with_not_asked: bool| {
            let is_scored = |row: &usize| {
                let own = &gold[*row][place];
                own.is_coded() || (with_not_asked && *own == Code::NotAsked)
            };
            let rows: Vec<usize> = (0..gold.len()).filter(is_scored).collect();
            let parts: Vec<Contribution> = rows
                .iter()
                .map(|&r| contribution(tier, &gold[r][place], &predicted[r][place]))
                .collect();
            let own: Option<Vec<u32>> =
                groups.map(|all| rows.iter().map(|&row| all[row]).collect());
            of_view(tier.labels.len(), &parts, own.as_deref())
        };
        TierIntervals {
            resampled: if groups.is_some() { "groups" } else { "rows" },
            oracle: view(oracle, false),
            pipeline: view(pipeline, true),
        }
    };
    codebook.tiers.iter().enumerate().map(of_tier).collect()
}

/// What a row adds to a tier's scores.
pub(super) fn contribution(tier: &Tier, gold: &Code, predicted: &Code) -> Contribution {
    let labels = |code: &Code| code.labels().map_or_else(Vec::new, |own| own.iter().collect());
    let (of_gold, of_own): (Vec<usize>, Vec<usize>) = (labels(gold), labels(predicted));
    let is_right = match tier.kind {
        TierKind::Single => gold == predicted,
        // A closed gate is the empty set, a missing code is never right.
        TierKind::Multi => *predicted != Code::Missing && of_gold == of_own,
    };
    Contribution::new(&of_gold, &of_own, is_right)
}

fn of_view(labels: usize, parts: &[Contribution], groups: Option<&[u32]>) -> ViewIntervals {
    if parts.is_empty() {
        return ViewIntervals::default();
    }
    let each: Vec<u32> = (0..parts.len() as u32).collect();
    let resampler = Resampler::new(&each, sums_of(labels, parts), groups, 0);
    let often = (STEPS / resampler.steps()).clamp(FEWEST, RESAMPLES);
    let draws = resampler.draws(often, |sums| Scores::of(labels, sums));
    let ends = |figure: &dyn Fn(&Scores) -> Option<f64>| {
        interval(draws.iter().map(figure)).map(|(lower, upper)| [lower, upper])
    };
    ViewIntervals { macro_f1: ends(&|draw| draw.macro_f1), accuracy: ends(&|draw| draw.accuracy) }
}

/// What each row adds to the sums of the scores.
fn sums_of(labels: usize, rows: &[Contribution]) -> Parts {
    let mut parts = Parts::new(sums(labels));
    rows.iter().for_each(|row| parts.push(row.places(labels).map(|place| (place, 1.0))));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::LabelSet;
    use crate::evaluation::evaluate;

    fn book() -> Codebook {
        Codebook::parse(crate::codebook::GATED, "b.toml").unwrap()
    }

    /// Rows of which nine in ten are right.
    fn rows(n: usize) -> (Vec<Vec<Code>>, Vec<Vec<Code>>) {
        let code = |label: usize| vec![Code::Coded(LabelSet::one(label)), Code::NotAsked];
        let gold: Vec<Vec<Code>> = (0..n).map(|row| code(row % 2)).collect();
        let own =
            (0..n).map(|row| code(if row % 10 == 0 { 1 - row % 2 } else { row % 2 })).collect();
        (gold, own)
    }

    #[test]
    fn each_row_once_gives_the_figures_of_the_evaluation() {
        let (book, (gold, own)) = (book(), rows(50));
        let found = evaluate(&book, &gold, &own, &own, None);
        let view = &found.tiers.get("use").unwrap().pipeline;
        let parts: Vec<Contribution> = gold
            .iter()
            .zip(&own)
            .map(|(g, o)| contribution(&book.tiers[0], &g[0], &o[0]))
            .collect();
        let every: Vec<u32> = (0..50).collect();
        let found = Scores::of(2, &Resampler::new(&every, sums_of(2, &parts), None, 0).observed());
        assert!((found.macro_f1.unwrap() - view.macro_f1.unwrap()).abs() < 1e-12);
        assert!((found.accuracy.unwrap() - view.accuracy.unwrap()).abs() < 1e-12);
    }

    #[test]
    fn an_interval_is_about_that_of_the_binomial_and_wider_with_groups() {
        let (book, (gold, own)) = (book(), rows(400));
        let alone = intervals(&book, &gold, &own, &own, None);
        let [lower, upper] = alone[0].pipeline.accuracy.unwrap();
        // 0.9 with a standard error of 0.015.
        assert!(
            (lower - 0.8706).abs() < 0.006 && (upper - 0.9294).abs() < 0.006,
            "{lower} {upper}"
        );
        let [low, high] = alone[0].oracle.macro_f1.unwrap();
        assert!(low < 0.9 && 0.9 < high);
        // Groups that are right or wrong as a whole.
        let groups: Vec<u32> =
            (0..400).map(|row| if row % 10 == 0 { row / 100 } else { 10 + row / 20 }).collect();
        let grouped = intervals(&book, &gold, &own, &own, Some(&groups));
        let [wide_lower, wide_upper] = grouped[0].pipeline.accuracy.unwrap();
        assert!(wide_upper - wide_lower > 1.5 * (upper - lower));
        assert_eq!(grouped[0].resampled, "groups");
        // A tier that nobody was asked has no interval in the oracle view.
        assert_eq!(alone[1].oracle, ViewIntervals::default());
        assert_eq!(alone, intervals(&book, &gold, &own, &own, None));
    }
}
