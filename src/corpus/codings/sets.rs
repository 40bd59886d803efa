//! The distinct sets of labels of a tier, and the cells that name them.

use std::collections::HashMap;

use super::Answer;
use crate::codebook::{CellSlip, CellValue, Codebook, LabelSet};

/// The distinct sets of one tier.
#[derive(Clone, Debug)]
pub(super) struct Sets {
    all: Vec<LabelSet>,
    places: HashMap<LabelSet, u32>,
    cells: HashMap<String, Cell>,
}

/// What a cell holds.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// As the codebook reads it.
    pub value: CellValue,
    /// Whether it cannot be understood.
    pub unusable: bool,
}

impl Sets {
    /// The sets of one label each.
    pub fn new(labels: usize) -> Self {
        let mut sets = Self { all: Vec::new(), places: HashMap::new(), cells: HashMap::new() };
        (0..labels).for_each(|label| {
            sets.answer(&LabelSet::one(label));
        });
        sets
    }

    pub fn all(&self) -> &[LabelSet] {
        &self.all
    }

    /// The answer that names this set.
    pub fn answer(&mut self, set: &LabelSet) -> Answer {
        let place = match self.places.get(set) {
            Some(place) => *place,
            None => {
                let place = self.all.len() as u32;
                self.all.push(set.clone());
                self.places.insert(set.clone(), place);
                place
            }
        };
        Answer::of_set(place)
    }

    /// What a cell holds; a cell that was read before is not read again.
    pub fn cell(&mut self, codebook: &Codebook, tier: usize, cell: &str) -> &Cell {
        if !self.cells.contains_key(cell) {
            // Cells that no label is near to are as many as there are slips: not worth keeping all.
            if self.cells.len() > 1 << 16 {
                self.cells.clear();
            }
            let (value, slips) = codebook.parse_cell(tier, cell);
            let formal = |slip: &CellSlip| matches!(slip, CellSlip::LabelForm { .. });
            let unusable = slips.iter().any(|slip| !formal(slip));
            self.cells.insert(cell.to_owned(), Cell { value, unusable });
        }
        &self.cells[cell]
    }
}
