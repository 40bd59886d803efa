//! The codes of several coders side by side, from one or more tables joined by id; without texts,
//! and small enough for a million rows.

mod read;
mod sets;
#[cfg(test)]
mod tests;

use crate::codebook::{Codebook, LabelSet};
use crate::corpus::Split;

pub use read::{CodingsRequest, read_codings};
use sets::Sets;

/// The name of the coder whose columns have the tiers' plain names.
pub const GOLD: &str = "gold";

/// What one coder says of one row in one tier: missing, not asked, or a set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Answer(u32);

impl Answer {
    /// Nobody coded it, or its gate rests on a missing answer.
    pub const MISSING: Self = Self(0);
    /// The gate is closed.
    pub const NOT_ASKED: Self = Self(1);

    /// The set at this place among [`Codings::sets`].
    pub fn of_set(set: u32) -> Self {
        Self(set + 2)
    }

    /// The place of its set among [`Codings::sets`], if it is coded.
    pub fn set(self) -> Option<u32> {
        self.0.checked_sub(2)
    }
}

/// One column that is kept beside the codes: its distinct values, and which each row has.
#[derive(Clone, Debug, Default)]
pub struct KeptColumn {
    /// Distinct cells in the order in which they first occur; a blank cell is empty.
    pub values: Vec<String>,
    /// For each row, the place of its cell among the values.
    pub at: Vec<u32>,
}

impl KeptColumn {
    /// The cell of a row.
    pub fn cell(&self, row: usize) -> &str {
        &self.values[self.at[row] as usize]
    }
}

/// What was found in one table, and what was passed over.
#[derive(Clone, Debug, Default)]
pub struct JoinedTable {
    /// The file's name as messages show it.
    pub name: String,
    /// SHA-256 of the file's bytes, in hexadecimal.
    pub digest: String,
    /// Rows with an id of their own.
    pub rows: usize,
    /// Rows whose id an earlier row of the same table has; they are left out.
    pub duplicate_ids: usize,
    /// Rows that cannot be read; they are left out.
    pub unreadable: usize,
    /// Ids that at least one other table does not have.
    pub unmatched: usize,
    /// Codes under a closed gate; they are ignored.
    pub closed_gate: usize,
    /// Cells that are no code of their tier; they count as missing.
    pub unusable: usize,
    /// Whether the rows have ids, or only their numbers.
    pub has_ids: bool,
}

/// The codes of several coders on the same rows.
#[derive(Clone, Debug)]
pub struct Codings {
    /// The rows' ids, in the order in which they first occur.
    pub ids: Vec<String>,
    /// The coders.
    pub coders: Vec<String>,
    /// For each row the number of its group, if any table has a column `group`. A row without one
    /// is a group of its own.
    pub groups: Option<Vec<u32>>,
    /// For each row its set, if any table has a column `split`.
    pub splits: Option<Vec<Option<Split>>>,
    /// For each row its inclusion probability, if any table has a column `pi`.
    pub pi: Option<Vec<Option<f64>>>,
    /// The tables in the order in which they were given.
    pub tables: Vec<JoinedTable>,
    /// For each row, whether an earlier one has the same text (but for case and white space); none
    /// if no table has texts.
    pub repeats: Option<Vec<bool>>,
    /// `[coder][tier][row]`
    answers: Vec<Vec<Vec<Answer>>>,
    /// `[coder][tier]`: whether any table has the column.
    present: Vec<Vec<bool>>,
    sets: Vec<Sets>,
    kept: Vec<(String, KeptColumn)>,
    numbers: Vec<(String, Vec<f32>)>,
}

impl Codings {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// The place of the coder of that name.
    pub fn coder(&self, name: &str) -> Option<usize> {
        self.coders.iter().position(|coder| coder == name)
    }

    /// What a coder says in a tier, row by row.
    pub fn answers(&self, coder: usize, tier: usize) -> &[Answer] {
        &self.answers[coder][tier]
    }

    /// Whether any table has this coder's column of the tier.
    pub fn present(&self, coder: usize, tier: usize) -> bool {
        self.present[coder][tier]
    }

    /// The sets of labels that the tier's answers name; the first ones are those of one label each,
    /// in codebook order.
    pub fn sets(&self, tier: usize) -> &[LabelSet] {
        self.sets[tier].all()
    }

    /// Whether an answer of the tier holds the label.
    pub fn holds(&self, tier: usize, answer: Answer, label: usize) -> bool {
        answer.set().is_some_and(|set| self.sets(tier)[set as usize].contains(label))
    }

    /// How an answer of the tier stands in a table.
    pub fn display(&self, codebook: &Codebook, tier: usize, answer: Answer) -> String {
        let code = match answer.set() {
            None => return String::new(),
            Some(set) => crate::codebook::Code::Coded(self.sets(tier)[set as usize].clone()),
        };
        codebook.display_cell(tier, &code)
    }

    /// A column that was asked to be kept.
    pub fn kept(&self, name: &str) -> Option<&KeptColumn> {
        self.kept.iter().find(|(own, _)| own == name).map(|(_, column)| column)
    }

    /// All columns that were asked to be kept, with their names.
    pub fn all_kept(&self) -> impl Iterator<Item = (&str, &KeptColumn)> {
        self.kept.iter().map(|(name, column)| (name.as_str(), column))
    }

    /// A column of numbers that was asked to be kept; NaN where a row has none.
    pub fn numbers(&self, name: &str) -> Option<&[f32]> {
        self.numbers.iter().find(|(own, _)| own == name).map(|(_, column)| column.as_slice())
    }
}

/// Distinct combinations of answers, and which each row has.
#[derive(Clone, Debug)]
pub struct Patterns {
    /// The combinations, each in the order of the columns that were given.
    pub distinct: Vec<Vec<Answer>>,
    /// For each row, the place of its combination.
    pub of_row: Vec<u32>,
}

impl Patterns {
    /// Of columns of equal length, over the rows that are chosen; `of_row` has these rows only.
    pub fn of(columns: &[&[Answer]], rows: impl Iterator<Item = usize>) -> Self {
        let mut places = std::collections::HashMap::new();
        let (mut distinct, mut of_row) = (Vec::new(), Vec::new());
        let mut own = vec![Answer::MISSING; columns.len()];
        for row in rows {
            for (cell, column) in own.iter_mut().zip(columns) {
                *cell = column[row];
            }
            let place = match places.get(&own) {
                Some(place) => *place,
                None => {
                    let place = distinct.len() as u32;
                    places.insert(own.clone(), place);
                    distinct.push(own.clone());
                    place
                }
            };
            of_row.push(place);
        }
        Self { distinct, of_row }
    }
}
