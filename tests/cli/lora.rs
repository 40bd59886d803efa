//! Training with low-rank adaptations: the bundle holds an adapter and refers to its base.

use serde_json::Value;

use crate::interruption::kill_at;
use crate::lexical::validation;
use crate::study::{bytes, holds_no_text, same, study, train};

const LORA: &str = "mode = \"lora\"\nepochs = 4\nbatch_rows = 4\nlearning_rate = 0.02\nlayer_decay = 1.0\nhead_learning_rate = 0.03\npenalties = [900.0]\ncheckpoint_seconds = 0.0\nlora_rank = 2\nlora_targets = [\"query\", \"output.dense\"]\n";

const BUNDLE: [&str; 9] = [
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
    "codebook.toml",
    "config.json",
    "decision.json",
    "heads.safetensors",
    "manifest.json",
    "tokenizer.json",
];

#[test]
fn the_bundle_is_an_adapter_that_codes_as_it_did_in_training() {
    let folder = study(LORA);
    train(&folder, "bundle", &[]).exits(0);
    assert_eq!(bytes(&folder, "bundle").into_keys().collect::<Vec<_>>(), BUNDLE);
    let config: Value = serde_json::from_str(&folder.read("bundle/adapter_config.json")).unwrap();
    assert_eq!(config["peft_type"], "LORA");
    assert_eq!(config["target_modules"].as_array().unwrap().len(), 6);
    let [noted, reached] = validation(&folder, "bundle");
    assert_eq!(noted, reached);
    assert!(folder.read("bundle/README.md").contains("an adapter of `base`"));
    let manifest: Value = serde_json::from_str(&folder.read("bundle/manifest.json")).unwrap();
    assert!(manifest["best_epoch"].as_u64().unwrap() > 0, "the adapter learnt nothing");
    holds_no_text(&folder, &["bundle", "bundle.run"]);
}

#[test]
fn threads_and_kills_do_not_change_an_adapter() {
    let folder = study(&LORA.replace("epochs = 4", "epochs = 20"));
    train(&folder, "one", &["--threads", "1"]).exits(0);
    train(&folder, "two", &["--threads", "2"]).exits(0);
    same(&folder, "one", "two");
    kill_at(&folder, "killed", 5);
    train(&folder, "killed", &[]).exits(0).says(&["continuing"]);
    same(&folder, "one", "killed");
}

#[test]
fn the_base_is_found_by_name_or_by_flag_and_must_be_the_same() {
    let folder = study(LORA);
    train(&folder, "bundle", &[]).exits(0);
    let code = |output: &str, more: &[&str]| {
        let mut arguments = vec!["classify", "bundle", "coded.csv", "-o", output, "--as", "m"];
        arguments.extend(more);
        folder.run(&arguments)
    };
    code("named.csv", &[]).exits(0);
    std::fs::rename(folder.path("base"), folder.path("moved")).unwrap();
    code("coded1.csv", &[]).exits(4).says(&["bundle", "'base'", "--base"]);
    code("flagged.csv", &["--base", "moved"]).exits(0);
    assert_eq!(folder.read("named.csv"), folder.read("flagged.csv"));
    let config = folder.read("moved/config.json");
    folder.file("moved/config.json", config.replace("1e-12", "1e-11"));
    code("coded2.csv", &["--base", "moved"]).exits(4).says(&["another encoder", "digest"]);
    folder.file("moved/config.json", config);
    let mut weights = bytes(&folder, "bundle")["adapter_model.safetensors"].clone();
    *weights.last_mut().unwrap() ^= 1;
    folder.file("bundle/adapter_model.safetensors", weights);
    code("coded3.csv", &["--base", "moved"]).exits(4).says(&["adapter_model.safetensors"]);
    assert!(!folder.entries().iter().any(|e| e.starts_with("coded1") || e.starts_with("coded2")));
}

#[test]
fn an_adapter_of_peft_is_an_encoder_to_start_from() {
    let folder = study("mode = \"frozen\"\npenalties = [0.1]\n");
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity");
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        let from = std::fs::read_to_string(fixture.join("lora-peft").join("adapter_config.json"));
        let bytes = match file {
            "adapter_config.json" => from.unwrap().replace("../bert-tiny", "../base").into_bytes(),
            _ => std::fs::read(fixture.join("lora-peft").join(file)).unwrap(),
        };
        folder.file(&format!("adapter/{file}"), bytes);
    }
    train(&folder, "plain", &[]).exits(0);
    train(&folder, "adapted", &["--base", "adapter"]).exits(2).says(&["--base"]);
    let train_on_adapter = |output: &str| {
        folder.run(&[
            "train",
            "llm-mental-health",
            "--data",
            "coded.csv",
            "--base",
            "adapter",
            "--recipe",
            "recipe.toml",
            "-o",
            output,
        ])
    };
    train_on_adapter("adapted").exits(0);
    let weights = |name: &str| bytes(&folder, name)["model.safetensors"].clone();
    assert_ne!(weights("plain"), weights("adapted"));
    std::fs::remove_dir_all(folder.path("adapter")).unwrap();
    folder.run(&["evaluate", "adapted", "coded.csv", "--json"]).exits(0);

    let config = std::fs::read_to_string(fixture.join("lora-peft/adapter_config.json")).unwrap();
    folder.file("adapter/adapter_config.json", config.replace("../bert-tiny", "../base"));
    train_on_adapter("other").exits(4).says(&["adapter_model.safetensors"]);
    folder.file("adapter/adapter_model.safetensors", b"\x80\x04pickle");
    train_on_adapter("other").exits(4).says(&["adapter_model.safetensors"]);
    folder.file("adapter/adapter_config.json", config.replace("LORA", "IA3"));
    train_on_adapter("other").exits(4).says(&["adapter_config.json"]);
    assert!(!folder.path("other").exists());
}

#[test]
fn a_target_that_the_encoder_lacks_is_named() {
    let folder = study(&LORA.replace("\"query\"", "\"quary\""));
    train(&folder, "bundle", &[]).exits(2).says(&["lora_targets", "'quary'", "'query'"]);
    assert!(!folder.path("bundle").exists());
}
