//! Which kind of table a file is, and how it is to be read.

use std::path::Path;

use super::redaction::Redaction;
use crate::error::{Error, Result};

/// The layout of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Fields separated by one byte, quoted as in RFC 4180.
    Csv {
        /// `,`, `;` or tab.
        delimiter: u8,
    },
    /// One JSON object a line.
    Jsonl,
}

impl Format {
    /// The format that `--format` names (`csv`, `tsv`, `jsonl`) or else that the extension
    /// means; `-` and names without an extension are CSV.
    ///
    /// # Errors
    /// A usage error for a format that cannot be read.
    pub fn of_path(path: &Path, flag: Option<&str>) -> Result<Self> {
        if let Some(name) = flag {
            return Self::named(name).ok_or_else(|| {
                Error::usage(format!("unknown format '{name}'"))
                    .advise("use --format csv, tsv or jsonl")
            });
        }
        let Some(extension) = path.extension() else { return Ok(Format::Csv { delimiter: b',' }) };
        let extension = extension.to_string_lossy().to_lowercase();
        Self::named(&extension).ok_or_else(|| {
            Error::usage(format!("a file that ends in '.{extension}' is not known as a table"))
                .at(path.display().to_string())
                .advise(
                    "save the table as CSV in UTF-8, or say what it is: --format csv, tsv or jsonl",
                )
        })
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "csv" | "txt" => Some(Format::Csv { delimiter: b',' }),
            "tsv" | "tab" => Some(Format::Csv { delimiter: b'\t' }),
            "jsonl" | "ndjson" => Some(Format::Jsonl),
            _ => None,
        }
    }
}

/// How a table is to be read; the default recognises everything by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// `csv`, `tsv` or `jsonl`, against the extension.
    pub format: Option<String>,
    /// An encoding's name as the web uses it (`windows-1252`).
    pub encoding: Option<String>,
    /// Name of the id column, `id` if absent.
    pub id: Option<String>,
    /// Name of the text column, `text` if absent.
    pub text: Option<String>,
    /// How texts are masked as they are read, if they are.
    pub redaction: Option<Redaction>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_beats_the_extension() {
        let of = |path: &str, flag| Format::of_path(Path::new(path), flag);
        assert_eq!(of("a.csv", None).unwrap(), Format::Csv { delimiter: b',' });
        assert_eq!(of("a.TSV", None).unwrap(), Format::Csv { delimiter: b'\t' });
        assert_eq!(of("-", None).unwrap(), Format::Csv { delimiter: b',' });
        assert_eq!(of("a.csv", Some("jsonl")).unwrap(), Format::Jsonl);
        assert_eq!(of("a.xlsx", None).unwrap_err().exit_code(), 2);
        assert_eq!(of("a.csv", Some("odd")).unwrap_err().exit_code(), 2);
    }
}
