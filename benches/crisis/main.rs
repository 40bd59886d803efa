//! Fits the screen for crises that the program ships, and measures what it misses.
//!
//!     cargo bench --bench crisis -- make --posts ../shared/data/suicide-risk/train.csv
//!     cargo bench --bench crisis -- measure --posts ../shared/data/suicide-risk/train.csv \
//!         --ordinary ../shared/data/olid/validation.csv
//!
//! `measure` prints Markdown: by cross-validation on the posts and on the written comments, with the
//! shipped screen on the comments of the test and on tables of ordinary texts. With `--folds FILE` it
//! also writes which fold judged each row, for `baseline.py`.

mod measure;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::{Parser, Subcommand};
use confide::codebook::hex_sha256;
use confide::crisis::{
    Example, Kind, LAYERS, MANIFEST, ScreenManifest, ScreenModel, Sight, TrainedOn, WEIGHTS, fit,
};
use confide::encoder::kernels::Level;

use tables::Table;

/// The folder of the shipped screen.
const SHIPPED: &str = "models/crisis";

/// The written comments that train it, and those that test it.
const COMMENTS: [&str; 2] = ["data/crisis/train.csv", "data/crisis/test.csv"];

/// Ordinary comments of another place than those on which flags are counted.
const CALM: [&str; 1] = ["../shared/data/goemotions/train.csv"];

/// The order of the folds within a training.
const SEED: u64 = 1;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
    /// Posts with the columns id, text, crisis, severity
    #[arg(long, global = true, default_value = "../shared/data/suicide-risk/train.csv")]
    posts: PathBuf,
    /// Tables of ordinary texts, with the columns id and text, that count as comments of nobody in
    /// danger: the first so many rows of each are learnt from, and never judged
    #[arg(long, global = true, num_args = 1.., default_values = CALM)]
    calm: Vec<PathBuf>,
    #[arg(long, global = true, default_value_t = 4000)]
    calm_rows: usize,
    /// What cargo bench adds
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Task {
    /// Fit the screen and write models/crisis
    Make,
    /// Measure it
    Measure {
        /// Tables of ordinary texts, with a column text
        #[arg(long, num_args = 1..)]
        ordinary: Vec<PathBuf>,
        /// Where to write which fold judged each row
        #[arg(long)]
        folds: Option<PathBuf>,
        /// Also judge the comments of the test, which are to be looked at once
        #[arg(long)]
        test: bool,
    },
}

fn main() {
    let arguments = Arguments::parse();
    let sight = Sight::new(LAYERS.to_vec(), Level::best()).unwrap();
    let read = |path: &Path, kind: Kind| Table::read(path, &sight, kind);
    let tables = [read(&arguments.posts, Kind::Post), read(Path::new(COMMENTS[0]), Kind::Comment)];
    let calm: Vec<Table> =
        arguments.calm.iter().map(|path| Table::calm(path, &sight, arguments.calm_rows)).collect();
    match arguments.task {
        Task::Make => make(&tables, &calm),
        Task::Measure { ordinary, folds, test } => {
            measure::cross_validated(&tables, &calm, folds.as_deref());
            let judged = test.then(|| PathBuf::from(COMMENTS[1]));
            measure::shipped(judged.as_deref(), &ordinary, &AtomicBool::new(false));
        }
    }
}

fn make(tables: &[Table], calm: &[Table]) {
    let all: Vec<_> = tables.iter().chain(calm).flat_map(|table| &table.examples).collect();
    let model = fitted(&all, tables.iter().chain(calm).map(trained_on).collect());
    std::fs::create_dir_all(SHIPPED).unwrap();
    let write =
        |name: &str, bytes: &[u8]| std::fs::write(Path::new(SHIPPED).join(name), bytes).unwrap();
    let weights = model.weights().unwrap();
    write(WEIGHTS, &weights);
    write(
        MANIFEST,
        format!("{}\n", serde_json::to_string_pretty(model.manifest()).unwrap()).as_bytes(),
    );
    println!("{SHIPPED}: {} bytes of weights", weights.len());
}

/// A screen that is fitted to these examples.
fn fitted(examples: &[&Example], trained_on: Vec<TrainedOn>) -> ScreenModel {
    let manifest = ScreenManifest {
        confide: env!("CARGO_PKG_VERSION").into(),
        layers: LAYERS.to_vec(),
        language: "en".into(),
        trained_on,
        weights: String::new(),
    };
    ScreenModel::new(manifest, fit(examples, SEED).unwrap()).unwrap()
}

fn trained_on(table: &Table) -> TrainedOn {
    TrainedOn {
        name: table.name.clone(),
        rows: table.examples.len(),
        crisis: table.examples.iter().filter(|example| example.crisis).count(),
        sha256: hex_sha256(&table.bytes),
    }
}
