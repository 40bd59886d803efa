//! Cutting a table into train, validation and test.

use std::collections::HashMap;

use super::duplicates::Partition;
use super::gold::{GoldRow, Split};
use super::stratify::Dealer;
use crate::codebook::{Code, Codebook};
use crate::error::{Error, Result};

/// How many rows each set shall hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitSizes {
    /// Rows to train on.
    pub train: usize,
    /// Rows to validate on.
    pub validation: usize,
    /// Rows to test on; all that remain if not given.
    pub test: Option<usize>,
}

/// What is kept in proportion when rows are split: one number per trait of a row.
///
/// A row's traits are, for each tier, its labels, that it is not asked, that it is missing,
/// and that no label applies.
pub fn code_traits(rows: &[GoldRow], codebook: &Codebook) -> Vec<Vec<usize>> {
    let mut offsets = Vec::new();
    let mut next = 0;
    for tier in &codebook.tiers {
        offsets.push(next);
        next += tier.labels.len() + 3;
    }
    rows.iter()
        .map(|row| {
            let mut traits = Vec::new();
            for (tier, code) in row.codes.iter().enumerate() {
                let labels = codebook.tiers[tier].labels.len();
                let from = offsets[tier];
                match code {
                    Code::Coded(set) if set.is_empty() => traits.push(from + labels),
                    Code::Coded(set) => traits.extend(set.iter().map(|label| from + label)),
                    Code::NotAsked => traits.push(from + labels + 1),
                    Code::Missing => traits.push(from + labels + 2),
                }
            }
            traits
        })
        .collect()
}

/// Rows that must stay together: those of one group, and near-duplicates.
pub fn units(groups: &[Option<&str>], mut duplicates: Partition) -> Vec<Vec<usize>> {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (row, group) in groups.iter().enumerate() {
        if let Some(group) = group {
            duplicates.merge(*first.entry(group).or_insert(row), row);
        }
    }
    duplicates.sets()
}

/// Gives every row a set, `None` for rows beyond the sizes asked for.
///
/// Iterative stratification (Sechidis, Tsoumakas and Vlahavas, "On the stratification of
/// multi-label data", ECML PKDD 2011) over whole units: the trait with the fewest rows left
/// is dealt out first, each unit to the set that wants the trait most. Units of several rows
/// come before single rows, so that the sizes are met exactly wherever single rows can fill
/// them; otherwise units are moved and exchanged in pairs while that brings the sizes nearer
/// to those asked for. The same seed gives the same sets.
///
/// # Errors
/// A usage error if more rows are asked for than there are.
pub fn split(
    traits: &[Vec<usize>],
    units: &[Vec<usize>],
    sizes: SplitSizes,
    seed: u64,
) -> Result<Vec<Option<Split>>> {
    let rows = traits.len();
    let asked = sizes.train + sizes.validation + sizes.test.unwrap_or(0);
    if asked > rows {
        return Err(Error::usage(format!("{asked} rows are asked for, but there are {rows}"))
            .advise("ask for fewer rows with --train, --validation and --test"));
    }
    let test = sizes.test.unwrap_or(rows - sizes.train - sizes.validation);
    let wanted =
        [sizes.train, sizes.validation, test, rows - sizes.train - sizes.validation - test];
    let mut dealer = Dealer::new(traits, wanted, seed);
    let (single, several): (Vec<&Vec<usize>>, Vec<&Vec<usize>>) =
        units.iter().partition(|unit| unit.len() == 1);
    let mut sets = vec![0; rows];
    for pile in [several, single] {
        dealer.deal(&pile, &mut sets);
    }
    dealer.even_out(units, &mut sets);
    let names = [Some(Split::Train), Some(Split::Validation), Some(Split::Test), None];
    Ok(sets.into_iter().map(|set| names[set]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::properties::repeatable;

    fn sizes(train: usize, validation: usize, test: Option<usize>) -> SplitSizes {
        SplitSizes { train, validation, test }
    }

    fn alone(n: usize) -> Vec<Vec<usize>> {
        (0..n).map(|row| vec![row]).collect()
    }

    fn count(sets: &[Option<Split>], set: Option<Split>) -> usize {
        sets.iter().filter(|&&s| s == set).count()
    }

    #[test]
    fn shares_are_kept_in_proportion() {
        // 100 rows: trait 0 on 10 of them, trait 1 on 50, trait 2 on all.
        let traits: Vec<Vec<usize>> = (0..100)
            .map(|row| match row {
                0..10 => vec![0, 1, 2],
                10..50 => vec![1, 2],
                _ => vec![2],
            })
            .collect();
        let sets = split(&traits, &alone(100), sizes(60, 20, None), 7).unwrap();
        for (set, share) in [(Split::Train, 0.6), (Split::Validation, 0.2), (Split::Test, 0.2)] {
            for (t, total) in [(0, 10.0), (1, 50.0), (2, 100.0)] {
                let got = (0..100).filter(|&r| sets[r] == Some(set) && traits[r].contains(&t));
                assert_eq!(got.count() as f64, share * total, "{set:?} trait {t}");
            }
        }
    }

    #[test]
    fn too_many_rows_are_refused() {
        let error = split(&vec![vec![0]; 5], &alone(5), sizes(4, 1, Some(1)), 0).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn groups_and_duplicates_join_into_units() {
        let mut duplicates = Partition::new(5);
        duplicates.merge(1, 4);
        let units = units(&[Some("a"), Some("b"), None, Some("a"), None], duplicates);
        assert_eq!(units, [vec![0, 3], vec![1, 4], vec![2]]);
    }

    #[test]
    fn large_units_are_exchanged_for_the_sizes() {
        // Sizes 7, 6, 5, 4, 3: 12 and 13 rows need the right ones together.
        let mut partition = Partition::new(25);
        let mut first = 0;
        for size in [7, 6, 5, 4, 3] {
            (first..first + size).for_each(|row| partition.merge(first, row));
            first += size;
        }
        let units = partition.sets();
        for seed in 0..20 {
            let sets = split(&vec![vec![0]; 25], &units, sizes(12, 0, None), seed).unwrap();
            assert_eq!(count(&sets, Some(Split::Train)), 12, "seed {seed}");
        }
    }

    proptest! {
        #![proptest_config(repeatable())]

        #[test]
        fn sizes_are_exact_and_units_whole(
            traits in proptest::collection::vec(proptest::collection::vec(0usize..6, 0..3), 1..60),
            pairs in proptest::collection::vec((0usize..60, 0usize..60), 0..10),
            cut in (0.0f64..1.0, 0.0f64..1.0),
            some_left in any::<bool>(),
            seed in any::<u64>(),
        ) {
            let n = traits.len();
            let train = (n as f64 * cut.0) as usize;
            let validation = ((n - train) as f64 * cut.1) as usize;
            let rest = n - train - validation;
            let asked = sizes(train, validation, some_left.then_some(rest / 2));
            let sets = split(&traits, &alone(n), asked, seed).unwrap();
            prop_assert_eq!(count(&sets, Some(Split::Train)), train);
            prop_assert_eq!(count(&sets, Some(Split::Validation)), validation);
            let test = if some_left { rest / 2 } else { rest };
            prop_assert_eq!(count(&sets, Some(Split::Test)), test);
            prop_assert_eq!(&split(&traits, &alone(n), asked, seed).unwrap(), &sets);

            let mut partition = Partition::new(n);
            pairs.iter().for_each(|&(a, b)| partition.merge(a % n, b % n));
            let units = partition.sets();
            let sets = split(&traits, &units, asked, seed).unwrap();
            for unit in &units {
                prop_assert!(unit.iter().all(|&row| sets[row] == sets[unit[0]]));
            }
        }
    }
}
