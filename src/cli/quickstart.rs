//! `confide quickstart`: the whole study on the shipped data.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use clap::builder::FalseyValueParser;

use super::classify::{Coding, code_table};
use super::compute::{device, level, tell_precision};
use super::counts::counts_table;
use super::evaluate::{evaluate_rows, summary, write_metrics};
use super::messages::Messages;
use super::prevalence;
use super::process::{peak_memory, stop_flag};
use super::report;
use super::sandbox::Sandbox;
use super::table::{Table, print};
use super::train::{Request, train_bundle};
use super::training_rows::{divide, usable};
use super::{Global, Outcome};
use crate::bundle::Bundle;
use crate::codebook::Codebook;
use crate::corpus::{
    CodingsRequest, GOLD, GoldRow, ReadOptions, Split, WholeFile, count_codes, read_codings,
    read_gold,
};
use crate::encoder::ComputeRequest;
use crate::error::{Error, Result};
use crate::inference::{ColumnOptions, Source};
use crate::prevalence::{self as shares, Target};
use crate::training::{Recipe, RunFolder};

const CODEBOOK: &str = "llm-mental-health";
const CODED: &[u8] = include_bytes!("../../data/therapy-comments/coded.csv");
const CORPUS: &[u8] = include_bytes!("../../data/therapy-comments/corpus.csv");
const CARD: &[u8] = include_bytes!("../../data/therapy-comments/CARD.md");

/// Runs the whole study on the shipped data: check, train, evaluate, code a corpus, estimate shares
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  confide quickstart -o study\n\n\
    The data are written, not collected: the shares describe nobody. An interrupted run\n\
    continues when the same command is run again.")]
pub struct QuickstartArgs {
    /// The folder of the study
    #[arg(short, long, value_name = "DIR", env = "CONFIDE_OUTPUT", default_value = "study")]
    output: PathBuf,
    /// How to train: quick, full (more accurate, three times as long), frozen (in seconds), or a
    /// recipe file
    #[arg(long, value_name = "FILE", env = "CONFIDE_RECIPE", default_value = "quick")]
    recipe: String,
    /// Discard a study that is there
    #[arg(long, env = "CONFIDE_FORCE", value_parser = FalseyValueParser::new())]
    force: bool,
}

/// Where the parts of a study stand.
struct Study {
    data: PathBuf,
    coded_rows: PathBuf,
    corpus: PathBuf,
    bundle: PathBuf,
    evaluation: PathBuf,
    metrics: PathBuf,
    coded: PathBuf,
    prevalence: PathBuf,
    report: PathBuf,
}

impl Study {
    fn at(folder: &Path) -> Self {
        let (data, evaluation) = (folder.join("data"), folder.join("evaluation"));
        Self {
            coded_rows: data.join("coded.csv"),
            corpus: data.join("corpus.csv"),
            bundle: folder.join("bundle"),
            metrics: evaluation.join("metrics.json"),
            coded: folder.join("coded.csv"),
            prevalence: folder.join("prevalence.csv"),
            report: folder.join("report.html"),
            data,
            evaluation,
        }
    }

    fn is_whole(&self) -> bool {
        [&self.coded, &self.metrics, &self.bundle, &self.prevalence, &self.report]
            .iter()
            .all(|part| part.exists())
    }

    /// Removes what an earlier study left, and nothing else.
    fn discard(&self) -> Result<()> {
        let run = RunFolder::of(&self.bundle);
        let mut partial = self.coded.clone().into_os_string();
        partial.push(".partial");
        let files = self.report.with_extension("");
        let partial = Path::new(&partial);
        for folder in [&self.data, &self.bundle, run.path(), &self.evaluation, partial, &files] {
            if folder.is_dir() {
                std::fs::remove_dir_all(folder).map_err(|e| Error::writing(folder, &e))?;
            }
        }
        for file in
            [&self.coded, &self.prevalence, &self.report].into_iter().filter(|file| file.is_file())
        {
            std::fs::remove_file(file).map_err(|e| Error::writing(file, &e))?;
        }
        Ok(())
    }
}

pub fn run(args: &QuickstartArgs, global: &Global, sandbox: &Sandbox) -> Result<Outcome> {
    let started = Instant::now();
    let messages = Messages::new(global);
    let study = Study::at(&args.output);
    let recipe = Recipe::find(&args.recipe)?;
    if args.force {
        study.discard()?;
    } else if study.is_whole() {
        return Err(Error::usage("the study is there already")
            .at(args.output.display().to_string())
            .advise("choose another folder with -o, or --force to run it again"));
    }
    std::fs::create_dir_all(&study.data).map_err(|e| Error::writing(&study.data, &e))?;
    for (name, bytes) in [("coded.csv", CODED), ("corpus.csv", CORPUS), ("CARD.md", CARD)] {
        WholeFile::write_all_to(&study.data.join(name), bytes)?;
    }
    let device = device(global, &messages)?;
    let request =
        ComputeRequest { device: device.clone(), precision: None, ..ComputeRequest::default() };
    let stop = stop_flag()?;

    messages.note("1/6 check: codebook llm-mental-health and the coded comments");
    let codebook = Codebook::find(CODEBOOK)?;
    let read = || read_gold(&study.coded_rows, &codebook, &ReadOptions::default(), None);
    let table = usable(read()?, &messages)?;
    print(&counts_table(&count_codes(&table.rows, &codebook)).to_string())?;
    let test: Vec<GoldRow> =
        table.rows.iter().filter(|r| r.split == Some(Split::Test)).cloned().collect();

    messages.note("2/6 train: one encoder, one head per tier");
    if study.bundle.exists() {
        let found = Bundle::load(&study.bundle, None, &request)?;
        let asked = serde_json::to_value(&recipe).ok();
        if asked.as_ref() != Some(&found.manifest().recipe)
            || found.manifest().plan.seed != global.seed
        {
            return Err(Error::usage("the bundle here has another recipe or another seed")
                .at(study.bundle.display().to_string())
                .advise("choose another folder with -o, or --force to train anew"));
        }
        messages.note("the bundle is there already");
    } else {
        let request = Request {
            codebook: &codebook,
            rows: divide(table, &codebook, global.seed, &messages)?,
            base: "minilm",
            recipe: &recipe,
            output: &study.bundle,
            force: false,
            seed: global.seed,
            device: &device,
            folds: None,
            budget: None,
            unlabelled: None,
            adapted: None,
            tensorboard: false,
        };
        train_bundle(request, messages, sandbox, &stop)?;
    }

    messages.note("3/6 evaluate: the held-out test comments, in both views");
    let bundle = Bundle::load(&study.bundle, None, &request)?;
    tell_precision(&bundle, None, &messages);
    let evaluation = evaluate_rows(&bundle, &test, &messages)?;
    std::fs::create_dir_all(&study.evaluation)
        .map_err(|e| Error::writing(&study.evaluation, &e))?;
    let document = serde_json::to_value(&evaluation)
        .map_err(|e| Error::resource(format!("the figures cannot be written: {e}")))?;
    write_metrics(&study.metrics, &document)?;
    print(&format!("\n{}", summary(&evaluation)))?;

    messages.note("4/6 classify: the uncoded corpus");
    let source = Source::new(&study.corpus, ReadOptions::default());
    let outcome = if study.coded.exists() {
        Outcome::Done
    } else {
        let columns = ColumnOptions::default();
        let coding = Coding {
            source: &source,
            columns: &columns,
            rule: bundle.decisions().review.as_ref(),
            budget: None,
            crisis: None,
            output: &study.coded,
        };
        code_table(
            std::slice::from_ref(&bundle),
            coding,
            false,
            &level(bundle.compute()),
            global,
            &stop,
        )?
    };

    messages.note("5/6 prevalence: the shares of such comments, corrected by the test rows");
    messages.note(
        "the corpus is the coded set itself: of its gold rows those held out for the test estimate",
    );
    estimate_shares(&study, &codebook)?;

    messages.note("6/6 report: one page of the study");
    report::of_study(&args.output, &study.report, &messages)?;
    let mut files = Table::new(["what", "where"]);
    for (what, path) in [
        ("the report: look at it first", &study.report),
        ("the bundle, with its model card", &study.bundle),
        ("figures on the test comments", &study.metrics),
        ("the coded corpus", &study.coded),
        ("its shares by every method", &study.prevalence),
        ("the data and their card", &study.data),
    ] {
        files.row([what.to_owned(), path.display().to_string()]);
    }
    print(&format!("\n{files}"))?;
    let memory = peak_memory().map_or_else(String::new, |bytes| {
        format!(", at most {:.0} MiB of memory", bytes as f64 / f64::from(1 << 20))
    });
    messages.note(&format!("done in {:.0} s{memory}", started.elapsed().as_secs_f64()));
    messages.note("the data are written, not collected: these shares describe nobody");
    Ok(outcome)
}

/// Estimates the shares for the process behind the comments, writes them all and prints those to
/// report.
fn estimate_shares(study: &Study, codebook: &Codebook) -> Result<()> {
    let read = |path: &Path| {
        let coders = vec![GOLD.to_owned()];
        let request = CodingsRequest { coders, ..CodingsRequest::default() };
        read_codings(&[path.to_path_buf()], codebook, &request)
    };
    let (corpus, gold) = (read(&study.coded)?, read(&study.coded_rows)?);
    let request = shares::Request {
        target: Target::Process,
        simple_random: true,
        ..shares::Request::default()
    };
    let found = prevalence::estimate(codebook, &corpus, &gold, &request, &study.coded)?;
    prevalence::write_csv(&study.prevalence, &found)?;
    print(&format!("\n{}", prevalence::summary(&found)))
}
