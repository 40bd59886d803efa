//! `train --recipe auto`: what is tried, what is taken, and what it rests on.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Folder, Ran, command};
use crate::study::{
    FROZEN, HEADING, SECRET, holds_no_text, same, study as small_study, train, training_by,
};

/// Pays for both strategies that leave the encoder as it is, and for one that trains it.
const THREE: &str = "70s";
/// Pays for the former alone.
const CHEAP: &str = "45s";

const CODES: [&str; 4] = [
    "personal_use,positive,always_available",
    "no_personal_use,negative,privacy_concerns",
    "off_topic,,",
    "personal_use,mixed,dependence",
];

/// Rows of a set whose texts have nothing in common but a word that tells the code.
fn rows(set: &str, count: usize, codes: &dyn Fn(usize) -> usize) -> String {
    let line = |i: usize| {
        let word = |n: usize| {
            let letter =
                |k: usize| (b'a' + ((i * 7 + n * 11 + k * 5 + i * n * k) % 26) as u8) as char;
            (0..5).map(letter).collect::<String>()
        };
        let words: Vec<String> = (0..6).map(|n| word(n + set.len())).collect();
        let told = ["kind", "never", "lamp", "scares"][i % 4];
        format!("{set}{i},{told} {} {SECRET},{},{set}\n", words.join(" "), CODES[codes(i) % 4])
    };
    (0..count).map(line).collect()
}

fn study() -> Folder {
    let folder = small_study(FROZEN);
    let (train, validation) = (rows("train", 60, &|i| i), rows("validation", 12, &|i| i));
    folder.file("coded.csv", format!("{HEADING}{train}{validation}"));
    folder
}

fn auto(folder: &Folder, output: &str, budget: &str, more: &[&str]) -> Ran {
    let arguments = [training_by("auto", output), vec!["--budget", budget], more.to_vec()].concat();
    let ran = folder.run(&arguments);
    ran.keeps_quiet_about(SECRET);
    ran
}

fn json(folder: &Folder, file: &str) -> Value {
    serde_json::from_str(&folder.read(file)).unwrap()
}

fn tried(choice: &Value) -> BTreeMap<&str, usize> {
    let all = choice["candidates"].as_array().unwrap().iter();
    all.map(|own| (own["strategy"].as_str().unwrap(), own["folds"].as_array().unwrap().len()))
        .collect()
}

#[test]
fn the_best_of_what_the_budget_pays_for_is_trained() {
    let folder = study();
    let ran = auto(&folder, "bundle", THREE, &[]);
    let choice = json(&folder, "bundle.run/choice.json");
    let chosen = choice["chosen"].as_str().unwrap();
    ran.exits(0).prints(&["frozen", "frozen-lexical", "full", "chosen", "flatter"]);
    assert_eq!(
        tried(&choice).keys().copied().collect::<Vec<_>>(),
        ["frozen", "frozen-lexical", "full"]
    );
    let all = choice["candidates"].as_array().unwrap();
    let finalists: Vec<&Value> = all.iter().filter(|own| own["finalist"] == true).collect();
    assert_eq!(finalists.len(), 2);
    assert!(finalists.iter().all(|own| own["folds"].as_array().unwrap().len() == 5));
    let score = |own: &Value| own["score"].as_f64().unwrap();
    let best = finalists.iter().map(|own| score(own)).fold(0.0, f64::max);
    let winner = finalists.iter().find(|own| own["strategy"] == chosen).unwrap();
    assert_eq!(score(winner), best);
    assert!(choice["optimism"].as_f64().unwrap() >= 0.0);
    let manifest = json(&folder, "bundle/manifest.json");
    assert_eq!(manifest["choice"], choice);
    let mode = if chosen.starts_with("frozen") { "frozen" } else { "full" };
    assert_eq!(manifest["recipe"]["mode"], mode);
    assert_eq!(json(&folder, "bundle.run/run.json")["choice"], choice);
    assert!(folder.read("bundle/README.md").contains(chosen));
    assert!(!folder.path("bundle.run/choice").exists(), "trials are gone");
    holds_no_text(&folder, &["bundle", "bundle.run"]);
    // The recipe that was taken gives the same weights by its file.
    folder.file("taken.toml", folder.read("bundle.run/recipe.toml"));
    folder.run(&training_by("taken.toml", "taken")).exits(0);
    for file in ["model.safetensors", "heads.safetensors", "decision.json"] {
        let of = |bundle: &str| std::fs::read(folder.path(&format!("{bundle}/{file}"))).unwrap();
        assert!(of("taken") == of("bundle"), "{file}");
    }
    auto(&folder, "again", THREE, &["--threads", "1"]).exits(0);
    same(&folder, "bundle", "again");
}

#[test]
fn validation_rows_have_no_say() {
    let folder = study();
    auto(&folder, "bundle", CHEAP, &[]).exits(0);
    let other = study();
    let table =
        format!("{HEADING}{}{}", rows("train", 60, &|i| i), rows("validation", 12, &|i| i + 1));
    assert_ne!(table, folder.read("coded.csv"));
    other.file("coded.csv", table);
    auto(&other, "bundle", CHEAP, &[]).exits(0);
    assert_eq!(folder.read("bundle.run/choice.json"), other.read("bundle.run/choice.json"));
}

#[test]
fn each_fold_chooses_for_itself() {
    let codes_of = |table: &str| -> Vec<Vec<String>> {
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
    };
    let folder = study();
    auto(&folder, "bundle", "2m", &["--folds", "2"]).exits(0);
    let before = codes_of(&folder.read("bundle.run/oof.csv"));
    let fold = 2;
    let first: Vec<&str> =
        before.iter().filter(|row| row[fold] == "1").map(|row| row[0].as_str()).collect();
    // Within the fold each row gets the codes of the next.
    let lines: Vec<String> = folder.read("coded.csv").lines().map(str::to_owned).collect();
    let own: Vec<usize> = (1..lines.len())
        .filter(|&at| first.contains(&lines[at].split(',').next().unwrap()))
        .collect();
    let mut permuted = lines.clone();
    for (n, &at) in own.iter().enumerate() {
        let text = lines[at].splitn(3, ',').take(2).collect::<Vec<_>>().join(",");
        let next = lines[own[(n + 1) % own.len()]].splitn(3, ',').nth(2).unwrap();
        permuted[at] = format!("{text},{next}");
    }
    let other = study();
    other.file("coded.csv", permuted.join("\n"));
    auto(&other, "bundle", "2m", &["--folds", "2"]).exits(0);
    let file = "bundle.run/folds-2/1.run/choice.json";
    assert_eq!(folder.read(file), other.read(file), "the choice for a fold does not see it");
    let answers = |folder: &Folder| -> Vec<Vec<(String, String)>> {
        let table = folder.read("bundle.run/oof.csv");
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows = reader.records().map(|row| {
            let row = row.unwrap();
            let cells = names.iter().cloned().zip(row.iter().map(str::to_owned));
            cells
                .filter(|(name, _)| !name.ends_with("__gold") && !name.ends_with("__oracle"))
                .collect::<Vec<_>>()
        });
        rows.filter(|row| row.iter().any(|(name, cell)| name == "fold" && cell == "1")).collect()
    };
    assert!(answers(&folder) == answers(&other), "answers to a fold depend on its codes");
}

#[test]
fn an_unfinished_choice_is_gone_on_with() {
    let folder = study();
    auto(&folder, "whole", CHEAP, &[]).exits(0);
    auto(&folder, "bundle", CHEAP, &[]).exits(0);
    // As if it had been killed after a trial: its tally is there, the bundle is not.
    std::fs::remove_dir_all(folder.path("bundle")).unwrap();
    std::fs::remove_file(folder.path("bundle.run/choice.json")).unwrap();
    let choice = json(&folder, "whole.run/choice.json");
    assert_eq!(tried(&choice).len(), 2);
    std::fs::create_dir_all(folder.path("bundle.run/choice/frozen")).unwrap();
    folder.file("bundle.run/choice/frozen/1.json", "not a tally");
    let ran = auto(&folder, "bundle", CHEAP, &[]);
    ran.exits(0).says(&["frozen, fold 1"]);
    same(&folder, "whole", "bundle");
}

#[test]
fn a_choice_that_is_killed_half_way_ends_in_the_same_bytes() {
    let folder = study();
    auto(&folder, "unbroken", THREE, &[]).exits(0);
    for trial in ["frozen/3.json", "frozen-lexical/2.json", "full/1.json"] {
        let arguments = [training_by("auto", "killed"), vec!["--budget", THREE]].concat();
        let mut child = command(folder.root())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let (begun, done) = (Instant::now(), folder.path("killed.run/choice").join(trial));
        while !done.exists() {
            assert!(child.try_wait().expect("a process").is_none(), "it ended before {trial}");
            assert!(begun.elapsed() < Duration::from_secs(120), "no {trial} in two minutes");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().expect("a kill");
        child.wait().expect("its end");
        assert!(!folder.path("killed").exists());
    }
    auto(&folder, "killed", THREE, &["--threads", "1"]).exits(0);
    same(&folder, "unbroken", "killed");
    let choice = |bundle: &str| folder.read(&format!("{bundle}.run/choice.json"));
    assert_eq!(choice("killed"), choice("unbroken"));
}

#[test]
fn what_cannot_be_chosen_is_refused() {
    let folder = study();
    auto(&folder, "b", "2s", &[]).exits(2).says(&["--budget"]);
    auto(&folder, "b", "soon", &[]).exits(2).says(&["15m"]);
    auto(&folder, "b", CHEAP, &["--unlabelled", "coded.csv"]).exits(2).says(&["--unlabelled"]);
    train(&folder, "b", &["--budget", "15m"]).exits(2).says(&["--recipe auto"]);
    assert!(!folder.path("b").exists() && !folder.path("b.run").exists());
}
