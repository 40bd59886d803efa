//! `train --folds` and `check --with`: what models say of rows that they have not seen.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::Folder;
use crate::study::{
    FROZEN, HEADING, SECRET, base, bytes, holds_no_text, rows, same, study, table, train,
};

/// The rows of a table by the names of its columns.
fn records(csv: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    reader.deserialize().map(|row| row.expect("a row")).collect()
}

/// The columns of a row that a model answers.
fn answers(row: &BTreeMap<String, String>) -> BTreeMap<&String, &String> {
    row.iter().filter(|(column, _)| !column.ends_with("__gold") && *column != "fold").collect()
}

#[test]
fn every_row_is_answered_by_a_model_that_did_not_see_it() {
    let folder = study(FROZEN);
    let ran = train(&folder, "bundle", &["--folds", "3"]);
    ran.exits(0).prints(&["experience", "attitude", "topics"]);
    let found = records(&folder.read("bundle.run/oof.csv"));
    let ids: BTreeSet<&str> = found.iter().map(|row| row["id"].as_str()).collect();
    assert_eq!((found.len(), ids.len()), (24, 24));
    for fold in ["1", "2", "3"] {
        let model = format!("bundle.run/folds-3/{fold}");
        let own: Vec<_> = found.iter().filter(|row| row["fold"] == fold).collect();
        let train_rows = 24 - own.len();
        assert!(folder.read(&format!("{model}/README.md")).contains(&train_rows.to_string()));
        let out = format!("{fold}.csv");
        let arguments = ["classify", &model, "coded.csv", "-o", &out, "--as", "m"];
        let more = ["--probabilities", "--precision", "f32"];
        folder.run(&[&arguments[..], &more[..]].concat()).exits(0);
        let coded = records(&folder.read(&out));
        for row in own {
            let coded = coded.iter().find(|coded| coded["id"] == row["id"]).unwrap();
            for tier in ["experience", "attitude", "topics"] {
                assert_eq!(row[tier], coded[&format!("{tier}__m")], "row {}", row["id"]);
                assert_eq!(row[&format!("{tier}__gold")], coded[tier], "row {}", row["id"]);
            }
            let (column, own) =
                ("experience__m_p__personal_use", &row["experience_p__personal_use"]);
            let gap = coded[column].parse::<f64>().unwrap() - own.parse::<f64>().unwrap();
            assert!(gap.abs() < 2e-6, "row {}: {gap}", row["id"]);
        }
    }
    let figures: serde_json::Value =
        serde_json::from_str(&folder.read("bundle.run/folds.json")).unwrap();
    assert_eq!(figures["folds"], 3);
    assert_eq!(figures["tiers"]["experience"]["pipeline"]["folds"].as_array().unwrap().len(), 3);
    holds_no_text(&folder, &["bundle", "bundle.run"]);
    train(&folder, "again", &["--folds", "3", "--threads", "1"]).exits(0);
    same(&folder, "bundle", "again");
    train(&folder, "plain", &[]).exits(0);
    let weights = |bundle: &str| bytes(&folder, bundle)["model.safetensors"].clone();
    assert!(weights("bundle") == weights("plain"), "folds change decisions alone");
}

#[test]
fn a_corpus_can_be_coded_by_the_mean_of_the_folds() {
    let folder = study(FROZEN);
    train(&folder, "bundle", &["--folds", "3"]).exits(0);
    let code = |bundle: &str, out: &str, more: &[&str]| {
        let arguments = ["classify", bundle, "coded.csv", "-o", out, "--as", "m"];
        let common = ["--probabilities", "--precision", "f32"];
        folder.run(&[&arguments[..], &common[..], more].concat()).exits(0);
        records(&folder.read(out))
    };
    let mean = code("bundle", "mean.csv", &["--folds"]);
    let each: Vec<_> = (1..=3)
        .map(|fold| code(&format!("bundle.run/folds-3/{fold}"), &format!("{fold}.csv"), &[]))
        .collect();
    // The first tier's probabilities are those of its labels, whose mean is the mean.
    for (at, row) in mean.iter().enumerate() {
        let column = "experience__m_p__personal_use";
        let value = |row: &BTreeMap<String, String>| row[column].parse::<f64>().unwrap();
        let expected = each.iter().map(|rows| value(&rows[at])).sum::<f64>() / 3.0;
        assert!((value(row) - expected).abs() < 2e-6, "row {}", row["id"]);
    }
    train(&folder, "plain", &[]).exits(0);
    let plain = ["classify", "plain", "coded.csv", "-o", "p.csv", "--as", "m", "--folds"];
    folder.run(&plain).exits(2).says(&["--folds"]);
}

#[test]
fn answers_to_a_fold_do_not_depend_on_its_codes() {
    let folder = study(FROZEN);
    train(&folder, "bundle", &["--folds", "3"]).exits(0);
    let before = records(&folder.read("bundle.run/oof.csv"));
    let first: BTreeSet<&str> =
        before.iter().filter(|row| row["fold"] == "1").map(|row| row["id"].as_str()).collect();
    // Within the fold each row gets the codes of the next.
    let lines: Vec<String> = table().lines().map(str::to_owned).collect();
    let of_fold: Vec<usize> = (1..lines.len())
        .filter(|&at| first.contains(lines[at].split(',').next().unwrap()))
        .collect();
    let codes = |line: &str| line.splitn(3, ',').nth(2).unwrap().to_owned();
    let mut permuted = lines.clone();
    for (n, &at) in of_fold.iter().enumerate() {
        let text = lines[at].splitn(3, ',').take(2).collect::<Vec<_>>().join(",");
        permuted[at] = format!("{text},{}", codes(&lines[of_fold[(n + 1) % of_fold.len()]]));
    }
    assert_ne!(lines, permuted);
    let other = study(FROZEN);
    other.file("coded.csv", permuted.join("\n"));
    train(&other, "bundle", &["--folds", "3"]).exits(0);
    let after = records(&other.read("bundle.run/oof.csv"));
    let mut changed = 0;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before["fold"], after["fold"]);
        match before["fold"] == "1" {
            true => assert_eq!(answers(before), answers(after), "row {}", before["id"]),
            false => changed += usize::from(answers(before) != answers(after)),
        }
    }
    assert!(changed > 0, "the other folds' models learnt from it");
}

#[test]
fn unfinished_folds_are_gone_on_with() {
    let folder = study(FROZEN);
    train(&folder, "bundle", &["--folds", "3"]).exits(0);
    let whole = folder.read("bundle.run/oof.csv");
    // As if it had been killed in the third fold.
    std::fs::remove_dir_all(folder.path("bundle")).unwrap();
    std::fs::remove_dir_all(folder.path("bundle.run/folds-3/3")).unwrap();
    std::fs::remove_dir_all(folder.path("bundle.run/folds-3/3.run")).unwrap();
    std::fs::remove_file(folder.path("bundle.run/oof.csv")).unwrap();
    let kept = std::fs::metadata(folder.path("bundle.run/folds-3/1")).unwrap().modified().unwrap();
    train(&folder, "bundle", &["--folds", "3"]).exits(0);
    assert_eq!(folder.read("bundle.run/oof.csv"), whole);
    let first = std::fs::metadata(folder.path("bundle.run/folds-3/1")).unwrap();
    assert_eq!(first.modified().unwrap(), kept);
}

#[test]
fn more_folds_than_groups_are_refused() {
    let folder = study(FROZEN);
    let grouped = |set: &str, count: usize, mark: &str| -> String {
        rows(set, count, mark).lines().map(|line| format!("{line},{set}\n")).collect()
    };
    let heading = HEADING.replace('\n', ",group\n");
    let validation = grouped("validation", 9, "b");
    folder.file("coded.csv", format!("{heading}{}{validation}", grouped("train", 24, "a")));
    train(&folder, "bundle", &["--folds", "2"]).exits(2).says(&["--folds", "1 groups"]);
    assert!(!folder.path("bundle").exists());
    train(&folder, "bundle", &["--folds", "1"]).exits(2);
}

const FRUIT: &str = r#"
format = 1
name = "fruit"
version = "1"
language = "en"
description = "d"
[[tier]]
name = "kind"
kind = "single"
question = "q"
label = [{ name = "fruit", definition = "d" }, { name = "stone", definition = "d" }]
"#;

#[test]
fn a_wrong_code_is_ranked_first() {
    let folder = Folder::new();
    base(&folder, "base");
    folder.file("recipe.toml", FROZEN);
    folder.file("fruit.toml", FRUIT);
    // Words of their own keep rows from being near-duplicates.
    let row = |i: usize| {
        let own: String =
            (0..6).map(|w| format!("{} ", hex(i * 7919 + w * 104_729))).collect::<String>();
        let word = ["apple pear", "granite basalt"][i % 2];
        let label = ["fruit", "stone"][(i + usize::from(i == 20)) % 2];
        let split = if i < 60 { "train" } else { "validation" };
        format!("r{i},{word} {SECRET} {own},{label},{split}\n")
    };
    let table: String = (0..72).map(row).collect();
    folder.file("coded.csv", format!("id,text,kind,split\n{table}"));
    let arguments = ["train", "fruit.toml", "--data", "coded.csv", "--base", "base"];
    let more = ["--recipe", "recipe.toml", "-o", "bundle", "--folds", "5"];
    folder.run(&[&arguments[..], &more[..]].concat()).exits(0);
    let check = ["check", "fruit.toml", "coded.csv", "--with", "bundle"];
    let document = folder.run(&[&check[..], &["--json"]].concat());
    document.exits(0).keeps_quiet_about(SECRET);
    let document = document.json();
    let suspects = document["suspects"].as_array().unwrap();
    assert_eq!(suspects[0]["id"], "r20", "{suspects:#?}");
    assert_eq!(
        (&suspects[0]["given"], &suspects[0]["preferred"]),
        (&"stone".into(), &"fruit".into())
    );
    assert!(suspects.len() < 12, "{}", suspects.len());
    folder.run(&check).exits(0).prints(&["look at again", "stone"]).keeps_quiet_about(SECRET);
    folder.run(&["check", "fruit.toml", "coded.csv", "--with", "base"]).exits(4).says(&["--folds"]);
}

fn hex(n: usize) -> String {
    format!("{:x}", n.wrapping_mul(2_654_435_761) % 1_000_003)
}

#[test]
fn rows_that_trained_correct_shares_by_their_out_of_fold_codes() {
    let folder = study(FROZEN);
    train(&folder, "bundle", &["--folds", "3"]).exits(0);
    let coded = folder.read("coded.csv");
    let corpus: String = coded
        .lines()
        .map(|line| line.split(',').take(2).collect::<Vec<&str>>().join(",") + "\n")
        .collect();
    folder.file("corpus.csv", corpus);
    let classify = |out: &str, more: &[&str]| {
        let arguments = ["classify", "bundle", "corpus.csv", "-o", out, "--probabilities"];
        folder.run(&[&arguments[..], more].concat()).exits(0);
    };
    classify("by-folds.csv", &["--folds"]);
    classify("by-one.csv", &[]);
    let shares = |corpus: &str, more: &[&str]| {
        let arguments = ["prevalence", "llm-mental-health", corpus, "--gold", "coded.csv"];
        let rest = ["--design", "srs", "--json"];
        folder.run(&[&arguments[..], &rest[..], more].concat())
    };
    let oof = ["--oof", "bundle.run/oof.csv"];
    let ran = shares("by-folds.csv", &oof);
    let json = ran.exits(0).keeps_quiet_about(SECRET).json();
    let count = |name: &str| json["counts"][name].as_u64().unwrap();
    assert_eq!((count("out_of_fold"), count("gold"), count("used")), (24, 36, 9));
    assert_eq!(json["rows"][0]["n_gold"], 36);
    assert!(json["rows"][0]["estimate"].is_f64());
    // Shares among those asked, or with another answer, rest on what the folds' models say by themselves.
    let header = folder.read("by-folds.csv").lines().next().unwrap().to_owned();
    assert!(header.contains("experience__fold1") && header.contains("topics__fold3"), "{header}");
    assert!(!folder.read("by-one.csv").contains("__fold1"));
    let of = |json: &serde_json::Value, of: &str| {
        let all = json["rows"].as_array().unwrap();
        let own = all.iter().filter(|row| row["of"] == of && row["primary"] == true);
        own.cloned().collect::<Vec<serde_json::Value>>()
    };
    assert!(!of(&json, "asked").is_empty() && !of(&json, "all").is_empty());
    let among: Vec<&str> = [&oof[..], &["--among", "experience=personal_use"]].concat();
    let ran = shares("by-folds.csv", &among);
    let among = ran.exits(0).keeps_quiet_about("NaN").json();
    let own = of(&among, "experience=personal_use");
    assert!(own.iter().any(|row| row["tier"] == "attitude" && row["n_gold"].as_u64() > Some(0)));
    assert_eq!(among["counts"]["out_of_fold"], 24);
    // Without them the rows that trained estimate nothing.
    let json = shares("by-folds.csv", &[]).exits(0).json();
    assert_eq!(json["counts"]["gold"], 12);
    // Another model's codes, or a table that was changed since, are no pair.
    shares("by-one.csv", &oof).exits(2).says(&["--folds --probabilities"]);
    let changed = folder.read("by-folds.csv") + "\n";
    folder.file("by-folds.csv", changed);
    shares("by-folds.csv", &oof).exits(2);
}
