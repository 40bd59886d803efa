//! `confide split`: sizes, groups, and what it refuses.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::Folder;

/// 200 different rows: every fourth is off topic, every tenth of the others negative.
fn table(group: impl Fn(usize) -> String) -> String {
    let mut table = "id,group,text,experience,attitude,topics,note\n".to_string();
    for row in 0..200 {
        let codes = match row {
            _ if row % 4 == 0 => "off_topic,,",
            _ if row % 10 == 1 => "personal_use,negative,other|dependence",
            _ => "no_personal_use,neutral,",
        };
        let words = format!("{} wombat {}", row * 7919, row * row * 104_729);
        table.push_str(&format!("r{row},{},{words},{codes},\" kept, {row} \"\n", group(row)));
    }
    table
}

/// The written table as rows of (split, rest of the line).
fn written(folder: &Folder) -> Vec<(String, String)> {
    let text = folder.read("out/coded.csv");
    let mut lines = text.lines();
    assert!(lines.next().unwrap().ends_with(",split"));
    let cut = |line: &str| {
        let (rest, split) = line.rsplit_once(',').unwrap();
        (split.to_string(), rest.to_string())
    };
    lines.map(cut).collect()
}

fn sizes(rows: &[(String, String)]) -> BTreeMap<&str, usize> {
    let mut sizes = BTreeMap::new();
    rows.iter().for_each(|(split, _)| *sizes.entry(split.as_str()).or_default() += 1);
    sizes
}

const ARGS: [&str; 8] = ["split", "t.csv", "-o", "out", "--train", "120", "--validation", "40"];

#[test]
fn sizes_are_exact_and_rows_untouched() {
    let folder = Folder::new();
    let table = table(|_| String::new());
    folder.file("t.csv", &table);
    for codebook in [&[][..], &["--codebook", "llm-mental-health"]] {
        let mut args = ARGS.to_vec();
        args.extend(codebook);
        args.extend(["--force", "--json"]);
        let ran = folder.run(&args);
        ran.exits(0).keeps_quiet_about("wombat");
        let rows = written(&folder);
        assert_eq!(
            sizes(&rows),
            BTreeMap::from([("test", 40), ("train", 120), ("validation", 40)])
        );
        let kept: Vec<&str> = rows.iter().map(|(_, rest)| rest.as_str()).collect();
        assert_eq!(kept, table.lines().skip(1).collect::<Vec<_>>());
        // 50 rows are off topic: a fifth of them belongs to validation.
        let counts = &ran.json()["counts"]["experience"]["labels"]["off_topic"];
        assert_eq!((&counts["validation"], &counts["train"]), (&10.into(), &30.into()));
        assert_eq!(folder.entries(), ["out", "out/coded.csv", "t.csv"]);
    }
}

#[test]
fn the_seed_decides() {
    let folder = Folder::new();
    folder.file("t.csv", table(|_| String::new()));
    let run = |seed: &str| {
        let mut args = ARGS.to_vec();
        args.extend(["--force", "--seed", seed]);
        folder.run(&args).exits(0);
        folder.read("out/coded.csv")
    };
    let first = run("1");
    assert_eq!(run("1"), first);
    assert_ne!(run("2"), first);
}

#[test]
fn rows_beyond_the_sizes_have_no_set() {
    let folder = Folder::new();
    folder.file("t.csv", table(|_| String::new()));
    let mut args = ARGS.to_vec();
    args.extend(["--test", "10"]);
    folder.run(&args).exits(0).prints(&["30 in no set"]);
    assert_eq!(sizes(&written(&folder))[""], 30);
}

#[test]
fn groups_and_near_duplicates_stay_together() {
    let folder = Folder::new();
    let mut table = table(|row| if row < 60 { format!("video{}", row / 7) } else { String::new() });
    for copy in 0..3 {
        table.push_str(&format!(
            "c{copy},,The very same WOMBAT{},off_topic,,,n\n",
            "!".repeat(copy)
        ));
    }
    folder.file("t.csv", table);
    folder.run(&ARGS).exits(0).keeps_quiet_about("wombat").keeps_quiet_about("WOMBAT");
    let rows = written(&folder);
    assert_eq!(sizes(&rows)["train"], 120, "single rows fill what groups leave");
    let mut sets: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (split, rest) in &rows {
        let group = rest.split(',').nth(1).unwrap();
        let group = if rest.starts_with('c') { "copies" } else { group };
        if !group.is_empty() {
            sets.entry(group).or_default().insert(split);
        }
    }
    assert_eq!(sets.len(), 10);
    assert!(sets.values().all(|sets| sets.len() == 1), "{sets:?}");
}

#[test]
fn too_many_rows_are_refused() {
    let folder = Folder::new();
    folder.file("t.csv", table(|_| String::new()));
    let mut args = ARGS.to_vec();
    args.extend(["--test", "41"]);
    folder.run(&args).exits(2).says(&["201", "200"]);
    assert_eq!(folder.entries(), ["t.csv"]);
}

#[test]
fn an_output_that_exists_is_kept_without_force() {
    let folder = Folder::new();
    folder.file("t.csv", table(|_| String::new()));
    folder.file("out/coded.csv", "mine");
    folder.run(&ARGS).exits(2).says(&["coded.csv", "--force"]);
    assert_eq!(folder.read("out/coded.csv"), "mine");
    let mut args = ARGS.to_vec();
    args.push("--force");
    folder.run(&args).exits(0);
    assert_ne!(folder.read("out/coded.csv"), "mine");
}

#[test]
fn a_split_that_exists_is_kept_without_force() {
    let folder = Folder::new();
    folder.file("t.csv", "text,split,a\nwombat,train,x\nkoala,dev,y\n");
    let args = ["split", "t.csv", "-o", "out", "--train", "1", "--validation", "1"];
    folder.run(&args).exits(2).says(&["t.csv", "split", "--force"]);
    assert_eq!(folder.entries(), ["t.csv"]);
    folder.run(&[&args[..], &["--force"]].concat()).exits(0);
    let text = folder.read("out/coded.csv");
    assert!(text.starts_with("text,split,a\nwombat,"), "{text}");
    assert!(!text.contains("dev"), "{text}");
}

#[test]
fn a_folder_that_cannot_be_made_ends_with_5_and_leaves_nothing() {
    let folder = Folder::new();
    folder.file("t.csv", table(|_| String::new()));
    // Below a regular file no folder can be made, whoever runs the test.
    let mut args = ARGS;
    args[3] = "t.csv/out";
    folder.run(&args).exits(5).says(&["t.csv/out"]);
    assert_eq!(folder.entries(), ["t.csv"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_ends_with_5() {
    let folder = Folder::new();
    folder.file("t.csv", "text,offense,target,target_type\na,not_offensive,,\n");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = crate::harness::command(folder.root())
        .args(["check", "olid", "t.csv"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn broken_rows_are_not_split() {
    let folder = Folder::new();
    folder.file("t.csv", "text,a\nwombat,x\nwombat\n");
    let args = ["split", "t.csv", "-o", "out", "--train", "1", "--validation", "0"];
    folder.run(&args).exits(3).says(&["t.csv:3"]).keeps_quiet_about("wombat");
    assert_eq!(folder.entries(), ["t.csv"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_with_5_and_leaves_nothing() {
    let folder = Folder::new();
    folder.file("t.csv", table(|_| String::new()));
    std::fs::create_dir(folder.path("out")).unwrap();
    // A limit on the size of files, its signal ignored, fails writes as a full disk does.
    let script = format!(
        "trap '' XFSZ; ulimit -f 4; exec \"$0\" {}",
        ARGS.map(|arg| format!("'{arg}'")).join(" ")
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_confide")])
        .current_dir(folder.root())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("coded.csv"), "{said}");
    assert_eq!(folder.entries(), ["out", "t.csv"]);
}

#[test]
fn flags_have_twins_in_the_environment() {
    let folder = Folder::new();
    folder.file("t.csv", table(|_| String::new()));
    folder.file("out/coded.csv", "mine");
    let run = |force: &str| {
        crate::harness::command(folder.root())
            .args(["split", "t.csv"])
            .envs([("CONFIDE_OUTPUT", "out"), ("CONFIDE_TRAIN", "120"), ("CONFIDE_JSON", "1")])
            .envs([("CONFIDE_VALIDATION", "40"), ("CONFIDE_FORCE", force)])
            .envs([("CONFIDE_CODEBOOK", "llm-mental-health"), ("CONFIDE_SEED", "5")])
            .output()
            .unwrap()
    };
    assert_eq!(run("0").status.code(), Some(2));
    let output = run("1");
    assert_eq!(output.status.code(), Some(0));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&document["seed"], &document["sets"]["train"]), (&5.into(), &120.into()));
}
