//! `confide evaluate`: figures in both views, which rows they are about, and bundles not whole.

use serde_json::Value;

use crate::bundles::FILES;
use crate::harness::{Folder, Ran};
use crate::study::{
    FROZEN, HEADING, SECRET, bytes, holds_no_text, rows, study, table, tests, train,
};

/// A study with a bundle.
fn trained() -> Folder {
    let folder = study(FROZEN);
    train(&folder, "bundle", &[]).exits(0);
    folder
}

fn evaluate(folder: &Folder, more: &[&str]) -> Ran {
    let arguments = [&["evaluate", "bundle", "coded.csv"][..], more].concat();
    let ran = folder.run(&arguments);
    ran.keeps_quiet_about(SECRET);
    ran
}

/// A number between 0 and 1, or an undefined one.
#[track_caller]
fn is_share(value: &Value, what: &str) {
    let fine = value.is_null() || value.as_f64().is_some_and(|v| (0.0..=1.0).contains(&v));
    assert!(fine, "{what}: {value}");
}

#[test]
fn both_views_of_every_tier_and_label_are_there() {
    let folder = trained();
    let ran = evaluate(&folder, &["--json", "-o", "evaluation"]);
    ran.exits(0);
    let document = ran.json();
    assert_eq!(document["rows"], 12);
    for (tier, kind, labels) in
        [("experience", "single", 3), ("attitude", "single", 4), ("topics", "multi", 17)]
    {
        let tier = &document["tiers"][tier];
        assert_eq!(tier["kind"], kind);
        for view in ["oracle", "pipeline"] {
            let view = &tier[view];
            assert!(view["n"].as_u64().unwrap() > 0);
            for figure in ["macro_f1", "micro_f1", "accuracy"] {
                is_share(&view[figure], figure);
                assert!(view[figure].is_number(), "{figure}");
            }
            assert_eq!(view["mcc"].is_null(), kind == "multi");
            assert!(view.as_object().unwrap().contains_key("mcc"));
            let of = view["labels"].as_object().unwrap();
            assert_eq!(of.len(), labels);
            for (label, figures) in of {
                assert!(figures["support"].is_u64(), "{label}");
                for figure in ["precision", "recall", "f1"] {
                    is_share(&figures[figure], label);
                }
            }
        }
    }
    for figure in ["precision", "recall", "f1"] {
        is_share(&document["hierarchical"][figure], figure);
    }
    for digest in ["bundle", "codebook"] {
        assert_eq!(document[digest].as_str().unwrap().len(), 64);
    }
    let written: Value = serde_json::from_str(&folder.read("evaluation/metrics.json")).unwrap();
    assert_eq!(written, document);
    holds_no_text(&folder, &["evaluation"]);
    let people = evaluate(&folder, &[]);
    people.exits(0).prints(&["experience", "oracle", "pipeline", "privacy_concerns", "too few"]);
    // The same figures whatever the threads.
    for threads in ["1", "3"] {
        assert_eq!(evaluate(&folder, &["--json", "--threads", threads]).json(), document);
    }
}

#[test]
fn a_tier_is_asked_as_its_view_says() {
    let folder = trained();
    let document = evaluate(&folder, &["--json"]).json();
    let n = |tier: &str, view: &str| document["tiers"][tier][view]["n"].clone();
    assert_eq!((n("experience", "oracle"), n("experience", "pipeline")), (12.into(), 12.into()));
    // Off topic: 2 of 12, so attitude is asked of 10; neutral: 2 more, so topics of 8.
    assert_eq!((n("attitude", "oracle"), n("attitude", "pipeline")), (10.into(), 12.into()));
    assert_eq!((n("topics", "oracle"), n("topics", "pipeline")), (8.into(), 12.into()));
}

#[test]
fn the_split_column_decides_which_rows_are_scored() {
    let folder = trained();
    let rows_of = |more: &[&str]| -> (Value, Ran) {
        let ran = evaluate(&folder, &[&["--json"], more].concat());
        ran.exits(0);
        (ran.json()["rows"].clone(), ran)
    };
    let (count, ran) = rows_of(&[]);
    assert_eq!(count, 12);
    ran.keeps_quiet_about("used in training");
    let (count, ran) = rows_of(&["--split", "train"]);
    assert_eq!(count, 24);
    ran.says(&["24 of 24 rows were used in training"]);
    let (count, ran) = rows_of(&["--split", "validation"]);
    assert_eq!(count, 9);
    ran.says(&["9 of 9"]);
    let (count, ran) = rows_of(&["--split", "all"]);
    assert_eq!(count, 45);
    ran.says(&["33 of 45"]);
    // Recognised by text, under another id and name too.
    let seen = rows("train", 5, "a").replace("train", "x").replace(",x\n", ",test\n");
    folder.file("coded.csv", format!("{HEADING}{seen}{}", tests("c")));
    rows_of(&[]).1.says(&["5 of 17"]);
    // Without its run folder a bundle cannot tell, and works all the same.
    std::fs::remove_dir_all(folder.path("bundle.run")).unwrap();
    rows_of(&[]).1.keeps_quiet_about("used in training");

    let cut = |line: &str| line.rsplit_once(',').unwrap().0.to_owned() + "\n";
    folder.file("coded.csv", table().lines().map(cut).collect::<String>());
    assert_eq!(rows_of(&[]).0, 45);
    folder.file("coded.csv", format!("{HEADING}{}", rows("train", 12, "a")));
    evaluate(&folder, &[]).exits(3).says(&["coded.csv", "test", "--split all"]);
}

#[test]
fn how_often_test_rows_were_scored_is_counted() {
    let folder = trained();
    evaluate(&folder, &[]).exits(0).keeps_quiet_about("times");
    evaluate(&folder, &["--split", "train"]).exits(0).keeps_quiet_about("times");
    evaluate(&folder, &[]).exits(0).says(&["2 times"]);
    evaluate(&folder, &["--split", "test"]).exits(0).says(&["3 times"]);
    holds_no_text(&folder, &["bundle.run"]);
}

#[test]
fn data_that_cannot_be_scored_is_refused() {
    let folder = trained();
    folder.file("coded.csv", HEADING);
    evaluate(&folder, &["-o", "evaluation"]).exits(3).says(&["coded.csv"]);
    folder.file("coded.csv", "");
    evaluate(&folder, &["-o", "evaluation"]).exits(3).says(&["coded.csv"]);
    folder.file("coded.csv", table().replacen("topics", "topic", 1));
    evaluate(&folder, &["-o", "evaluation"]).exits(3).says(&["'topics'", "'topic'"]);
    folder.file("coded.csv", table().replacen("negative", "negativ", 1));
    let ran = evaluate(&folder, &["-o", "evaluation"]);
    ran.exits(3).says(&["row 2", "attitude", "'negativ'", "negative"]);
    assert!(!folder.path("evaluation").exists());
}

#[test]
fn figures_that_exist_are_replaced_only_by_force() {
    let folder = trained();
    evaluate(&folder, &["-o", "evaluation"]).exits(0);
    folder.file("evaluation/metrics.json", "mine");
    evaluate(&folder, &["-o", "evaluation"]).exits(2).says(&["metrics.json", "--force"]);
    assert_eq!(folder.read("evaluation/metrics.json"), "mine");
    evaluate(&folder, &["-o", "evaluation", "--force"]).exits(0);
    assert_ne!(folder.read("evaluation/metrics.json"), "mine");
    folder.file("occupied", "a file");
    evaluate(&folder, &["-o", "occupied/x"]).exits(5).says(&["occupied"]);
}

#[test]
fn every_file_of_the_bundle_must_be_there_and_its_own() {
    let folder = trained();
    folder.file("recipe.toml", "mode = \"frozen\"\npenalties = [0.3]\n");
    folder.file("coded.csv", table().replacen("a 0", "another 0", 1));
    train(&folder, "other", &[]).exits(0);
    folder.file("coded.csv", table());
    let (own, other) = (bytes(&folder, "bundle"), bytes(&folder, "other"));
    for file in FILES {
        let path = folder.path("bundle").join(file);
        let whole = &own[file];
        let refused = |how: &str| {
            let ran = evaluate(&folder, &["-o", "evaluation"]);
            assert_eq!(ran.code, 4, "{file} {how}: {}", ran.stderr);
            ran.says(&[&format!("bundle/{file}")]);
            assert!(!folder.path("evaluation").exists());
        };
        std::fs::remove_file(&path).unwrap();
        refused("missing");
        for length in [0, 1, whole.len() / 2, whole.len() - 2] {
            std::fs::write(&path, &whole[..length]).unwrap();
            refused("truncated");
        }
        if file != "manifest.json" {
            let mut flipped = whole.clone();
            let middle = flipped.len() * 3 / 4;
            flipped[middle] ^= 1;
            std::fs::write(&path, &flipped).unwrap();
            refused("with one bit flipped");
        }
        if file == "heads.safetensors" {
            assert_ne!(*whole, other[file]);
            std::fs::write(&path, &other[file]).unwrap();
            refused("of another bundle of the same shape");
        }
        std::fs::write(&path, whole).unwrap();
    }
    evaluate(&folder, &[]).exits(0);
    let ran = folder.run(&["evaluate", "nowhere", "coded.csv"]);
    ran.exits(4).says(&["nowhere", "confide train"]);
}

#[test]
fn a_manifest_with_absurd_values_is_refused() {
    let folder = trained();
    let manifest = folder.read("bundle/manifest.json");
    for (from, to) in [
        ("\"format\": 1", "\"format\": 2"),
        ("\"pooling\": \"mean\"", "\"pooling\": \"max\""),
        ("\"max_tokens\": 40", "\"max_tokens\": 0"),
        ("\"max_tokens\": 40", "\"max_tokens\": -1"),
    ] {
        let changed = manifest.replacen(from, to, 1);
        assert_ne!(changed, manifest, "{from}");
        folder.file("bundle/manifest.json", changed);
        let ran = evaluate(&folder, &[]);
        assert_eq!(ran.code, 4, "{to}: {}", ran.stderr);
    }
}

#[test]
fn calibration_is_that_of_the_probabilities_that_classify_writes() {
    let folder = trained();
    let ran = evaluate(&folder, &["--json", "--precision", "f32"]);
    ran.exits(0);
    let document = ran.json();
    let more = ["--as", "m", "--precision", "f32"];
    folder
        .run(&[&["classify", "bundle", "coded.csv", "-o", "out.csv"][..], &more].concat())
        .exits(0);
    let out = folder.read("out.csv");
    let mut reader = csv::Reader::from_reader(out.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|column| column == name).unwrap();
    let (mut brier, mut log_loss, mut n) = (0.0, 0.0, 0.0);
    for row in reader.records().map(Result::unwrap) {
        if &row[at("split")] != "test" {
            continue;
        }
        let p: f64 = row[at("experience__m_p")].parse().unwrap();
        let right = row[at("experience__m")] == row[at("experience")];
        brier += (p - f64::from(right)).powi(2);
        log_loss -= if right { p.ln() } else { (1.0 - p).ln() };
        n += 1.0;
    }
    let path = &document["tiers"]["experience"]["calibration"]["path"];
    assert_eq!(path["n"], 12);
    assert!((path["brier"].as_f64().unwrap() - brier / n).abs() < 1e-5, "{path}");
    assert!((path["log_loss"].as_f64().unwrap() - log_loss / n).abs() < 1e-5, "{path}");
    for tier in ["experience", "attitude", "topics"] {
        let tier = &document["tiers"][tier];
        let after = &tier["calibration"]["after"];
        assert_eq!(after["n"], tier["oracle"]["n"]);
        for figure in ["error", "lower", "upper", "uncorrected", "perfect"] {
            is_share(&after[figure], figure);
        }
        assert!(after["perfect"].is_number(), "12 rows are few");
    }
    let kept = &document["tiers"]["experience"]["calibration"]["selective"];
    let (all, half) = (&kept[0], kept.as_array().unwrap().last().unwrap());
    assert_eq!((&all["n"], &half["n"]), (&12.into(), &6.into()));
    let accuracy = document["tiers"]["experience"]["pipeline"]["accuracy"].as_f64().unwrap();
    assert!((all["risk"].as_f64().unwrap() - (1.0 - accuracy)).abs() < 1e-9, "{kept}");
    evaluate(&folder, &[]).prints(&["calibration error", "log loss", "answers kept"]);
}
