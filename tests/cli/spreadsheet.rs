//! `--spreadsheet-safe`: no cell of a table begins like a formula.

use crate::bundles::tiny_bundle;
use crate::harness::Folder;

const TABLE: &str = "id,text,=note\n\
    1,\"=HYPERLINK(\"\"http://x\"\",\"\"free\"\")\",+49\n\
    2,@kira it helps,-0.5\n\
    3,'quoted' from the start,plain\n\
    4,\"\ttabbed\",a=b\n";

/// The cells of a CSV table.
fn cells(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[track_caller]
fn is_safe(table: &str) {
    for cell in cells(table).into_iter().flatten() {
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{cell}");
    }
}

/// The table again, without the first apostrophe of cells that have one.
fn undone(table: &str) -> Vec<Vec<String>> {
    let undo = |cell: String| cell.strip_prefix('\'').map(str::to_owned).unwrap_or(cell);
    cells(table).into_iter().map(|row| row.into_iter().map(undo).collect()).collect()
}

#[test]
fn a_coded_table_can_be_opened_and_undone() {
    let folder = Folder::new();
    folder.file("t.csv", TABLE);
    tiny_bundle(folder.root(), "b", "llm-mental-health", None);
    folder.run(&["classify", "b", "t.csv", "-o", "plain.csv"]).exits(0);
    folder.run(&["classify", "b", "t.csv", "-o", "safe.csv", "--spreadsheet-safe"]).exits(0);
    let (plain, safe) = (folder.read("plain.csv"), folder.read("safe.csv"));
    assert!(plain.contains(",=note,"), "without the flag all stays");
    is_safe(&safe);
    assert_eq!(undone(&safe), cells(&plain));
    let stream = folder.run(&["classify", "b", "t.csv", "-o", "-", "--spreadsheet-safe"]);
    assert_eq!(stream.stdout, safe);
    let budget = ["--spreadsheet-safe", "--review-budget", "1"];
    folder.run(&[&["classify", "b", "t.csv", "-o", "two.csv"], &budget[..]].concat()).exits(0);
    is_safe(&folder.read("two.csv"));
    assert!(folder.read("two.csv").contains("\"'=HYPERLINK("), "guarded once, not twice");
}

#[test]
fn masked_tables_and_sheets_can_be_opened() {
    let folder = Folder::new();
    folder.file("t.csv", TABLE);
    folder.run(&["redact", "t.csv", "-o", "masked.csv", "--spreadsheet-safe"]).exits(0);
    is_safe(&folder.read("masked.csv"));
    let sample = ["sample", "t.csv", "-n", "4", "-o", "s", "--codebook", "llm-mental-health"];
    folder.run(&[&sample[..], &["--spreadsheet-safe"]].concat()).exits(0);
    is_safe(&folder.read("s/sheet.csv"));
    let mut texts: Vec<String> =
        undone(&folder.read("s/sheet.csv")).into_iter().map(|row| row[1].clone()).collect();
    let mut own: Vec<String> = cells(TABLE).into_iter().map(|row| row[1].clone()).collect();
    texts.sort();
    own.sort();
    assert_eq!(texts, own);
    // No spreadsheet opens JSONL, and nothing of it changes.
    folder.file("t.jsonl", "{\"id\":\"1\",\"text\":\"=1+1\"}\n");
    folder.run(&["redact", "t.jsonl", "-o", "m.jsonl", "--spreadsheet-safe"]).exits(0);
    assert!(folder.read("m.jsonl").contains("\"=1+1\""));
}
