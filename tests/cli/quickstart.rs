//! `confide quickstart`: the program alone, in an empty folder, without any environment.

use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::Folder;
use crate::study::bytes;

/// Copies the program, and nothing else, to a new folder.
fn alone() -> Folder {
    let folder = Folder::new();
    std::fs::copy(env!("CARGO_BIN_EXE_confide"), folder.path("confide")).expect("a copy");
    folder
}

/// Runs the copy there with an empty environment.
fn run(folder: &Folder, arguments: &[&str]) -> Output {
    Command::new(folder.path("confide"))
        .args(arguments)
        .current_dir(folder.root())
        .env_clear()
        .output()
        .expect("the program runs")
}

#[test]
fn the_program_alone_runs_the_whole_study() {
    let folder = alone();
    let quick = ["quickstart", "--recipe", "frozen", "-o", "study"];
    let output = run(&folder, &quick);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let top: Vec<String> =
        folder.entries().into_iter().filter(|name| name.matches('/').count() < 2).collect();
    for name in ["bundle", "bundle.run", "coded.csv", "data", "evaluation", "report", "report.html"]
    {
        assert!(top.contains(&format!("study/{name}")), "{top:?}");
    }
    assert!(!top.iter().any(|name| name.contains(".partial") || name.contains(".tmp")), "{top:?}");

    let metrics: Value =
        serde_json::from_str(&folder.read("study/evaluation/metrics.json")).unwrap();
    for (tier, floor) in [("experience", 0.6), ("attitude", 0.3), ("topics", 0.2)] {
        let found = metrics["tiers"][tier]["pipeline"]["macro_f1"].as_f64().unwrap();
        assert!(found > floor, "{tier}: {found}");
    }
    let coded = folder.read("study/coded.csv");
    let corpus = include_str!("../../data/therapy-comments/corpus.csv");
    assert_eq!(coded.lines().count(), 1371);
    let heading = coded.lines().next().unwrap();
    assert!(heading.starts_with("id,group,text,experience,experience_p,attitude"), "{heading}");
    assert!(heading.ends_with("status,reason"), "{heading}");
    let id = |line: &str| line.split(',').next().unwrap().to_owned();
    assert!(coded.lines().map(id).eq(corpus.lines().map(id)));

    let shares = folder.read("study/prevalence.csv");
    let own = shares
        .lines()
        .find(|line| line.starts_with("experience,personal_use,all,,,ppi_plus_plus,"))
        .unwrap();
    let figures: Vec<f64> = own.split(',').skip(6).take(4).map(|f| f.parse().unwrap()).collect();
    // 122 of the 470 test rows.
    assert!((figures[0] - 122.0 / 470.0).abs() < 1e-9 && figures[3] == 470.0, "{own}");
    assert!(figures[1] < figures[0] - 0.02 && figures[0] + 0.02 < figures[2], "{own}");

    // Done is done; what is missing is made again, and to the same bytes.
    assert_eq!(run(&folder, &quick).status.code(), Some(2));
    let before = bytes(&folder, "study/bundle");
    std::fs::remove_file(folder.path("study/coded.csv")).unwrap();
    assert_eq!(run(&folder, &quick).status.code(), Some(0));
    assert!(folder.read("study/coded.csv") == coded);
    assert!(bytes(&folder, "study/bundle") == before);

    // Another recipe or seed is not passed off as this one, and what cannot work takes nothing.
    std::fs::remove_file(folder.path("study/coded.csv")).unwrap();
    for other in [&["--recipe", "full"][..], &["--recipe", "frozen", "--seed", "1"]] {
        let output = run(&folder, &[&["quickstart", "-o", "study"], other].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("study/bundle"));
    }
    let output = run(&folder, &["quickstart", "--force", "--recipe", "nothing"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(bytes(&folder, "study/bundle") == before);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = alone();
    folder.file("study", "a file");
    let output = run(&folder, &["quickstart", "-o", "study"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&output.stderr).contains("study"));
    let output = run(&folder, &["quickstart", "--recipe", "nothing"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("frozen"));
    assert_eq!(folder.entries(), ["confide", "study"]);
}
