//! Every architecture trains, in full and by LoRA, and codes as it did in training.

use std::path::Path;

use crate::harness::{Folder, Ran};
use crate::lexical::validation;
use crate::study::{FROZEN, FULL, base_of, bytes, same, study, train, training};

const LORA: &str = "mode = \"lora\"\nlora_rank = 2\nlayer_decay = 1.0\n";

#[test]
fn every_architecture_trains_in_full_and_by_lora() {
    for fixture in [
        "roberta-tiny",
        "distilbert-tiny",
        "modernbert-tiny",
        "deberta-v3",
        "deberta-v2",
        "llama-tiny",
        "qwen3-tiny",
    ] {
        for recipe in [FULL.to_owned(), format!("{LORA}{FULL}")] {
            let folder = study(&recipe);
            base_of(&folder, "base", fixture);
            train(&folder, "bundle", &["--threads", "1"]).exits(0);
            let [noted, reached] = validation(&folder, "bundle");
            assert_eq!(noted, reached, "{fixture}");
            train(&folder, "again", &["--threads", "2"]).exits(0);
            same(&folder, "bundle", "again");
        }
    }
}

#[test]
fn a_recipe_chooses_the_pooling() {
    let mut seen = Vec::new();
    for pooling in ["mean", "cls", "last"] {
        let folder = study(&format!("pooling = \"{pooling}\"\n{FULL}"));
        train(&folder, "bundle", &[]).exits(0);
        let [noted, reached] = validation(&folder, "bundle");
        assert_eq!(noted, reached, "{pooling}");
        seen.push(bytes(&folder, "bundle")["heads.safetensors"].clone());
    }
    assert!(seen[0] != seen[1] && seen[1] != seen[2] && seen[0] != seen[2]);
    let folder = study(&format!("pooling = \"cls\"\n{FULL}"));
    base_of(&folder, "base", "llama-tiny");
    train(&folder, "bundle", &[]).exits(2).says(&["pooling", "\"last\""]);
}

#[test]
fn a_model_type_that_is_not_known_is_named() {
    let folder = study(FULL);
    let config = folder.read("base/config.json");
    folder.file("base/config.json", config.replace("\"bert\"", "\"t5\""));
    train(&folder, "bundle", &[]).exits(4).says(&["config.json", "'t5'", "bert, roberta"]);
    folder.file("base/config.json", config.replace("\"bert\"", "\"deberta\""));
    train(&folder, "bundle", &[]).exits(4).says(&["did you mean 'deberta-v2'"]);
}

fn gguf() -> Vec<u8> {
    let parity = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity");
    std::fs::read(parity.join("gguf-tiny/model.gguf")).unwrap()
}

fn on(folder: &Folder, base: &str, recipe: &str, output: &str) -> Ran {
    folder.file("other.toml", recipe);
    let mut arguments = training(output);
    for (from, to) in [("base", base), ("recipe.toml", "other.toml")] {
        let at = arguments.iter().position(|a| *a == from).unwrap();
        arguments[at] = to;
    }
    folder.run(&arguments)
}

#[test]
fn a_gguf_file_is_a_base_that_adapters_refer_to() {
    let folder = study(FULL);
    folder.file("small.gguf", gguf());
    on(&folder, "small.gguf", &format!("{LORA}{FULL}"), "bundle").exits(0);
    assert!(bytes(&folder, "bundle").contains_key("adapter_model.safetensors"));
    let [noted, reached] = validation(&folder, "bundle");
    assert_eq!(noted, reached);
    folder.file("folder/model.gguf", gguf());
    std::fs::remove_file(folder.path("small.gguf")).unwrap();
    let evaluate = ["evaluate", "bundle", "coded.csv", "--json"];
    folder.run(&evaluate).exits(4).says(&["'small.gguf'", "--base"]);
    folder.run(&[&evaluate[..], &["--base", "folder"]].concat()).exits(0);
    // Without an adapter the bundle holds the weights themselves.
    on(&folder, "folder", FROZEN, "frozen").exits(0);
    std::fs::remove_dir_all(folder.path("folder")).unwrap();
    let [noted, reached] = validation(&folder, "frozen");
    assert_eq!(noted, reached);
}

#[test]
fn damaged_gguf_files_are_named() {
    let folder = study(FULL);
    let whole = gguf();
    let wrong = String::from_utf8_lossy(&whole).find("llama").unwrap();
    let mut other = whole.clone();
    other[wrong..wrong + 5].copy_from_slice(b"mamba");
    for (name, bytes) in [
        ("cut.gguf", whole[..whole.len() - 4000].to_vec()),
        ("begun.gguf", whole[..600].to_vec()),
        ("other.gguf", other),
        ("pickle.bin", b"\x80\x02}q\x00.".to_vec()),
    ] {
        folder.file(name, bytes);
        on(&folder, name, FULL, "bundle").exits(4).says(&[name]);
        assert!(!folder.path("bundle").exists() && !folder.path("bundle.run").exists(), "{name}");
    }
}
