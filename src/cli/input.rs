//! How the tables given to a command are to be read.

use clap::Args;

use crate::corpus::ReadOptions;

/// Flags of every command that reads tables.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Reading tables")]
pub struct InputArgs {
    /// Column that names the rows [default: id; without one, the row number]
    #[arg(long, value_name = "COLUMN", env = "CONFIDE_ID")]
    pub id: Option<String>,
    /// Column with the texts [default: text]
    #[arg(long, value_name = "COLUMN", env = "CONFIDE_TEXT")]
    pub text: Option<String>,
    /// Format of the table, if its extension does not tell
    #[arg(long, env = "CONFIDE_FORMAT", value_parser = ["csv", "tsv", "jsonl"])]
    pub format: Option<String>,
    /// Encoding of the table, if it is neither UTF-8 nor marked UTF-16 (such as windows-1252)
    #[arg(long, value_name = "NAME", env = "CONFIDE_ENCODING")]
    pub encoding: Option<String>,
}

impl InputArgs {
    /// The same as the reader takes it.
    pub fn options(&self) -> ReadOptions {
        ReadOptions {
            format: self.format.clone(),
            encoding: self.encoding.clone(),
            id: self.id.clone(),
            text: self.text.clone(),
            redaction: None,
        }
    }
}
