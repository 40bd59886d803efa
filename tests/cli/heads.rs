//! What a recipe may choose between the encoder's states and the logits, and long texts.

use serde_json::Value;

use crate::lexical::validation;
use crate::study::{FROZEN, FULL, SECRET, bytes, holds_no_text, same, study, train};

const CHOICES: [&str; 5] = [
    "pooling = \"attention\"\n",
    "head_hidden = 8\n",
    "chained = true\n",
    "pooling = \"attention\"\nhead_hidden = 8\nchained = true\nmode = \"lora\"\nlora_rank = 2\n",
    "max_tokens = 8\nwindow_stride = 3\nchained = true\n",
];

#[test]
fn a_bundle_codes_as_it_did_in_training_whatever_its_heads() {
    let mut seen = Vec::new();
    for choice in ["", CHOICES[0], CHOICES[1], CHOICES[2], CHOICES[3], CHOICES[4]] {
        let folder = study(&format!("{choice}{FULL}"));
        train(&folder, "bundle", &["--threads", "1"]).exits(0);
        let [noted, reached] = validation(&folder, "bundle");
        assert_eq!(noted, reached, "{choice}");
        let manifest: Value = serde_json::from_str(&folder.read("bundle/manifest.json")).unwrap();
        assert!(manifest["best_epoch"].as_u64() > Some(0), "nothing was learnt: {choice}");
        train(&folder, "again", &["--threads", "2"]).exits(0);
        same(&folder, "bundle", "again");
        holds_no_text(&folder, &["bundle", "bundle.run"]);
        seen.push(bytes(&folder, "bundle")["heads.safetensors"].clone());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6, "a choice changes nothing");
}

#[test]
fn fitted_heads_are_linear_and_have_no_query() {
    for (choice, field) in CHOICES[..3].iter().zip(["pooling", "head_hidden", "chained"]) {
        let folder = study(&format!("{choice}{FROZEN}"));
        train(&folder, "bundle", &[]).exits(2).says(&[field, "frozen"]);
        assert!(!folder.path("bundle.run").exists());
    }
}

#[test]
fn a_long_text_is_cut_or_seen_through_windows() {
    let long = format!("id,text\n1,{SECRET} {}\n2,it helps me\n", "and it never sighs ".repeat(40));
    let mut coded = Vec::new();
    for (stride, reason) in [("", "truncated"), ("window_stride = 10\n", "")] {
        let folder = study(&format!("max_tokens = 16\n{stride}{FULL}"));
        train(&folder, "bundle", &[]).exits(0);
        folder.file("corpus.csv", &long);
        let ran = folder.run(&["classify", "bundle", "corpus.csv", "-o", "corpus-coded.csv"]);
        ran.exits(0).keeps_quiet_about(SECRET);
        let table = folder.read("corpus-coded.csv");
        let mut lines = csv::Reader::from_reader(table.as_bytes());
        let at = lines.headers().unwrap().iter().position(|name| name == "reason").unwrap();
        let rows: Vec<_> = lines.records().map(Result::unwrap).collect();
        assert_eq!((&rows[0][at], &rows[1][at]), (reason, ""), "{stride}");
        coded.push(table);
    }
    assert_ne!(coded[0], coded[1]);
}
