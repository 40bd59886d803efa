//! From the cells of a row to codes: coded, not asked or missing, and every problem named.

use std::collections::HashMap;

use super::gold::{GoldRow, Split};
use super::problem::{Problem, ProblemCode};
use super::roles::Roles;
use super::row::{Defect, Row};
use crate::codebook::{Barred, CellSlip, CellValue, Code, Codebook, is_blank};
use crate::error::{nearest, shown};

/// Turns rows into codes and collects what is wrong with them.
pub(super) struct Coding<'a> {
    codebook: &'a Codebook,
    pub roles: Roles,
    pub tiers: Vec<Option<usize>>,
    pub columns: Vec<String>,
    name: &'a str,
    pub problems: Vec<Problem>,
    ids: HashMap<String, u64>,
}

impl<'a> Coding<'a> {
    /// `tiers` are the positions of the tiers' columns, `name` the file's.
    pub fn new(
        codebook: &'a Codebook,
        roles: Roles,
        tiers: Vec<Option<usize>>,
        columns: Vec<String>,
        name: &'a str,
    ) -> Self {
        let (problems, ids) = (Vec::new(), HashMap::new());
        Self { codebook, roles, tiers, columns, name, problems, ids }
    }

    fn problem(
        &mut self,
        row: &Row,
        column: Option<usize>,
        code: ProblemCode,
        message: String,
        nearest: Option<String>,
    ) {
        self.problems.push(Problem {
            file: self.name.to_string(),
            row: row.number,
            line: row.line,
            column: column.map(|column| self.columns[column].clone()),
            code,
            message,
            nearest,
        });
    }

    /// The coded row, or nothing if it cannot be read.
    pub fn row(&mut self, row: &Row) -> Option<GoldRow> {
        if let Some(defect) = &row.defect {
            let code = match defect {
                Defect::Ragged { .. } => ProblemCode::RaggedRow,
                Defect::NulByte { .. } => ProblemCode::NulByte,
                Defect::NotJson { .. } | Defect::NotAnObject => ProblemCode::NotJson,
                Defect::UnknownKeys { .. } => ProblemCode::UnknownKeys,
            };
            let column = match defect {
                Defect::NulByte { column } => self.columns.iter().position(|c| c == column),
                _ => None,
            };
            self.problem(row, column, code, format!("{defect}; the row is left out"), None);
            return None;
        }
        let text = row.cell(self.roles.text).to_string();
        if text.trim().is_empty() {
            let at = Some(self.roles.text);
            self.problem(row, at, ProblemCode::EmptyText, "there is no text".into(), None);
        }
        let id = self.id(row);
        let split = self.split(row);
        self.date(row);
        self.pi(row);
        let group =
            self.roles.group.map(|g| row.cell(g)).filter(|g| !is_blank(g)).map(str::to_string);
        let codes = self.codes(row);
        Some(GoldRow { number: row.number, line: row.line, id, text, group, split, codes })
    }

    fn id(&mut self, row: &Row) -> String {
        let Some(column) = self.roles.id else { return row.number.to_string() };
        let id = row.cell(column).to_string();
        // A number with an exponent: the digits that told two rows apart are gone.
        if id.contains(['E', 'e']) && id.contains('+') && id.trim().parse::<f64>().is_ok() {
            let message = "a number that a spreadsheet rounded; export ids as text".into();
            self.problem(row, Some(column), ProblemCode::RoundedId, message, None);
        }
        let first = *self.ids.entry(id.clone()).or_insert(row.number);
        if first != row.number {
            let message = format!("the id ({}) is that of row {first}", shown(&id));
            self.problem(row, Some(column), ProblemCode::DuplicateId, message, None);
        }
        id
    }

    fn split(&mut self, row: &Row) -> Option<Split> {
        let column = self.roles.split?;
        let cell = row.cell(column);
        if is_blank(cell) {
            return None;
        }
        let name = cell.trim().to_lowercase();
        let found = Split::ALL.into_iter().find(|split| split.name() == name);
        match found {
            Some(split) if split.name() != cell => {
                let message = format!("write it as {}", split.name());
                let meant = Some(split.name().to_string());
                self.problem(row, Some(column), ProblemCode::LabelForm, message, meant);
            }
            Some(_) => {}
            None => {
                let near = nearest(&name, Split::ALL.map(Split::name)).map(str::to_string);
                let message = format!("{} is not train, validation or test", shown(cell));
                self.problem(row, Some(column), ProblemCode::InvalidSplit, message, near);
            }
        }
        found
    }

    fn date(&mut self, row: &Row) {
        let Some(column) = self.roles.created else { return };
        // Days since 1900, of the years 1954 to 2173: years are smaller, times in seconds larger.
        let days = row.cell(column).trim().replace(',', ".").parse::<f64>();
        if days.is_ok_and(|days| (20_000.0..100_000.0).contains(&days)) {
            let message = "a number of days, as spreadsheets store dates; write 2024-01-31".into();
            self.problem(row, Some(column), ProblemCode::SerialDate, message, None);
        }
    }

    fn pi(&mut self, row: &Row) {
        let Some(column) = self.roles.pi else { return };
        let cell = row.cell(column);
        let sound = cell.trim().parse::<f64>().is_ok_and(|pi| pi > 0.0 && pi <= 1.0);
        if !is_blank(cell) && !sound {
            let message = "an inclusion probability is a number above 0 and at most 1".into();
            self.problem(row, Some(column), ProblemCode::InvalidPi, message, None);
        }
    }

    fn codes(&mut self, row: &Row) -> Vec<Code> {
        let mut codes: Vec<Code> = Vec::with_capacity(self.tiers.len());
        for tier in 0..self.tiers.len() {
            let code = self.code(row, tier, &codes);
            codes.push(code);
        }
        codes
    }

    fn code(&mut self, row: &Row, tier: usize, above: &[Code]) -> Code {
        let codebook = self.codebook;
        let Some(column) = self.tiers[tier] else {
            return codebook.settle(tier, &CellValue::Blank, above).0;
        };
        let (value, slips) = codebook.parse_cell(tier, row.cell(column));
        for slip in slips {
            self.slip(row, column, tier, slip);
        }
        let (code, barred) = codebook.settle(tier, &value, above);
        match barred {
            None => {}
            Some(Barred::GateClosed) => {
                let because = closing(codebook, tier, above);
                let message =
                    format!("a code where the tier is not asked ({because}); it is ignored");
                self.problem(row, Some(column), ProblemCode::ClosedGate, message, None);
            }
            Some(Barred::NotPermitted(label)) => {
                let name = &codebook.tiers[tier].labels[label].name;
                let message = format!("'{name}' is not permitted with the answers above");
                self.problem(row, Some(column), ProblemCode::NotPermitted, message, None);
            }
        }
        code
    }

    fn slip(&mut self, row: &Row, column: usize, tier: usize, slip: CellSlip) {
        let name = &self.codebook.tiers[tier].name;
        let (code, message, near) = match slip {
            CellSlip::UnknownLabel { value, nearest } => (
                ProblemCode::UnknownLabel,
                format!("{} is not a label of '{name}'", shown(&value)),
                nearest,
            ),
            CellSlip::LabelForm { meant } => {
                (ProblemCode::LabelForm, format!("read as '{meant}'; write it so"), Some(meant))
            }
            CellSlip::SeveralLabels => (
                ProblemCode::SeveralLabels,
                format!("several labels, but '{name}' takes exactly one"),
                None,
            ),
            CellSlip::NoneWithLabels => {
                (ProblemCode::NoneWithLabels, "'none' stands beside labels".into(), None)
            }
        };
        self.problem(row, Some(column), code, message, near);
    }
}

/// Which answer above closes the tier's gate.
fn closing(codebook: &Codebook, tier: usize, above: &[Code]) -> String {
    for condition in &codebook.tiers[tier].asked_when.conditions {
        let name = &codebook.tiers[condition.tier].name;
        match &above[condition.tier] {
            Code::NotAsked => return format!("'{name}' is not asked"),
            Code::Coded(set) if !condition.labels.iter().any(|&l| set.contains(l)) => {
                return format!(
                    "{name} = {}",
                    codebook.display_cell(condition.tier, &above[condition.tier])
                );
            }
            _ => {}
        }
    }
    "its gate is closed".into()
}
