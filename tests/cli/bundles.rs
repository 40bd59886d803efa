//! A bundle made without training: a tiny random BERT, a tokenizer of single characters, and
//! heads whose weights follow from a formula.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use confide::bundle::{BundleWriter, Manifest};
use confide::codebook::Codebook;
use confide::decision::{Decisions, ReviewRule};
use confide::encoder::{ModelFiles, Parameters};
use confide::heads::Heads;
use confide::training::Plan;
use serde_json::{Value, json};

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

/// Words of single characters: 26 letters, ten digits, some signs, and the five special ones.
fn tokenizer() -> String {
    let mut vocab = serde_json::Map::new();
    let signs = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'-";
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
    let whole = signs.chars().map(String::from);
    let inner = signs.chars().filter(char::is_ascii_alphanumeric).map(|c| format!("##{c}"));
    for word in special.into_iter().chain(whole).chain(inner) {
        vocab.insert(word, Value::from(vocab.len()));
    }
    assert!(vocab.len() <= 101);
    let added = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true})
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [added(0, "[PAD]"), added(1, "[UNK]"), added(2, "[CLS]"),
            added(3, "[SEP]"), added(4, "[MASK]")],
        "normalizer": {"type": "BertNormalizer", "clean_text": true,
            "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]",
            "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab}
    })
    .to_string()
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
    let mut heads = BTreeMap::new();
    for (at, spec) in Heads::tensors(&codebook, config.hidden_size()).into_iter().enumerate() {
        let size: usize = spec.shape.iter().product();
        let wave = |i: usize| ((i * i * 31 + at * 17) % 1009) as f32 / 504.0 - 1.0;
        let values: Vec<f32> = match spec.shape.len() {
            1 => vec![0.0; size],
            _ => (0..size).map(|i| wave(i) * 6.0).collect(),
        };
        let tensor = Tensor::from_vec(values, spec.shape, &Device::Cpu).expect("a tensor");
        heads.insert(spec.name, tensor);
    }
    let mut decisions = Decisions::uncalibrated(&codebook);
    decisions.review = review.map(|below| ReviewRule { below });
    let words = || "tiny".to_owned();
    let manifest = Manifest {
        format: 1,
        codebook_name: codebook.name.clone(),
        codebook: codebook.digest(),
        base: words(),
        pooling: "mean".into(),
        max_tokens: 40,
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
    let writer = BundleWriter::begin(&target, scratch.path()).expect("a bundle begins");
    writer.encoder(&files, None).expect("an encoder");
    writer.rest(&Parameters::new(heads), &codebook, &decisions, &manifest).expect("the rest");
    writer.finish().expect("a bundle");
    target
}
