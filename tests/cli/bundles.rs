//! A bundle made without training: a tiny random BERT, a tokenizer of single characters, and
//! heads whose weights follow from a formula.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use confide::bundle::{BundleWriter, Manifest};
use confide::codebook::Codebook;
use confide::decision::{Decisions, ReviewRule};
use confide::encoder::{
    Cut, Encoder, EncoderConfig, ModelFiles, PackedBatch, Parameters, Pooling, Quiet,
};
use confide::heads::HeadShape;
use confide::training::Plan;
use serde_json::json;

use crate::study::tokenizer;

/// The files that a bundle cannot do without.
pub const FILES: [&str; 7] = [
    "manifest.json",
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "heads.safetensors",
    "codebook.toml",
    "decision.json",
];

/// The mean vector of a few texts.
fn middle(files: &ModelFiles, config: &EncoderConfig, pooling: Pooling) -> Vec<f32> {
    let parameters = files.parameters(config).expect("parameters");
    let encoder = Encoder::new(config, pooling, &parameters).expect("an encoder");
    let tokens = files.tokens(config, Cut { longest: 40, stride: None }).expect("a tokenizer");
    let texts = ["it helped me", "i never liked that", "lol 42", "why again zanzibar 7"];
    let batch = PackedBatch::new(&tokens.tokenize_all(&texts).expect("tokens"));
    let pooled = encoder.embed(&batch, &mut Quiet).expect("vectors");
    pooled.mean(0).and_then(|mean| mean.to_vec1()).expect("a mean")
}

/// What a bundle's model is made of.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    /// A random encoder of the fixtures.
    pub fixture: &'a str,
    pub pooling: Pooling,
    pub heads: HeadShape,
}

/// Writes a bundle of the codebook on the tiny BERT at `folder/name`; with `review`, texts whose answers are
/// less probable are for review.
pub fn tiny_bundle(folder: &Path, name: &str, codebook: &str, review: Option<f64>) -> PathBuf {
    let bert = Model { fixture: "bert-tiny", pooling: Pooling::Mean, heads: HeadShape::default() };
    bundle_of(folder, name, codebook, review, bert)
}

/// Writes a bundle of the codebook on this model at `folder/name`.
pub fn bundle_of(
    folder: &Path,
    name: &str,
    codebook: &str,
    review: Option<f64>,
    model: Model,
) -> PathBuf {
    let codebook = Codebook::find(codebook).expect("a codebook");
    let parity = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity");
    let fixture = parity.join(model.fixture);
    let scratch = tempfile::tempdir_in(folder).expect("a scratch folder");
    let base = scratch.path().join("base");
    std::fs::create_dir(&base).expect("a folder");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture.join(file), base.join(file)).expect("a copy");
    }
    std::fs::write(base.join("tokenizer.json"), tokenizer()).expect("a tokenizer");
    let files = ModelFiles::read(&base, "tiny").expect("model files");
    let config = files.config().expect("a configuration");
    let middle = middle(&files, &config, model.pooling);
    let wave = |i: usize| (((i * i * 31 + i * 17) % 1009) as f32 / 504.0 - 1.0) * 3.0;
    let mut heads = BTreeMap::new();
    for (at, spec) in model.heads.stored(&codebook, middle.len()).into_iter().enumerate() {
        let values: Vec<f32> =
            (0..spec.shape.iter().product()).map(|i| wave(i + at * 1000)).collect();
        let tensor = Tensor::from_vec(values, spec.shape, &Device::Cpu).expect("a tensor");
        heads.insert(spec.name, tensor);
    }
    for tier in codebook.tiers.iter().filter(|_| model.heads.hidden == 0) {
        // The mean text lies on no label's side, so that texts differ in their answers.
        let weight = heads[&format!("{}.weight", tier.name)].to_vec2::<f32>().expect("a matrix");
        let dot = |row: &Vec<f32>| -row.iter().zip(&middle).map(|(w, m)| w * m).sum::<f32>();
        let bias: Vec<f32> = weight.iter().map(dot).collect();
        let bias = Tensor::from_slice(&bias, bias.len(), &Device::Cpu).expect("a bias");
        heads.insert(format!("{}.bias", tier.name), bias);
    }
    let mut decisions = Decisions::uncalibrated(&codebook);
    decisions.review = review.map(|below| ReviewRule { below, risk: None });
    let words = || "tiny".to_owned();
    let manifest = Manifest {
        format: 1,
        codebook_name: codebook.name.clone(),
        codebook: codebook.digest(),
        base: words(),
        pooling: model.pooling,
        heads: model.heads,
        max_tokens: 40,
        window_stride: None,
        recipe: json!({}),
        plan: Plan {
            version: words(),
            seed: 0,
            recipe: words(),
            data: words(),
            codebook: codebook.digest(),
            base: files.digest(),
            kernel: words(),
            folds: None,
            unlabelled: None,
            teachers: None,
        },
        train_rows: 8,
        validation_rows: 2,
        rows: vec![],
        epochs: vec![],
        members: 1,
        best_epoch: 0,
        precisions: Vec::new(),
        validation: vec![],
        cross_validation: None,
        choice: None,
        teachers: Vec::new(),
    };
    let target = folder.join(name);
    let mut writer = BundleWriter::begin(&target, scratch.path()).expect("a bundle begins");
    writer.base(&files).expect("an encoder");
    writer.rest(&Parameters::new(heads), &codebook, &decisions, &manifest).expect("the rest");
    writer.finish().expect("a bundle");
    target
}
