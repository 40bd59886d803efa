//! `confide check`: what it finds, and where it says it is.

use crate::harness::{Folder, Ran};

/// Stands in every text of these tests and must never be printed.
const SECRET: &str = "zanzibar";
const HEADER: &str = "id,group,text,experience,attitude,topics,split";

fn check(table: &str) -> (Folder, Ran) {
    let folder = Folder::new();
    folder.file("gold.csv", table);
    let ran = folder.run(&["check", "llm-mental-health", "gold.csv", "--json"]);
    ran.keeps_quiet_about(SECRET);
    let people = folder.run(&["check", "llm-mental-health", "gold.csv"]);
    people.keeps_quiet_about(SECRET);
    assert_eq!(people.code, ran.code);
    assert_eq!(folder.entries(), ["gold.csv"]);
    (folder, ran)
}

/// Asserts that the table has exactly these problems: row, column, code.
#[track_caller]
fn finds(table: &str, expected: &[(u64, &str, &str)]) -> Ran {
    let (_folder, ran) = check(table);
    ran.exits(i32::from(!expected.is_empty()));
    let document = ran.json();
    let found: Vec<(u64, &str, &str)> = document["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| {
            assert_eq!(p["file"], "gold.csv");
            let column = p["column"].as_str().unwrap_or("");
            (p["row"].as_u64().unwrap(), column, p["code"].as_str().unwrap())
        })
        .collect();
    assert_eq!(found, expected);
    ran
}

#[test]
fn a_sound_table_is_counted() {
    let ran = finds(
        &format!(
            "{HEADER}\n\
             1,g,{SECRET} one,personal_use,positive,other|anonymity,train\n\
             2,g,the second is {SECRET},off_topic,,,train\n\
             3,h,a third of {SECRET},personal_use,neutral,NA,test\n\
             4,h,fourth {SECRET} text,personal_use,negative,none,\n"
        ),
        &[],
    );
    let counts = &ran.json()["counts"];
    assert_eq!(counts["experience"]["labels"]["personal_use"]["total"], 3);
    assert_eq!(counts["experience"]["labels"]["personal_use"]["test"], 1);
    assert_eq!(counts["attitude"]["not_asked"]["train"], 1);
    assert_eq!(counts["topics"]["none"]["no_set"], 1);
    assert_eq!(counts["topics"]["not_asked"]["total"], 2);
    let warnings = ran.json()["warnings"].to_string();
    assert!(warnings.contains("few_rows"), "{warnings}");
}

#[test]
fn an_unknown_label_names_the_nearest() {
    let ran = finds(
        &format!("text,experience,attitude,topics\n{SECRET},personal_use,postive,\n"),
        &[(1, "attitude", "unknown_label")],
    );
    assert_eq!(ran.json()["problems"][0]["nearest"], "positive");
    // A text that slipped into a column of codes is not shown either.
    finds(
        &format!("text,experience,attitude,topics\na,i am {SECRET} and alone,,\n"),
        &[(1, "experience", "unknown_label")],
    );
}

#[test]
fn codes_that_the_codebook_forbids_are_found() {
    finds(
        &format!(
            "text,experience,attitude,topics\n\
             {SECRET},off_topic,positive,\n\
             {SECRET} two,personal_use|off_topic,,\n\
             {SECRET} three,personal_use,positive,none|other\n"
        ),
        &[
            (1, "attitude", "closed_gate"),
            (2, "experience", "several_labels"),
            (3, "topics", "none_with_labels"),
        ],
    );
    let folder = Folder::new();
    folder.file("e.csv", "text,sexism,category,vector\na,sexist,threats,slurs_and_insults\n");
    let ran = folder.run(&["check", "edos", "e.csv", "--json"]);
    ran.exits(1);
    assert_eq!(ran.json()["problems"][0]["code"], "not_permitted");
}

#[test]
fn slips_of_a_spreadsheet_are_found() {
    finds(
        &format!(
            "id,text,experience,attitude,topics,split,created\n\
             1,{SECRET} a,Personal_Use,positive,other,train,45292.5\n\
             2,{SECRET} b,personal_use,positive ,other,Train,2024-01-31\n\
             1,{SECRET} c,personal_use,positive,other,dev,1714000000\n\
             3,,personal_use,positive,other,test,2023\n\
             7.12E+18,{SECRET} d,personal_use,positive,other,test,\n"
        ),
        &[
            (1, "created", "serial_date"),
            (1, "experience", "label_form"),
            (2, "split", "label_form"),
            (2, "attitude", "label_form"),
            (3, "id", "duplicate_id"),
            (3, "split", "invalid_split"),
            (4, "text", "empty_text"),
            (5, "id", "rounded_id"),
        ],
    );
}

#[test]
fn broken_rows_are_counted_and_the_rest_is_read() {
    let ran = finds(
        &format!(
            "text,experience,attitude,topics\n\
             {SECRET},personal_use\n\
             {SECRET},with,a,comma,personal_use\n\
             {SECRET}\0,personal_use,positive,other\n\
             {SECRET},personal_use,positive,other\n"
        ),
        &[(1, "", "ragged_row"), (2, "", "ragged_row"), (3, "text", "nul_byte")],
    );
    assert_eq!(ran.json()["files"][0]["rows"], 1);
}

#[test]
fn a_missing_column_lists_those_found() {
    let (_folder, ran) = check("id,comment,experience,attitude,topics\n1,zanzibar,,,\n");
    ran.exits(3).says(&["gold.csv", "'comment'", "'attitude'", "--text comment"]);
    let (_folder, ran) = check("id,text,experience,atitude,topics\n1,zanzibar,,,\n");
    ran.exits(3).says(&["gold.csv", "'attitude'", "'atitude'"]);
    // A table without a header: the first text is not a column to be listed.
    let (_folder, ran) = check("1,i told zanzibar everything,x,y\n");
    ran.exits(3).says(&["'text'"]);
}

#[test]
fn coders_are_checked_in_their_own_columns() {
    let (_folder, ran) = check(
        "text,experience__ana,attitude__ana,topics__ana,experience__ben\n\
         zanzibar,personal_use,postive,,off_topik\n",
    );
    ran.exits(1);
    let problems = ran.json()["problems"].to_string();
    assert!(problems.contains("attitude__ana") && problems.contains("experience__ben"));
    assert_eq!(ran.json()["counts"]["experience__ana"]["labels"]["personal_use"]["total"], 1);
}

#[test]
fn texts_and_groups_in_several_sets_are_reported_by_row() {
    let (_folder, ran) = check(&format!(
        "{HEADER}\n\
         1,g,They said it was {SECRET} again!,off_topic,,,train\n\
         2,h,they said it was {SECRET} again,off_topic,,,test\n\
         3,g,nothing to do with the others,off_topic,,,validation\n"
    ));
    ran.exits(0);
    let document = ran.json();
    let of = |code: &str| {
        let all = document["warnings"].as_array().unwrap();
        all.iter().find(|w| w["code"] == code).map(|w| w["rows"].clone()).unwrap()
    };
    assert_eq!(of("duplicates_across_splits")[0]["row"], 1);
    assert_eq!(of("duplicates_across_splits")[1]["row"], 2);
    assert_eq!(of("group_across_splits")[1]["row"], 3);
}

#[test]
fn several_files_and_standard_input_are_read() {
    let folder = Folder::new();
    folder.file("a.csv", "text,offense,target,target_type\nx,offensive,untargeted,\n");
    folder.file("b.tsv", "text\toffense\ttarget\ttarget_type\ny\toffensive\tuntargeted\t\n");
    let ran = folder.run(&["check", "olid", "a.csv", "b.tsv", "--json"]);
    ran.exits(0);
    assert_eq!(ran.json()["counts"]["offense"]["labels"]["offensive"]["total"], 2);
    let line = b"{\"text\":\"x\",\"offense\":\"offensive\",\"target\":null,\"target_type\":null}\n";
    let ran = folder.run_with(&["check", "olid", "-", "--format", "jsonl", "--json"], line);
    ran.exits(0);
    assert_eq!(ran.json()["counts"]["target"]["missing"]["total"], 1);
}

#[test]
fn the_shipped_data_are_sound() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/therapy-comments/coded.csv");
    let folder = Folder::new();
    let ran = folder.run(&["check", "llm-mental-health", data, "--json"]);
    ran.exits(0);
    assert_eq!(ran.json()["files"][0]["rows"], 1370);
}
