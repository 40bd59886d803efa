//! `confide forget`: withdrawn comments leave tables, out-of-fold files and the records of trainings.

mod ids;
mod places;
mod runs;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;
use serde_json::json;

use super::input::InputArgs;
use super::messages::Messages;
use super::table::{Table, print, print_json};
use super::{Global, Outcome};
use crate::error::{Error, Result};
use places::Found;
use runs::Run;
use tables::Searched;

/// Removes withdrawn comments from tables and from the records of trainings, and names the bundles
/// that were trained on them
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  \
    confide forget --ids withdrawn.txt study comments.csv --dry-run\n  \
    confide forget --ids withdrawn.txt study comments.csv\n\n\
    Rows of these ids leave every CSV, TSV and JSONL table with an id column, out-of-fold codes among\n\
    them; all other bytes stay. Their keyed digests leave BUNDLE.run/rows.json, and unfinished codings\n\
    that hold them are discarded. Weights cannot forget: a bundle that is named was trained on them,\n\
    and only a new training without them makes one that was not. Name the tables with the texts in the\n\
    same call: a training is recognised by texts. Reports, backups and copies elsewhere, and rows in\n\
    which the same text has another id, are yours to see to.")]
pub struct ForgetArgs {
    /// The withdrawn ids: one a line, or a table with an id column
    #[arg(long, value_name = "FILE", env = "CONFIDE_IDS")]
    ids: PathBuf,
    /// Tables, and folders with all that is in them; a bundle's run folder belongs to it
    #[arg(value_name = "PLACE", required = true)]
    places: Vec<PathBuf>,
    /// Change nothing; tell what would be removed
    #[arg(long, env = "CONFIDE_DRY_RUN", value_parser = FalseyValueParser::new())]
    dry_run: bool,
    /// Print one JSON document instead of tables
    #[arg(long, env = "CONFIDE_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
    #[command(flatten)]
    input: InputArgs,
}

pub fn run(args: &ForgetArgs, global: &Global) -> Result<Outcome> {
    let messages = Messages::new(global);
    let options = args.input.options();
    if let Some(encoding) = &options.encoding {
        return Err(Error::usage("rows are removed byte by byte, from UTF-8 alone")
            .at(format!("--encoding {encoding}"))
            .advise("save the table as UTF-8 first"));
    }
    let ids = ids::read(&args.ids, &options)?;
    let found = Found::of(&args.places, &args.ids)?;
    let mut passed_over = found.passed_over.clone();
    let (mut searched, mut without_ids) = (Vec::new(), Vec::new());
    for file in &found.tables {
        match tables::search(&file.path, &ids, &options) {
            Ok(Some(table)) => searched.push(table),
            Ok(None) if file.named => {
                return Err(Error::data(
                    "the table has no column of ids, so that nothing is removed",
                )
                .at(file.path.display().to_string())
                .advise("--id NAME, with the name of the right column"));
            }
            Ok(None) => without_ids.push(&file.path),
            Err(error) if file.named => return Err(error),
            Err(_) => passed_over.push((file.path.clone(), "cannot be read as a table".into())),
        }
    }
    let unfinished: Vec<&PathBuf> =
        found.unfinished.iter().filter(|folder| tables::holds(folder, &ids, &options)).collect();
    let texts: BTreeSet<(String, String)> =
        searched.iter().flat_map(|table| table.texts.iter().cloned()).collect();
    let mut trained = Vec::new();
    for folder in &found.runs {
        trained.push(Run::read(folder, &texts, &searched)?);
    }
    if !args.dry_run {
        // Records first: texts, by which they are known, are in the tables.
        for run in &trained {
            run.write()?;
        }
        for table in searched.iter().filter(|table| !table.removed.is_empty()) {
            let digests = table.rewrite()?;
            for run in &trained {
                run.renamed(&digests)?;
            }
        }
        for folder in &unfinished {
            std::fs::remove_dir_all(folder).map_err(|e| Error::writing(folder, &e))?;
        }
    }
    let (ids, searched, trained) = (&ids, &searched, &trained);
    let told = Told { args, ids, searched, trained, unfinished, without_ids };
    if args.json {
        print_json(&told.document(&passed_over))?;
    } else {
        print(&told.text())?;
    }
    told.warn(&passed_over, &messages);
    Ok(Outcome::Done)
}

/// What is told of it.
struct Told<'a> {
    args: &'a ForgetArgs,
    ids: &'a BTreeSet<String>,
    searched: &'a [Searched],
    trained: &'a [Run],
    unfinished: Vec<&'a PathBuf>,
    /// Tables of the folders that have no column of ids.
    without_ids: Vec<&'a PathBuf>,
}

impl Told<'_> {
    fn seen(&self) -> BTreeSet<&str> {
        self.searched.iter().flat_map(|table| table.seen.iter().map(String::as_str)).collect()
    }

    /// Ids that were found, but in no table with their text.
    fn without_text(&self) -> usize {
        let with: BTreeSet<&str> =
            self.searched.iter().flat_map(|t| t.texts.iter().map(|(id, _)| id.as_str())).collect();
        self.ids.iter().filter(|id| !with.contains(id.as_str())).count()
    }

    fn text(&self) -> String {
        let would = if self.args.dry_run { "would be removed" } else { "removed" };
        let mut table = Table::new(["where", "rows", would]);
        for own in self.searched {
            let (rows, removed) = (own.rows.to_string(), own.removed.len().to_string());
            table.row([own.path.display().to_string(), rows, removed]);
        }
        for folder in &self.unfinished {
            table.row([folder.display().to_string(), "unfinished".into(), "all of it".into()]);
        }
        let (seen, all) = (self.seen().len(), self.ids.len());
        let mut out = format!("{seen} of {all} withdrawn ids are in these tables\n\n{table}");
        let marked: Vec<&Run> = self.trained.iter().filter(|run| run.is_marked()).collect();
        if !marked.is_empty() {
            let mut table = Table::new(["trained on withdrawn comments", "train", "validation"]);
            for run in marked {
                let [train, validation] = run.withdrawn().map(|count| count.to_string());
                table.row([run.bundle().display().to_string(), train, validation]);
            }
            out.push_str(&format!("\n{table}"));
        }
        out
    }

    fn document(&self, passed_over: &[(PathBuf, String)]) -> serde_json::Value {
        let seen = self.seen();
        let missing: Vec<&String> =
            self.ids.iter().filter(|id| !seen.contains(id.as_str())).collect();
        let tables = self
            .searched
            .iter()
            .map(|own| json!({ "file": own.path, "rows": own.rows, "removed": own.removed.len() }));
        let bundles = self.trained.iter().filter(|run| run.is_marked()).map(|run| {
            let [train, validation] = run.withdrawn();
            json!({ "bundle": run.bundle(), "train": train, "validation": validation })
        });
        let passed: BTreeMap<String, &String> =
            passed_over.iter().map(|(path, why)| (path.display().to_string(), why)).collect();
        json!({
            "dry_run": self.args.dry_run,
            "ids": self.ids.len(),
            "found": seen.len(),
            "missing": missing,
            "without_text": self.without_text(),
            "tables": tables.collect::<Vec<_>>(),
            "bundles": bundles.collect::<Vec<_>>(),
            "unfinished": self.unfinished,
            "without_ids": self.without_ids,
            "passed_over": passed,
        })
    }

    fn warn(&self, passed_over: &[(PathBuf, String)], messages: &Messages) {
        for (path, why) in passed_over {
            messages.warn(&format!("{}: {why}; see to it yourself", path.display()));
        }
        if !self.without_ids.is_empty() {
            messages.note(&format!(
                "{} tables have no column of ids and stay as they are; --json lists them",
                self.without_ids.len()
            ));
        }
        let missing = self.ids.len() - self.seen().len();
        if missing > 0 {
            messages.warn(&format!("{missing} withdrawn ids are in none of these tables"));
        }
        let without_text = self.without_text();
        if without_text > 0 && !self.trained.is_empty() {
            messages.warn(&format!(
                "of {without_text} withdrawn ids no table here holds the text: whether a bundle was \
                 trained on them is not known by it"
            ));
        }
        if self.trained.iter().any(Run::is_marked) {
            messages.warn(
                "the bundles named were trained on withdrawn comments, and their weights stay as \
                 they are: train anew, and delete them",
            );
        }
    }
}
