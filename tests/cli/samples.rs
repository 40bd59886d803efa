//! `sample`: blind sheets with known probabilities; `check --manual`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::harness::Folder;
use crate::study::SECRET;

/// A coded corpus of 200 rows that can be drawn, and some that cannot.
fn corpus() -> Folder {
    let folder = Folder::new();
    let mut table =
        "id,text,group,experience,experience_p,attitude,attitude_p,topics,topics_p,status\n"
            .to_owned();
    for row in 0..200 {
        let codes = match row % 4 {
            0 => "personal_use,0.9,positive,0.5,anonymity|other,0.4|0.3",
            1 => "no_personal_use,0.8,neutral,0.7,,",
            _ => "off_topic,0.99,,,,",
        };
        table += &format!("r{row},{SECRET} {row},g,{codes},ok\n");
    }
    table += "x1,,g,,,,,,,empty\nr0,again,g,off_topic,0.9,,,,,ok\nx2,short\n";
    folder.file("c.csv", table);
    folder
}

const ARGS: [&str; 8] =
    ["sample", "c.csv", "--codebook", "llm-mental-health", "-n", "40", "-o", "s"];

fn rows(table: &str) -> Vec<Vec<String>> {
    let line = |line: &str| line.split(',').map(str::to_owned).collect();
    table.lines().skip(1).map(line).collect()
}

#[test]
fn sheets_are_blind_and_shuffled() {
    let folder = corpus();
    let mut args = ARGS.to_vec();
    args.extend(["--coders", "ana,ben", "--overlap", "10"]);
    let ran = folder.run(&args);
    ran.exits(0).keeps_quiet_about(SECRET);
    ran.says(&["1 rows cannot be read", "1 rows are without a text", "1 rows have the id"]);
    let sample = rows(&folder.read("s/sample.csv"));
    assert_eq!(sample.len(), 40);
    assert!(sample.iter().all(|row| row[1] == "0.2"), "{sample:?}");
    let [ana, ben] = ["ana", "ben"].map(|coder| folder.read(&format!("s/sheet-{coder}.csv")));
    let head = "id,text,experience__ana,attitude__ana,topics__ana\n";
    assert!(ana.starts_with(head) && !ana.contains("personal_use"), "{ana}");
    let ids = |table: &str| -> Vec<String> {
        rows(table).into_iter().map(|row| row[0].clone()).collect()
    };
    let (of_ana, of_ben) = (ids(&ana), ids(&ben));
    assert_eq!((of_ana.len(), of_ben.len()), (25, 25));
    let set = |ids: &[String]| ids.iter().cloned().collect::<BTreeSet<String>>();
    assert_eq!(set(&of_ana).intersection(&set(&of_ben)).count(), 10);
    assert_eq!(set(&of_ana).union(&set(&of_ben)).count(), 40);
    assert!(rows(&ana).iter().all(|row| row[2..].iter().all(String::is_empty)));
    // The same again is the same; nothing is replaced unasked.
    folder.run(&args).exits(2);
    args[7] = "again";
    folder.run(&args).exits(0);
    assert_eq!(folder.read("again/sheet-ana.csv"), ana);
    let design: Value = serde_json::from_str(&folder.read("s/design.json")).unwrap();
    assert_eq!((design["rows"].as_u64(), design["drawn"].as_u64()), (Some(200), Some(40)));
    assert!(!folder.entries().iter().any(|name| name.ends_with(".tmp")));
}

#[test]
fn every_row_of_a_stratum_has_its_probability() {
    let folder = corpus();
    let mut args = ARGS.to_vec();
    args.extend(["--by", "experience", "--json"]);
    let json = folder.run(&args).exits(0).json();
    assert_eq!(json["n"], 40);
    let mut strata: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in rows(&folder.read("s/sample.csv")) {
        strata.entry(row[2].clone()).or_default().push(row[1].parse().unwrap());
    }
    for (name, size) in [("off_topic", 100.0), ("personal_use", 50.0), ("no_personal_use", 50.0)] {
        let pi = &strata[name];
        assert!(pi.iter().all(|own| (own * size - pi.len() as f64).abs() < 1e-9), "{name}");
    }
    args[9] = "text";
    args[7] = "t";
    folder.run(&args).exits(2);
    args[7] = "u";
    args.truncate(8);
    args.extend(["--uncertain", "0.9"]);
    folder.run(&args).exits(0);
    let unsure = rows(&folder.read("u/sample.csv"));
    assert_eq!(unsure.len(), 40);
    let of = |label: &str| unsure.iter().filter(|row| row[3] == label).count();
    assert!(of("personal_use") > of("off_topic"), "{unsure:?}");
}

#[test]
fn how_many_rows_are_needed_is_told() {
    let folder = corpus();
    let args = |label: &'static str, margin: &'static str| {
        let mut args = ARGS[..4].to_vec();
        args.extend(["--for", "prevalence", label, "--margin", margin, "--json"]);
        args
    };
    let json = folder.run(&args("personal_use", "0.1")).exits(0).json();
    // A quarter of 200 rows: 72.03 / (1 + 71.03 / 200).
    assert_eq!(json["needed"]["rows"], 54);
    assert!(json["expected"][0]["half_width"].as_f64().unwrap() > 0.08);
    assert!(json["needed"]["with_model"].is_null(), "nothing is promised without a table");
    folder.run(&args("personal_use", "0.1")[..9]).exits(0).prints(&["is not known"]);
    // 20 carry it, of which the model finds 15; of 80 others it gives 8 the label.
    let says = |yes: bool| if yes { "personal_use" } else { "off_topic" };
    let answers: String = (0..100)
        .map(|row| {
            let (gold, model) = (row < 20, row < 15 || (20..28).contains(&row));
            format!("{row},{},{},{}\n", says(gold), says(gold), says(model))
        })
        .collect();
    folder.file(
        "answers.csv",
        format!("id,experience,experience__oracle,experience__pipeline\n{answers}"),
    );
    let mut checked = args("personal_use", "0.1");
    checked.extend(["--checked", "answers.csv"]);
    let json = folder.run(&checked).exits(0).json();
    let own = &json["needed"]["with_model"];
    // Sensitivity 0.75 and 0.1 of the others at a quarter: 0.65 · √(0.1875 / (0.2625 · 0.7375)).
    let correlation = 0.65 * (0.1875f64 / (0.2625 * 0.7375)).sqrt();
    assert!((own["correlation"].as_f64().unwrap() - correlation).abs() < 1e-12, "{own}");
    let left = 72.03 * (1.0 - correlation * correlation);
    let least = (left / (1.0 + (left - 1.0) / 200.0)).ceil().max(40.0);
    assert_eq!((own["rows"].as_f64(), own["checked"].as_u64()), (Some(least), Some(100)));
    assert!(
        own["rows_at_lower"].as_u64() <= Some(54)
            && own["rows_at_lower"].as_u64() >= own["rows"].as_u64()
    );
    assert_eq!(json["needed"]["rows"], 54);
    // The same rows as oof.csv has them.
    let oof = folder.read("answers.csv").replacen(
        "experience,experience__oracle,experience__pipeline",
        "experience__gold,experience__oracle,experience",
        1,
    );
    folder.file("answers.csv", oof);
    assert_eq!(&folder.run(&checked).exits(0).json()["needed"]["with_model"], own);
    let few: String = folder.read("answers.csv").lines().skip(12).collect::<Vec<&str>>().join("\n");
    folder
        .file("answers.csv", format!("id,experience__gold,experience__oracle,experience\n{few}\n"));
    assert!(folder.run(&checked).exits(0).json()["needed"]["with_model"].is_null());
    folder.run(&[&args("personal_use", "0.1")[..], &["--checked", "c.csv"]].concat()).exits(3);
    folder.run(&args("personal_usage", "0.1")).exits(2).says(&["personal_use"]);
    folder.run(&args("attitude=positive", "0.9")).exits(2);
    folder.run(&ARGS[..4]).exits(2);
    folder
        .run(&[
            "sample",
            "c.csv",
            "--codebook",
            "llm-mental-health",
            "-n",
            "5",
            "-o",
            "t",
            "--by",
            "platform",
        ])
        .exits(3);
}

#[test]
fn coded_sheets_give_corrected_shares() {
    let folder = corpus();
    let mut args = ARGS.to_vec();
    args.extend(["--exclude", "e.csv"]);
    folder.file("e.csv", "id\nr1\nr2\n");
    folder.run(&args).exits(0).says(&["2 rows are excluded"]);
    let sheet = folder.read("s/sheet.csv");
    let coded: String = sheet
        .lines()
        .enumerate()
        .map(|(at, line)| match at {
            0 => format!("{line}\n"),
            n if n % 3 == 0 => format!("{}personal_use,positive,other\n", &line[..line.len() - 2]),
            _ => format!("{}off_topic,,\n", &line[..line.len() - 2]),
        })
        .collect();
    folder.file("s/sheet.csv", coded);
    let run = folder.run(&[
        "prevalence",
        "llm-mental-health",
        "c.csv",
        "--gold",
        "s/sample.csv",
        "s/sheet.csv",
        "--json",
    ]);
    let json = run.exits(0).json();
    assert_eq!(json["design"], "pi");
    assert_eq!(json["counts"]["gold"], 40);
    assert_eq!(json["rows"][0]["n_gold"], 40);
    // The same as the codes of one of several coders.
    let named = folder.read("s/sheet.csv").replacen(
        "experience,attitude,topics",
        "experience__ana,attitude__ana,topics__ana",
        1,
    );
    folder.file("s/ana.csv", named);
    let mut args =
        vec!["prevalence", "llm-mental-health", "c.csv", "--gold", "s/sample.csv", "s/ana.csv"];
    args.extend(["--gold-coder", "ana", "--json"]);
    assert_eq!(folder.run(&args).exits(0).json()["rows"], json["rows"]);
}

#[test]
fn rows_that_were_drawn_but_not_coded_count_for_the_others() {
    let folder = corpus();
    let mut args = ARGS.to_vec();
    args[5] = "120";
    folder.run(&args).exits(0);
    let coded: String = folder
        .read("s/sheet.csv")
        .lines()
        .take(73)
        .enumerate()
        .map(|(at, line)| match at {
            0 => format!("{line}\n"),
            n if n % 6 == 0 => format!("{}off_topic,,\n", &line[..line.len() - 2]),
            _ => format!("{}personal_use,positive,other\n", &line[..line.len() - 2]),
        })
        .collect();
    folder.file("s/sheet.csv", coded);
    let json = folder
        .run(&[
            "prevalence",
            "llm-mental-health",
            "c.csv",
            "--gold",
            "s/sample.csv",
            "s/sheet.csv",
            "--json",
        ])
        .exits(0)
        .json();
    assert_eq!(json["counts"]["drawn_uncoded"], 48);
    for row in json["rows"].as_array().unwrap().iter().take(4) {
        assert_eq!(row["label"], "personal_use");
        // Five in six of the 72 coded rows; the model says one in four, DSL corrects all of it.
        let found = row["estimate"].as_f64();
        assert!(found.is_none_or(|found| (found - 5.0 / 6.0).abs() < 0.06), "{row}");
    }
    assert!(json["rows"][1]["method"] == "dsl" && json["rows"][1]["estimate"].is_f64());
}

#[test]
fn a_sheet_with_the_models_codes_gives_precision_and_no_share() {
    let folder = corpus();
    let mut args = ARGS.to_vec();
    args.extend(["--verify", "topics"]);
    folder.run(&args).exits(0);
    let sheet = folder.read("s/sheet.csv");
    assert!(sheet.starts_with("id,text,topics__model,topics__verified\n"), "{sheet}");
    // Every second proposal is confirmed.
    let mut proposed = 0;
    let line = |line: &str| {
        if !line.contains("anonymity|other") {
            return format!("{line}\n");
        }
        proposed += 1;
        let code = if proposed % 2 == 0 { "anonymity" } else { "other" };
        format!("{line}{code}\n")
    };
    let coded: String = sheet.lines().map(line).collect();
    folder.file("s/sheet.csv", coded);
    let ran = |more: &[&str]| {
        let args = ["prevalence", "llm-mental-health", "c.csv", "--gold", "s/sample.csv"];
        folder.run(&[&args[..], &["s/sheet.csv", "--json"], more].concat())
    };
    // The model's own codes are never taken for gold.
    ran(&[]).exits(3);
    let json = ran(&["--gold-coder", "verified"]).exits(0).says(&["precision only"]).json();
    let labels = json["precision"].as_array().unwrap();
    for (label, confirmed) in [("anonymity", proposed / 2), ("other", proposed - proposed / 2)] {
        let own = labels.iter().find(|own| own["label"] == label).unwrap();
        assert_eq!((&own["proposed"], &own["confirmed"]), (&proposed.into(), &confirmed.into()));
    }
}

#[test]
fn a_corpus_is_checked_with_one_command_that_says_what_to_expect() {
    let folder = corpus();
    let ran = folder.run(&ARGS);
    ran.exits(0).prints(&["40 of 200 rows", "experience", "attitude", "topics", "±"]);
    let mut files = folder.entries();
    files.retain(|name| name.starts_with("s/"));
    assert_eq!(files, ["s/design.json", "s/manual.html", "s/sample.csv", "s/sheet.csv"]);
    assert!(folder.read("s/manual.html").contains("generic_or_robotic"));
    let design: Value = serde_json::from_str(&folder.read("s/design.json")).unwrap();
    let expected = design["expected"].as_array().unwrap();
    let own = expected.iter().find(|own| own["label"] == "personal_use").unwrap();
    // A quarter of 40 rows: Wilson's interval.
    let (n, p, z) = (40.0, 0.25, 1.959_963_984_540_054f64);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt() / (1.0 + z * z / n);
    assert!((own["half_width"].as_f64().unwrap() - half).abs() < 1e-9, "{own}");
}

#[test]
fn the_manual_is_a_page_of_its_own() {
    let folder = Folder::new();
    let args = ["check", "llm-mental-health", "--manual", "m.html"];
    folder.run(&args).exits(0);
    let page = folder.read("m.html");
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("generic_or_robotic"));
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("<script"));
    folder.run(&args).exits(2);
    folder.run(&["check", "llm-mental-health"]).exits(2);
}
