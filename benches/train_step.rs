//! One update of the shipped MiniLM in full: forward and backward pass over 16 comments and the
//! optimiser's step, by as many threads as `RAYON_NUM_THREADS` says, else one per core.
//!
//! A sample is a training of its own, of which the updates after the first are timed; preparation,
//! scoring and checkpoints are not.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use confide::cli::{keep_memory, single_threaded_operations};
use confide::codebook::{Code, Codebook};
use confide::corpus::{GoldRow, ReadOptions, Split, read_gold};
use confide::encoder::{Compute, EncoderConfig, ModelFiles, Parameters, Tokens};
use confide::heads::lexical::NGrams;
use confide::training::{
    EpochRecord, Example, Examples, FittedStart, Objective, Observer, Randomness, Recipe,
    RunFolder, Score, Start, TextLogits, initial_heads, train,
};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};

const BATCH: usize = 16;
/// Updates of a sample that are timed, after one that is not.
const UPDATES: usize = 20;

/// When updates ended.
#[derive(Default)]
struct Moments(Vec<Instant>);

impl Observer for Moments {
    fn resumed(&mut self, _epoch: usize, _batch: usize) {}

    fn batch(&mut self, _: usize, _epochs: usize, _batch: usize, _batches: usize, _loss: f64) {
        self.0.push(Instant::now());
    }

    fn epoch(&mut self, _record: &EpochRecord, _best: bool) {}
}

/// What a training starts from.
struct Material {
    codebook: Codebook,
    config: EncoderConfig,
    parameters: Parameters,
    examples: Examples,
    heads: Parameters,
    recipe: Recipe,
    randomness: Randomness,
    compute: Compute,
}

/// The first coded rows of a set.
fn examples(rows: &[GoldRow], split: Split, most: usize, tokens: &Tokens) -> Vec<Example> {
    let of_split =
        |row: &&GoldRow| row.split == Some(split) && row.codes.iter().any(Code::is_coded);
    let example = |row: &GoldRow| Example {
        row: row.number,
        text: tokens.tokenize(&row.text).expect("tokens"),
        ngrams: NGrams::default(),
        codes: row.codes.clone(),
        soft: None,
    };
    rows.iter().filter(of_split).take(most).map(example).collect()
}

impl Material {
    fn new() -> Self {
        let codebook = Codebook::find("llm-mental-health").expect("the shipped codebook");
        let recipe = Recipe {
            epochs: 1,
            batch_rows: BATCH,
            batch_tokens: usize::MAX,
            fitted_start: FittedStart::None,
            checkpoint_seconds: f64::INFINITY,
            ..Recipe::default()
        };
        let files = ModelFiles::find("minilm").expect("the shipped encoder");
        let config = files.config().expect("its configuration");
        let tokens = files.tokens(&config, recipe.cut()).expect("its tokenizer");
        let parameters = files.parameters(&config).expect("its weights");
        let table = concat!(env!("CARGO_MANIFEST_DIR"), "/data/therapy-comments/coded.csv");
        let table = read_gold(Path::new(table), &codebook, &ReadOptions::default(), None)
            .expect("the quick-start data");
        let rows = |split, most| examples(&table.rows, split, most, &tokens);
        let examples = Examples {
            train: rows(Split::Train, BATCH * (1 + UPDATES)),
            validation: rows(Split::Validation, BATCH),
            mask: tokens.mask(),
        };
        let (randomness, compute) = (Randomness::new(0), Compute::default());
        let heads = initial_heads(
            &codebook,
            &config,
            &parameters,
            &examples,
            &recipe,
            randomness,
            &compute,
        )
        .expect("heads to start from");
        Self { codebook, config, parameters, examples, heads, recipe, randomness, compute }
    }

    /// The mean time of an update.
    fn update(&self) -> Duration {
        let folder = tempfile::tempdir().expect("a folder");
        let run = RunFolder::of(&folder.path().join("bundle"));
        std::fs::create_dir(run.path()).expect("a folder of the run");
        let start = Start {
            codebook: &self.codebook,
            config: &self.config,
            parameters: &self.parameters,
            examples: self.examples.clone(),
            heads: &self.heads,
            recipe: &self.recipe,
            objective: Objective::Codes,
            randomness: self.randomness,
            run: &run,
            tensorboard: false,
            compute: &self.compute,
        };
        let unscored = |_: &TextLogits| Ok(Score::default());
        let mut moments = Moments::default();
        train(start, &unscored, &mut moments, &AtomicBool::new(false)).expect("a training");
        let moments = moments.0;
        assert_eq!(moments.len(), 1 + UPDATES);
        (moments[UPDATES] - moments[0]) / UPDATES as u32
    }
}

fn train_step(criterion: &mut Criterion) {
    keep_memory();
    single_threaded_operations();
    let material = Material::new();
    let mut group = criterion.benchmark_group("training");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.measurement_time(Duration::from_secs(120));
    group.bench_function("an update of MiniLM in full", |bencher| {
        // However many a sample asks for, the mean of one training stands for all.
        bencher.iter_custom(|updates| material.update().mul_f64(updates as f64));
    });
    group.finish();
}

criterion_group!(benches, train_step);
criterion_main!(benches);
