//! What a bundle's review rule and its conformal sets come to on rows with gold.

use serde::Serialize;

use super::share::{MeanCount, Share};
use super::view::ByName;
use crate::codebook::{Code, Codebook, Tier};
use crate::decision::{
    Answers, ConformalSets, FittedOn, PlausibleSet, ReviewRule, judge, probability_of_gold,
};

/// What is left by a review rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reviewed {
    /// Texts with an answer less probable are for review.
    pub below: f64,
    /// The risk that the rule was fitted to keep to.
    pub risk: Option<f64>,
    /// The share of rows that are not for review.
    pub kept: Share,
    /// Of these rows, if no tier's gold is missing: the share with a wrong code in any tier.
    pub wrong: Share,
    /// Of these rows, tier by tier: the share whose code is wrong.
    pub tiers: ByName<Share>,
}

impl Reviewed {
    /// The figures of a rule.
    pub fn of(
        codebook: &Codebook,
        rule: &ReviewRule,
        answers: &[Answers],
        gold: &[&[Code]],
        groups: Option<&[u32]>,
    ) -> Self {
        let is_kept: Vec<bool> =
            answers.iter().map(|own| !rule.applies(&own.pipeline.path)).collect();
        let share = |is_wrong: &dyn Fn(usize) -> Option<bool>| {
            let of_row = |row: usize| if is_kept[row] { is_wrong(row) } else { None };
            Share::of(&(0..answers.len()).map(of_row).collect::<Vec<_>>(), groups)
        };
        let of_tier = |(at, tier): (usize, &Tier)| {
            let is_wrong = |row: usize| {
                let own = &gold[row][at];
                (*own != Code::Missing).then(|| answers[row].pipeline.codes[at] != *own)
            };
            (tier.name.clone(), share(&is_wrong))
        };
        let any = |row: usize| Some(judge(&answers[row].pipeline, gold[row])?.is_wrong);
        Self {
            below: rule.below,
            risk: rule.risk,
            kept: Share::of(&is_kept.iter().copied().map(Some).collect::<Vec<_>>(), groups),
            wrong: share(&any),
            tiers: codebook.tiers.iter().enumerate().map(of_tier).collect(),
        }
    }
}

/// What sets of one tier and level come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetsJudged {
    /// The share of sets that is to hold the gold.
    pub asked: f64,
    /// What the sets were fitted on.
    pub fitted_on: FittedOn,
    /// How many rows these were.
    pub rows: usize,
    /// The share that is guaranteed to hold it, if any is.
    pub guaranteed: Option<f64>,
    /// The share that does.
    pub observed: Share,
    /// How many answers a set holds.
    pub size: MeanCount,
}

/// The figures of one tier's sets at every level, over the rows whose gold judges sets.
pub fn sets_judged(
    sets: &ConformalSets,
    tier: &Tier,
    at: usize,
    answers: &[Answers],
    gold: &[&[Code]],
    groups: Option<&[u32]>,
) -> Vec<SetsJudged> {
    let of_level = |(level, percent): (usize, &u8)| {
        let rows = answers.iter().zip(gold);
        let judged: Vec<Option<(PlausibleSet, &Code)>> = rows
            .map(|(own, gold)| {
                probability_of_gold(tier, at, &own.pipeline, &gold[at])?;
                Some((sets.set(tier, at, &own.pipeline, level), &gold[at]))
            })
            .collect();
        let holds =
            |row: &Option<(PlausibleSet, &Code)>| Some(row.as_ref()?).map(|(s, g)| s.holds(g));
        let size = |row: &Option<(PlausibleSet, &Code)>| Some(row.as_ref()?).map(|(s, _)| s.size());
        let asked = f64::from(*percent) / 100.0;
        SetsJudged {
            asked,
            fitted_on: sets.fitted_on,
            rows: sets.tiers[at].rows,
            guaranteed: sets.fitted_on.guaranteed(asked),
            observed: Share::of(&judged.iter().map(holds).collect::<Vec<_>>(), groups),
            size: MeanCount::of(&judged.iter().map(size).collect::<Vec<_>>(), groups),
        }
    };
    sets.levels.iter().enumerate().map(of_level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::{GATED, LabelSet};
    use crate::decision::TierSets;
    use crate::heads::joint::decide;

    fn code(label: usize) -> Code {
        Code::Coded(LabelSet::one(label))
    }

    fn answers(yes: f64, topic: f64) -> Answers {
        let book = Codebook::parse(GATED, "b").unwrap();
        let asked = [vec![yes, 1.0 - yes], vec![topic, 0.0]];
        let pipeline = decide(&book, &asked, &[vec![], vec![0.5, 0.5]]);
        Answers { oracle: pipeline.codes.clone(), pipeline }
    }

    /// Answers yes and a with probabilities 0.9 and 0.81, twice; no with 0.6; yes and a with 0.8 and
    /// 0.4; and their gold.
    fn rows() -> (Vec<Answers>, Vec<Vec<Code>>) {
        let own = vec![answers(0.9, 0.9), answers(0.9, 0.9), answers(0.4, 0.9), answers(0.8, 0.5)];
        let gold = vec![
            vec![code(0), code(0)],
            vec![code(0), code(1)],
            vec![code(1), Code::NotAsked],
            vec![code(0), Code::Missing],
        ];
        (own, gold)
    }

    #[test]
    fn rows_that_are_left_are_judged() {
        let book = Codebook::parse(GATED, "b").unwrap();
        let (own, gold) = rows();
        let gold: Vec<&[Code]> = gold.iter().map(Vec::as_slice).collect();
        let of = |below: f64| {
            Reviewed::of(&book, &ReviewRule { below, risk: None }, &own, &gold, Some(&[0, 0, 1, 2]))
        };
        let found = of(0.5);
        assert_eq!((found.kept.n, found.kept.count), (4, 3));
        assert_eq!((found.wrong.n, found.wrong.count), (3, 1));
        assert!(found.wrong.of_groups.is_some());
        let tier = |found: &Reviewed, name: &str| {
            let share = found.tiers.get(name).unwrap();
            (share.n, share.count)
        };
        assert_eq!((tier(&found, "use"), tier(&found, "topics")), ((3, 0), (3, 1)));
        let all = of(0.0);
        assert_eq!((all.kept.count, all.wrong.n), (4, 3), "gold of the last row is missing");
        assert_eq!((tier(&all, "use"), tier(&all, "topics")), ((4, 0), (3, 1)));
        assert_eq!(of(1.0).wrong.value, None);
    }

    #[test]
    fn sets_are_judged_by_the_rows_that_can_miss() {
        let book = Codebook::parse(GATED, "b").unwrap();
        let (own, gold) = rows();
        let gold: Vec<&[Code]> = gold.iter().map(Vec::as_slice).collect();
        let tier = |least: f64| TierSets { rows: 9, least: vec![Some(least), None] };
        let sets = ConformalSets {
            fitted_on: FittedOn::OutOfFold,
            levels: vec![80, 95],
            tiers: vec![tier(0.4), tier(0.5)],
        };
        let judged = |at: usize| sets_judged(&sets, &book.tiers[at], at, &own, &gold, None);
        let first = judged(0);
        // {yes}, {yes}, {yes, no}, {yes}.
        assert_eq!((first[0].observed.n, first[0].observed.count), (4, 4));
        assert_eq!((first[0].size.value, first[1].size.value), (Some(1.25), Some(2.0)));
        assert_eq!((first[0].asked, first[0].guaranteed), (0.8, Some(2.0 * 0.8 - 1.0)));
        // Of the topics only the first two rows have gold that could be missed: {a} holds one.
        let second = judged(1);
        assert_eq!((second[0].observed.n, second[0].observed.count), (2, 1));
        assert_eq!((second[1].observed.count, second[1].size.value), (2, Some(2.0)));
    }
}
