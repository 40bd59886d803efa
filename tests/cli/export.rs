//! Exported folders: Hugging Face's own classes give the bundle's logits.
//!
//! `fixtures/parity/exports.json` holds what transformers made of the very folders that these
//! tests write (known by their digests); `fixtures/parity/exports.py` makes it.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use confide::bundle::Bundle;
use confide::encoder::Pooling;
use confide::heads::HeadShape;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::bundles::{Model, bundle_of, tiny_bundle};
use crate::harness::Folder;
use crate::lexical::validation;
use crate::study::{FULL, study, train};

const LINEAR: HeadShape = HeadShape { hidden: 0, chained: false };
const HIDDEN: HeadShape = HeadShape { hidden: 12, chained: false };

const CASES: [(&str, Pooling, HeadShape, &str); 10] = [
    ("bert-tiny", Pooling::Mean, LINEAR, "topics"),
    ("bert-tiny", Pooling::Mean, HIDDEN, "attitude"),
    ("bert-tiny", Pooling::Cls, LINEAR, "experience"),
    ("bert-tiny", Pooling::Cls, HIDDEN, "topics"),
    ("roberta-tiny", Pooling::Mean, LINEAR, "attitude"),
    ("distilbert-tiny", Pooling::Mean, LINEAR, "topics"),
    ("distilbert-tiny", Pooling::Cls, LINEAR, "attitude"),
    ("deberta-v3", Pooling::Mean, LINEAR, "topics"),
    ("llama-tiny", Pooling::Mean, LINEAR, "experience"),
    ("llama-tiny", Pooling::Last, LINEAR, "attitude"),
];

fn parity() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity")
}

fn name((fixture, pooling, heads, tier): (&str, Pooling, HeadShape, &str)) -> String {
    format!("{fixture} {pooling:?} {} {tier}", heads.hidden).to_lowercase()
}

#[test]
fn transformers_gives_the_logits_of_the_bundle() {
    let expected = std::fs::read(parity().join("exports.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let texts: Vec<&str> =
        expected["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    for case in CASES {
        let (fixture, pooling, heads, tier) = case;
        let folder = Folder::new();
        let model = Model { fixture, pooling, heads };
        let bundle = bundle_of(folder.root(), "b", "llm-mental-health", None, model);
        folder.run(&["export", "b", "--tier", tier, "-o", "out"]).exits(0);
        let name = name(case);
        if let Some(keep) = std::env::var_os("CONFIDE_WRITE_FIXTURES") {
            let keep = PathBuf::from(keep).join(&name);
            std::fs::create_dir_all(&keep).unwrap();
            for entry in std::fs::read_dir(folder.path("out")).unwrap() {
                let path = entry.unwrap().path();
                std::fs::copy(&path, keep.join(path.file_name().unwrap())).unwrap();
            }
            continue;
        }
        let weights = std::fs::read(folder.path("out/model.safetensors")).unwrap();
        let digest: String =
            Sha256::digest(&weights).iter().map(|byte| format!("{byte:02x}")).collect();
        let seen = &expected["folders"][&name];
        assert_eq!(seen["digest"], digest, "{name}: transformers saw another folder");
        let bundle = Bundle::load(&bundle, None, &Default::default()).unwrap();
        let at = bundle.codebook().tiers.iter().position(|t| t.name == tier).unwrap();
        let own = bundle.logits(&bundle.read(&texts).unwrap(), &AtomicBool::new(false)).unwrap();
        for (text, (own, theirs)) in own.iter().zip(seen["logits"].as_array().unwrap()).enumerate()
        {
            for (a, b) in own[at].iter().zip(theirs.as_array().unwrap()) {
                let gap = (a - b.as_f64().unwrap()).abs();
                assert!(gap < 1e-4, "{name}, text {text}: {a} and {b}");
            }
        }
    }
}

#[test]
fn the_folder_says_what_its_labels_are() {
    let folder = Folder::new();
    tiny_bundle(folder.root(), "b", "llm-mental-health", None);
    folder
        .run(&["export", "b", "--tier", "topics", "-o", "out"])
        .exits(0)
        .says(&["gate"])
        .keeps_quiet_about("lexical");
    let config: Value = serde_json::from_str(&folder.read("out/config.json")).unwrap();
    assert_eq!(config["problem_type"], "multi_label_classification");
    assert_eq!(config["architectures"][0], "BertForSequenceClassification");
    for (id, label) in config["id2label"].as_object().unwrap() {
        assert_eq!(config["label2id"][label.as_str().unwrap()].to_string(), *id);
    }
    assert_eq!(config["confide"]["tier"], "topics");
    folder.run(&["export", "b", "--tier", "topics", "-o", "out"]).exits(2).says(&["--force"]);
    folder.run(&["export", "b", "--tier", "attitude", "-o", "out", "--force"]).exits(0);
    let config: Value = serde_json::from_str(&folder.read("out/config.json")).unwrap();
    assert_eq!(config["problem_type"], "single_label_classification");
    let kept = folder.entries();
    assert!(!kept.iter().any(|entry| entry.contains("partial")), "{kept:?}");
    folder.run(&["export", "b", "--tier", "topic", "-o", "o"]).exits(2).says(&["'topics'"]);
    folder.run(&["export", "b", "-o", "o"]).exits(2).says(&["--tier"]);
}

#[test]
fn merged_weights_are_a_base_that_codes_alike() {
    let lora = format!("mode = \"lora\"\nlora_rank = 2\nlayer_decay = 1.0\n{FULL}");
    let folder = study(&lora);
    train(&folder, "bundle", &[]).exits(0);
    let [noted, _] = validation(&folder, "bundle");
    folder.run(&["export", "bundle", "--merged", "-o", "merged"]).exits(0);
    let base = std::fs::read(folder.path("base/model.safetensors")).unwrap();
    let merged = std::fs::read(folder.path("merged/model.safetensors")).unwrap();
    assert_ne!(base, merged);
    // Heads that are fitted on the merged encoder find what the adapter learnt.
    folder.file("recipe.toml", "mode = \"frozen\"\npenalties = [0.001]\n");
    std::fs::rename(folder.path("base"), folder.path("old")).unwrap();
    std::fs::rename(folder.path("merged"), folder.path("base")).unwrap();
    train(&folder, "frozen", &[]).exits(0);
    let [own, reached] = validation(&folder, "frozen");
    assert_eq!(own, reached);
    assert_eq!(noted.len(), own.len());
}

#[test]
fn what_a_class_cannot_compute_is_refused_by_name() {
    let chained = HeadShape { hidden: 0, chained: true };
    let cases = [
        (Model { fixture: "bert-tiny", pooling: Pooling::Last, heads: LINEAR }, "topics", "last"),
        (Model { fixture: "llama-tiny", pooling: Pooling::Last, heads: HIDDEN }, "topics", "tanh"),
        (Model { fixture: "qwen2-tiny", pooling: Pooling::Last, heads: LINEAR }, "topics", "Qwen"),
        (
            Model {
                fixture: "bert-tiny",
                pooling: Pooling::Mean,
                heads: HeadShape { hidden: 30, ..HIDDEN },
            },
            "topics",
            "30 features",
        ),
        (
            Model { fixture: "bert-tiny", pooling: Pooling::Mean, heads: chained },
            "attitude",
            "tiers above",
        ),
    ];
    for (model, tier, why) in cases {
        let folder = Folder::new();
        bundle_of(folder.root(), "b", "llm-mental-health", None, model);
        folder.run(&["export", "b", "--tier", tier, "-o", "out"]).exits(4).says(&[why, "--merged"]);
        assert_eq!(folder.entries().iter().filter(|e| e.starts_with("out")).count(), 0);
    }
}
