//! How often each answer stands in a table, set by set.

use super::gold::{GoldRow, Split};
use crate::codebook::{Code, Codebook, TierKind};

/// A number of rows in each set: train, validation, test, and without a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetCounts(pub [usize; 4]);

impl SetCounts {
    /// Counts one more row of a set.
    pub fn add(&mut self, split: Option<Split>) {
        self.0[split.map_or(3, |split| split as usize)] += 1;
    }

    /// The rows of a set.
    pub fn of(&self, split: Option<Split>) -> usize {
        self.0[split.map_or(3, |split| split as usize)]
    }

    /// The rows of all sets, those without one included.
    pub fn total(&self) -> usize {
        self.0.iter().sum()
    }
}

/// The answers of one tier and how many rows hold each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TierCounts {
    /// The tier, or the column.
    pub tier: String,
    /// Each label in codebook order.
    pub labels: Vec<(String, SetCounts)>,
    /// Coded, and no label applies; for multi tiers only.
    pub none: Option<SetCounts>,
    /// The gate is closed.
    pub not_asked: SetCounts,
    /// Asked, and nobody coded it.
    pub missing: SetCounts,
}

/// Counts the answers of every tier.
pub fn count_codes(rows: &[GoldRow], codebook: &Codebook) -> Vec<TierCounts> {
    let count = |at: usize| {
        let tier = &codebook.tiers[at];
        let mut counts = TierCounts {
            tier: tier.name.clone(),
            labels: tier.labels.iter().map(|l| (l.name.clone(), SetCounts::default())).collect(),
            none: (tier.kind == TierKind::Multi).then(SetCounts::default),
            ..TierCounts::default()
        };
        for row in rows {
            match &row.codes[at] {
                Code::Missing => counts.missing.add(row.split),
                Code::NotAsked => counts.not_asked.add(row.split),
                Code::Coded(set) => {
                    set.iter().for_each(|label| counts.labels[label].1.add(row.split));
                    if set.is_empty() {
                        counts.none.get_or_insert_default().add(row.split);
                    }
                }
            }
        }
        counts
    };
    (0..codebook.tiers.len()).map(count).collect()
}
