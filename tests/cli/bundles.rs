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
fn middle(files: &ModelFiles, config: &EncoderConfig) -> Vec<f32> {
    let parameters = files.parameters(config).expect("parameters");
    let encoder = Encoder::new(config, Pooling::Mean, &parameters).expect("an encoder");
    let tokens = files.tokens(config, Cut { longest: 40, stride: None }).expect("a tokenizer");
    let texts = ["it helped me", "i never liked that", "lol 42", "why again zanzibar 7"];
    let batch = PackedBatch::new(&tokens.tokenize_all(&texts).expect("tokens"));
    let pooled = encoder.embed(&batch, &mut Quiet).expect("vectors");
    pooled.mean(0).and_then(|mean| mean.to_vec1()).expect("a mean")
}

/// Writes a bundle of the codebook at `folder/name`; with `review`, texts whose answers are
/// less probable are for review.
pub fn tiny_bundle(folder: &Path, name: &str, codebook: &str, review: Option<f64>) -> PathBuf {
    let codebook = Codebook::find(codebook).expect("a codebook");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/bert-tiny");
    let scratch = tempfile::tempdir_in(folder).expect("a scratch folder");
    let base = scratch.path().join("base");
    std::fs::create_dir(&base).expect("a folder");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture.join(file), base.join(file)).expect("a copy");
    }
    std::fs::write(base.join("tokenizer.json"), tokenizer()).expect("a tokenizer");
    let files = ModelFiles::read(&base, "tiny").expect("model files");
    let config = files.config().expect("a configuration");
    let middle = middle(&files, &config);
    let wave = |i: usize| (((i * i * 31 + i * 17) % 1009) as f32 / 504.0 - 1.0) * 3.0;
    let mut heads = BTreeMap::new();
    for (at, tier) in codebook.tiers.iter().enumerate() {
        let (labels, hidden) = (tier.labels.len(), middle.len());
        let weight: Vec<f32> = (0..labels * hidden).map(|i| wave(i + at * 1000)).collect();
        // The mean text lies on no label's side, so that texts differ in their answers.
        let dot = |row: &[f32]| -row.iter().zip(&middle).map(|(w, m)| w * m).sum::<f32>();
        let bias: Vec<f32> = weight.chunks(hidden).map(dot).collect();
        let tensor = |values, shape: &[usize]| Tensor::from_vec(values, shape, &Device::Cpu);
        let weight = tensor(weight, &[labels, hidden]).expect("a weight");
        heads.insert(format!("{}.weight", tier.name), weight);
        heads.insert(format!("{}.bias", tier.name), tensor(bias, &[labels]).expect("a bias"));
    }
    let mut decisions = Decisions::uncalibrated(&codebook);
    decisions.review = review.map(|below| ReviewRule { below });
    let words = || "tiny".to_owned();
    let manifest = Manifest {
        format: 1,
        codebook_name: codebook.name.clone(),
        codebook: codebook.digest(),
        base: words(),
        pooling: Pooling::Mean,
        heads: Default::default(),
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
        },
        train_rows: 8,
        validation_rows: 2,
        epochs: vec![],
        best_epoch: 0,
        validation: vec![],
    };
    let target = folder.join(name);
    let mut writer = BundleWriter::begin(&target, scratch.path()).expect("a bundle begins");
    writer.base(&files).expect("an encoder");
    writer.rest(&Parameters::new(heads), &codebook, &decisions, &manifest).expect("the rest");
    writer.finish().expect("a bundle");
    target
}
