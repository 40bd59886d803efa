//! `classify --crisis`: texts of people in danger, whatever the codebook.

use std::collections::BTreeMap;

use crate::classify::{rows, study};
use crate::classify_resume::{signal, start, wait_for};
use crate::harness::{Folder, Ran};

/// Texts that any screen must flag, of which one in windows shows the danger late, and what it
/// must not.
const DANGER: [&str; 2] = [
    "i want to kill myself tonight, zanzibar, i have the pills ready and nobody will stop me",
    "I am going to end my life. I wrote the note already, zanzibar",
];
const CALM: &str = "The recipe for this cake is great and zanzibar liked the photo";
const FOREIGN: &str = "hoy el gato zanzibar duerme en la cocina con mi abuela";

/// A calm text that goes on for long, with the danger at its end.
fn long() -> String {
    format!("{} {}", format!("{CALM}. ").repeat(30), DANGER[0])
}

fn table() -> String {
    format!(
        "id,text,link\na1,\"{}\",https://x/1\na2,{CALM},https://x/2\na3,,https://x/3\na4,{FOREIGN},https://x/4\n\
         a5,torn\na6,\"{}\",https://x/6\na7,\"{}\",https://x/7\n",
        DANGER[0],
        long(),
        DANGER[1],
    )
}

fn corpus() -> Folder {
    let folder = study();
    folder.file("t.csv", table());
    folder
}

fn classify(folder: &Folder, more: &[&str]) -> Ran {
    let ran = folder.run(&[&["classify", "b", "t.csv", "-o", "o.csv"], more].concat());
    ran.keeps_quiet_about("zanzibar");
    ran
}

fn column<'a>(rows: &'a [BTreeMap<String, String>], name: &str) -> Vec<&'a str> {
    rows.iter().map(|row| row[name].as_str()).collect()
}

/// A day such as 2026-12-27.
fn is_day(cell: &str) -> bool {
    let parts: Vec<&str> = cell.split('-').collect();
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    parts.iter().map(|part| part.len()).eq([4, 2, 2]) && parts.into_iter().all(digits)
}

#[test]
fn danger_is_flagged_and_what_was_not_screened_is_never_called_safe() {
    let folder = corpus();
    classify(&folder, &["--crisis"]).exits(1).says(&["o.csv.crisis.csv"]);
    let coded = rows(&folder.read("o.csv"));
    let expected =
        ["crisis", "no_crisis", "not_screened", "not_screened", "not_screened", "crisis", "crisis"];
    assert_eq!(column(&coded, "crisis"), expected);
    for row in &coded {
        let is_crisis = row["crisis"] == "crisis";
        let reasons: Vec<&str> = row["reason"].split('|').collect();
        assert_eq!(reasons.contains(&"crisis"), is_crisis);
        assert_eq!(row["status"] == "review", is_crisis);
        let score = row["crisis_p"].parse::<f64>();
        match row["crisis"].as_str() {
            "not_screened" => assert!(score.is_err()),
            verdict => assert_eq!(score.unwrap() >= 0.5, verdict == "crisis"),
        }
    }
    // The tiny encoder of the bundle keeps few words of it.
    assert!(coded[5]["reason"].contains("truncated"));

    let listed = rows(&folder.read("o.csv.crisis.csv"));
    let mut found = column(&listed, "id");
    found.sort_unstable();
    assert_eq!(found, ["a1", "a6", "a7"]);
    let scores: Vec<f64> =
        column(&listed, "crisis_score").iter().map(|cell| cell.parse().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b));
    for row in &listed {
        let own = coded.iter().find(|coded| coded["id"] == row["id"]).unwrap();
        assert_eq!((&row["text"], &row["link"]), (&own["text"], &own["link"]));
        assert_eq!(row["crisis_score"], own["crisis_p"]);
        assert_eq!(row["input_row"], row["id"][1..]);
        assert!(is_day(&row["delete_by"]));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = folder.path("o.csv.crisis.csv").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn codes_are_what_they_are_without_it_and_one_line_says_that_nothing_was_screened() {
    let folder = corpus();
    classify(&folder, &["--crisis"]).exits(1);
    let screened = rows(&folder.read("o.csv"));
    classify(&folder, &["--force"]).exits(1).says(&["--crisis"]);
    let plain = rows(&folder.read("o.csv"));
    for (screened, plain) in screened.iter().zip(&plain) {
        assert!(!plain.contains_key("crisis") && !plain.contains_key("crisis_p"));
        for tier in ["experience", "experience_p", "attitude", "attitude_p", "topics", "topics_p"] {
            assert_eq!(screened[tier], plain[tier]);
        }
    }
}

#[test]
fn the_file_has_the_name_that_it_is_given_and_replaces_nothing_unasked() {
    let folder = corpus();
    folder.file("mine.csv", "mine");
    let named = ["--crisis", "--crisis-file", "mine.csv", "--crisis-days", "7"];
    classify(&folder, &named).exits(2).says(&["mine.csv"]);
    assert_eq!(folder.read("mine.csv"), "mine");
    classify(&folder, &[&named[..], &["--force"]].concat()).exits(1);
    assert_eq!(rows(&folder.read("mine.csv")).len(), 3);
    assert!(!folder.path("o.csv.crisis.csv").exists());
    // One more coder of the same table has verdicts of its own.
    let again = ["classify", "b", "o.csv", "-o", "p.csv", "--crisis", "--as", "second"];
    folder.run(&again).keeps_quiet_about("zanzibar");
    assert_eq!(rows(&folder.read("p.csv"))[0]["crisis__second"], "crisis");
    for wrong in [&["--crisis-file", "x.csv"][..], &["--crisis", "--crisis-file", "t.csv"]] {
        classify(&folder, &[wrong, &["--force"]].concat()).exits(2);
    }
    let to_stream = ["classify", "b", "t.csv", "-o", "-", "--crisis"];
    folder.run(&to_stream).exits(2).says(&["--crisis"]);
}

#[test]
fn tables_of_objects_and_harmless_cells_are_screened_like_any() {
    let folder = study();
    let object =
        |id: &str, text: &str| format!("{{\"id\":\"{id}\",\"text\":\"{text}\",\"n\":[1]}}\n");
    folder.file("t.jsonl", [object("=1", DANGER[0]), object("b", CALM)].concat());
    let args = ["classify", "b", "t.jsonl", "-o", "o.jsonl", "--crisis", "--spreadsheet-safe"];
    folder.run(&args).exits(0).keeps_quiet_about("zanzibar");
    let listed = rows(&folder.read("o.jsonl.crisis.csv"));
    assert_eq!(column(&listed, "id"), ["'=1"]);
    let coded = folder.read("o.jsonl");
    let verdicts: Vec<String> = coded
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["crisis"].to_string())
        .collect();
    assert_eq!(verdicts, ["\"crisis\"", "\"no_crisis\""]);
}

/// Several windows of rows, one in a thousand in danger.
fn large() -> String {
    let mut table = "id,text\n".to_owned();
    for row in 0..9_000 {
        match row % 1000 {
            7 => table.push_str(&format!("{row},\"{} {row}\"\n", DANGER[0])),
            _ => table.push_str(&format!(
                "{row},The recipe for cake {} is great and we liked the photo\n",
                row % 50
            )),
        }
    }
    table
}

#[test]
fn what_was_found_stands_although_the_run_fails_later() {
    let folder = study();
    // A quote that is never closed ends the table after two windows.
    folder.file("t.csv", format!("{}x,\"open", large()));
    classify(&folder, &["--crisis"]).exits(3);
    assert!(!folder.path("o.csv").exists());
    let listed = rows(&folder.read("o.csv.crisis.csv"));
    assert_eq!(listed.len(), 9, "those of whole windows");
    // A table that was mended is another one.
    folder.file("t.csv", large());
    classify(&folder, &["--crisis"]).exits(2).says(&["--force"]);
    classify(&folder, &["--crisis", "--force"]).exits(0);
    assert_eq!(rows(&folder.read("o.csv.crisis.csv")).len(), 9);
}

#[cfg(unix)]
#[test]
fn a_killed_run_leaves_the_file_and_goes_on_to_the_same() {
    let folder = study();
    folder.file("t.csv", large());
    classify(&folder, &["--crisis"]).exits(0);
    let (whole, listed) = (folder.read("o.csv"), folder.read("o.csv.crisis.csv"));
    std::fs::remove_file(folder.path("o.csv")).unwrap();
    std::fs::remove_file(folder.path("o.csv.crisis.csv")).unwrap();
    let mut child = start(&folder, &["classify", "b", "t.csv", "-o", "o.csv", "--crisis"]);
    wait_for(&folder, 4096);
    signal(&child, "-KILL");
    child.wait().unwrap();
    let early = rows(&folder.read("o.csv.crisis.csv"));
    assert!(early.len() >= 4, "{} rows", early.len());
    classify(&folder, &["--crisis", "--threads", "1"]).exits(0);
    assert_eq!(folder.read("o.csv"), whole);
    assert_eq!(folder.read("o.csv.crisis.csv"), listed);
}

#[test]
fn withdrawn_comments_leave_the_file_and_a_report_does_not_read_it() {
    let folder = corpus();
    classify(&folder, &["--crisis"]).exits(1);
    folder.file("ids.txt", "a1\n");
    folder.run(&["forget", "--ids", "ids.txt", "."]).keeps_quiet_about("zanzibar");
    let listed = rows(&folder.read("o.csv.crisis.csv"));
    assert_eq!(listed.len(), 2);
    assert!(!column(&listed, "id").contains(&"a1"));
}
