//! Cutting rows into folds of about equal size.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::gold::Split;
use super::split::{SplitSizes, split};
use crate::error::Result;

/// The fold of every row, from 0: whole units, the largest first, each to a smallest fold; equal
/// ones in an order drawn by the seed. It does not look at codes, so that what a model says of a
/// fold cannot depend on the codes within it.
///
/// # Panics
/// If there are no folds.
pub fn folds(units: &[Vec<usize>], count: usize, seed: u64) -> Vec<usize> {
    assert!(count > 0, "rows need a fold");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<(usize, u64, &Vec<usize>)> =
        units.iter().map(|unit| (unit.len(), random.next_u64(), unit)).collect();
    order.sort_by_key(|&(length, draw, _)| (std::cmp::Reverse(length), draw));
    let mut fold_of = vec![0; units.iter().map(Vec::len).sum()];
    let mut sizes = vec![0; count];
    for (length, draw, unit) in order {
        let least = sizes.iter().min().copied().unwrap_or(0);
        let smallest: Vec<usize> = (0..count).filter(|&fold| sizes[fold] == least).collect();
        let fold = smallest[(draw % smallest.len() as u64) as usize];
        sizes[fold] += length;
        unit.iter().for_each(|&row| fold_of[row] = fold);
    }
    fold_of
}

/// The fold of every row, from 0, so that traits keep their shares: one fold after another is split
/// off as [`split`] splits, whole units each. It looks at codes: for choices within rows that are all
/// known, never for what is to be told of a row as if its code were not.
///
/// # Errors
/// As [`split`].
///
/// # Panics
/// If there are no folds.
pub fn stratified_folds(
    traits: &[Vec<usize>],
    units: &[Vec<usize>],
    count: usize,
    seed: u64,
) -> Result<Vec<usize>> {
    assert!(count > 0, "rows need a fold");
    let mut fold_of = vec![count - 1; traits.len()];
    for fold in 0..count - 1 {
        let left: Vec<usize> = (0..traits.len()).filter(|&row| fold_of[row] == count - 1).collect();
        let size = left.len() / (count - fold);
        let sizes = SplitSizes { train: left.len() - size, validation: size, test: Some(0) };
        let mut place = vec![None; traits.len()];
        left.iter().enumerate().for_each(|(at, &row)| place[row] = Some(at));
        let own: Vec<Vec<usize>> = units
            .iter()
            .map(|unit| unit.iter().filter_map(|&row| place[row]).collect::<Vec<usize>>())
            .filter(|unit| !unit.is_empty())
            .collect();
        let own_traits: Vec<Vec<usize>> = left.iter().map(|&row| traits[row].clone()).collect();
        let sets = split(&own_traits, &own, sizes, seed.wrapping_add(fold as u64))?;
        for (&row, set) in left.iter().zip(sets) {
            if set == Some(Split::Validation) {
                fold_of[row] = fold;
            }
        }
    }
    Ok(fold_of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::properties::repeatable;

    use crate::corpus::Partition;

    proptest! {
        #![proptest_config(repeatable())]

        #[test]
        fn units_stay_whole_and_folds_differ_by_a_unit_at_most(
            n in 1usize..80, pairs in proptest::collection::vec((0usize..80, 0usize..80), 0..20),
            count in 1usize..7, seed in any::<u64>(),
        ) {
            let mut partition = Partition::new(n);
            pairs.iter().for_each(|&(a, b)| partition.merge(a % n, b % n));
            let units = partition.sets();
            let fold_of = folds(&units, count, seed);
            prop_assert_eq!(&fold_of, &folds(&units, count, seed));
            prop_assert_eq!(fold_of.len(), n);
            for unit in &units {
                prop_assert!(unit.iter().all(|&row| fold_of[row] == fold_of[unit[0]]));
            }
            let size = |fold| fold_of.iter().filter(|&&f| f == fold).count();
            let sizes: Vec<usize> = (0..count).map(size).collect();
            let largest = units.iter().map(Vec::len).max().unwrap_or(0);
            let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            prop_assert!(most - least <= largest, "{:?}", sizes);
        }
    }

    #[test]
    fn another_seed_gives_other_folds() {
        let units: Vec<Vec<usize>> = (0..40).map(|row| vec![row]).collect();
        assert_ne!(folds(&units, 4, 1), folds(&units, 4, 2));
    }
}
