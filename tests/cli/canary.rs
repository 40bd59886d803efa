//! Comments marked with a word that must come out nowhere but in tables of comments: through every
//! command, when it works and when it fails.

use crate::harness::{Folder, Ran};
use crate::study::{FULL, HEADING, SECRET, study, table, training};

/// Tables of comments, which hold their texts by design.
const TABLES: [&str; 10] = [
    "coded.csv",
    "split/coded.csv",
    "out.csv",
    "folds.csv",
    "masked.csv",
    "check/",
    "broken.csv",
    "odd.csv",
    "bytes.csv",
    "imported.csv",
];

/// Runs a command and asserts that it says nothing of a comment.
#[track_caller]
fn run(folder: &Folder, args: &[&str], code: i32) -> Ran {
    let ran = folder.run(args);
    ran.exits(code).keeps_quiet_about(SECRET);
    ran
}

#[test]
fn no_text_leaves_the_tables_of_comments() {
    let folder = study(&FULL.replace("epochs = 4", "epochs = 2"));
    let book = "llm-mental-health";
    run(&folder, &["check", book, "coded.csv"], 0);
    run(
        &folder,
        &["split", "coded.csv", "-o", "split", "--train", "20", "--validation", "5", "--force"],
        0,
    );
    let more = ["--folds", "2", "--tensorboard", "-v", "--log-format", "json"];
    let train = [training("b"), more.to_vec()].concat();
    run(&folder, &train, 0);
    run(&folder, &["evaluate", "b", "coded.csv", "-o", "e"], 0);
    run(&folder, &["classify", "b", "coded.csv", "-o", "out.csv", "--as", "bot", "--redact"], 0);
    run(&folder, &["classify", "b", "coded.csv", "-o", "folds.csv", "--as", "folds", "--folds"], 0);
    run(&folder, &["check", book, "coded.csv", "--with", "b"], 0);
    run(
        &folder,
        &["sample", "out.csv", "-n", "20", "-o", "check", "--codebook", book, "--coders", "ana"],
        0,
    );
    let write = |name: &str, args: &[&str]| {
        folder.file(name, run(&folder, args, 0).stdout);
    };
    write("a.json", &["agree", book, "out.csv", "folds.csv", "--coders", "bot,folds", "--json"]);
    write(
        "c.json",
        &["compare", book, "out.csv", "folds.csv", "--a", "bot", "--b", "folds", "--json"],
    );
    write("d.json", &["drift", book, "out.csv", "out.csv", "--coder", "bot", "--json"]);
    let shares = [
        "prevalence",
        book,
        "out.csv",
        "--coder",
        "bot",
        "--gold",
        "coded.csv",
        "--design",
        "srs",
        "-o",
        "p.csv",
    ];
    run(&folder, &shares, 0);
    run(&folder, &["redact", "coded.csv", "-o", "masked.csv"], 0);
    run(&folder, &["redact", "coded.csv", "--dry-run", "--json"], 0);
    run(&folder, &["report", ".", "-o", "r.html"], 0);
    run(&folder, &["export", "b", "--tier", "experience", "-o", "x"], 0);
    run(&folder, &["doctor"], 0);

    // Failures: a quote without an end, texts where codes belong, an undecodable byte, no such column.
    folder.file("broken.csv", format!("{HEADING}1,\"{SECRET} open"));
    folder.file(
        "odd.csv",
        format!("{HEADING}1,t,{SECRET} a text as a code,{SECRET}!,so {SECRET},{SECRET} train\n"),
    );
    folder.file(
        "bytes.csv",
        [HEADING.as_bytes(), b"1,", SECRET.as_bytes(), b"\xff,x,,,train\n"].concat(),
    );
    for table in ["broken.csv", "bytes.csv"] {
        run(&folder, &["check", book, table], 3);
        run(&folder, &["classify", "b", table, "-o", "no.csv", "--as", "bot"], 3);
        run(&folder, &["redact", table, "-o", "no.csv"], 3);
    }
    run(&folder, &["check", book, "odd.csv"], 1);
    let mut odd = train;
    (odd[3], odd[9]) = ("odd.csv", "no");
    folder.run(&odd).keeps_quiet_about(SECRET);
    run(
        &folder,
        &[
            "import",
            "openai",
            "coded.csv",
            "--codebook",
            book,
            "--coder",
            "g",
            "-o",
            "imported.csv",
        ],
        3,
    );

    let mut searched = 0;
    for name in folder.entries() {
        let path = folder.path(&name);
        if !path.is_file() || TABLES.iter().any(|table| name.starts_with(table)) {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!found, "{name} holds a comment's text");
        searched += 1;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let is_ours =
                ["b/", "b.run/", "e/", "r", "x/", "p.csv"].iter().any(|own| name.starts_with(own));
            let mode = path.metadata().unwrap().permissions().mode();
            assert!(
                !is_ours || name.starts_with("recipe") || mode & 0o077 == 0,
                "{name}: {mode:o}"
            );
        }
    }
    assert!(searched > 60, "only {searched} files were searched");
    assert!(folder.read("coded.csv").contains(SECRET) && table().contains(SECRET));
}
