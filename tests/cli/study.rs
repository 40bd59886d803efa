//! A small invented study: coded rows, a base encoder that trains in moments, recipes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Folder, Ran};

/// Stands in every text of these tests and must appear nowhere else.
pub const SECRET: &str = "zanzibar";

/// Every file of a bundle, in alphabetical order.
pub const BUNDLE: [&str; 9] = [
    "README.md",
    "codebook.toml",
    "config.json",
    "decision.json",
    "heads.safetensors",
    "int8.safetensors",
    "manifest.json",
    "model.safetensors",
    "tokenizer.json",
];

/// Heads on the frozen encoder.
pub const FROZEN: &str = "mode = \"frozen\"\npenalties = [0.1]\n";

/// Full fine-tuning with a checkpoint after each of its many small batches.
pub const FULL: &str = "members = 1\nepochs = 4\nbatch_rows = 4\nlearning_rate = 0.01\nhead_learning_rate = 0.03\npenalties = [900.0]\ncheckpoint_seconds = 0.0\n";

const KINDS: [(&str, &str); 6] = [
    ("it listened at three in the morning", "personal_use,positive,always_available|anonymity"),
    ("never my diary to a machine", "no_personal_use,negative,privacy_concerns"),
    ("where is that lamp from", "off_topic,,"),
    ("it helps and it scares me", "personal_use,mixed,therapeutic_value|dependence"),
    ("my cousin asks it things", "no_personal_use,neutral,"),
    ("free and it never sighs", "personal_use,positive,low_cost_or_free"),
];

/// Coded rows of one set, as lines of CSV.
pub fn rows(set: &str, count: usize, mark: &str) -> String {
    let line = |i: usize| {
        let (text, codes) = KINDS[i % KINDS.len()];
        format!("{set}{i},{mark} {i} {SECRET} {text},{codes},{set}\n")
    };
    (0..count).map(line).collect()
}

/// The heading of [`rows`].
pub const HEADING: &str = "id,text,experience,attitude,topics,split\n";

/// A table with all three sets.
pub fn table() -> String {
    format!("{HEADING}{}{}{}", rows("train", 24, "a"), rows("validation", 9, "b"), tests("c"))
}

/// The test rows of [`table`]; `mark` changes their texts.
pub fn tests(mark: &str) -> String {
    rows("test", 12, mark)
}

/// A folder with `coded.csv`, `recipe.toml` and the base encoder `base`.
pub fn study(recipe: &str) -> Folder {
    let folder = Folder::new();
    folder.file("coded.csv", table());
    folder.file("recipe.toml", recipe);
    base(&folder, "base");
    folder
}

/// The arguments that train a bundle at `output` on the study's rows by a recipe.
pub fn training_by<'a>(recipe: &'a str, output: &'a str) -> Vec<&'a str> {
    vec![
        "train",
        "llm-mental-health",
        "--data",
        "coded.csv",
        "--base",
        "base",
        "--recipe",
        recipe,
        "-o",
        output,
    ]
}

/// The arguments that train the study's bundle at `output`.
pub fn training(output: &str) -> Vec<&str> {
    training_by("recipe.toml", output)
}

/// Trains the study's bundle at `output`, with more arguments.
pub fn train(folder: &Folder, output: &str, more: &[&str]) -> Ran {
    let arguments: Vec<&str> = training(output).into_iter().chain(more.iter().copied()).collect();
    let ran = folder.run(&arguments);
    ran.keeps_quiet_about(SECRET);
    ran
}

/// The bytes of every file in a folder of the study.
pub fn bytes(folder: &Folder, name: &str) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(folder.path(name))
        .expect("a folder")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(path).expect("a readable file"))
        })
        .collect()
}

/// Asserts that two bundles of the study are equal byte by byte.
#[track_caller]
pub fn same(folder: &Folder, one: &str, other: &str) {
    assert_eq!(differences(folder, one, other), Vec::<String>::new());
}

/// The names of the files in which two bundles differ.
pub fn differences(folder: &Folder, one: &str, other: &str) -> Vec<String> {
    let (one, other) = (bytes(folder, one), bytes(folder, other));
    let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

/// Asserts that no file below these folders holds the secret word.
#[track_caller]
pub fn holds_no_text(folder: &Folder, names: &[&str]) {
    let mut seen = 0;
    for entry in folder.entries() {
        let path = folder.path(&entry);
        let wanted = names.iter().any(|n| entry.starts_with(&format!("{n}/")));
        if wanted && path.is_file() {
            let bytes = std::fs::read(&path).expect("a readable file");
            let found = bytes.windows(SECRET.len()).any(|w| w == SECRET.as_bytes());
            assert!(!found, "{entry} holds a comment's text");
            seen += 1;
        }
    }
    assert!(seen > 0, "nothing below {names:?}");
}

/// The lines of a JSON Lines file.
#[track_caller]
pub fn json_lines(folder: &Folder, name: &str) -> Vec<Value> {
    folder.read(name).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Writes the tiny random BERT with a tokenizer of single characters to `folder/name`.
pub fn base(folder: &Folder, name: &str) -> PathBuf {
    base_of(folder, name, "bert-tiny")
}

/// Writes a tiny random encoder of the fixtures with a tokenizer of single characters to
/// `folder/name`.
pub fn base_of(folder: &Folder, name: &str, fixture: &str) -> PathBuf {
    let parity = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity");
    let fixture = parity.join(fixture);
    for file in ["config.json", "model.safetensors"] {
        let bytes = std::fs::read(fixture.join(file)).expect("the fixture");
        folder.file(&format!("{name}/{file}"), bytes);
    }
    folder.file(&format!("{name}/tokenizer.json"), tokenizer());
    folder.path(name)
}

/// Words of single characters: 26 letters, ten digits, some signs, and the five special ones.
pub fn tokenizer() -> String {
    let mut vocab = serde_json::Map::new();
    let signs = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'-";
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
    let whole = signs.chars().map(String::from);
    let inner = signs.chars().filter(char::is_ascii_alphanumeric).map(|c| format!("##{c}"));
    for word in special.into_iter().chain(whole).chain(inner) {
        vocab.insert(word, Value::from(vocab.len()));
    }
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
