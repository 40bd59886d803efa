//! How long single texts take with a bundle in memory, from text to answers, in each format.
//!
//! ```sh
//! cargo bench --bench latency -- BUNDLE CSV --text text -n 500 --threads 2
//! ```
//!
//! Prints one line of JSON.

use std::collections::HashSet;
use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use clap::Parser;
use confide::bundle::Bundle;
use confide::cli::{keep_memory, single_threaded_operations};
use confide::encoder::{ComputeRequest, Precision};
use confide::heads::joint::Joint;
use serde_json::{Map, Value, json};

/// Texts that are coded before the first that is timed.
const WARM_UP: usize = 20;

const FORMATS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

/// Times single texts, from text to answers.
#[derive(Parser)]
struct Options {
    /// A folder that `confide train` wrote
    #[arg(requires = "table")]
    bundle: Option<PathBuf>,
    /// A CSV of texts
    table: Option<PathBuf>,
    /// Its text column
    #[arg(long, default_value = "text")]
    text: String,
    /// Distinct texts to time, the table's first
    #[arg(short = 'n', long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    texts: u32,
    /// Worker threads [default: one per core]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    threads: usize,
    /// Formats to time
    #[arg(long, value_delimiter = ',', value_parser = format, default_value = "f32,bf16,int8")]
    precision: Vec<Precision>,
    /// Cargo gives this to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn format(name: &str) -> Result<Precision, String> {
    let found = FORMATS.into_iter().find(|format| format.name() == name);
    found.ok_or_else(|| "f32, bf16 and int8 are known".into())
}

/// The first distinct texts of a table that are not blank.
fn texts(table: &Path, column: &str, most: usize) -> Result<Vec<String>, Box<dyn Error>> {
    let mut reader = csv::Reader::from_path(table)?;
    let at = reader.headers()?.iter().position(|name| name == column);
    let at = at.ok_or_else(|| format!("{}: no column {column}", table.display()))?;
    let mut known = HashSet::new();
    let mut texts = Vec::new();
    for row in reader.records() {
        let text = row?[at].to_owned();
        if !text.trim().is_empty() && known.insert(text.clone()) {
            texts.push(text);
        }
        if texts.len() == most {
            break;
        }
    }
    match texts.is_empty() {
        true => Err(format!("{}: no texts", table.display()).into()),
        false => Ok(texts),
    }
}

/// Milliseconds of each text.
fn times(
    bundle: &Path,
    precision: Precision,
    texts: &[String],
) -> confide::error::Result<Vec<f64>> {
    let request = ComputeRequest { precision: Some(precision), ..ComputeRequest::default() };
    let bundle = Bundle::load(bundle, None, &request)?;
    let (codebook, decisions) = (bundle.codebook(), bundle.decisions());
    let (joint, thresholds) = (Joint::new(codebook), decisions.thresholds());
    let stop = AtomicBool::new(false);
    let code = |text: &String| {
        let started = Instant::now();
        let read = bundle.read(&[text])?;
        for logits in bundle.logits(&read, &stop)? {
            black_box(joint.decide(&decisions.probabilities(codebook, &logits), &thresholds));
        }
        Ok(1000.0 * started.elapsed().as_secs_f64())
    };
    for text in texts.iter().take(WARM_UP) {
        code(text)?;
    }
    texts.iter().map(code).collect()
}

/// The value below which this share of the sorted values lies, between two of them in proportion.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + place.fract() * (above - below)
}

fn figures(mut times: Vec<f64>) -> Value {
    times.sort_by(f64::total_cmp);
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    json!({
        "p50_ms": quantile(&times, 0.5),
        "p99_ms": quantile(&times, 0.99),
        "mean_ms": mean,
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let (Some(bundle), Some(table)) = (&options.bundle, &options.table) else {
        // As `cargo bench` starts every benchmark.
        eprintln!("latency is not measured: it needs -- BUNDLE CSV");
        return Ok(());
    };
    keep_memory();
    single_threaded_operations();
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    let texts = texts(table, &options.text, options.texts as usize)?;
    let mut found = Map::new();
    found.insert("threads".into(), rayon::current_num_threads().into());
    found.insert("texts".into(), texts.len().into());
    for precision in options.precision {
        found.insert(precision.name().into(), figures(times(bundle, precision, &texts)?));
    }
    println!("{}", Value::Object(found));
    Ok(())
}
