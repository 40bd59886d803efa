//! Which rows a limited number of hand codings helps most (`--review-budget`).
//!
//! A row is worth as many codes as are expected to be wrong in it, times the rows of the same text:
//! whoever codes one of them has coded all. Were the probabilities exact, no other choice of so many
//! texts would correct more codes.

use crate::codebook::{Codebook, TierKind};
use crate::heads::joint::Decision;

/// What hand coding one row is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Worth {
    /// Codes that are expected to be wrong.
    pub wrong: f64,
    /// A digest of the text, by which equal ones are known.
    pub text: u64,
}

/// How many codes of an answer are expected to be wrong: of a single tier its one answer, of a multi
/// tier every label that is given or left out; of a tier that is not asked every label.
pub(super) fn expected_wrong(codebook: &Codebook, decision: &Decision) -> f64 {
    let of_tier = |tier: usize| -> f64 {
        let given = decision.codes[tier].labels().filter(|labels| !labels.is_empty());
        let Some(labels) = given else { return decision.marginal[tier].iter().sum() };
        let given: f64 = decision.path[tier].iter().map(|p| 1.0 - p).sum();
        let marginal = decision.marginal[tier].iter().enumerate();
        let left_out = marginal.filter(|(label, _)| !labels.contains(*label)).map(|(_, p)| p);
        match codebook.tiers[tier].kind {
            TierKind::Single => given,
            TierKind::Multi => given + left_out.sum::<f64>(),
        }
    };
    (0..codebook.tiers.len()).map(of_tier).sum()
}

/// The places of the rows to be coded by hand, so many or all that have a worth, in order. Of equal
/// texts the first stands for all, the others come last; of equally worthy rows the earlier.
pub(super) fn choose(rows: &[Option<Worth>], budget: u64) -> Vec<u64> {
    let mut all: Vec<(u64, u64, f64)> = (0u64..)
        .zip(rows)
        .filter_map(|(row, worth)| worth.map(|worth| (worth.text, row, worth.wrong)))
        .collect();
    all.sort_unstable_by_key(|(text, row, _)| (*text, *row));
    for equal in all.chunk_by_mut(|a, b| a.0 == b.0) {
        let count = equal.len() as f64;
        for (at, (_, _, wrong)) in equal.iter_mut().enumerate() {
            *wrong = if at == 0 { wrong.max(0.0) * count } else { -1.0 };
        }
    }
    all.sort_unstable_by(|a, b| b.2.total_cmp(&a.2).then(a.1.cmp(&b.1)));
    all.truncate(usize::try_from(budget).unwrap_or(usize::MAX));
    let mut chosen: Vec<u64> = all.into_iter().map(|(_, row, _)| row).collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::GATED;
    use crate::heads::joint::decide;

    #[test]
    fn codes_are_expected_to_be_wrong_as_their_probabilities_say() {
        let book = Codebook::parse(GATED, "b").unwrap();
        let wrong = |yes: f64, topics: [f64; 2]| {
            let asked = [vec![yes, 1.0 - yes], topics.to_vec()];
            expected_wrong(&book, &decide(&book, &asked, &[vec![], vec![0.5, 0.5]]))
        };
        // 0.2 for yes; of the topics a, given, 1 - 0.8 · 0.75, and b, left out, 0.8 · 0.25.
        assert!((wrong(0.8, [0.75, 0.25]) - (0.2 + 0.4 + 0.2)).abs() < 1e-12);
        // Neither topic: each might apply.
        assert!((wrong(0.8, [0.25, 0.125]) - (0.2 + 0.2 + 0.1)).abs() < 1e-12);
        // Not asked: as if each had been left out.
        assert!((wrong(0.2, [0.75, 0.25]) - (0.2 + 0.15 + 0.05)).abs() < 1e-12);
    }

    fn rows(all: &[(f64, u64)]) -> Vec<Option<Worth>> {
        all.iter().map(|&(wrong, text)| (wrong >= 0.0).then_some(Worth { wrong, text })).collect()
    }

    #[test]
    fn equal_texts_are_coded_once_and_count_as_often() {
        // Text 7 stands three times: 3 · 0.4 is more than 1.1; its copies come after all others.
        let rows = rows(&[(1.1, 1), (0.4, 7), (-1.0, 0), (0.4, 7), (0.0, 3), (0.4, 7), (1.1, 2)]);
        assert_eq!(choose(&rows, 1), [1]);
        assert_eq!(choose(&rows, 2), [0, 1], "of equals the earlier");
        assert_eq!(choose(&rows, 4), [0, 1, 4, 6]);
        assert_eq!(choose(&rows, 5), [0, 1, 3, 4, 6]);
        assert_eq!(choose(&rows, 100), [0, 1, 3, 4, 5, 6], "all that have a worth");
        assert_eq!(choose(&rows, 0), [0u64; 0]);
    }
}
