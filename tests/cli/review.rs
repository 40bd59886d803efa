//! Rows that the model should not decide: `classify --review-budget` and `--sets`, and the review
//! rule of a bundle.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::classify::{rows, study, text};
use crate::classify_resume::{signal, start, table, wait_for};
use crate::harness::Folder;
use crate::study::{FROZEN, SECRET, holds_no_text, study as coded_study, train};

type Row = BTreeMap<String, String>;

/// A folder with a bundle and 400 texts, many of them equal, and one row without.
fn corpus() -> Folder {
    let folder = study();
    let mut table = "id,text\n".to_string();
    (0..400).for_each(|row| table.push_str(&format!("{row},{}\n", text(row % 300 * row % 170))));
    table.push_str("400,\n");
    folder.file("t.csv", table);
    folder
}

fn classify(folder: &Folder, output: &str, flags: &[&str]) -> Vec<Row> {
    let arguments = [&["classify", "b", "t.csv", "-o", output][..], flags].concat();
    folder.run(&arguments).exits(0).keeps_quiet_about("zanzibar");
    rows(&folder.read(output))
}

fn chosen(rows: &[Row]) -> Vec<usize> {
    (0..rows.len()).filter(|row| rows[*row]["reason"].split('|').any(|r| r == "budget")).collect()
}

/// The codes of a row that are expected to be wrong, by its own probabilities.
fn expected_wrong(row: &Row) -> f64 {
    let number = |cell: &str| cell.parse::<f64>().unwrap();
    let mut sum = 0.0;
    for tier in ["experience", "attitude", "topics"] {
        let given: Vec<&str> = row[tier].split('|').filter(|label| !label.is_empty()).collect();
        let start = format!("{tier}_p__");
        for (column, cell) in row.iter().filter(|(column, _)| column.starts_with(&start)) {
            let is_given = given.contains(&&column[start.len()..]);
            if is_given {
                sum += 1.0 - number(cell);
            } else if tier == "topics" || given.is_empty() {
                sum += number(cell);
            }
        }
    }
    sum
}

#[test]
fn a_budget_marks_the_rows_whose_coding_corrects_most() {
    let folder = corpus();
    let plain = classify(&folder, "plain.csv", &["--probabilities"]);
    let marked = classify(&folder, "marked.csv", &["--probabilities", "--review-budget", "25"]);
    let found = chosen(&marked);
    assert_eq!(found.len(), 25);
    for (row, (plain, marked)) in plain.iter().zip(&marked).enumerate() {
        let mut expected = plain.clone();
        if found.contains(&row) {
            expected.insert("status".into(), "review".into());
            expected.insert("reason".into(), "budget".into());
        }
        assert_eq!(*marked, expected);
    }
    let mut copies: HashMap<&str, Vec<usize>> = HashMap::new();
    plain.iter().enumerate().for_each(|(at, row)| copies.entry(&row["text"]).or_default().push(at));
    let worth =
        |at: usize| copies[plain[at]["text"].as_str()].len() as f64 * expected_wrong(&plain[at]);
    let firsts = copies.iter().filter(|(text, _)| !text.is_empty()).map(|(_, rows)| rows[0]);
    let (taken, left): (Vec<usize>, Vec<usize>) = firsts.partition(|row| found.contains(row));
    assert_eq!(taken.len(), 25, "of equal texts the first stands for all");
    let least = taken.iter().map(|row| worth(*row)).fold(f64::INFINITY, f64::min);
    let most = left.iter().map(|row| worth(*row)).fold(0.0, f64::max);
    assert!(least > most - 1e-3, "{least} {most}");
}

#[test]
fn a_large_budget_marks_every_coded_row() {
    let folder = corpus();
    let marked = classify(&folder, "o.csv", &["--review-budget", "1000"]);
    assert_eq!(chosen(&marked), (0..400).collect::<Vec<_>>());
    assert_eq!(marked[400]["status"], "empty");
    let ran = folder.run(&["classify", "b", "t.csv", "-o", "p.csv", "--review-budget", "7"]);
    ran.exits(0).says(&["7 for review"]);
    assert!(!folder.path("p.csv.partial").exists());
}

#[test]
fn a_budget_is_spent_alike_however_the_work_goes() {
    let folder = study();
    folder.file("t.csv", table());
    let flags = ["--review-budget", "300"];
    let whole = ["classify", "b", "t.csv", "-o", "whole.csv", "--threads", "1"];
    folder.run(&[&whole[..], &flags[..]].concat()).exits(1).says(&["300 for review"]);
    let args =
        ["classify", "b", "t.csv", "-o", "o.csv", "--review-budget", "300", "--threads", "2"];
    let mut child = start(&folder, &args);
    wait_for(&folder, 4096);
    signal(&child, "-KILL");
    child.wait().unwrap();
    let other = ["classify", "b", "t.csv", "-o", "o.csv", "--review-budget", "301"];
    folder.run(&other).exits(2).says(&["--review-budget"]);
    folder.run(&args).exits(1).says(&["continuing", "300 for review"]);
    let found = folder.read("o.csv");
    assert!(found == folder.read("whole.csv"));
    assert_eq!(chosen(&rows(&found)).len(), 300);
    assert!(!folder.path("o.csv.partial").exists());
}

#[test]
fn a_stream_cannot_be_marked() {
    let folder = corpus();
    let args = ["classify", "b", "t.csv", "-o", "-", "--review-budget", "5"];
    folder.run(&args).exits(2).says(&["--review-budget", "file"]);
    folder.run(&["classify", "b", "t.csv", "-o", "o.csv", "--review-budget", "0"]).exits(2);
}

/// A study trained by a recipe that asks for a review rule.
fn trained(risk: &str, flags: &[&str]) -> (Folder, String) {
    let folder = coded_study(&format!("{FROZEN}review_risk = {risk}\n"));
    let ran = train(&folder, "bundle", flags);
    ran.exits(0);
    let said = ran.stderr;
    (folder, said)
}

fn decisions(folder: &Folder) -> Value {
    serde_json::from_str(&folder.read("bundle/decision.json")).unwrap()
}

fn evaluated(folder: &Folder) -> Value {
    let ran = folder.run(&["evaluate", "bundle", "coded.csv", "--json", "--precision", "f32"]);
    ran.exits(0).keeps_quiet_about(SECRET);
    ran.json()
}

const ONE_TIER: &str = "format = 1\nname = \"one\"\nversion = \"1\"\nlanguage = \"en\"\n\
    description = \"d\"\n[[tier]]\nname = \"use\"\nkind = \"single\"\nquestion = \"q\"\n\
    label = [{ name = \"yes\", definition = \"d\" }, { name = \"no\", definition = \"d\" }]\n";

/// Texts of which two in three say by a word what they are, and the third does not.
fn one_tier() -> String {
    let mut table = "id,text,use,split\n".to_owned();
    for (set, rows) in [("train", 0..240), ("validation", 240..270), ("test", 270..360)] {
        for row in rows {
            let (word, code) = match row % 6 {
                0 | 3 => ("perhaps", if row % 4 < 2 { "yes" } else { "no" }),
                1 | 4 => ("certainly", "yes"),
                _ => ("refused", "no"),
            };
            table.push_str(&format!("{row},{} {word} {SECRET},{code},{set}\n", text(row)));
        }
    }
    table
}

#[test]
fn a_rule_sends_to_review_what_the_recipe_asks() {
    let folder = coded_study(&format!("{FROZEN}review_risk = 0.1\n"));
    folder.file("one.toml", ONE_TIER);
    folder.file("coded.csv", one_tier());
    let args = ["train", "one.toml", "--data", "coded.csv", "--base", "base", "-o", "bundle"];
    let ran = folder.run(&[&args[..], &["--recipe", "recipe.toml", "--folds", "3"]].concat());
    ran.exits(0).keeps_quiet_about("no rule can be promised");
    let rule = &decisions(&folder)["review"];
    assert_eq!(rule["risk"], 0.1);
    let below = rule["below"].as_f64().unwrap();
    assert!(below > 0.5 && below < 1.0, "{below}");
    let document = evaluated(&folder);
    let review = &document["review"];
    assert_eq!(review["below"].as_f64(), Some(below));
    assert!(review["wrong"]["value"].as_f64().unwrap() <= 0.1, "{review}");
    let args = ["classify", "bundle", "coded.csv", "-o", "o.csv", "--as", "m"];
    folder.run(&[&args[..], &["--precision", "f32"]].concat()).exits(0);
    let coded = rows(&folder.read("o.csv"));
    for row in &coded {
        let p: f64 = row["use__m_p"].parse().unwrap();
        if (p - below).abs() > 1e-6 {
            assert_eq!(row["status"] == "review", p < below, "{p} {below}");
            assert_eq!(row["reason"], if p < below { "low_confidence" } else { "" });
        }
    }
    let kept = coded.iter().filter(|row| row["split"] == "test" && row["status"] == "ok");
    assert_eq!(review["kept"]["count"], kept.count());
    assert_eq!(review["kept"]["n"], 90);
    assert_eq!(review["wrong"]["n"], review["kept"]["count"], "no gold is missing");
    assert_eq!(review["tiers"]["use"], review["wrong"]);
    let evaluate = ["evaluate", "bundle", "coded.csv"];
    let ran = folder.run(&evaluate);
    ran.exits(0).prints(&["left as ok", "a wrong code in any tier", "at most 10.0 %"]);
    holds_no_text(&folder, &["bundle", "bundle.run"]);
    assert!(folder.read("bundle/README.md").contains(&format!("below {below:.3}")));
    let evaluate = ["evaluate", "bundle", "coded.csv", "--precision", "f32", "-o", "s/evaluation"];
    folder.run(&evaluate).exits(0);
    folder.run(&["report", "s", "--codebook", "one.toml"]).exits(0);
    let told = rows(&folder.read("s/report/tables/review.csv"));
    let counts: Vec<&str> = told.iter().map(|row| row["comments"].as_str()).collect();
    let kept = review["kept"]["count"].to_string();
    assert_eq!(counts, ["90", kept.as_str(), kept.as_str()]);
    let share: f64 = told[1]["share"].parse().unwrap();
    assert!((share - review["wrong"]["value"].as_f64().unwrap()).abs() < 1e-9);
    let told = rows(&folder.read("s/report/tables/sets.csv"));
    assert_eq!(told.len(), 4, "a row for each level of the only tier");
    assert_eq!(told[0]["fitted on"], "out of fold");
}

#[test]
fn a_rule_that_cannot_be_promised_is_refused() {
    let (folder, said) = trained("0.001", &[]);
    assert!(said.contains("review_risk = 0.001") && said.contains("the least"), "{said}");
    assert!(decisions(&folder)["review"].is_null());
    assert!(evaluated(&folder)["review"].is_null());
}

#[test]
fn sets_hold_labels_and_say_what_is_claimed() {
    let (folder, _) = trained("0", &["--folds", "3"]);
    let sets = &decisions(&folder)["sets"];
    assert_eq!(sets["fitted_on"], "out_of_fold");
    assert_eq!(sets["tiers"][0]["rows"], 24);
    let args = ["classify", "bundle", "coded.csv", "-o", "o.csv", "--as", "m", "--sets"];
    folder.run(&[&args[..], &["0.8", "--precision", "f32"]].concat()).exits(0);
    let (mut hold, mut n) = (0, 0);
    for row in rows(&folder.read("o.csv")).iter().filter(|row| row["split"] == "test") {
        let set: Vec<&str> = row["attitude_set__m"].split('|').collect();
        let gold = if row["attitude"].is_empty() { "na" } else { row["attitude"].as_str() };
        (hold, n) = (hold + i32::from(set.contains(&gold)), n + 1);
    }
    let document = evaluated(&folder);
    let judged = &document["tiers"]["attitude"]["sets"][0];
    assert_eq!((&judged["observed"]["count"], &judged["observed"]["n"]), (&hold.into(), &n.into()));
    assert_eq!(judged["asked"], 0.8);
    assert!((judged["guaranteed"].as_f64().unwrap() - 0.6).abs() < 1e-9);
    assert!(document["tiers"]["attitude"]["calibration"]["risk_area"].is_number());
    let ran = folder.run(&["evaluate", "bundle", "coded.csv"]);
    ran.exits(0).prints(&["sets asked", "1 - 2 alpha guaranteed, 1 - alpha observed", "platform"]);
    folder.run(&[&args[..], &["0.7"]].concat()).exits(2).says(&["0.95"]);
    folder.run(&[&args[..], &["0.9", "--folds"]].concat()).exits(2);
    train(&folder, "plain", &[]).exits(0);
    let ran = folder.run(&["evaluate", "plain", "coded.csv"]);
    ran.exits(0).prints(&["nothing is guaranteed"]);
    let old = study();
    old.file("t.csv", "text\nit helped\n");
    old.run(&["classify", "b", "t.csv", "-o", "o.csv", "--sets", "0.9"]).exits(2).says(&["--sets"]);
}
