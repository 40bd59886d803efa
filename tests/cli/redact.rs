//! `confide redact`, and `--redact` where texts are read.

use crate::bundles::tiny_bundle;
use crate::harness::Folder;

const TABLE: &str = "id,text,note\n\
    1,\"mail kira@example.com or call 202-555-0147, says @Kira_Blue\",@kira_blue\n\
    2,nothing to see in 2024,x\n\
    3,\"u/kira_blue again, with Mara Lindqvist\",y\n";

const SECRETS: [&str; 5] = ["kira@example", "555-0147", "Kira_Blue", "u/kira", "Lindqvist"];

fn folder() -> Folder {
    let folder = Folder::new();
    folder.file("t.csv", TABLE);
    folder.file("names.txt", "Mara Lindqvist\n");
    folder
}

/// What stands in brackets.
fn tokens(text: &str) -> Vec<String> {
    text.split('[').skip(1).filter_map(|rest| rest.split(']').next()).map(str::to_owned).collect()
}

#[test]
fn a_table_is_masked_and_a_person_stays_one() {
    let folder = folder();
    let ran = folder.run(&["redact", "t.csv", "-o", "masked.csv", "--names", "names.txt"]);
    ran.exits(0).prints(&["email", "phone", "handle", "user", "name", "2 of 3 rows"]);
    let masked = folder.read("masked.csv");
    for secret in SECRETS {
        assert!(!masked.contains(secret), "{secret}");
        ran.keeps_quiet_about(secret);
    }
    assert!(masked.contains("@kira_blue\n"), "other columns stay as they are");
    assert!(masked.contains("2,nothing to see in 2024,x\n"));
    let found = tokens(&masked);
    assert_eq!(found.len(), 5, "{masked}");
    assert_eq!(found[2], found[3], "@Kira_Blue and u/kira_blue");
    assert_ne!(found[3], found[4]);
    // Again with the same salt, the same bytes; with another, other pseudonyms.
    let args = ["redact", "t.csv", "-o", "again.csv", "--names", "names.txt", "--salt-file"];
    folder.run(&[&args[..], &["masked.csv.salt"]].concat()).exits(0);
    assert_eq!(folder.read("again.csv"), masked);
    folder.run(&[&args[..], &["new.salt", "--force"]].concat()).exits(0);
    assert_ne!(folder.read("again.csv"), masked);
    folder.run(&["redact", "t.csv", "-o", "masked.csv"]).exits(2).says(&["--force"]);
    folder.run(&["redact", "t.csv", "-o", "all.csv", "--columns", "note"]).exits(0);
    assert!(!folder.read("all.csv").contains("@kira_blue"));
    folder.run(&["redact", "t.csv", "-o", "no.csv", "--columns", "nota"]).exits(3).says(&["note"]);
    assert!(!folder.entries().iter().any(|name| name.contains("no.csv")));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = folder.path("masked.csv.salt").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_dry_run_tells_places_and_writes_nothing() {
    let folder = folder();
    let before = folder.entries();
    let ran = folder.run(&["redact", "t.csv", "--dry-run", "--json", "--names", "names.txt"]);
    ran.exits(0);
    assert_eq!(folder.entries(), before);
    let found = ran.json();
    let places = found["places"].as_array().unwrap();
    assert_eq!(places.len(), 5);
    assert_eq!(places[0]["identifier"], "email");
    assert_eq!((places[0]["start"].as_u64(), places[0]["end"].as_u64()), (Some(5), Some(21)));
    assert_eq!(found["counts"]["phone"], 1);
    for secret in SECRETS {
        ran.keeps_quiet_about(secret);
    }
    folder.run(&["redact", "t.csv"]).exits(2);
}

#[test]
fn objects_keep_their_other_keys() {
    let folder = Folder::new();
    folder.file("t.jsonl", "{\"text\":\"ask @kira_blue\",\"n\":[1,2],\"by\":\"@kira_blue\"}\n");
    folder.run(&["redact", "t.jsonl", "-o", "m.jsonl"]).exits(0);
    let masked: serde_json::Value = serde_json::from_str(&folder.read("m.jsonl")).unwrap();
    assert!(masked["text"].as_str().unwrap().starts_with("ask [PERSON_"));
    assert_eq!(masked["n"], serde_json::json!([1, 2]));
    assert_eq!(masked["by"], "@kira_blue");
}

#[test]
fn texts_are_masked_before_they_are_coded_and_written() {
    let folder = Folder::new();
    tiny_bundle(folder.root(), "b", "llm-mental-health", None);
    folder.file("t.csv", "id,text\n1,it helped @kira_blue a lot\n2,call 202-555-0147 now\n");
    folder.file("m.csv", "id,text\n1,it helped [PERSON] a lot\n2,call [PHONE] now\n");
    folder.run(&["classify", "b", "t.csv", "-o", "o.csv", "--redact"]).exits(0);
    folder.run(&["classify", "b", "m.csv", "-o", "p.csv"]).exits(0);
    assert_eq!(folder.read("o.csv"), folder.read("p.csv"));
    folder.run(&["classify", "b", "t.csv", "-o", "q.csv"]).exits(0);
    assert!(folder.read("q.csv").contains("@kira_blue"));
    folder
        .run(&["classify", "b", "t.csv", "-o", "r.csv", "--names", "x"])
        .exits(2)
        .says(&["--redact"]);
}

#[test]
fn standard_output_gets_the_table_and_nothing_else() {
    let folder = folder();
    folder.run(&["redact", "t.csv", "-o", "-"]).exits(2).says(&["--salt-file"]);
    let ran = folder.run(&["redact", "t.csv", "-o", "-", "--salt-file", "salt"]);
    ran.exits(0).says(&["2 of 3 rows"]);
    assert!(ran.stdout.starts_with("id,text,note\n1,\"mail [EMAIL_"), "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().count(), 4);
    assert!(!folder.entries().contains(&"-".to_owned()));
}

#[test]
fn check_counts_what_is_masked() {
    let folder = folder();
    let coded = TABLE.replace(",note\n", ",experience,attitude,topics\n");
    let coded = [",x\n", ",y\n", ",@kira_blue\n"]
        .iter()
        .fold(coded, |coded, note| coded.replace(note, ",off_topic,,\n"));
    folder.file("coded.csv", coded);
    let args = ["check", "llm-mental-health", "coded.csv"];
    let masking = [&args[..], &["--redact", "--names", "names.txt"]].concat();
    let ran = folder.run(&masking);
    ran.prints(&["2 of 3 rows hold something to mask", "email", "phone", "handle", "user", "name"]);
    for secret in SECRETS {
        ran.keeps_quiet_about(secret);
    }
    let masked = folder.run(&[&masking[..], &["--json"]].concat()).json()["masked"].clone();
    assert_eq!((masked["rows"].as_u64(), masked["rows_masked"].as_u64()), (Some(3), Some(2)));
    assert_eq!(masked["counts"]["name"], 1);
    folder.run(&args).keeps_quiet_about("to mask");
}
