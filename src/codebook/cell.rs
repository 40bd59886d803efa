//! One cell of a coded table: from text to labels and back (DESIGN section 3).

use super::{Code, Codebook, GateState, LabelSet, TierKind};
use crate::error::nearest;

/// What a cell of a tier's column holds, the gates not yet considered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CellValue {
    /// Nothing, or one of `NA`, `NULL`, `n/a`: missing or not asked, as the gate says.
    Blank,
    /// These labels; exactly one in a single tier, none for `none` in a multi tier.
    Labels(LabelSet),
    /// Something that cannot be understood; the slips say why.
    Unusable,
}

/// A slip in one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CellSlip {
    /// Not a label of the tier.
    UnknownLabel {
        /// What stands there.
        value: String,
        /// The label that was probably meant.
        nearest: Option<String>,
    },
    /// Capitals, spaces around, or empty places between `|`: understood all the same.
    LabelForm {
        /// How it should be written.
        meant: String,
    },
    /// More than one label in a single tier.
    SeveralLabels,
    /// `none` beside labels.
    NoneWithLabels,
}

/// What keeps the labels of a cell from counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// The tier is not asked.
    GateClosed,
    /// This label's own gate is closed.
    NotPermitted(usize),
}

/// Whether a cell counts as blank: empty but for white space, `NA`, `NULL` or `n/a`.
pub fn is_blank(cell: &str) -> bool {
    let cell = cell.trim();
    cell.is_empty() || ["na", "null", "n/a"].iter().any(|word| cell.eq_ignore_ascii_case(word))
}

impl Codebook {
    /// Reads one cell of a tier's column.
    pub fn parse_cell(&self, tier: usize, cell: &str) -> (CellValue, Vec<CellSlip>) {
        if is_blank(cell) {
            return (CellValue::Blank, Vec::new());
        }
        let tier = &self.tiers[tier];
        let multi = tier.kind == TierKind::Multi;
        // The empty list of a JSONL table: coded, and no label applies.
        if multi && cell == "[]" {
            return (CellValue::Labels(LabelSet::default()), Vec::new());
        }
        let mut slips = Vec::new();
        let (mut labels, mut none) = (Vec::new(), false);
        for part in cell.split('|') {
            let name = part.trim().to_lowercase();
            if name.is_empty() {
                continue;
            }
            if let Some(label) = tier.label_index(&name) {
                labels.push(label);
            } else if multi && name == "none" {
                none = true;
            } else {
                let near = nearest(&name, tier.labels.iter().map(|l| l.name.as_str()));
                let value = part.trim().to_string();
                slips.push(CellSlip::UnknownLabel { value, nearest: near.map(str::to_string) });
            }
        }
        if none && !labels.is_empty() {
            slips.push(CellSlip::NoneWithLabels);
        }
        let set = LabelSet::new(labels);
        if !multi && set.len() > 1 {
            slips.push(CellSlip::SeveralLabels);
        }
        if !slips.is_empty() || (set.is_empty() && !none) {
            if slips.is_empty() {
                // Only bars: a cell that says neither labels nor 'none'.
                slips.push(CellSlip::UnknownLabel { value: cell.trim().into(), nearest: None });
            }
            return (CellValue::Unusable, slips);
        }
        let code = Code::Coded(set.clone());
        let sorted = |text: &str| {
            let mut parts: Vec<String> = text.split('|').map(str::to_string).collect();
            parts.sort_unstable();
            parts
        };
        let meant = tier.display(&code);
        if sorted(&meant) != sorted(cell) {
            slips.push(CellSlip::LabelForm { meant });
        }
        (CellValue::Labels(set), slips)
    }

    /// The code that a cell stands for under the answers above it (at least all earlier tiers),
    /// and why its labels do not count, if they do not.
    pub fn settle(&self, tier: usize, value: &CellValue, above: &[Code]) -> (Code, Option<Barred>) {
        let gate = self.tiers[tier].asked_when.state(above);
        let blank = if gate == GateState::Closed { Code::NotAsked } else { Code::Missing };
        let CellValue::Labels(labels) = value else { return (blank, None) };
        if gate == GateState::Closed {
            return (blank, Some(Barred::GateClosed));
        }
        let own = |label: usize| &self.tiers[tier].labels[label].only_when;
        match labels.iter().find(|&label| own(label).state(above) == GateState::Closed) {
            None => (Code::Coded(labels.clone()), None),
            Some(label) => (blank, Some(Barred::NotPermitted(label))),
        }
    }

    /// How a code stands in a table: blank for missing and not asked, labels in codebook
    /// order joined by `|`, `none` for the empty set.
    pub fn display_cell(&self, tier: usize, code: &Code) -> String {
        self.tiers[tier].display(code)
    }
}

impl super::Tier {
    fn display(&self, code: &Code) -> String {
        match code {
            Code::Missing | Code::NotAsked => String::new(),
            Code::Coded(set) if set.is_empty() => "none".into(),
            Code::Coded(set) => {
                let names: Vec<&str> = set.iter().map(|l| self.labels[l].name.as_str()).collect();
                names.join("|")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::properties::repeatable;

    fn book() -> Codebook {
        Codebook::find("llm-mental-health").unwrap()
    }

    #[test]
    fn blanks_are_blank_and_none_is_a_code() {
        let book = book();
        for cell in ["", "  ", "NA", "na", "NULL", "n/a", "N/A"] {
            assert_eq!(book.parse_cell(2, cell), (CellValue::Blank, vec![]), "{cell}");
        }
        assert_eq!(book.parse_cell(2, "none").0, CellValue::Labels(LabelSet::default()));
        assert_eq!(book.parse_cell(2, "[]").0, CellValue::Labels(LabelSet::default()));
        assert_eq!(book.parse_cell(0, "none").0, CellValue::Unusable);
    }

    #[test]
    fn slips_are_told_apart() {
        let book = book();
        let (value, slips) = book.parse_cell(0, "Personal_Use ");
        assert_eq!(value, CellValue::Labels(LabelSet::one(0)));
        assert_eq!(slips, [CellSlip::LabelForm { meant: "personal_use".into() }]);
        assert_eq!(book.parse_cell(0, "personal_use|off_topic").1, [CellSlip::SeveralLabels]);
        assert_eq!(book.parse_cell(2, "none|other").1, [CellSlip::NoneWithLabels]);
        assert_eq!(book.parse_cell(2, "|").0, CellValue::Unusable);
        let (value, slips) = book.parse_cell(1, "postive");
        assert_eq!(value, CellValue::Unusable);
        let near = Some("positive".into());
        assert_eq!(slips, [CellSlip::UnknownLabel { value: "postive".into(), nearest: near }]);
    }

    proptest! {
        #![proptest_config(repeatable())]

        #[test]
        fn what_is_displayed_reads_back(labels in proptest::collection::vec(0usize..17, 0..6)) {
            let book = book();
            let set = LabelSet::new(labels);
            let cell = book.display_cell(2, &Code::Coded(set.clone()));
            prop_assert_eq!(book.parse_cell(2, &cell), (CellValue::Labels(set), vec![]));
        }

        #[test]
        fn any_cell_is_read_without_panic(cell in "\\PC{0,40}") {
            for tier in 0..3 {
                book().parse_cell(tier, &cell);
            }
        }
    }
}
