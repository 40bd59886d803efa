//! `train --unlabelled`: what uncoded texts add to a training, and what they leave behind.

use serde_json::Value;

use crate::harness::Folder;
use crate::study::{
    BUNDLE, FROZEN, FULL, HEADING, SECRET, base_of, bytes, holds_no_text, rows, same, study, train,
};

const FEW: &str = "teachers = 2\nunlabelled_rows = 10\nstudent_epochs = 2\n";

fn corpus() -> String {
    let texts = (0..16).map(|i| format!("u{i},{SECRET} {i} it answered when nobody else did\n"));
    format!("id,text\n{}", texts.collect::<String>())
}

fn begun(recipe: &str) -> Folder {
    let folder = study(recipe);
    folder.file("corpus.csv", corpus());
    folder
}

fn manifest(folder: &Folder, bundle: &str) -> Value {
    serde_json::from_str(&folder.read(&format!("{bundle}/manifest.json"))).unwrap()
}

#[test]
fn uncoded_texts_are_recorded_by_digest_and_change_the_bundle() {
    let folder = begun(&format!("{FULL}{FEW}"));
    train(&folder, "alone", &[]).exits(0);
    train(&folder, "first", &["--unlabelled", "corpus.csv", "--threads", "1"]).exits(0);
    train(&folder, "second", &["--unlabelled", "corpus.csv", "--threads", "2"]).exits(0);
    same(&folder, "first", "second");
    assert_eq!(bytes(&folder, "first").into_keys().collect::<Vec<_>>(), BUNDLE);
    assert_ne!(
        std::fs::read(folder.path("alone/heads.safetensors")).unwrap(),
        std::fs::read(folder.path("first/heads.safetensors")).unwrap()
    );
    let (alone, first) = (manifest(&folder, "alone"), manifest(&folder, "first"));
    assert!(alone["plan"]["unlabelled"].is_null());
    assert_eq!(first["plan"]["unlabelled"].as_str().unwrap().len(), 64);
    assert_eq!(first["train_rows"], 24);
    assert!(folder.read("first/README.md").contains("uncoded texts, of which 2 models"));
    assert!(!folder.read("alone/README.md").contains("uncoded"));
    holds_no_text(&folder, &["first", "first.run"]);
    assert!(!folder.path("first.run/teachers").exists());
    // With other texts the same folder is another training.
    folder.file("other.csv", corpus().replace("nobody", "no one"));
    train(&folder, "third", &["--unlabelled", "other.csv"]).exits(0);
    assert_ne!(first["plan"]["unlabelled"], manifest(&folder, "third")["plan"]["unlabelled"]);
}

#[test]
fn each_fold_has_teachers_of_its_own() {
    let folder = begun(&format!("{FULL}{FEW}"));
    let flags = ["--unlabelled", "corpus.csv", "--folds", "2"];
    train(&folder, "bundle", &flags).exits(0);
    let fold = |n: usize| manifest(&folder, &format!("bundle.run/folds-2/{n}"));
    let whole = manifest(&folder, "bundle");
    for n in [1, 2] {
        assert_eq!(fold(n)["plan"]["unlabelled"], whole["plan"]["unlabelled"]);
    }
    assert_ne!(fold(1)["plan"]["data"], fold(2)["plan"]["data"]);
}

#[test]
fn a_larger_model_teaches_by_adapters_and_is_named() {
    let folder = begun(&format!("{FULL}{FEW}"));
    base_of(&folder, "larger", "llama-tiny");
    let flags = ["--unlabelled", "corpus.csv", "--teacher", "larger"];
    train(&folder, "first", &[&flags[..], &["--threads", "1"]].concat()).exits(0);
    train(&folder, "second", &[&flags[..], &["--threads", "2"]].concat()).exits(0);
    same(&folder, "first", "second");
    train(&folder, "own", &["--unlabelled", "corpus.csv"]).exits(0);
    let (first, own) = (manifest(&folder, "first"), manifest(&folder, "own"));
    assert_eq!(first["base"], own["base"], "the student's encoder stays");
    assert_eq!(first["teachers"], serde_json::json!(["larger"]));
    assert!(own["teachers"].is_null() && own["plan"]["teachers"].is_null());
    assert_ne!(
        std::fs::read(folder.path("own/heads.safetensors")).unwrap(),
        std::fs::read(folder.path("first/heads.safetensors")).unwrap()
    );
    assert!(folder.read("first/README.md").contains("`larger`"));
    holds_no_text(&folder, &["first", "first.run"]);
    // Two kinds of teachers are another training; so is another way to train them.
    let both = [&flags[..], &["--teacher", "base"]].concat();
    train(&folder, "third", &both).exits(0);
    assert_eq!(manifest(&folder, "third")["teachers"], serde_json::json!(["larger", "base"]));
    folder.file("teacher.toml", "mode = \"lora\"\nepochs = 1\n");
    train(&folder, "fourth", &[&flags[..], &["--teacher-recipe", "teacher.toml"]].concat())
        .exits(0);
    let plan = |bundle: &str| manifest(&folder, bundle)["plan"]["teachers"].clone();
    assert!(plan("first") != plan("third") && plan("first") != plan("fourth"));
}

#[test]
fn an_encoder_learns_from_texts_without_codes_and_shares_that_with_its_folds() {
    let folder =
        begun(&format!("{FULL}{FEW}adaptation_epochs = 60\nadaptation_learning_rate = 0.002\n"));
    let flags = ["--unlabelled", "corpus.csv", "--folds", "2"];
    train(&folder, "first", &[&flags[..], &["--threads", "1"]].concat()).exits(0);
    train(&folder, "second", &[&flags[..], &["--threads", "2"]].concat()).exits(0);
    same(&folder, "first", "second");
    assert!(folder.read("first/README.md").contains("without any code"));
    let log = folder.read("first.run/adaptation.run/log.jsonl");
    let losses: Vec<f64> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|line| line["loss"].as_f64())
        .collect();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (early, late) = (mean(&losses[..20]), mean(&losses[40..]));
    assert!(losses.len() == 60 && late < early - 0.1, "{early} {late}");
    assert!(!folder.path("first.run/folds-2/1.run/adaptation.run").exists());
    holds_no_text(&folder, &["first", "first.run"]);
    folder.file("recipe.toml", format!("{FULL}{FEW}"));
    train(&folder, "unadapted", &["--unlabelled", "corpus.csv"]).exits(0);
    assert_ne!(
        std::fs::read(folder.path("unadapted/model.safetensors")).unwrap(),
        std::fs::read(folder.path("first/model.safetensors")).unwrap()
    );
}

#[test]
fn teachers_that_are_less_sure_can_be_left_out() {
    let folder = begun(&format!("{FULL}{FEW}"));
    train(&folder, "all", &["--unlabelled", "corpus.csv"]).exits(0);
    folder.file("recipe.toml", format!("{FULL}{FEW}soft_share = 0.5\nsoft_balance = 1.0\n"));
    train(&folder, "sure", &["--unlabelled", "corpus.csv"]).exits(0);
    assert_ne!(
        std::fs::read(folder.path("all/heads.safetensors")).unwrap(),
        std::fs::read(folder.path("sure/heads.safetensors")).unwrap()
    );
}

#[test]
fn what_cannot_help_is_refused() {
    let folder = begun(&format!("{FULL}{FEW}"));
    folder.file("coded-only.csv", format!("{HEADING}{}", rows("train", 24, "a")));
    train(&folder, "bundle", &["--unlabelled", "coded-only.csv"])
        .exits(3)
        .says(&["not among the coded"]);
    train(&folder, "bundle", &["--unlabelled", "absent.csv"]).exits(3);
    train(&folder, "bundle", &["--teacher", "base"]).exits(2).says(&["--unlabelled"]);
    train(&folder, "bundle", &["--unlabelled", "corpus.csv", "--teacher", "absent"])
        .exits(4)
        .says(&["absent"]);
    folder.file("recipe.toml", FROZEN);
    train(&folder, "bundle", &["--unlabelled", "corpus.csv"]).exits(2).says(&["frozen"]);
    assert!(!folder.path("bundle").exists());
}
