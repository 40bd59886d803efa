//! `confide train`: from a codebook and coded rows to a bundle.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use clap::Args;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::input::InputArgs;
use super::messages::{Messages, TrainingView};
use super::process::{Sandbox, kernel_level, peak_memory, stop_flag};
use super::{Global, Outcome};
use crate::bundle::{BundleWriter, Manifest, TierFigures, hex};
use crate::codebook::{Code, Codebook, TierKind};
use crate::corpus::{
    GoldRow, GoldTable, Problem, Split, SplitSizes, code_traits, near_duplicates, read_gold,
    refuse_existing, split, units,
};
use crate::decision::{Decisions, both_views, fit};
use crate::encoder::{Encoder, EncoderConfig, ModelFiles, Parameters};
use crate::error::{Error, Result, shown};
use crate::evaluation::evaluate;
use crate::evaluation::ranking::micro_average_precision;
use crate::training::{
    EpochRecord, Example, Examples, Mode, Plan, Randomness, Recipe, RunFolder, Score, TextLogits,
    fit_heads, random_heads, train, train_frozen,
};

/// Trains an encoder and one head per tier on coded rows, and writes a bundle
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  confide train llm-mental-health --data split/coded.csv -o bundle\n\n\
    Rows with split = train train, those with split = validation choose the epoch and the\n\
    thresholds, those with split = test are left alone. An interrupted training continues when\n\
    the same command is run again."
)]
pub struct TrainArgs {
    /// A codebook file, or the name of a shipped one
    #[arg(value_name = "CODEBOOK")]
    codebook: String,
    /// The coded rows, one column per tier
    #[arg(long, value_name = "DATA", env = "CONFIDE_DATA")]
    data: PathBuf,
    /// Rows to validate on, if DATA has no split column [default: a tenth of DATA]
    #[arg(long, value_name = "FILE", env = "CONFIDE_VALIDATION")]
    validation: Option<PathBuf>,
    /// The encoder: a folder, a shipped name, or a hub id in the local cache
    #[arg(long, value_name = "MODEL", env = "CONFIDE_BASE", default_value = "minilm")]
    base: String,
    /// How to train: full, frozen, or a recipe file
    #[arg(long, value_name = "FILE", env = "CONFIDE_RECIPE", default_value = "full")]
    recipe: String,
    /// The folder to write
    #[arg(short, long, value_name = "BUNDLE", env = "CONFIDE_OUTPUT")]
    output: PathBuf,
    /// Replace a bundle that exists, and discard an unfinished training
    #[arg(long, env = "CONFIDE_FORCE")]
    force: bool,
    #[command(flatten)]
    input: InputArgs,
}

/// A training as a command asks for it.
pub(super) struct Request<'a> {
    pub codebook: &'a Codebook,
    pub rows: Rows,
    pub base: &'a str,
    pub recipe: &'a Recipe,
    pub output: &'a Path,
    pub force: bool,
    pub seed: u64,
}

/// The rows that train and those that validate.
pub(super) struct Rows {
    pub train: Vec<GoldRow>,
    pub validation: Vec<GoldRow>,
}

pub fn run(args: &TrainArgs, global: &Global, sandbox: &Sandbox) -> Result<Outcome> {
    let messages = Messages::new(global);
    refuse_existing(&args.output, args.force)?;
    let codebook = Codebook::find(&args.codebook)?;
    let recipe = Recipe::find(&args.recipe)?;
    let options = args.input.options();
    let table = usable(read_gold(&args.data, &codebook, &options, None)?, &messages)?;
    let rows = match &args.validation {
        Some(_) if table.has_split => {
            return Err(Error::usage(
                "the data has a split column; --validation would contradict it",
            )
            .at(args.data.display().to_string())
            .advise("leave --validation out, or take the column out"));
        }
        Some(file) => Rows {
            train: table.rows,
            validation: usable(read_gold(file, &codebook, &options, None)?, &messages)?.rows,
        },
        None => divide(table, &codebook, global.seed, &messages)?,
    };
    let request = Request {
        codebook: &codebook,
        rows,
        base: &args.base,
        recipe: &recipe,
        output: &args.output,
        force: args.force,
        seed: global.seed,
    };
    train_bundle(request, messages, sandbox, &*stop_flag()?)?;
    Ok(Outcome::Done)
}

/// Refuses tables with problems that would spoil a training; warns of the others by count.
pub(super) fn usable(table: GoldTable, messages: &Messages) -> Result<GoldTable> {
    let fatal: Vec<&Problem> = table.fatal().collect();
    if let Some(first) = fatal.first() {
        let lines: Vec<String> = fatal.iter().take(5).map(|p| describe(p)).collect();
        return Err(Error::data(format!(
            "{} problems in the codes:\n  {}",
            fatal.len(),
            lines.join("\n  ")
        ))
        .at(first.file.clone())
        .advise("'confide check' lists all of them"));
    }
    let mut counts = std::collections::BTreeMap::new();
    for problem in &table.problems {
        *counts.entry(problem.code.name()).or_insert(0usize) += 1;
    }
    for (code, count) in counts {
        messages
            .warn(&format!("{}: {count} rows with {code}; 'confide check' lists them", table.name));
    }
    Ok(table)
}

fn describe(problem: &Problem) -> String {
    let column = problem.column.as_deref().map(|c| format!(", column {c}")).unwrap_or_default();
    let nearest =
        problem.nearest.as_deref().map(|n| format!(" (nearest: {n})")).unwrap_or_default();
    format!("row {} (line {}){column}: {}{nearest}", problem.row, problem.line, problem.message)
}

/// The training and validation rows of a table; without a split column a tenth validates.
pub(super) fn divide(
    table: GoldTable,
    codebook: &Codebook,
    seed: u64,
    messages: &Messages,
) -> Result<Rows> {
    let name = table.name.clone();
    let mut rows = Rows { train: Vec::new(), validation: Vec::new() };
    let sets: Vec<Option<Split>> = if table.has_split {
        table.rows.iter().map(|row| row.split).collect()
    } else {
        messages.note("no split column: a tenth of the rows is held out for validation");
        let texts: Vec<&str> = table.rows.iter().map(|r| r.text.as_str()).collect();
        let groups: Vec<Option<&str>> = table.rows.iter().map(|r| r.group.as_deref()).collect();
        let held = (table.rows.len() / 10).max(1);
        let sizes = SplitSizes {
            train: table.rows.len().saturating_sub(held),
            validation: held,
            test: Some(0),
        };
        let traits = code_traits(&table.rows, codebook);
        split(&traits, &units(&groups, near_duplicates(&texts)), sizes, seed)?
    };
    let mut unassigned = 0;
    for (row, set) in table.rows.into_iter().zip(sets) {
        match set {
            Some(Split::Train) => rows.train.push(row),
            Some(Split::Validation) => rows.validation.push(row),
            Some(Split::Test) => {}
            None => unassigned += 1,
        }
    }
    if unassigned > 0 {
        messages.warn(&format!("{name}: {unassigned} rows belong to no split and are left out"));
    }
    for (set, rows) in [("train", &rows.train), ("validation", &rows.validation)] {
        if rows.is_empty() {
            return Err(Error::data(format!("there is no row to use with split = {set}"))
                .at(name)
                .advise("'confide split' makes the column"));
        }
    }
    Ok(rows)
}

/// Trains and writes the bundle; continues an unfinished training of the same plan.
pub(super) fn train_bundle(
    request: Request,
    messages: Messages,
    sandbox: &Sandbox,
    stop: &AtomicBool,
) -> Result<()> {
    let started = Instant::now();
    let Request { codebook, rows, base, recipe, output, force, seed } = request;
    let run = RunFolder::of(output);
    let files = ModelFiles::find(base)?;
    let config = files.config()?;
    let parameters = files.parameters(&config)?;
    let tokens = files.tokens(&config, recipe.max_tokens)?;
    let examples = examples(&rows, &tokens, &messages)?;
    coded_everywhere(codebook, &examples)?;
    let plan = Plan {
        version: env!("CARGO_PKG_VERSION").into(),
        seed,
        recipe: sha256(recipe.resolved()?.as_bytes()),
        data: data_digest(&rows),
        codebook: codebook.digest(),
        base: files.digest(),
        kernel: kernel_level(),
    };
    // Only now, when it is known that the training can begin.
    if force {
        for folder in [output, run.path()] {
            if folder.symlink_metadata().is_ok() {
                let removed = if folder.is_dir() {
                    std::fs::remove_dir_all(folder)
                } else {
                    std::fs::remove_file(folder)
                };
                removed.map_err(|e| Error::writing(folder, &e))?;
            }
        }
    }
    run.open(&plan)?;
    run.write("recipe.toml", recipe.resolved()?.as_bytes())?;
    run.write("rows.json", &row_digests(&plan, &rows)?)?;
    messages.note(&format!(
        "training on {} rows, validating on {}, encoder {base}, {} threads",
        examples.train.len(),
        examples.validation.len(),
        rayon::current_num_threads(),
    ));
    let gold: Vec<&[Code]> = examples.validation.iter().map(|e| e.codes.as_slice()).collect();
    let result = match recipe.mode {
        Mode::Frozen => frozen(codebook, &config, &parameters, &examples, recipe)?,
        Mode::Full => {
            let heads = if recipe.fitted_start {
                let encoder = Encoder::new(&config, &parameters)?;
                fit_heads(codebook, &encoder, config.hidden_size(), &examples, recipe)?
            } else {
                random_heads(codebook, config.hidden_size(), Randomness::new(seed))
            };
            let trained = train(
                codebook,
                &config,
                &parameters,
                examples.clone(),
                &heads,
                recipe,
                Randomness::new(seed),
                &run,
                &|logits| score(codebook, logits, &gold),
                &mut TrainingView::new(messages),
                stop,
            )?;
            Fitted {
                encoder: Some(trained.encoder),
                heads: trained.heads,
                validation: trained.validation,
                history: trained.history,
                best: trained.best,
            }
        }
    };
    let decisions = fit(codebook, &result.validation, &gold);
    let manifest = Manifest {
        format: 1,
        codebook_name: format!("{} {}", codebook.name, codebook.version),
        codebook: codebook.digest(),
        base: base_name(base),
        pooling: "mean".into(),
        max_tokens: tokens.longest(),
        recipe: serde_json::to_value(recipe)
            .map_err(|e| Error::resource(format!("the recipe cannot be recorded: {e}")))?,
        plan,
        train_rows: examples.train.len(),
        validation_rows: examples.validation.len(),
        epochs: result.history,
        best_epoch: result.best,
        validation: figures(codebook, &decisions, &result.validation, &gold, &rows),
    };
    let record = json!({
        "seconds": started.elapsed().as_secs_f64(),
        "threads": rayon::current_num_threads(),
        "peak_memory_bytes": peak_memory(),
        "sandbox": sandbox.describe(),
        "finished": std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH).map(|d| d.as_secs()).unwrap_or(0),
        "host": sysinfo::System::host_name().ok(),
    });
    run.write("run.json", format!("{record:#}\n").as_bytes())?;
    let mut bundle = BundleWriter::begin(output, run.path())?;
    bundle.encoder(&files, result.encoder.as_ref())?;
    bundle.rest(&result.heads, codebook, &decisions, &manifest)?;
    bundle.finish()?;
    run.remove_checkpoints();
    messages.note(&format!(
        "wrote {} in {:.0} s; what happened on the way is in {}",
        output.display(),
        started.elapsed().as_secs_f64(),
        run.path().display()
    ));
    Ok(())
}

struct Fitted {
    encoder: Option<Parameters>,
    heads: Parameters,
    validation: TextLogits,
    history: Vec<EpochRecord>,
    best: usize,
}

fn frozen(
    codebook: &Codebook,
    config: &EncoderConfig,
    parameters: &Parameters,
    examples: &Examples,
    recipe: &Recipe,
) -> Result<Fitted> {
    let encoder = Encoder::new(config, parameters)?;
    let (heads, validation) =
        train_frozen(codebook, &encoder, config.hidden_size(), examples, recipe)?;
    Ok(Fitted { encoder: None, heads, validation, history: Vec::new(), best: 0 })
}

/// Tokenizes the rows; those without any code and those without text are left out by count.
fn examples(rows: &Rows, tokens: &crate::encoder::Tokens, messages: &Messages) -> Result<Examples> {
    let mut used_rows = BTreeSet::new();
    let mut make = |set: &str, rows: &[GoldRow]| -> Result<Vec<Example>> {
        let used: Vec<&GoldRow> = rows
            .iter()
            .filter(|r| !r.text.trim().is_empty() && r.codes.iter().any(Code::is_coded))
            .collect();
        if used.len() < rows.len() {
            messages.warn(&format!(
                "{} {set} rows have no code or no text and are left out",
                rows.len() - used.len()
            ));
        }
        let texts: Vec<&str> = used.iter().map(|r| r.text.as_str()).collect();
        let texts = tokens.tokenize_all(&texts)?;
        let cut = texts.iter().filter(|t| t.truncated).count();
        if cut > 0 {
            messages.warn(&format!(
                "{cut} {set} texts are longer than {} tokens and cut",
                tokens.longest()
            ));
        }
        used_rows.extend(used.iter().map(|r| r.number));
        Ok(used
            .iter()
            .zip(texts)
            .map(|(row, text)| Example { row: row.number, text, codes: row.codes.clone() })
            .collect())
    };
    Ok(Examples {
        mask: tokens.mask(),
        train: make("train", &rows.train)?,
        validation: make("validation", &rows.validation)?,
    })
}

/// Refuses rows from which nothing could be learnt or chosen.
fn coded_everywhere(codebook: &Codebook, examples: &Examples) -> Result<()> {
    for (set, rows) in [("train", &examples.train), ("validation", &examples.validation)] {
        if rows.is_empty() {
            return Err(Error::data(format!("no {set} row has both a text and a code")));
        }
    }
    for (at, tier) in codebook.tiers.iter().enumerate() {
        if !examples.train.iter().any(|example| example.codes[at].is_coded()) {
            return Err(Error::data("no training row is coded in this tier")
                .at(format!("tier {}", tier.name))
                .advise("code some rows in it, or take the tier out of the codebook"));
        }
    }
    Ok(())
}

/// The mean over tiers of pipeline macro-F1 (single) and micro-averaged average precision
/// (multi, over all rows whose gold is known; a tier that is not asked is the empty set).
fn score(codebook: &Codebook, logits: &TextLogits, gold: &[&[Code]]) -> Result<Score> {
    let decisions = Decisions::uncalibrated(codebook);
    let answers = both_views(codebook, &decisions, logits, gold);
    let tiers: Vec<Option<f64>> = codebook
        .tiers
        .iter()
        .enumerate()
        .map(|(t, tier)| {
            let known = || gold.iter().zip(&answers).filter(|(codes, _)| codes[t] != Code::Missing);
            match tier.kind {
                TierKind::Single => {
                    let pairs: Vec<(&Code, &Code)> =
                        known().map(|(g, a)| (&g[t], &a.pipeline.codes[t])).collect();
                    crate::evaluation::score(tier, &pairs).macro_f1
                }
                TierKind::Multi => {
                    let scores: Vec<Vec<f64>> =
                        known().map(|(_, a)| a.pipeline.marginal[t].clone()).collect();
                    let relevant: Vec<Vec<bool>> = known()
                        .map(|(g, _)| {
                            (0..tier.labels.len())
                                .map(|l| g[t].labels().is_some_and(|s| s.contains(l)))
                                .collect()
                        })
                        .collect();
                    micro_average_precision(&scores, &relevant)
                }
            }
        })
        .collect();
    let scored: Vec<f64> = tiers.iter().flatten().copied().collect();
    let mean = scored.iter().sum::<f64>() / scored.len().max(1) as f64;
    Ok(Score { mean, tiers })
}

fn figures(
    codebook: &Codebook,
    decisions: &Decisions,
    logits: &TextLogits,
    gold: &[&[Code]],
    rows: &Rows,
) -> Vec<TierFigures> {
    let answers = both_views(codebook, decisions, logits, gold);
    let gold: Vec<Vec<Code>> = gold.iter().map(|g| g.to_vec()).collect();
    let oracle: Vec<Vec<Code>> = answers.iter().map(|a| a.oracle.clone()).collect();
    let pipeline: Vec<Vec<Code>> = answers.iter().map(|a| a.pipeline.codes.clone()).collect();
    let training: Vec<Vec<Code>> = rows.train.iter().map(|r| r.codes.clone()).collect();
    evaluate(codebook, &gold, &oracle, &pipeline, Some(&training))
        .tiers
        .iter()
        .map(|(tier, evaluation)| TierFigures {
            tier: tier.to_owned(),
            n: evaluation.coded,
            oracle_macro_f1: evaluation.oracle.macro_f1,
            pipeline_macro_f1: evaluation.pipeline.macro_f1,
        })
        .collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 over the rows that train and validate: ids, texts and codes.
fn data_digest(rows: &Rows) -> String {
    let mut hash = Sha256::new();
    for (set, rows) in [("train", &rows.train), ("validation", &rows.validation)] {
        for row in rows {
            hash.update(format!(
                "{set}\0{}\0{}\0{}\0{:?}\0",
                row.number, row.id, row.text, row.codes
            ));
        }
    }
    hex(&hash.finalize())
}

/// `rows.json`: keyed digests of the texts that were used, by which `evaluate` recognises them.
fn row_digests(plan: &Plan, rows: &Rows) -> Result<Vec<u8>> {
    let key = sha256(format!("{plan:?}").as_bytes());
    let digests = |rows: &[GoldRow]| -> Result<Vec<String>> {
        rows.iter().map(|row| text_digest(&key, &row.text)).collect()
    };
    let document = json!({
        "key": key,
        "train": digests(&rows.train)?,
        "validation": digests(&rows.validation)?,
    });
    Ok(format!("{document}\n").into_bytes())
}

/// The keyed digest (HMAC-SHA-256) of a text, white space at its ends ignored.
///
/// # Errors
/// If the key cannot be used.
pub(super) fn text_digest(key: &str, text: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes())
        .map_err(|_| Error::model("the key of the row digests cannot be used"))?;
    mac.update(text.trim().as_bytes());
    Ok(hex(&mac.finalize().into_bytes()))
}

/// The base as the bundle names it: a shipped name or hub id, or the folder's last part.
fn base_name(base: &str) -> String {
    let path = Path::new(base);
    if !path.is_dir() {
        return base.to_owned();
    }
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
    name.filter(|n| shown(n).starts_with('\'')).unwrap_or_else(|| "a local folder".into())
}
