//! Encodings, separators and broken tables, through the program.

use crate::harness::{Folder, Ran};

const TABLE: &str = "id,text,offense,target,target_type\n\
    1,\"café, zanzibar\",offensive,targeted,group\n\
    2,\"two\nlines\",not_offensive,,\n";

fn check(name: &str, bytes: impl AsRef<[u8]>, flags: &[&str]) -> Ran {
    let folder = Folder::new();
    folder.file(name, bytes);
    let mut args = vec!["check", "olid", name, "--json"];
    args.extend(flags);
    let ran = folder.run(&args);
    ran.keeps_quiet_about("zanzibar");
    assert_eq!(folder.entries(), [name]);
    ran
}

#[track_caller]
fn reads_two_rows(ran: &Ran) {
    ran.exits(0);
    assert_eq!(ran.json()["files"][0]["rows"], 2);
    assert_eq!(ran.json()["counts"]["target_type"]["labels"]["group"]["total"], 1);
}

#[test]
fn marked_encodings_are_recognised() {
    reads_two_rows(&check("t.csv", TABLE, &[]));
    reads_two_rows(&check("t.csv", format!("\u{feff}{TABLE}"), &[]));
    for (mark, bytes) in [
        (b"\xff\xfe", TABLE.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()),
        (b"\xfe\xff", TABLE.encode_utf16().flat_map(u16::to_be_bytes).collect()),
    ] {
        reads_two_rows(&check("t.csv", [&mark[..], &bytes].concat(), &[]));
    }
}

#[test]
fn separators_and_line_ends_are_recognised() {
    reads_two_rows(&check(
        "t.csv",
        TABLE.replace("1,\"café, z", "1,\"café; z").replace(',', ";"),
        &[],
    ));
    reads_two_rows(&check("t.csv", TABLE.replace("café, z", "café z").replace(',', "\t"), &[]));
    reads_two_rows(&check("t.csv", TABLE.replace('\n', "\r\n"), &[]));
    reads_two_rows(&check("t.csv", TABLE.replace("\"two\nlines\"", "\"two\rlines\""), &[]));
}

#[test]
fn an_undecodable_byte_names_line_offset_and_flag() {
    let latin: Vec<u8> = TABLE.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let offset = latin.iter().position(|&b| b == 0xe9).unwrap();
    check("t.csv", &latin, &[]).exits(3).says(&[
        "t.csv:2",
        &format!("offset {offset} "),
        "--encoding",
    ]);
    reads_two_rows(&check("t.csv", &latin, &["--encoding", "windows-1252"]));
    check("t.csv", &latin, &["--encoding", "klingon"]).exits(2).says(&["klingon"]);
}

#[test]
fn utf_16_without_a_mark_is_suspected() {
    let bytes: Vec<u8> = TABLE.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let ran = check("t.csv", &bytes[..60], &[]);
    ran.exits(3).says(&["--encoding utf-16le"]);
    reads_two_rows(&check("t.csv", &bytes, &["--encoding", "utf-16le"]));
}

#[test]
fn an_open_quote_is_named_where_it_opens() {
    let table = "id,text,offense,target,target_type\n1,a,not_offensive,,\n\
        2,\"zanzibar,offensive,,\n3,b,offensive,,\n";
    check("t.csv", table, &[]).exits(3).says(&["t.csv:3", "quote"]);
}

#[test]
fn an_empty_file_is_no_table_and_a_header_alone_is_one() {
    check("t.csv", "", &[]).exits(3).says(&["t.csv", "empty"]);
    check("t.jsonl", "", &[]).exits(3).says(&["t.jsonl", "empty"]);
    let ran = check("t.csv", "id,text,offense,target,target_type\n", &[]);
    ran.exits(0);
    assert_eq!(ran.json()["files"][0]["rows"], 0);
}

#[test]
fn two_columns_of_one_name_are_refused() {
    check("t.csv", "id,text,text\n1,a,zanzibar\n", &[]).exits(3).says(&["t.csv", "'text'"]);
}

#[test]
fn a_cell_of_a_megabyte_is_a_cell() {
    let long = "zanzibar ".repeat(120_000);
    let ran = check(
        "t.csv",
        format!("text,offense,target,target_type\n{long},not_offensive,,\n\"{long}\",,,\n"),
        &[],
    );
    ran.exits(0);
    assert_eq!(ran.json()["files"][0]["rows"], 2);
}

#[test]
fn broken_json_lines_are_rows_with_a_problem() {
    let table = "{\"text\":\"zanzibar\",\"offense\":\"offensive\",\"target\":\"\",\"target_type\":\"\"}\n\
        {\"text\":\"zanzibar\n\"zanzibar\"\n";
    let ran = check("t.jsonl", table, &[]);
    ran.exits(1);
    let document = ran.json();
    let rows: Vec<_> = document["problems"].as_array().unwrap().iter().map(|p| &p["row"]).collect();
    assert_eq!(rows, [2, 3]);
    assert_eq!(document["problems"][0]["code"], "not_json");
}

#[test]
fn a_late_key_of_a_json_file_is_a_column() {
    let mut table =
        "{\"text\":\"a\",\"offense\":\"offensive\",\"target\":\"untargeted\"}\n".repeat(1200);
    table.push_str("{\"text\":\"b\",\"offense\":\"offensive\",\"target_type\":null}\n");
    let ran = check("t.jsonl", &table, &[]);
    ran.exits(0);
    assert_eq!(ran.json()["files"][0]["rows"], 1201);
}

#[test]
fn what_is_no_table_is_refused() {
    check("t.xlsx", "x", &[]).exits(2).says(&["t.xlsx", "CSV"]);
    let folder = Folder::new();
    folder.run(&["check", "olid", "absent.csv"]).exits(3).says(&["absent.csv"]);
    folder.run(&["check", "olid", "."]).exits(3).says(&["folder"]);
}
