//! `confide sample`: random rows of a corpus as blind coding sheets, with their inclusion
//! probabilities.

mod agreement;
mod corpus;
mod expected;
mod sheets;

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::FalseyValueParser;
use serde_json::json;

use super::input::InputArgs;
use super::messages::Messages;
use super::new_table::SpreadsheetArgs;
use super::table::{print, print_json};
use super::{Global, Outcome};
use crate::codebook::{Codebook, check_coder};
use crate::corpus::{Drawn, proportional, refuse_existing, stratified};
use crate::error::{Error, Result};
use agreement::Agreement;
use corpus::Frame;

/// Draws a random sample of a corpus as blind coding sheets, with inclusion probabilities
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    confide sample coded.csv -n 500 -o check --codebook llm-mental-health --coders ana,ben --overlap 100\n  \
    confide sample coded.csv --codebook llm-mental-health --for prevalence personal_use --margin 0.03\n\n\
    Writes DIR/sample.csv (id, pi, stratum, for you), one sheet per coder without any prediction, and\n\
    DIR/manual.html, the codebook to print.\n\
    Coded, they go back together: confide agree with the sheets, then\n\
    confide prevalence … --gold DIR/sample.csv DIR/sheet-ana.csv --gold-coder ana")]
pub struct SampleArgs {
    /// The corpus, coded or not
    #[arg(value_name = "CORPUS")]
    corpus: PathBuf,
    /// How many rows
    #[arg(short = 'n', long = "rows", value_name = "N", env = "CONFIDE_ROWS")]
    rows: Option<usize>,
    /// The folder to write
    #[arg(short, long, value_name = "DIR", env = "CONFIDE_OUTPUT")]
    output: Option<PathBuf>,
    /// A codebook file, or the name of a shipped one
    #[arg(long, value_name = "CODEBOOK", env = "CONFIDE_CODEBOOK")]
    codebook: String,
    /// The coders, each with a sheet of their own
    #[arg(long, value_name = "NAMES", value_delimiter = ',', env = "CONFIDE_CODERS")]
    coders: Vec<String>,
    /// Rows that all coders code; the others are dealt among them [default: all rows]
    #[arg(long, value_name = "K", requires = "coders", env = "CONFIDE_OVERLAP")]
    overlap: Option<usize>,
    /// Draw from each value of this column, such as a tier's predicted labels, in proportion
    #[arg(long, value_name = "COLUMN", env = "CONFIDE_BY")]
    by: Option<String>,
    /// Prefer rows of which the model is unsure: 0 not at all, 1 in proportion to its doubt
    #[arg(long, value_name = "SHARE", conflicts_with = "by", env = "CONFIDE_UNCERTAIN")]
    uncertain: Option<f64>,
    /// Show the coders the model's code of this tier, to be confirmed in <tier>__verified: gives
    /// precision only
    #[arg(long, value_name = "TIER", env = "CONFIDE_VERIFY")]
    verify: Option<String>,
    /// Tables whose ids are left out, such as rows that are coded already
    #[arg(long, value_name = "TABLE", num_args = 1.., env = "CONFIDE_EXCLUDE")]
    exclude: Vec<PathBuf>,
    /// Say how many rows a share needs: prevalence LABEL, or prevalence TIER=LABEL
    #[arg(long = "for", value_names = ["WHAT", "LABEL"], num_args = 2, requires = "margin")]
    purpose: Vec<String>,
    /// The half-width of the share's 95 % interval
    #[arg(long, value_name = "SHARE", env = "CONFIDE_MARGIN")]
    margin: Option<f64>,
    /// With --for: gold and the model's codes of the same rows, to say how many rows fewer do with the
    /// model: the table of evaluate --answers, or oof.csv of train --folds
    #[arg(long, value_name = "TABLE", requires = "purpose", env = "CONFIDE_CHECKED")]
    checked: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long, env = "CONFIDE_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
    /// Replace a folder that exists
    #[arg(long, env = "CONFIDE_FORCE", value_parser = FalseyValueParser::new())]
    force: bool,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    spreadsheet: SpreadsheetArgs,
}

pub fn run(args: &SampleArgs, global: &Global) -> Result<Outcome> {
    let messages = Messages::new(global);
    let codebook = Codebook::find(&args.codebook)?;
    check(args, &codebook)?;
    if let Some(output) = &args.output {
        refuse_existing(output, args.force)?;
    }
    let frame = Frame::read(args, &codebook)?;
    for (count, what) in frame.left_out() {
        if count > 0 {
            messages.warn(&format!("{count} {what}; they have no chance and leave the target"));
        }
    }
    if frame.rows.is_empty() {
        return Err(Error::data("no row of the corpus can be drawn")
            .at(args.corpus.display().to_string())
            .advise("check that the column with the texts is named text, or give --text"));
    }
    let needed = match args.purpose.as_slice() {
        [what, label] => {
            let mut needed = expected::needed(what, label, args.margin, &codebook, &frame)?;
            if let Some(table) = &args.checked {
                let (tier, label) = needed.place;
                needed.checked = Some(Agreement::read(table, &codebook, tier, label)?);
            }
            Some(needed)
        }
        _ => None,
    };
    let n = match (args.rows, &needed) {
        (Some(n), _) => n,
        (None, Some(needed)) => needed.rows,
        (None, None) => {
            return Err(Error::usage("how many rows is not said")
                .advise("-n 500, or --for prevalence LABEL --margin 0.03"));
        }
    };
    let drawn = draw(args, &frame, n, global.seed);
    let widths = expected::half_widths(&codebook, &frame, drawn.len());
    if let Some(output) = &args.output {
        sheets::write(args, output, &codebook, &frame, &drawn, &widths, global.seed)?;
        messages.note(&format!("wrote {} rows to {}", drawn.len(), output.display()));
    }
    if args.json {
        print_json(&json!({
            "codebook": codebook.digest(),
            "rows": frame.rows.len(),
            "n": drawn.len(),
            "needed": needed.as_ref().map(expected::Needed::json),
            "expected": expected::json(&widths),
        }))?;
    } else {
        let needed = needed.map_or_else(String::new, |needed| format!("{}\n\n", needed.sentence()));
        print(&format!("{needed}{}", expected::text(&widths, drawn.len(), frame.rows.len())))?;
    }
    Ok(Outcome::Done)
}

fn check(args: &SampleArgs, codebook: &Codebook) -> Result<()> {
    if args.corpus == Path::new("-") {
        return Err(Error::usage("the corpus is read twice, and standard input only once")
            .advise("save it to a file"));
    }
    for (at, coder) in args.coders.iter().enumerate() {
        check_coder(coder, "--coders")?;
        if args.coders[..at].contains(coder) {
            return Err(Error::usage(format!("the coder '{coder}' is named twice")).at("--coders"));
        }
    }
    if args.rows == Some(0) {
        return Err(Error::usage("a sample has at least one row").at("-n"));
    }
    if args.rows.is_some() && args.output.is_none() && args.purpose.is_empty() {
        return Err(Error::usage("there is no folder to write to").advise("-o DIR"));
    }
    if args.uncertain.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
        return Err(Error::usage("a share lies between 0 and 1").at("--uncertain"));
    }
    if args.verify.as_ref().is_some_and(|tier| codebook.tier_index(tier).is_none()) {
        return Err(Error::usage("there is no such tier").at("--verify"));
    }
    Ok(())
}

fn draw(args: &SampleArgs, frame: &Frame, n: usize, seed: u64) -> Vec<Drawn> {
    match args.uncertain {
        None => stratified(&frame.strata, n, seed),
        Some(share) => {
            let mean = frame.doubt.iter().sum::<f64>() / frame.doubt.len() as f64;
            let relative = |doubt: &f64| if mean > 0.0 { doubt / mean } else { 1.0 };
            // No row is without any chance.
            let share = share.min(0.99);
            let size: Vec<f64> =
                frame.doubt.iter().map(|doubt| 1.0 - share + share * relative(doubt)).collect();
            proportional(&size, n, seed)
        }
    }
}
