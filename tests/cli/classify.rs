//! `confide classify`: columns, gates, and rows that cannot be used.

use std::collections::{BTreeMap, HashSet};

use confide::codebook::{CellValue, Code, Codebook};
use confide::heads::joint::violations;

use crate::bundles::tiny_bundle;
use crate::harness::{Folder, Ran, command};

const ADDED: [&str; 8] = [
    "experience",
    "experience_p",
    "attitude",
    "attitude_p",
    "topics",
    "topics_p",
    "status",
    "reason",
];

/// A folder with the bundle `b`.
pub fn study() -> Folder {
    let folder = Folder::new();
    tiny_bundle(folder.root(), "b", "llm-mental-health", None);
    folder
}

/// A text of a few words that differs from row to row.
pub fn text(row: usize) -> String {
    const WORDS: [&str; 8] = ["it", "helped", "me", "never", "zanzibar", "lol", "why", "again"];
    let word = |n: usize| WORDS[(row * 7 + row / 8 * n + n * n) % WORDS.len()];
    format!("{} {} {}", word(1), row * 7919 % 10_000, word(3))
}

/// The records of a CSV or TSV text, header first.
fn records(text: &str, delimiter: u8) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).delimiter(delimiter).from_reader(text.as_bytes());
    let record = |r: Result<csv::StringRecord, _>| r.unwrap().iter().map(String::from).collect();
    reader.records().map(record).collect()
}

/// Each data row as a map from column to cell.
pub fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut records = records(text, b',').into_iter();
    let header = records.next().unwrap();
    records.map(|r| header.iter().cloned().zip(r).collect()).collect()
}

fn classify(folder: &Folder, input: &str, flags: &[&str]) -> Ran {
    let ran = folder.run(&[&["classify", "b", input, "-o", "o.csv"], flags].concat());
    ran.keeps_quiet_about("zanzibar");
    ran
}

#[test]
fn every_column_and_row_stays_in_its_place() {
    let folder = study();
    let table = "id,text,\"a, \"\"b\"\"\",split\n\
        7,it helped,\" kept \",x\n3,\"zanzibar,\ntwice\",,\n7,again; why,-1.50,train\n";
    let semicolons = "id;text;\"a, \"\"b\"\"\";split\n\
        7;it helped;\" kept \";x\n3;\"zanzibar,\ntwice\";;\n7;\"again; why\";-1.50;train\n";
    let tabs = semicolons.replace("\"again; why\"", "again: why").replace(';', "\t");
    let utf16: Vec<u8> = table.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, bytes, delimiter) in [
        ("t.csv", table.as_bytes().to_vec(), b','),
        ("t.csv", table.replace('\n', "\r\n").into_bytes(), b','),
        ("t.csv", format!("\u{feff}{table}").into_bytes(), b','),
        ("t.csv", [&b"\xff\xfe"[..], &utf16].concat(), b','),
        ("t.csv", semicolons.as_bytes().to_vec(), b';'),
        ("t.tsv", tabs.clone().into_bytes(), b'\t'),
    ] {
        folder.file(name, &bytes);
        let output = if name == "t.tsv" { "o.tsv" } else { "o.csv" };
        folder.run(&["classify", "b", name, "-o", output, "--force"]).exits(0);
        let found = records(&folder.read(output), delimiter);
        let mut expected = records(table, b',');
        if name == "t.tsv" {
            expected[3][1] = "again: why".into();
        }
        if bytes.windows(2).any(|b| b == b"\r\n") {
            expected[2][1] = "zanzibar,\r\ntwice".into();
        }
        expected[0].extend(ADDED.map(String::from));
        assert_eq!(found.len(), 4);
        assert_eq!(found[0], expected[0]);
        for (found, expected) in found.iter().zip(&expected).skip(1) {
            assert_eq!(found[..4], expected[..]);
            assert_eq!(found[10], "ok");
        }
    }
}

#[test]
fn objects_stay_untouched() {
    let folder = study();
    folder.file(
        "t.jsonl",
        "{\"text\":\"it helped\",\"n\":1.5,\"deep\":{\"a\":[null]}}\n\n\
         {\"zanzibar\n{\"n\":null,\"text\":\"why\"}\n",
    );
    let ran = folder.run(&["classify", "b", "t.jsonl", "-o", "o.jsonl"]);
    ran.exits(1).keeps_quiet_about("zanzibar");
    let lines: Vec<serde_json::Value> =
        folder.read("o.jsonl").lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["deep"], serde_json::json!({"a": [null]}));
    assert_eq!(lines[0]["n"], 1.5);
    assert_eq!(lines[0]["status"], "ok");
    assert_eq!(
        (&lines[1]["status"], &lines[1]["reason"]),
        (&"rejected".into(), &"not_json".into())
    );
    assert!(lines[2]["n"].is_null() && lines[2]["experience"].is_string());
    assert!(folder.read("o.jsonl.rejects.csv").starts_with("row,line,reason"));
    folder.run(&["classify", "b", "t.jsonl", "-o", "o.csv"]).exits(1);
    assert_eq!(rows(&folder.read("o.csv"))[0]["deep"], "{\"a\":[null]}");
}

#[test]
fn gates_hold_and_probabilities_stand_beside() {
    let folder = study();
    let mut table = "id,text\n".to_string();
    (0..600).for_each(|row| table.push_str(&format!("{row},{}\n", text(row))));
    folder.file("t.csv", table);
    classify(&folder, "t.csv", &["--probabilities"]).exits(0);
    let codebook = Codebook::find("llm-mental-health").unwrap();
    let mut seen = HashSet::new();
    for row in rows(&folder.read("o.csv")) {
        let mut codes = Vec::new();
        for (at, tier) in codebook.tiers.iter().enumerate() {
            let cell = &row[&tier.name];
            let (value, slips) = codebook.parse_cell(at, cell);
            assert!(slips.is_empty(), "{cell}");
            let p = &row[&format!("{}_p", tier.name)];
            match value {
                CellValue::Labels(set) => {
                    assert_eq!(p.split('|').count(), set.len().max(1));
                    for (label, p) in set.iter().zip(p.split('|')) {
                        let name = format!("{}_p__{}", tier.name, tier.labels[label].name);
                        assert_eq!(row[&name], p);
                        assert_eq!(p.len(), "0.000000".len());
                    }
                    codes.push(Code::Coded(set));
                }
                _ => {
                    assert_eq!(p, "");
                    codes.push(Code::NotAsked);
                }
            }
        }
        assert!(violations(&codebook, &codes).is_empty(), "{codes:?}");
        seen.insert(codes);
    }
    assert!(seen.len() > 5, "the bundle says nearly the same of every text: {}", seen.len());
    let path = rows(&folder.read("o.csv"));
    classify(&folder, "t.csv", &["--force", "--probabilities", "conditional"]).exits(0);
    let given = rows(&folder.read("o.csv"));
    for (path, given) in path.iter().zip(&given) {
        assert_eq!(path["attitude"], given["attitude"]);
        assert_eq!(path["experience_p"], given["experience_p"]);
        if !given["attitude"].is_empty() {
            let number = |cell: &str| cell.parse::<f64>().unwrap();
            assert!(number(&given["attitude_p"]) + 1e-6 >= number(&path["attitude_p"]));
        }
    }
    assert!(path.iter().zip(&given).any(|(p, g)| p["attitude_p"] != g["attitude_p"]));
}

#[test]
fn rows_that_cannot_be_coded_stay_and_say_why() {
    let folder = study();
    let long = "zanzibar ".repeat(20);
    folder.file(
        "t.csv",
        format!(
            "id,text,x\n1,ok,a\n2,zanzibar\n3, \t ,b\n4,zanz\0ibar,c\n5,{long},d\n6,z,e,zanzibar\n"
        ),
    );
    let ran = classify(&folder, "t.csv", &[]);
    ran.exits(1).says(&["3 rows", "o.csv.rejects.csv"]);
    let found = rows(&folder.read("o.csv"));
    let status: Vec<(&str, &str)> =
        found.iter().map(|r| (r["status"].as_str(), r["reason"].as_str())).collect();
    assert_eq!(
        status,
        [
            ("ok", ""),
            ("rejected", "ragged_row"),
            ("empty", "empty"),
            ("rejected", "nul_byte"),
            ("truncated", "truncated"),
            ("rejected", "ragged_row"),
        ]
    );
    for row in [1, 2, 3, 5] {
        let blank = ADDED[..6].iter().all(|column| found[row][*column].is_empty());
        assert!(blank, "row {row}");
    }
    assert!(!found[4]["experience"].is_empty());
    assert_eq!(found[1]["text"], "zanzibar");
    let list = folder.read("o.csv.rejects.csv");
    assert!(!list.contains("zanz"), "{list}");
    let places: Vec<(String, String)> =
        rows(&list).iter().map(|r| (r["row"].clone(), r["line"].clone())).collect();
    assert_eq!(places, [("2", "3"), ("4", "5"), ("6", "7")].map(|(a, b)| (a.into(), b.into())));
    assert!(!folder.path("o.csv.partial").exists());
}

#[test]
fn doubtful_texts_are_for_review() {
    let folder = Folder::new();
    tiny_bundle(folder.root(), "b", "llm-mental-health", Some(1.0));
    let long = "why ".repeat(60);
    folder.file("t.csv", format!("text\n{long}\n\"  \"\n"));
    classify(&folder, "t.csv", &[]).exits(0);
    let found = rows(&folder.read("o.csv"));
    assert_eq!(found[0]["status"], "review");
    assert_eq!(found[0]["reason"], "low_confidence|truncated");
    assert_eq!(found[1]["status"], "empty");
}

#[test]
fn equal_texts_are_coded_alike() {
    let folder = study();
    let mut table = "text,n\n".to_string();
    (0..300).for_each(|row| table.push_str(&format!("{},{row}\n", text(row % 40))));
    folder.file("t.csv", table);
    classify(&folder, "t.csv", &[]).exits(0).says(&["260 duplicates"]);
    let found = records(&folder.read("o.csv"), b',');
    for row in 1..=260 {
        assert_eq!(found[row][2..], found[row + 40][2..]);
        assert_eq!(found[row][1], (row - 1).to_string());
    }
}

#[test]
fn a_header_alone_gives_a_header() {
    let folder = study();
    folder.file("t.csv", "id,text\n");
    classify(&folder, "t.csv", &[]).exits(0);
    assert_eq!(folder.read("o.csv"), format!("id,text,{}\n", ADDED.join(",")));
    folder.file("e.csv", "");
    folder.run(&["classify", "b", "e.csv", "-o", "e.out.csv"]).exits(3).says(&["e.csv"]);
    assert!(!folder.path("e.out.csv").exists() && !folder.path("e.out.csv.partial").exists());
}

#[test]
fn standard_input_and_output_are_tables_too() {
    let folder = study();
    let table = "id,text\n1,it helped\n2,zanzibar\n3\n";
    folder.file("t.csv", table);
    classify(&folder, "t.csv", &[]).exits(1);
    let piped = folder.run_with(&["classify", "b", "-", "-o", "-"], table.as_bytes());
    piped.exits(1).says(&["row 3 (line 4)"]);
    assert_eq!(piped.stdout, folder.read("o.csv"));
    let stored = folder.run_with(&["classify", "b", "-", "-o", "p.csv"], table.as_bytes());
    stored.exits(1).says(&["cannot be resumed"]);
    assert_eq!(folder.read("p.csv"), folder.read("o.csv"));
    let line = b"{\"text\":\"it helped\"}\n";
    let args = ["classify", "b", "-", "-o", "-", "--format", "jsonl", "-q"];
    let ran = folder.run_with(&args, line);
    ran.exits(0);
    assert_eq!(ran.json()["status"], "ok");
    assert_eq!(ran.stderr, "");
}

#[test]
fn an_output_that_exists_is_kept_without_force() {
    let folder = study();
    folder.file("t.csv", "text\nit helped\n");
    for taken in ["o.csv", "o.csv.rejects.csv"] {
        folder.file(taken, "mine");
        classify(&folder, "t.csv", &[]).exits(2).says(&[taken, "--force"]);
        assert_eq!(folder.read(taken), "mine");
        std::fs::remove_file(folder.path(taken)).unwrap();
    }
    folder.file("o.csv", "mine");
    folder.file("o.csv.rejects.csv", "mine");
    classify(&folder, "t.csv", &["--force"]).exits(0);
    assert!(folder.read("o.csv").starts_with("text,experience,"));
    assert!(!folder.path("o.csv.rejects.csv").exists(), "a list that is no longer true");
    let same = ["classify", "b", "t.csv", "-o", "./t.csv", "--force"];
    folder.run(&same).exits(2).says(&["t.csv", "input"]);
    assert_eq!(folder.read("t.csv"), "text\nit helped\n");
}

#[test]
fn columns_that_exist_are_refused_and_another_coder_joins() {
    let folder = study();
    folder.file("t.csv", "text,attitude,status\nit helped,positive,old\n");
    classify(&folder, "t.csv", &[]).exits(2).says(&["t.csv", "attitude", "--as"]);
    assert!(!folder.path("o.csv").exists() && !folder.path("o.csv.partial").exists());
    classify(&folder, "t.csv", &["--as", "confide"]).exits(0);
    let header = records(&folder.read("o.csv"), b',').remove(0);
    assert_eq!(
        header,
        [
            "text",
            "attitude",
            "status",
            "experience__confide",
            "experience__confide_p",
            "attitude__confide",
            "attitude__confide_p",
            "topics__confide",
            "topics__confide_p",
            "status__confide",
            "reason"
        ]
    );
    classify(&folder, "t.csv", &["--force", "--as", "a__b"]).exits(2).says(&["--as"]);
}

#[test]
fn a_missing_text_column_names_the_nearest() {
    let folder = study();
    folder.file("t.csv", "id,texts\n1,zanzibar\n");
    classify(&folder, "t.csv", &[]).exits(3).says(&["t.csv", "--text texts"]);
    classify(&folder, "t.csv", &["--text", "texts"]).exits(0);
}

#[test]
fn broken_tables_leave_nothing_behind() {
    let folder = study();
    let entries = folder.entries().len();
    folder.file("t.csv", "id,text\n1,a\n2,\"zanzibar\n");
    classify(&folder, "t.csv", &[]).exits(3).says(&["t.csv:3"]);
    folder.file("t.csv", b"id,text\n1,a\n2,zanzibar \xe9\n");
    classify(&folder, "t.csv", &[]).exits(3).says(&["t.csv:3", "--encoding"]);
    assert_eq!(folder.entries().len(), entries + 1);
    classify(&folder, "t.csv", &["--encoding", "windows-1252"]).exits(0);
    assert_eq!(rows(&folder.read("o.csv"))[1]["text"], "zanzibar é");
}

#[test]
fn a_cell_of_a_megabyte_is_cut() {
    let folder = study();
    folder.file("t.csv", format!("text\n{}\nwhy\n", "zanzibar ".repeat(120_000)));
    classify(&folder, "t.csv", &[]).exits(0).says(&["1 truncated"]);
}

#[test]
fn an_output_that_cannot_be_written_ends_with_5() {
    let folder = study();
    folder.file("t.csv", "text\nit helped\n");
    let entries = folder.entries();
    for output in ["t.csv/o.csv", "absent/o.csv"] {
        folder.run(&["classify", "b", "t.csv", "-o", output]).exits(5).says(&[output]);
    }
    assert_eq!(folder.entries(), entries);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_ends_with_5() {
    let folder = study();
    folder.file("t.csv", "text\nit helped\n");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let args = ["classify", "b", "t.csv", "-o", "-"];
    let output = command(folder.root()).args(args).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(5));
}
