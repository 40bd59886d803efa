//! Cells that a spreadsheet would take for formulas.

use std::borrow::Cow;

use super::format::Format;

/// What formulas begin with, after OWASP; and the apostrophe, so that one can be told from another.
const BEGINNINGS: [char; 8] = ['=', '+', '-', '@', '\t', '\r', '\n', '\''];

/// A cell that no spreadsheet computes: an apostrophe stands before it if it begins like a formula
/// or with an apostrophe. Without the first apostrophe of those that have one it is the cell again.
pub fn harmless(cell: &str) -> Cow<'_, str> {
    match cell.starts_with(BEGINNINGS) {
        true => Cow::Owned(format!("'{cell}")),
        false => Cow::Borrowed(cell),
    }
}

/// The heading of a table of harmless cells; spreadsheets do not open JSONL.
pub fn harmless_heading(columns: &[String], format: Format) -> Vec<String> {
    match format {
        Format::Csv { .. } => columns.iter().map(|name| harmless(name).into_owned()).collect(),
        Format::Jsonl => columns.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_itself_again_without_the_apostrophe() {
        for cell in ["=1+1", "+49", "-0.5", "@kira", "\tx", "\r=1", "\n=1", "'it was", "''", "'=x"]
        {
            let safe = harmless(cell);
            assert_eq!(safe.strip_prefix('\''), Some(cell));
        }
        for cell in ["", "a=1", "it's", " =1", "5-3"] {
            assert_eq!(harmless(cell), cell);
        }
    }
}
