//! `confide evaluate`: a bundle against gold codes, in both views.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::classify::tell_shipped;
use super::compute::{PrecisionArgs, tell_precision};
use super::input::InputArgs;
use super::messages::Messages;
use super::new_table::NewTable;
use super::table::{Table, figure, print, print_json};
use super::training_rows::{text_digest, usable};
use super::{Global, Outcome};
use crate::bundle::Bundle;
use crate::codebook::{Code, Codebook, hex_sha256};
use crate::corpus::{GoldRow, GoldTable, Split, WholeFile, read_gold, refuse_existing};
use crate::decision::{Answers, both_views};
use crate::error::{Error, Result};
use crate::evaluation::reliability::reliability;
use crate::evaluation::review::{Reviewed, SetsJudged, sets_judged};
use crate::evaluation::uncertainty::intervals;
use crate::evaluation::{Evaluation, evaluate};
use crate::training::{RunFolder, TextLogits};

/// The file of a run folder that counts how often test rows were scored.
pub(super) const SCORED: &str = "scored.json";

/// Scores a bundle against gold codes, tier by tier, given gold gates and as it is used
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  confide evaluate bundle split/coded.csv -o evaluation\n\n\
    The oracle view scores a tier given the gold answers above it; the pipeline view scores it\n\
    as the bundle is used, errors above included. Also shown is what the model should not decide:\n\
    how often the surest answers are wrong, what the bundle's review rule (review_risk in the recipe)\n\
    leaves as ok, and how often conformal sets hold the gold."
)]
pub struct EvaluateArgs {
    /// The folder that train wrote, or the name of a shipped bundle (study)
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Rows with gold codes
    #[arg(value_name = "DATA")]
    data: PathBuf,
    /// A folder for metrics.json
    #[arg(short, long, value_name = "DIR", env = "CONFIDE_OUTPUT")]
    output: Option<PathBuf>,
    /// A table of every scored row's id, gold codes and codes in both views (TIER, TIER__oracle,
    /// TIER__pipeline), without its text
    #[arg(long, value_name = "FILE", env = "CONFIDE_ANSWERS")]
    answers: Option<PathBuf>,
    /// Which rows to score [default: test; all where there is no split column]
    #[arg(long, value_enum, env = "CONFIDE_SPLIT")]
    split: Option<Chosen>,
    /// The encoder of a bundle that holds an adapter, if it is not found by its name
    #[arg(long, value_name = "MODEL", env = "CONFIDE_BASE")]
    base: Option<String>,
    /// Print one JSON document instead of tables
    #[arg(long, env = "CONFIDE_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
    /// Replace a metrics.json that exists
    #[arg(long, env = "CONFIDE_FORCE", value_parser = FalseyValueParser::new())]
    force: bool,
    #[command(flatten)]
    precision: PrecisionArgs,
    #[command(flatten)]
    input: InputArgs,
}

/// Which rows to score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Chosen {
    /// Every row.
    All,
    /// Rows that trained.
    Train,
    /// Rows that validated.
    Validation,
    /// Rows that were held out.
    Test,
}

pub fn run(args: &EvaluateArgs, global: &Global) -> Result<Outcome> {
    let messages = Messages::new(global);
    let metrics = args.output.as_ref().map(|folder| folder.join("metrics.json"));
    if let Some(metrics) = &metrics {
        refuse_existing(metrics, args.force)?;
    }
    if let Some(table) = &args.answers {
        refuse_existing(table, args.force)?;
    }
    let request = args.precision.request(global, &messages)?;
    let bundle = Bundle::load(&args.bundle, args.base.as_deref(), &request)?;
    tell_precision(&bundle, request.precision, &messages);
    tell_shipped(&bundle, &messages);
    let table = read_gold(&args.data, bundle.codebook(), &args.input.options(), None)?;
    let rows = chosen(usable(table, &messages)?, args.split)?;
    let given = answers(&bundle, &rows, &messages)?;
    let evaluation = score(&bundle, &rows, &given)?;
    if args.split.is_none_or(|split| split == Chosen::Test) {
        count_scoring(&bundle, &rows, &messages)?;
    }
    let document = serde_json::to_value(&evaluation)
        .map_err(|e| Error::resource(format!("the figures cannot be written: {e}")))?;
    if let (Some(folder), Some(metrics)) = (&args.output, &metrics) {
        std::fs::create_dir_all(folder).map_err(|e| Error::writing(folder, &e))?;
        write_metrics(metrics, &document)?;
        messages.note(&format!("wrote {}", metrics.display()));
    }
    if let Some(path) = &args.answers {
        write_answers(path, bundle.codebook(), &rows, &given)?;
        messages.note(&format!("wrote {}", path.display()));
    }
    if args.json {
        print_json(&document)?;
    } else {
        print(&tables(&evaluation))?;
    }
    Ok(Outcome::Done)
}

/// The rows of the chosen split.
fn chosen(table: GoldTable, split: Option<Chosen>) -> Result<Vec<GoldRow>> {
    let wanted = match split {
        Some(Chosen::All) => None,
        Some(Chosen::Train) => Some(Split::Train),
        Some(Chosen::Validation) => Some(Split::Validation),
        Some(Chosen::Test) => Some(Split::Test),
        None => table.has_split.then_some(Split::Test),
    };
    let rows: Vec<GoldRow> =
        table.rows.into_iter().filter(|row| wanted.is_none() || row.split == wanted).collect();
    if rows.is_empty() {
        let which = wanted.map_or_else(String::new, |w| format!(" with split = {}", w.name()));
        return Err(Error::data(format!("there is no row{which} to score"))
            .at(table.name)
            .advise("--split all scores every row"));
    }
    Ok(rows)
}

/// Scores rows, with a warning where some were used in training.
pub(super) fn evaluate_rows(
    bundle: &Bundle,
    rows: &[GoldRow],
    messages: &Messages,
) -> Result<Evaluation> {
    score(bundle, rows, &answers(bundle, rows, messages)?)
}

/// What a bundle says of each row.
struct Given {
    logits: TextLogits,
    answers: Vec<Answers>,
}

/// Has the bundle code rows, with a warning where some were used in training.
fn answers(bundle: &Bundle, rows: &[GoldRow], messages: &Messages) -> Result<Given> {
    let used = used_in_training(bundle.path(), rows)?;
    if used > 0 {
        messages.warn(&format!(
            "{used} of {} rows were used in training; figures on them flatter",
            rows.len()
        ));
    }
    let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
    let logits = bundle.logits(&bundle.read(&texts)?, &AtomicBool::new(false))?;
    let gold: Vec<&[Code]> = rows.iter().map(|row| row.codes.as_slice()).collect();
    let answers = both_views(bundle.codebook(), bundle.decisions(), &logits, &gold);
    Ok(Given { logits, answers })
}

/// Writes every row's id, gold codes and codes in both views.
fn write_answers(path: &Path, codebook: &Codebook, rows: &[GoldRow], given: &Given) -> Result<()> {
    let mut columns = vec!["id".to_owned()];
    for tier in &codebook.tiers {
        let name = &tier.name;
        columns.extend([name.clone(), format!("{name}__oracle"), format!("{name}__pipeline")]);
    }
    let mut table = NewTable::begin(path, &columns, None)?;
    for (row, answers) in rows.iter().zip(&given.answers) {
        let mut cells = vec![row.id.clone()];
        for tier in 0..codebook.tiers.len() {
            for codes in [&row.codes, &answers.oracle, &answers.pipeline.codes] {
                cells.push(codebook.display_cell(tier, &codes[tier]));
            }
        }
        table.row(cells)?;
    }
    table.finish()?;
    Ok(())
}

fn score(bundle: &Bundle, rows: &[GoldRow], given: &Given) -> Result<Evaluation> {
    let Given { logits, answers } = given;
    let gold: Vec<&[Code]> = rows.iter().map(|row| row.codes.as_slice()).collect();
    let (codebook, decisions) = (bundle.codebook(), bundle.decisions());
    let reliability = reliability(codebook, decisions, logits, &gold, answers);
    let groups = groups(rows);
    let groups = groups.as_deref();
    let review = decisions.review.as_ref();
    let review = review.map(|rule| Reviewed::of(codebook, rule, answers, &gold, groups));
    let sets: Vec<Vec<SetsJudged>> = (codebook.tiers.iter().enumerate())
        .map(|(at, tier)| match &decisions.sets {
            Some(sets) => sets_judged(sets, tier, at, answers, &gold, groups),
            None => Vec::new(),
        })
        .collect();
    let (oracle, pipeline): (Vec<Vec<Code>>, Vec<Vec<Code>>) =
        answers.iter().map(|a| (a.oracle.clone(), a.pipeline.codes.clone())).unzip();
    let gold: Vec<Vec<Code>> = rows.iter().map(|row| row.codes.clone()).collect();
    let mut evaluation = evaluate(bundle.codebook(), &gold, &oracle, &pipeline, None);
    let uncertain = intervals(codebook, &gold, &oracle, &pipeline, groups);
    let tiers = evaluation.tiers.entries_mut();
    for (((tier, calibration), intervals), sets) in tiers.zip(reliability).zip(uncertain).zip(sets)
    {
        tier.calibration = Some(calibration);
        tier.intervals = Some(intervals);
        tier.sets = sets;
    }
    evaluation.review = review;
    evaluation.bundle = Some(bundle.digest().to_owned());
    evaluation.codebook = Some(bundle.codebook().digest());
    Ok(evaluation)
}

/// The number of each row's group; nothing where no row has one. A row without is one of its own.
fn groups(rows: &[GoldRow]) -> Option<Vec<u32>> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut next = 0;
    let mut of_row = |row| {
        let mut new = || {
            next += 1;
            next - 1
        };
        match row {
            Some(group) => *numbers.entry(group).or_insert_with(new),
            None => new(),
        }
    };
    let all: Vec<u32> = rows.iter().map(|row| of_row(row.group.as_deref())).collect();
    rows.iter().any(|row| row.group.is_some()).then_some(all)
}

/// How many of the rows trained or validated the bundle, after the keyed digests beside it;
/// none where it was copied without them.
fn used_in_training(bundle: &Path, rows: &[GoldRow]) -> Result<usize> {
    let Ok(bytes) = std::fs::read(RunFolder::of(bundle).file("rows.json")) else { return Ok(0) };
    let Ok(document) = serde_json::from_slice::<Value>(&bytes) else { return Ok(0) };
    let Some(key) = document["key"].as_str() else { return Ok(0) };
    let listed =
        |set: &str| document[set].as_array().into_iter().flatten().filter_map(Value::as_str);
    let used: HashSet<&str> = listed("train").chain(listed("validation")).collect();
    let mut count = 0;
    for row in rows {
        count += usize::from(used.contains(text_digest(key, &row.text)?.as_str()));
    }
    Ok(count)
}

/// Counts in the run folder how often these test rows were scored: choosing between trainings
/// by their test figures makes the figures flatter.
fn count_scoring(bundle: &Bundle, rows: &[GoldRow], messages: &Messages) -> Result<()> {
    let run = RunFolder::of(bundle.path());
    if !run.path().is_dir() {
        return Ok(());
    }
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let key = hex_sha256(ids.join("\0").as_bytes());
    let mut counts: Value = std::fs::read(run.file(SCORED))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .filter(Value::is_object)
        .unwrap_or_else(|| json!({}));
    let times = counts[&key].as_u64().unwrap_or(0) + 1;
    counts[&key] = json!(times);
    run.write(SCORED, format!("{counts}\n").as_bytes())?;
    if times > 1 {
        messages
            .note(&format!("these test rows have now been scored {times} times with this bundle"));
    }
    Ok(())
}

/// Writes `metrics.json` whole.
pub(super) fn write_metrics(path: &Path, document: &Value) -> Result<()> {
    WholeFile::write_all_to(path, format!("{document:#}\n").as_bytes())
}

/// The figures of every tier, and every label, for people.
pub(super) fn tables(evaluation: &Evaluation) -> String {
    let (probabilities, kept) = (calibration(evaluation), selective(evaluation));
    let doubtful = super::doubtful::tables(evaluation);
    let figures = format!("{}\n{}", summary(evaluation), labels(evaluation));
    format!("{figures}\n{probabilities}\n{kept}{doubtful}")
}

/// One line a tier and view, beside the majority-label baseline.
pub(super) fn summary(evaluation: &Evaluation) -> Table {
    let mut table = Table::new([
        "tier", "view", "rows", "macro-F1", "95 %", "majority", "micro-F1", "accuracy", "MCC",
        "Jaccard",
    ]);
    for row in evaluation.summary() {
        let f = row.figures;
        table.row([
            row.tier.to_owned(),
            row.view.to_owned(),
            f.n.to_string(),
            figure(f.macro_f1),
            between(evaluation, row.tier, row.view),
            figure(f.baseline_macro_f1),
            figure(f.micro_f1),
            figure(f.accuracy),
            f.mcc.map_or_else(String::new, |v| format!("{v:.3}")),
            f.sets.as_ref().map_or_else(String::new, |s| figure(s.jaccard)),
        ]);
    }
    let h = &evaluation.hierarchical;
    table.row([
        "all tiers".to_owned(),
        "hierarchical".to_owned(),
        evaluation.rows.to_string(),
        format!("P {} R {} F1 {}", figure(h.precision), figure(h.recall), figure(h.f1)),
    ]);
    table
}

/// The interval of a view's macro-F1.
fn between(evaluation: &Evaluation, tier: &str, view: &str) -> String {
    let all = evaluation.tiers.get(tier).and_then(|tier| tier.intervals.as_ref());
    let own = all.map(|all| if view == "oracle" { &all.oracle } else { &all.pipeline });
    own.and_then(|own| own.macro_f1)
        .map_or_else(String::new, |[lower, upper]| format!("{lower:.3} to {upper:.3}"))
}

/// How right the probabilities are: given the gold answers above before and after temperatures, and
/// along the whole path.
fn calibration(evaluation: &Evaluation) -> Table {
    let mut table = Table::new([
        "tier",
        "probability",
        "rows",
        "Brier",
        "log loss",
        "slope",
        "calibration error (95 %)",
        "uncorrected",
        "a perfect model's",
    ]);
    for (name, tier) in evaluation.tiers.iter() {
        let Some(all) = &tier.calibration else { continue };
        for (what, figures) in
            [("raw", &all.before), ("of the label", &all.after), ("of the path", &all.path)]
        {
            let Some(c) = figures else { continue };
            table.row([
                name.to_owned(),
                what.to_owned(),
                c.n.to_string(),
                format!("{:.3}", c.brier),
                format!("{:.3}", c.log_loss),
                figure(c.slope),
                format!("{:.3} ({:.3} to {:.3})", c.error, c.lower, c.upper),
                format!("{:.3}", c.uncorrected),
                c.perfect.map_or_else(String::new, |v| format!("{v:.3}")),
            ]);
        }
    }
    table
}

/// How often the surest answers are wrong.
fn selective(evaluation: &Evaluation) -> Table {
    let mut table =
        Table::new(["tier", "answers kept", "rows", "from probability", "wrong (95 %)"]);
    for (name, tier) in evaluation.tiers.iter() {
        for kept in tier.calibration.iter().flat_map(|all| &all.selective) {
            table.row([
                name.to_owned(),
                format!("{:.0} %", 100.0 * kept.coverage),
                kept.n.to_string(),
                format!("{:.3}", kept.below),
                format!("{:.3} ({:.3} to {:.3})", kept.risk, kept.lower, kept.upper),
            ]);
        }
        if let Some(area) = tier.calibration.as_ref().and_then(|all| all.risk_area) {
            let area = format!("{area:.3}");
            table.row([name, "mean over all shares", "", "", area.as_str()]);
        }
    }
    table
}

fn labels(evaluation: &Evaluation) -> Table {
    let mut table = Table::new([
        "tier",
        "label",
        "support",
        "P oracle",
        "R oracle",
        "F1 oracle",
        "P pipeline",
        "R pipeline",
        "F1 pipeline",
        "",
    ]);
    for row in evaluation.label_rows() {
        let (o, p) = (row.oracle, row.pipeline);
        table.row([
            row.tier.to_owned(),
            row.label.to_owned(),
            o.support.to_string(),
            figure(o.precision),
            figure(o.recall),
            figure(o.f1),
            figure(p.precision),
            figure(p.recall),
            figure(p.f1),
            if o.too_few { "too few".to_owned() } else { String::new() },
        ]);
    }
    table
}
