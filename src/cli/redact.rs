//! `confide redact`: a table with what tells who a person is masked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::FalseyValueParser;
use serde_json::json;

use super::input::InputArgs;
use super::messages::Messages;
use super::new_table::{NewTable, SpreadsheetArgs, is_stream};
use super::table::{Table, print, print_json};
use super::{Global, Outcome};
use crate::codebook::hex;
use crate::corpus::redaction::{Identifier, Redaction, Span};
use crate::corpus::{ReadOptions, Row, TableReader, WholeFile, refuse_existing};
use crate::error::{Error, Result, nearest, shown};

/// Flags of commands that mask texts as they read them.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Masking")]
pub struct RedactionArgs {
    /// Mask e-mail addresses, links, accounts, numbers and addresses in the texts, as redact does,
    /// by tokens without pseudonyms such as [PERSON]
    #[arg(long, env = "CONFIDE_REDACT", value_parser = FalseyValueParser::new())]
    redact: bool,
    /// Also mask the names in this file, one a line
    #[arg(long, value_name = "FILE", requires = "redact", env = "CONFIDE_NAMES")]
    names: Option<PathBuf>,
}

impl RedactionArgs {
    /// The options, with masking if it was asked for.
    ///
    /// # Errors
    /// If the list of names cannot be read.
    pub fn apply(&self, options: ReadOptions) -> Result<ReadOptions> {
        let redaction = match self.redact {
            true => Some(Redaction::new(&names(self.names.as_deref())?, None)?),
            false => None,
        };
        Ok(ReadOptions { redaction, ..options })
    }
}

/// How many rows hold something to mask, and what.
#[derive(Debug, Default)]
pub struct Masked {
    rows: u64,
    touched: u64,
    counts: BTreeMap<Identifier, u64>,
}

impl Masked {
    /// Counts what the options mask in the text column of a table; nothing if they mask nothing.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub fn add(&mut self, bytes: &[u8], name: &str, options: &ReadOptions) -> Result<()> {
        let Some(redaction) = &options.redaction else { return Ok(()) };
        let plain = ReadOptions { redaction: None, ..options.clone() };
        let mut reader = TableReader::from_bytes(bytes.to_vec(), name, &plain)?;
        let text = reader.roles(&plain)?.text;
        while let Some(row) = reader.next_row()? {
            self.row(redaction.find(row.cell(text)).iter());
        }
        Ok(())
    }

    /// Counts one row, in which these were found.
    fn row<'a>(&mut self, found: impl Iterator<Item = &'a Span>) {
        let mut is_touched = false;
        for span in found {
            is_touched = true;
            *self.counts.entry(span.identifier).or_default() += 1;
        }
        self.rows += 1;
        self.touched += u64::from(is_touched);
    }

    /// The counts by what is masked.
    pub fn json(&self) -> serde_json::Value {
        let counts: serde_json::Map<String, serde_json::Value> = self
            .counts
            .iter()
            .map(|(kind, count)| (kind.name().to_owned(), json!(count)))
            .collect();
        json!({"rows": self.rows, "rows_masked": self.touched, "counts": counts})
    }

    /// The same for people.
    pub fn text(&self) -> String {
        let mut table = Table::new(["what", "masked"]);
        for (identifier, count) in &self.counts {
            table.row([identifier.name().to_owned(), count.to_string()]);
        }
        format!("{} of {} rows hold something to mask\n\n{table}", self.touched, self.rows)
    }
}

/// Masks what tells who a person is: addresses, numbers and names of accounts, names of a list
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  confide redact comments.csv -o masked.csv --names names.txt\n\n\
    A person stays one person: the same account, name, e-mail address or telephone number becomes\n\
    the same pseudonym, such as [PERSON_1f0c93ab], wherever it stands. The pseudonyms follow from\n\
    the salt in OUTPUT.salt, which is made if it is not there and readable by its owner only: keep\n\
    it apart, or delete it so that nobody can try names. What stands in no pattern and no list (a\n\
    place of work, a rare story) is not found: read src/corpus/redaction/LIMITS.md."
)]
pub struct RedactArgs {
    /// The table
    #[arg(value_name = "INPUT")]
    input: PathBuf,
    /// The masked table
    #[arg(
        short,
        long,
        value_name = "OUTPUT",
        required_unless_present = "dry_run",
        env = "CONFIDE_OUTPUT"
    )]
    output: Option<PathBuf>,
    /// A file with names, one a line, of one word or several
    #[arg(long, value_name = "FILE", env = "CONFIDE_NAMES")]
    names: Option<PathBuf>,
    /// The secret that pseudonyms follow from [default: OUTPUT.salt]
    #[arg(long, value_name = "FILE", env = "CONFIDE_SALT_FILE")]
    salt_file: Option<PathBuf>,
    /// Mask these columns too, beside the texts
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',', env = "CONFIDE_COLUMNS")]
    columns: Vec<String>,
    /// Write nothing; list what would be masked by row and place, never what stands there
    #[arg(long, env = "CONFIDE_DRY_RUN", value_parser = FalseyValueParser::new())]
    dry_run: bool,
    /// Print one JSON document instead of tables
    #[arg(long, env = "CONFIDE_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
    /// Replace an output that exists
    #[arg(long, env = "CONFIDE_FORCE", value_parser = FalseyValueParser::new())]
    force: bool,
    #[command(flatten)]
    table: InputArgs,
    #[command(flatten)]
    spreadsheet: SpreadsheetArgs,
}

/// One part of a text that would be masked; places are counted in characters from 0.
struct Place {
    row: u64,
    id: String,
    column: String,
    identifier: Identifier,
    start: usize,
    end: usize,
}

pub fn run(args: &RedactArgs, global: &Global) -> Result<Outcome> {
    let messages = Messages::new(global);
    let output = args.output.as_deref().filter(|_| !args.dry_run);
    if let Some(output) = output {
        refuse_existing(output, args.force)?;
    }
    let options = args.table.options();
    let mut reader = TableReader::open(&args.input, &options)?;
    let roles = reader.roles(&options)?;
    let columns = columns(args, &reader, roles.text)?;
    let salt = output.map(|output| salt(args, output, &messages)).transpose()?;
    let redaction = Redaction::new(&names(args.names.as_deref())?, salt)?;
    let mut counted = Masked::default();
    let mut places = Vec::new();
    let mut masked = match output {
        Some(path) => {
            let format = (is_stream(path) || path.extension().is_none()).then(|| reader.format());
            let safe = args.spreadsheet.is_safe();
            Some(NewTable::begin_safe(path, reader.columns(), format, safe)?)
        }
        None => None,
    };
    let names = reader.columns().to_vec();
    while let Some(mut row) = reader.next_row()? {
        let mut all = Vec::new();
        for &column in &columns {
            let spans = redaction.find(row.cell(column));
            for span in spans.iter().filter(|_| args.dry_run) {
                let id = roles.id.map_or_else(|| row.number.to_string(), |id| row.cell(id).into());
                places.push(place(&row, id, column, &names, span));
            }
            all.extend(spans.iter().copied());
            row.replace(column, &names[column], |cell| redaction.redact_found(cell, spans));
        }
        counted.row(all.iter());
        if let Some(masked) = &mut masked {
            masked.copy(&row)?;
        }
    }
    if let Some(masked) = masked {
        masked.finish()?;
    }
    if let Some(path) = output.filter(|path| !is_stream(path)) {
        messages.note(&format!("wrote {}", path.display()));
    }
    let is_streamed = output.is_some_and(is_stream);
    if args.json && !is_streamed {
        let places: Vec<_> = places
            .iter()
            .map(|p| {
                json!({"row": p.row, "id": p.id, "column": p.column, "identifier": p.identifier,
                       "start": p.start, "end": p.end})
            })
            .collect();
        let mut document = counted.json();
        document["places"] = json!(places);
        print_json(&document)?;
    } else if is_streamed {
        messages.note(&text(&counted, &places));
    } else {
        print(&text(&counted, &places))?;
    }
    Ok(Outcome::Done)
}

fn place(row: &Row, id: String, column: usize, names: &[String], span: &Span) -> Place {
    let text = row.cell(column);
    Place {
        row: row.number,
        id,
        column: names[column].clone(),
        identifier: span.identifier,
        start: text[..span.start].chars().count(),
        end: text[..span.end].chars().count(),
    }
}

fn text(counted: &Masked, places: &[Place]) -> String {
    let mut out = counted.text();
    if !places.is_empty() {
        let mut table = Table::new(["row", "id", "column", "what", "from", "to"]);
        for p in places {
            table.row([
                p.row.to_string(),
                shown(&p.id),
                shown(&p.column),
                p.identifier.name().to_owned(),
                p.start.to_string(),
                p.end.to_string(),
            ]);
        }
        out.push_str(&format!("\n{table}"));
    }
    out
}

/// The text column, and those that were asked for.
fn columns(args: &RedactArgs, reader: &TableReader, text: usize) -> Result<Vec<usize>> {
    let mut columns = vec![text];
    for name in &args.columns {
        let names = || reader.columns().iter().map(String::as_str);
        let column = names().position(|own| own == name).ok_or_else(|| {
            let near = nearest(name, names())
                .map_or_else(String::new, |n| format!(", perhaps {}", shown(n)));
            Error::data(format!("there is no column {}{near}", shown(name)))
                .at(reader.name().to_owned())
        })?;
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    Ok(columns)
}

/// The content of a list of names; blank without one.
fn names(path: Option<&Path>) -> Result<String> {
    let Some(path) = path else { return Ok(String::new()) };
    let bytes = std::fs::read(path).map_err(|e| Error::reading(path, &e))?;
    String::from_utf8(bytes)
        .map_err(|_| Error::data("the list of names is not UTF-8").at(path.display().to_string()))
}

/// The salt's bytes; made, and readable by its owner only, if the file is not there.
fn salt(args: &RedactArgs, output: &Path, messages: &Messages) -> Result<Vec<u8>> {
    let beside = || {
        let mut name = output.as_os_str().to_owned();
        name.push(".salt");
        PathBuf::from(name)
    };
    if args.salt_file.is_none() && is_stream(output) {
        return Err(Error::usage("standard output has no place beside it for the salt")
            .advise("name a file for it: --salt-file FILE"));
    }
    let path = args.salt_file.clone().unwrap_or_else(beside);
    if path.exists() {
        let salt = std::fs::read(&path).map_err(|e| Error::reading(&path, &e))?;
        if salt.trim_ascii().len() < 16 {
            return Err(Error::data("the salt is too short to be secret")
                .at(path.display().to_string())
                .advise("delete the file: a new one is made"));
        }
        return Ok(salt.trim_ascii().to_vec());
    }
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::resource(format!("the system gives no random numbers: {e}")))?;
    let salt = hex(&bytes);
    // Like every file of this process it is readable by its owner only.
    WholeFile::write_all_to(&path, salt.as_bytes())?;
    messages.note(&format!("made a salt: {}; keep it apart from the masked table", path.display()));
    Ok(salt.into_bytes())
}
