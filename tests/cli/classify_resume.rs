//! `confide classify` broken off at any moment: the same command finishes the same bytes.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bundles::tiny_bundle;
use crate::classify::{study, text};
use crate::harness::{Folder, command};

const ARGS: [&str; 5] = ["classify", "b", "t.csv", "-o", "o.csv"];

/// Several windows of texts, a few rows of them broken, empty or equal.
pub fn table() -> String {
    let mut table = "id,text,note\n".to_string();
    for row in 0..20_000 {
        match row % 500 {
            3 => table.push_str(&format!("{row},zanzibar\n")),
            4 => table.push_str(&format!("{row},,n\n")),
            5 => table.push_str(&format!("{row},{} {},n\n", text(row), "again".repeat(12))),
            _ => table.push_str(&format!("{row},{},\"n, {row}\"\n", text(row))),
        }
    }
    table
}

pub fn start(folder: &Folder, args: &[&str]) -> Child {
    command(folder.root())
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Rows that the state of the unfinished work counts, if there is a state.
fn rows_done(folder: &Folder) -> Option<u64> {
    let state = std::fs::read(folder.path("o.csv.partial/state.json")).ok()?;
    let state: serde_json::Value = serde_json::from_slice(&state).expect("a whole state");
    state["counts"]["rows"].as_u64()
}

/// Waits until at least so many rows are done.
pub fn wait_for(folder: &Folder, rows: u64) {
    let begun = Instant::now();
    while rows_done(folder).is_none_or(|done| done < rows) {
        assert!(begun.elapsed() < Duration::from_secs(300), "nothing happens");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn signal(child: &Child, name: &str) {
    let done = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(done.success());
}

/// The bytes of an unbroken run on one thread, with those of its list of rejected rows.
fn unbroken(folder: &Folder) -> (String, String) {
    let args = ["classify", "b", "t.csv", "-o", "whole.csv", "--threads", "1"];
    folder.run(&args).exits(1);
    (folder.read("whole.csv"), folder.read("whole.csv.rejects.csv"))
}

#[test]
fn a_killed_job_goes_on_and_ends_in_the_same_bytes() {
    let folder = study();
    folder.file("t.csv", table());
    let whole = unbroken(&folder);
    let args = [&ARGS[..], &["--threads", "2"]].concat();
    for round in 0..3 {
        let more = rows_done(&folder).map_or(0, |rows| rows + 1);
        let mut child = start(&folder, &args);
        wait_for(&folder, more);
        signal(&child, "-STOP");
        assert!(!folder.path("o.csv").exists(), "no output before it is whole");
        if round == 1 {
            // Two writers of one output would spoil it.
            folder.run(&ARGS).exits(2).says(&["o.csv"]);
            folder.run(&[&ARGS[..], &["--force"]].concat()).exits(2).says(&["o.csv"]);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let state = folder.read("o.csv.partial/state.json");
    assert!(!state.contains("zanzibar"), "{state}");
    let ran = folder.run(&args);
    ran.exits(1).says(&["continuing"]).keeps_quiet_about("zanzibar");
    assert!((folder.read("o.csv"), folder.read("o.csv.rejects.csv")) == whole);
    assert!(!whole.1.contains("zanzibar"));
    assert!(!folder.path("o.csv.partial").exists());
    folder.run(&args).exits(2).says(&["o.csv", "--force"]);
}

#[test]
fn an_interrupted_job_saves_its_state() {
    let folder = study();
    folder.file("t.csv", table());
    let whole = unbroken(&folder);
    let child = start(&folder, &ARGS);
    wait_for(&folder, 4096);
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("continue") && !message.contains("zanzibar"), "{message}");
    assert!(rows_done(&folder).unwrap() >= 4096);
    folder.run(&ARGS).exits(1).says(&["continuing"]);
    assert!(folder.read("o.csv") == whole.0);
}

#[cfg(unix)]
#[test]
fn a_disk_without_room_keeps_finished_work() {
    let folder = study();
    folder.file("t.csv", table());
    let whole = unbroken(&folder);
    // Blocks have 512 or 1024 bytes: room for a third or two thirds of the output.
    let blocks = whole.0.len() / 3 / 512;
    let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    let output = Command::new("sh")
        .current_dir(folder.root())
        .args(["-c", &limited, "sh", env!("CARGO_BIN_EXE_confide")])
        .args(ARGS)
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{message}");
    assert!(message.contains("o.csv") && !message.contains("zanzibar"), "{message}");
    assert!(!folder.path("o.csv").exists());
    assert!(rows_done(&folder).unwrap() >= 4096);
    folder.run(&ARGS).exits(1).says(&["continuing"]);
    assert!((folder.read("o.csv"), folder.read("o.csv.rejects.csv")) == whole);
}

#[test]
fn other_work_is_not_continued() {
    let folder = study();
    folder.file("t.csv", table());
    let mut child = start(&folder, &ARGS);
    wait_for(&folder, 0);
    child.kill().unwrap();
    child.wait().unwrap();
    tiny_bundle(folder.root(), "c", "olid", None);
    let other = ["classify", "c", "t.csv", "-o", "o.csv"];
    folder.run(&other).exits(2).says(&["bundle", "codebook", "--force"]);
    let flags = [&ARGS[..], &["--as", "x"]].concat();
    folder.run(&flags).exits(2).says(&["--as"]);
    folder.file("t.csv", "id,text,note\n1,zanzibar,x\n");
    folder.run(&ARGS).exits(2).says(&["input", "--force"]).keeps_quiet_about("zanzibar");
    assert_eq!(rows_done(&folder), Some(0));
    folder.file("o.csv.partial/mine.txt", "not of the program");
    folder.run(&[&ARGS[..], &["--force"]].concat()).exits(0);
    assert!(folder.read("o.csv").starts_with("id,text,note,experience,"));
    assert_eq!(folder.read("o.csv.partial/mine.txt"), "not of the program");
}

#[test]
fn a_damaged_state_is_named() {
    let folder = study();
    folder.file("t.csv", "text\nit helped\n");
    folder.file("o.csv.partial/state.json", "{\"plan\":");
    folder.run(&ARGS).exits(2).says(&["state.json", "--force"]);
    folder.run(&[&ARGS[..], &["--force"]].concat()).exits(0);
    assert!(!folder.path("o.csv.partial").exists());
}
