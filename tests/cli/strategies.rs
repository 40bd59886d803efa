//! What a recipe may choose in the loss, before the heads learn, and about the encoder's start.

use serde_json::Value;

use crate::interruption::{kill_at, reaches, start};
use crate::study::{FROZEN, FULL, SECRET, bytes, holds_no_text, json_lines, same, study, train};

const CHOICES: [&str; 5] = [
    "focus = 2.0\n",
    "logit_adjustment = 1.0\nclass_weighting = 0.0\n",
    "class_weighting = 0.0\n",
    "reinitialised_layers = 1\n",
    "pair_epochs = 2\n",
];

#[test]
fn each_makes_a_difference_and_the_same_one_whatever_the_threads() {
    let mut seen = Vec::new();
    for choice in ["", CHOICES[0], CHOICES[1], CHOICES[2], CHOICES[3], CHOICES[4]] {
        let folder = study(&format!("{choice}{FULL}"));
        train(&folder, "bundle", &["--threads", "1"]).exits(0).keeps_quiet_about(SECRET);
        train(&folder, "again", &["--threads", "2"]).exits(0);
        same(&folder, "bundle", "again");
        holds_no_text(&folder, &["bundle", "bundle.run"]);
        seen.push(bytes(&folder, "bundle")["model.safetensors"].clone());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6, "a choice changes nothing");
}

#[test]
fn pairs_tune_the_encoder_first_and_a_killed_training_goes_on() {
    let folder = study(&format!("pair_epochs = 2\n{FULL}"));
    train(&folder, "unbroken", &[]).exits(0);
    let losses = |epochs: std::ops::Range<f64>| -> Vec<f64> {
        let lines = json_lines(&folder, "unbroken.run/log.jsonl").into_iter();
        let updates = lines.filter(|line| line.get("grad_norm").is_some());
        let within = |line: &Value| epochs.contains(&(line["epoch"].as_f64().unwrap() - 1e-6));
        updates.filter(within).map(|line| line["loss"].as_f64().unwrap()).collect()
    };
    let pairs = losses(0.0..2.0);
    assert_eq!((pairs.len(), losses(2.0..4.0).len()), (12, 12));
    assert!(pairs.iter().all(|loss| loss.is_finite() && *loss > 0.0), "{pairs:?}");
    assert_ne!(pairs[..6], pairs[6..], "the second epoch's encoder is another");
    for count in [3, 12, 14] {
        kill_at(&folder, "killed", count);
        train(&folder, "killed", &[]).exits(0);
        same(&folder, "unbroken", "killed");
        std::fs::remove_dir_all(folder.path("killed")).unwrap();
        std::fs::remove_dir_all(folder.path("killed.run")).unwrap();
    }
}

#[test]
fn members_have_one_mean_whatever_stops_them() {
    let folder = study(&FULL.replace("members = 1", "members = 2"));
    train(&folder, "unbroken", &["--threads", "1"]).exits(0);
    let second = "unbroken.run/member-2.run/log.jsonl";
    assert_eq!(folder.read(second).matches("grad_norm").count(), 24);
    assert_ne!(folder.read(second), folder.read("unbroken.run/log.jsonl"));
    // The first one's weights are not theirs together.
    folder.file("recipe.toml", FULL);
    train(&folder, "alone", &[]).exits(0);
    assert_eq!(folder.read("alone.run/log.jsonl"), folder.read("unbroken.run/log.jsonl"));
    let encoder = |bundle: &str| bytes(&folder, bundle)["model.safetensors"].clone();
    assert_ne!(encoder("alone"), encoder("unbroken"));
    assert!(folder.read("unbroken/README.md").contains("the mean of 2 trainings"));
    assert!(!folder.read("alone/README.md").contains("the mean of"));
    folder.file("recipe.toml", FULL.replace("members = 1", "members = 2"));
    for (run, count) in [("killed", 5), ("killed.run/member-2", 7)] {
        let mut child = start(&folder, "killed", &[]);
        assert!(reaches(&folder, run, count, &mut child), "it ended before update {count}");
        child.kill().expect("a kill");
        child.wait().expect("its end");
        assert!(!folder.path("killed").exists());
        holds_no_text(&folder, &["killed.run"]);
    }
    train(&folder, "killed", &["--threads", "2"]).exits(0).says(&["continuing"]);
    same(&folder, "unbroken", "killed");
    std::fs::create_dir(folder.path("s")).unwrap();
    std::fs::rename(folder.path("unbroken"), folder.path("s/bundle")).unwrap();
    folder.run(&["report", "s"]).exits(0);
    assert!(folder.read("s/report/methods.tex").contains("\\cite{wortsman2022}"));
}

#[test]
fn what_does_not_go_together_is_refused_before_anything_is_written() {
    for (recipe, field) in [
        (format!("focus = 1.0\n{FROZEN}"), "focus"),
        (format!("logit_adjustment = 1.0\n{FROZEN}"), "logit_adjustment"),
        (format!("reinitialised_layers = 1\n{FROZEN}"), "reinitialised_layers"),
        (format!("reinitialised_layers = 99\n{FULL}"), "reinitialised_layers"),
        (format!("pair_epochs = 4\n{FULL}"), "pair_epochs"),
    ] {
        let folder = study(&recipe);
        train(&folder, "bundle", &[]).exits(2).says(&[field]);
        assert!(!folder.path("bundle").exists() && !folder.path("bundle.run").exists(), "{field}");
    }
}
