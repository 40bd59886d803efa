//! What is wrong in a table of codes, and where.

use serde::Serialize;

/// The kinds of problem in readable data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// Not a label of the tier.
    UnknownLabel,
    /// Capitals or spaces in a label that is understood all the same.
    LabelForm,
    /// A code where the tier is not asked; it is ignored.
    ClosedGate,
    /// A label whose own gate is closed.
    NotPermitted,
    /// More than one label in a single tier.
    SeveralLabels,
    /// `none` beside labels.
    NoneWithLabels,
    /// An id that an earlier row has.
    DuplicateId,
    /// Fewer or more cells than columns; the row is left out.
    RaggedRow,
    /// A NUL byte; the row is left out.
    NulByte,
    /// Not a JSON object; the row is left out.
    NotJson,
    /// Keys that appear too late; the row is left out.
    UnknownKeys,
    /// Not `train`, `validation` or `test`.
    InvalidSplit,
    /// No text to code.
    EmptyText,
    /// A date that a spreadsheet turned into a number of days.
    SerialDate,
    /// A long number that a spreadsheet rounded (`7.12E+18`).
    RoundedId,
    /// An inclusion probability that is no number above 0 and at most 1.
    InvalidPi,
}

/// Whether a problem keeps a table from training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Training must not go on: a code or a set would be guessed.
    Fatal,
    /// Understood or ignored by a fixed rule, and counted.
    Warning,
}

impl ProblemCode {
    /// Whether it keeps a table from training.
    pub fn severity(self) -> Severity {
        match self {
            ProblemCode::UnknownLabel
            | ProblemCode::NotPermitted
            | ProblemCode::SeveralLabels
            | ProblemCode::NoneWithLabels
            | ProblemCode::InvalidSplit
            | ProblemCode::InvalidPi => Severity::Fatal,
            _ => Severity::Warning,
        }
    }

    /// The name that stands in JSON.
    pub fn name(self) -> &'static str {
        match self {
            ProblemCode::UnknownLabel => "unknown_label",
            ProblemCode::LabelForm => "label_form",
            ProblemCode::ClosedGate => "closed_gate",
            ProblemCode::NotPermitted => "not_permitted",
            ProblemCode::SeveralLabels => "several_labels",
            ProblemCode::NoneWithLabels => "none_with_labels",
            ProblemCode::DuplicateId => "duplicate_id",
            ProblemCode::RaggedRow => "ragged_row",
            ProblemCode::NulByte => "nul_byte",
            ProblemCode::NotJson => "not_json",
            ProblemCode::UnknownKeys => "unknown_keys",
            ProblemCode::InvalidSplit => "invalid_split",
            ProblemCode::EmptyText => "empty_text",
            ProblemCode::SerialDate => "serial_date",
            ProblemCode::RoundedId => "rounded_id",
            ProblemCode::InvalidPi => "invalid_pi",
        }
    }
}

/// One problem at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file's name.
    pub file: String,
    /// Data row, counted from 1.
    pub row: u64,
    /// Physical line on which the row begins, counted from 1.
    pub line: u64,
    /// The column, if it is about one.
    pub column: Option<String>,
    /// What kind of problem.
    pub code: ProblemCode,
    /// A sentence for people, without the text of any comment.
    pub message: String,
    /// What was probably meant.
    pub nearest: Option<String>,
}
