//! `confide classify`: a bundle codes a corpus.

use std::io::{BufWriter, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::compute::{PrecisionArgs, level, tell_precision};
use super::cross_fitting::fold_bundle;
use super::input::InputArgs;
use super::messages::{Messages, object};
use super::new_table::SpreadsheetArgs;
use super::process::stop_flag;
use super::redact::RedactionArgs;
use super::screening::{CrisisArgs, tell_not_screened, tell_screened};
use super::{Global, LogFormat, Outcome};
use crate::bundle::Bundle;
use crate::codebook::hex_sha256;
use crate::corpus::Defect;
use crate::crisis::Screen;
use crate::decision::{LEVELS, ReviewRule};
use crate::encoder::ComputeRequest;
use crate::error::{Error, Kind, Result};
use crate::inference::{
    CellProbability, ColumnOptions, Counts, CrisisFile, Destination, Job, Observer, Source,
    classify,
};
use crate::training::RunFolder;

/// Rejected rows that are named on standard error when there is no file to list them.
const NAMED: u64 = 20;

/// Codes a corpus with a bundle: every row stays, codes and probabilities join
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  confide classify bundle comments.csv -o coded.csv\n\n\
    Adds per tier <tier> and <tier>_p, then status (rejected, empty, review, truncated, ok) and\n\
    reason. An interrupted coding continues when the same command is run again; rows that cannot\n\
    be read are also listed in OUTPUT.rejects.csv, and the exit code is then 1.\n\n\
    Rows are for review by the bundle's rule, if its recipe asked for one (review_risk), and by\n\
    --review-budget, which needs 16 bytes a row on disk and 64 in memory once all are coded:\n  \
    confide classify bundle comments.csv -o coded.csv --review-budget 300")]
pub struct ClassifyArgs {
    /// The folder that train wrote, or the name of a shipped bundle (study)
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The table of texts; - is standard input
    #[arg(value_name = "INPUT")]
    table: PathBuf,
    /// The table to write; - is standard output
    #[arg(short, long, value_name = "OUTPUT", env = "CONFIDE_OUTPUT")]
    output: PathBuf,
    /// Write <tier>__NAME and <tier>__NAME_p, as the codes of one more coder
    #[arg(long = "as", value_name = "NAME", env = "CONFIDE_AS")]
    coder: Option<String>,
    /// Add <tier>_p__<label> for every label; all probabilities then tell what the value says.
    /// Write it after INPUT, or with its value
    #[arg(long, value_enum, value_name = "KIND", env = "CONFIDE_PROBABILITIES",
        num_args = 0..=1, default_missing_value = "path")]
    probabilities: Option<Probabilities>,
    /// Mark so many rows for review, those whose hand coding corrects most codes by the model's own
    /// probabilities; of equal texts one row stands for all
    #[arg(long, value_name = "N", env = "CONFIDE_REVIEW_BUDGET", value_parser = clap::value_parser!(u64).range(1..))]
    review_budget: Option<u64>,
    /// Add <tier>_set: the labels among which the gold is with this frequency (0.8, 0.9, 0.95 or
    /// 0.99), joined by |; na stands for not asked. It holds over all texts like those of the
    /// training, not for each label or platform, and for no new platform or month
    #[arg(long, value_name = "SHARE", env = "CONFIDE_SETS", value_parser = level_of_sets,
        conflicts_with = "folds")]
    sets: Option<u8>,
    /// Code with the mean of the folds' models of a bundle trained with --folds, as many times
    /// slower as there are folds; with --probabilities also <tier>__fold1 and so on, the codes of each
    /// by itself, for prevalence --oof
    #[arg(long, env = "CONFIDE_FOLDS", value_parser = FalseyValueParser::new())]
    folds: bool,
    /// The encoder of a bundle that holds an adapter, if it is not found by its name
    #[arg(long, value_name = "MODEL", env = "CONFIDE_BASE")]
    base: Option<String>,
    /// Replace an output that exists, and discard an unfinished coding
    #[arg(long, env = "CONFIDE_FORCE", value_parser = FalseyValueParser::new())]
    force: bool,
    #[command(flatten)]
    precision: PrecisionArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    redaction: RedactionArgs,
    #[command(flatten)]
    crisis: CrisisArgs,
    #[command(flatten)]
    spreadsheet: SpreadsheetArgs,
}

/// What probabilities tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Probabilities {
    /// That the label applies, the path through the gates included
    Path,
    /// That the label applies if its tier is asked
    Conditional,
}

/// A share such as 0.9, in per cent.
fn level_of_sets(value: &str) -> std::result::Result<u8, String> {
    let share: f64 = value.parse().map_err(|_| "a share such as 0.9 is expected".to_owned())?;
    let level = LEVELS.into_iter().find(|level| (share * 100.0 - f64::from(*level)).abs() < 1e-6);
    level.ok_or_else(|| "it can be 0.8, 0.9, 0.95 or 0.99".to_owned())
}

pub fn run(args: &ClassifyArgs, global: &Global) -> Result<Outcome> {
    let messages = Messages::new(global);
    let request = args.precision.request(global, &messages)?;
    let bundle = Bundle::load(&args.bundle, args.base.as_deref(), &request)?;
    tell_precision(&bundle, request.precision, &messages);
    tell_shipped(&bundle, &messages);
    let rule = bundle.decisions().review.clone();
    let bundles = match args.folds {
        true => fold_bundles(bundle, args.base.as_deref(), &request)?,
        false => vec![bundle],
    };
    let source = Source::new(&args.table, args.redaction.apply(args.input.options())?);
    let of_paths = args.probabilities == Some(Probabilities::Path);
    let columns = ColumnOptions {
        coder: args.coder.clone(),
        probabilities: args.probabilities.map(|p| match p {
            Probabilities::Path => CellProbability::Path,
            Probabilities::Conditional => CellProbability::Conditional,
        }),
        sets: args.sets,
        fold_codes: if args.folds && of_paths && args.coder.is_none() { bundles.len() } else { 0 },
        crisis: args.crisis.is_asked(),
        spreadsheet_safe: args.spreadsheet.is_safe(),
    };
    let crisis = args.crisis.screen(request.level)?;
    let stop = stop_flag()?;
    let kernel = level(bundles[0].compute());
    let coding = Coding {
        source: &source,
        columns: &columns,
        rule: rule.as_ref(),
        budget: args.review_budget,
        crisis: crisis.as_ref().map(|(screen, file)| (screen, file)),
        output: &args.output,
    };
    let outcome = code_table(&bundles, coding, args.force, &kernel, global, &stop)?;
    if args.folds && of_paths && args.output != Path::new("-") {
        note_coded(&RunFolder::of(&args.bundle), &args.output)?;
    }
    Ok(outcome)
}

/// Says what a shipped bundle's codes rest on.
pub(super) fn tell_shipped(bundle: &Bundle, messages: &Messages) {
    if bundle.is_shipped() {
        messages.warn(&format!(
            "the shipped bundle {} was trained on written comments, in English: code a sample of \
             your own by hand, and see how far it agrees, before you use its codes",
            bundle.path().display()
        ));
    }
}

/// Notes beside the out-of-fold codes that this table was coded by the mean of the same models:
/// the two of them together, and nothing else, correct shares by rows that trained.
fn note_coded(run: &RunFolder, output: &Path) -> Result<()> {
    let bytes = std::fs::read(output).map_err(|e| Error::reading(output, &e))?;
    let digest = hex_sha256(&bytes);
    let mut all = coded_by_folds(run.path());
    if !all.contains(&digest) {
        all.push(digest);
    }
    let json = serde_json::json!({ "coded": all });
    run.write(CODED_BY_FOLDS, format!("{json:#}\n").as_bytes())
}

/// The file of a run folder with the digests of tables that the mean of its folds' models coded.
pub(super) const CODED_BY_FOLDS: &str = "coded-by-folds.json";

/// The digests of all tables that were coded by the mean of the folds' models of a run.
pub(super) fn coded_by_folds(run: &Path) -> Vec<String> {
    let bytes = std::fs::read(run.join(CODED_BY_FOLDS)).unwrap_or_default();
    let document = serde_json::from_slice::<serde_json::Value>(&bytes).unwrap_or_default();
    let listed = document["coded"].as_array().into_iter().flatten();
    listed.filter_map(|digest| digest.as_str().map(str::to_owned)).collect()
}

/// The models of the folds beside a bundle, which compute as it does.
fn fold_bundles(
    bundle: Bundle,
    base: Option<&str>,
    request: &ComputeRequest,
) -> Result<Vec<Bundle>> {
    let run = RunFolder::of(bundle.path());
    let count = bundle.manifest().plan.folds.ok_or_else(|| {
        Error::usage("the bundle was trained without --folds")
            .at("--folds")
            .advise("leave it out, or train with --folds 5")
    })?;
    let request = ComputeRequest { precision: Some(bundle.compute().precision), ..request.clone() };
    // Its weights take no room beside those of the folds.
    drop(bundle);
    let load = |fold| Bundle::load(&fold_bundle(&run, count, fold), base, &request);
    (1..=count).map(load).collect()
}

/// A table to be coded, and where it goes.
pub(super) struct Coding<'a> {
    pub source: &'a Source,
    pub columns: &'a ColumnOptions,
    pub rule: Option<&'a ReviewRule>,
    pub budget: Option<u64>,
    pub crisis: Option<(&'a Screen, &'a CrisisFile)>,
    pub output: &'a Path,
}

/// Codes a table and tells how it went; `kernel` is the arithmetic that the codes depend on.
pub(super) fn code_table(
    bundles: &[Bundle],
    coding: Coding,
    force: bool,
    kernel: &str,
    global: &Global,
    stop: &AtomicBool,
) -> Result<Outcome> {
    let Coding { source, columns, rule, budget, crisis, output } = coding;
    let messages = Messages::new(global);
    let to_stream = output == Path::new("-");
    let resumable = !source.is_stream() && !to_stream;
    if source.is_stream() && !to_stream {
        messages.note("work read from standard input or a pipe cannot be resumed");
    }
    let destination = if to_stream {
        Destination::Stream(Box::new(BufWriter::new(std::io::stdout())), "standard output")
    } else {
        Destination::File(output)
    };
    let job = Job { bundles, source, columns, rule, budget, crisis, destination, force, kernel };
    let mut view = View::new(messages, global, to_stream);
    let result = classify(job, stop, &mut view);
    view.bar.finish_and_clear();
    let counts = result.map_err(|error| match error.kind() {
        Kind::Interrupted if resumable => Error::interrupted("stopped; whole windows are saved")
            .at(output.display().to_string())
            .advise("run the same command again to continue"),
        Kind::Interrupted => Error::interrupted("stopped; this work cannot be resumed")
            .advise("read the table from a file, and write to one, to be able to continue"),
        _ => error,
    })?;
    view.summary(&counts);
    match crisis {
        Some((_, file)) => {
            tell_screened(&counts, &file.place(output).display().to_string(), &view.messages)
        }
        None => tell_not_screened(&view.messages),
    }
    if counts.rejected == 0 {
        return Ok(Outcome::Done);
    }
    if to_stream {
        messages.warn(&format!("{} rows are rejected", counts.rejected));
    } else {
        messages.warn(&format!(
            "{} rows are rejected; {}.rejects.csv lists them",
            counts.rejected,
            output.display()
        ));
    }
    Ok(Outcome::Findings)
}

/// Shows how a coding goes.
struct View {
    messages: Messages,
    bar: ProgressBar,
    started: Instant,
    before: u64,
    naming: bool,
    named: u64,
}

impl View {
    fn new(messages: Messages, global: &Global, naming: bool) -> Self {
        let shown = !global.quiet
            && global.log_format == LogFormat::Text
            && std::io::stderr().is_terminal();
        let bar = if shown { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} rows coded ({elapsed})") {
            bar.set_style(style);
        }
        if shown {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { messages, bar, started: Instant::now(), before: 0, naming, named: 0 }
    }

    fn summary(&self, counts: &Counts) {
        let seconds = self.started.elapsed().as_secs_f64();
        let speed = (counts.rows.saturating_sub(self.before)) as f64 / seconds.max(1e-9);
        let text = format!(
            "{} rows: {} rejected, {} empty, {} for review, {} truncated, {} duplicates; \
             {speed:.0} texts/s",
            counts.rows,
            counts.rejected,
            counts.empty,
            counts.review,
            counts.truncated,
            counts.duplicates,
        );
        let fields = json!({
            "rows": counts.rows,
            "rejected": counts.rejected,
            "empty": counts.empty,
            "review": counts.review,
            "truncated": counts.truncated,
            "duplicates": counts.duplicates,
            "crisis": counts.crisis,
            "not_screened": counts.not_screened,
            "seconds": seconds,
        });
        self.messages.note_with(&text, object(fields));
    }
}

impl Observer for View {
    fn resumed(&mut self, counts: &Counts) {
        self.before = counts.rows;
        self.messages.note(&format!("continuing an earlier coding after {} rows", counts.rows));
    }

    fn rejected(&mut self, row: u64, line: u64, defect: &Defect) {
        self.named += 1;
        if self.naming && self.named <= NAMED {
            self.messages.warn(&format!("row {row} (line {line}): {defect}"));
        }
    }

    fn window(&mut self, counts: &Counts) {
        self.bar.set_position(counts.rows);
    }
}
