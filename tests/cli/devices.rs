//! Where and in which number format a command computes.

use serde_json::Value;

use crate::study::{FROZEN, FULL, SECRET, differences, same, study, train};

const BF16: &str = "precision = \"bf16\"\n";

fn evaluated(folder: &crate::harness::Folder, more: &[&str]) -> Value {
    let arguments = ["evaluate", "bundle", "coded.csv", "--split", "validation", "--json"];
    let ran = folder.run(&[&arguments[..], more].concat());
    ran.exits(0);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn a_training_in_bf16_codes_as_it_did_in_training() {
    for recipe in [FROZEN, FULL, "mode = \"lora\"\nlora_rank = 2\nepochs = 2\nbatch_rows = 4\n"] {
        let folder = study(&format!("{BF16}{recipe}"));
        train(&folder, "bundle", &["--threads", "1"]).exits(0);
        train(&folder, "again", &["--threads", "2"]).exits(0);
        same(&folder, "bundle", "again");
        let manifest: Value = serde_json::from_str(&folder.read("bundle/manifest.json")).unwrap();
        assert!(manifest["plan"]["kernel"].as_str().unwrap().ends_with("bf16"));
        let reached = evaluated(&folder, &["--precision", "bf16"]);
        for tier in manifest["validation"].as_array().unwrap() {
            let found = &reached["tiers"][tier["tier"].as_str().unwrap()];
            assert_eq!(tier["oracle_macro_f1"], found["oracle"]["macro_f1"], "{recipe}");
            assert_eq!(tier["pipeline_macro_f1"], found["pipeline"]["macro_f1"], "{recipe}");
        }
    }
}

#[test]
fn bf16_gives_nearly_the_same_probabilities() {
    let folder = study(FULL);
    train(&folder, "bundle", &[]).exits(0);
    let code = |precision: &str, output: &str| -> Vec<f64> {
        let arguments = ["classify", "bundle", "coded.csv", "--as", "b", "-o", output];
        folder.run(&[&arguments[..], &["--precision", precision]].concat()).exits(0);
        let table = folder.read(output);
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        let at = reader.headers().unwrap().iter().position(|h| h == "experience__b_p").unwrap();
        reader.records().map(|row| row.unwrap()[at].parse().unwrap()).collect()
    };
    let (exact, rough) = (code("f32", "exact.csv"), code("bf16", "rough.csv"));
    assert!(exact.len() == 45 && exact != rough);
    let gap = exact.iter().zip(&rough).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(gap < 0.1, "{gap}");
    let ran = folder.run(&["classify", "bundle", "coded.csv", "-o", "x.csv", "--precision", "f8"]);
    ran.exits(2).says(&["f32", "bf16"]).keeps_quiet_about(SECRET);
}

#[test]
fn layers_computed_again_train_the_same_encoder() {
    for recipe in [FULL.to_owned(), format!("mode = \"lora\"\nlora_rank = 2\n{FULL}")] {
        let folder = study(&recipe);
        train(&folder, "kept", &[]).exits(0);
        folder.file("recipe.toml", format!("gradient_checkpointing = true\n{recipe}"));
        train(&folder, "again", &[]).exits(0);
        let manifest: Value = serde_json::from_str(&folder.read("again/manifest.json")).unwrap();
        assert_eq!(manifest["recipe"]["gradient_checkpointing"], true);
        // Recipe and, by it, the card are others; what was trained is not.
        assert_eq!(differences(&folder, "kept", "again"), ["README.md", "manifest.json"]);
    }
}

#[cfg(not(any(feature = "cuda", feature = "metal")))]
#[test]
fn a_device_that_is_not_there_is_refused_and_auto_says_why() {
    let folder = study(FROZEN);
    train(&folder, "bundle", &["--device", "cuda"]).exits(5).says(&["CPU only", "--device cpu"]);
    train(&folder, "bundle", &["--device", "cuda:1"]).exits(5).says(&["CPU only"]);
    train(&folder, "bundle", &["--device", "tpu"]).exits(2).says(&["--device", "cuda:N"]);
    // So does a command that computes nothing.
    let check = ["check", "llm-mental-health", "coded.csv", "--device", "tpu"];
    folder.run(&check).exits(2).says(&["--device", "cuda:N"]);
    assert!(!folder.path("bundle.run").exists());
    train(&folder, "bundle", &["--device", "auto"]).exits(0).says(&["on the CPU", "CPU only"]);
    let ran = train(&folder, "quiet", &[]);
    ran.exits(0);
    assert!(!ran.stderr.contains("on the CPU"), "{}", ran.stderr);
    same(&folder, "bundle", "quiet");
}
