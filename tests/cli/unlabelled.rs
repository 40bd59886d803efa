//! `train --unlabelled`: what uncoded texts add to a training, and what they leave behind.

use serde_json::Value;

use crate::harness::Folder;
use crate::study::{
    BUNDLE, FROZEN, FULL, HEADING, SECRET, bytes, holds_no_text, rows, same, study, train,
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
fn what_cannot_help_is_refused() {
    let folder = begun(&format!("{FULL}{FEW}"));
    folder.file("coded-only.csv", format!("{HEADING}{}", rows("train", 24, "a")));
    train(&folder, "bundle", &["--unlabelled", "coded-only.csv"])
        .exits(3)
        .says(&["not among the coded"]);
    train(&folder, "bundle", &["--unlabelled", "absent.csv"]).exits(3);
    folder.file("recipe.toml", FROZEN);
    train(&folder, "bundle", &["--unlabelled", "corpus.csv"]).exits(2).says(&["frozen"]);
    assert!(!folder.path("bundle").exists());
}
