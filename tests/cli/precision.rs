//! Coding in narrower formats: which format is taken, and that what a row gets depends on its
//! text alone.

use std::collections::{BTreeMap, BTreeSet};

use confide::encoder::Pooling;
use confide::encoder::kernels::Level;
use confide::heads::HeadShape;
use serde_json::{Value, json};

use crate::bundles::{Model, bundle_of, tiny_bundle};
use crate::harness::{Folder, Ran, command};
use crate::study::{FROZEN, FULL, SECRET, study, table, train};

const FORMATS: [&str; 3] = ["f32", "bf16", "int8"];

const TIERS: [&str; 3] = ["experience", "attitude", "topics"];

/// The coded rows by id, each with its cells by column.
type Coded = BTreeMap<String, BTreeMap<String, String>>;

/// A folder with the bundle `b` and the table `t.csv` of so many rows.
fn coding(rows: usize) -> Folder {
    let folder = Folder::new();
    tiny_bundle(folder.root(), "b", "llm-mental-health", None);
    write(&folder, "t.csv", 0..rows);
    folder
}

/// Texts from one word to a few too many.
fn text(row: usize) -> String {
    let words = [0, 3, 5].map(|more| crate::classify::text(row + more)).join(" ");
    words.split(' ').take(1 + row * 5 % 9).collect::<Vec<_>>().join(" ")
}

fn write(folder: &Folder, name: &str, rows: impl IntoIterator<Item = usize>) {
    let lines = rows.into_iter().map(|row| format!("{row},{}\n", text(row)));
    folder.file(name, format!("id,text\n{}", lines.collect::<String>()));
}

fn run(folder: &Folder, arguments: &[&str], more: &[&str]) -> Ran {
    let ran = folder.run(&[arguments, &["--device", "cpu"], more].concat());
    ran.keeps_quiet_about(SECRET);
    ran
}

fn classify(folder: &Folder, input: &str, more: &[&str]) -> Ran {
    run(folder, &["classify", "b", input, "-o", "o.csv", "--probabilities=path"], more)
}

/// Codes a table anew.
#[track_caller]
fn coded(folder: &Folder, input: &str, more: &[&str]) -> Coded {
    classify(folder, input, &[&["--force"], more].concat()).exits(0);
    read(folder, "o.csv")
}

fn read(folder: &Folder, name: &str) -> Coded {
    let text = folder.read(name);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let records = reader.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
    records.map(|record| (record["id"].clone(), record)).collect()
}

/// The codes of every tier, row by row.
fn codes<'a>(coded: &'a Coded, suffix: &str) -> Vec<[&'a str; 3]> {
    let of = |row: &'a BTreeMap<String, String>| TIERS.map(|t| &*row[&format!("{t}{suffix}")]);
    coded.values().map(of).collect()
}

/// Changes the manifest of the bundle `b`, which nothing else in the bundle vouches for.
fn change_manifest(folder: &Folder, change: impl FnOnce(&mut Value)) {
    let mut manifest = serde_json::from_str(&folder.read("b/manifest.json")).unwrap();
    change(&mut manifest);
    folder.file("b/manifest.json", manifest.to_string());
}

/// What a training notes of a format.
fn figures(precision: &str, rows: usize, agreement: f64, changes: [Option<f64>; 3]) -> Value {
    json!({"precision": precision, "level": "portable", "rows": rows, "agreement": agreement,
        "tiers": [agreement, agreement, agreement], "macro_f1_change": changes})
}

#[test]
fn every_format_can_be_asked_for() {
    let folder = coding(40);
    folder.file("coded.csv", table());
    let mut seen = Vec::new();
    for format in FORMATS {
        let flags = ["--precision", format];
        let said = format!("computing in {format} ({}): as asked", Level::best());
        seen.push(coded(&folder, "t.csv", &flags));
        classify(&folder, "t.csv", &[&flags[..], &["--force"]].concat()).says(&[&said]);
        let ran = run(&folder, &["evaluate", "b", "coded.csv", "--json"], &flags);
        ran.exits(0).says(&[&said]);
        assert_eq!(ran.json()["rows"], 12);
        classify(&folder, "t.csv", &["--force", "--quiet", "--precision", format])
            .exits(0)
            .keeps_quiet_about("computing");
    }
    assert!(seen[0] != seen[1] && seen[1] != seen[2] && seen[0] != seen[2]);
    let by_environment = command(folder.root())
        .args(["classify", "b", "t.csv", "-o", "e.csv", "--probabilities=path"])
        .envs([("CONFIDE_PRECISION", "int8"), ("CONFIDE_DEVICE", "cpu")])
        .output()
        .unwrap();
    assert!(by_environment.status.success());
    assert!(read(&folder, "e.csv") == seen[2]);
}

#[test]
fn auto_takes_the_narrowest_format_that_kept_the_codes() {
    let folder = coding(12);
    folder.file("coded.csv", table());
    let explicit = FORMATS.map(|format| coded(&folder, "t.csv", &["--precision", format]));
    let same = [Some(0.0), None, Some(0.01)];
    let good = |precision| figures(precision, 200, 0.9985, same);
    let unlike = |precision| figures(precision, 200, 0.9949, same);
    let worse = |precision| figures(precision, 200, 1.0, [Some(0.0), Some(-0.0031), None]);
    let too_much = "changed too much";
    let share = "99.9 % of 200 validation rows' codes are those of f32";
    let cases = [
        (json!([]), "f32", "did not measure"),
        (json!([good("int8"), good("bf16")]), "int8", share),
        (json!([good("bf16"), good("int8")]), "int8", share),
        (json!([unlike("int8"), good("bf16")]), "bf16", share),
        (json!([worse("int8"), good("bf16")]), "bf16", share),
        (json!([good("bf16")]), "bf16", share),
        (json!([unlike("int8"), worse("bf16")]), "f32", too_much),
        (json!([figures("int8", 0, 1.0, same)]), "f32", too_much),
        // What is just good enough.
        (json!([figures("int8", 1, 0.995, [Some(-0.003), None, None])]), "int8", "99.5 % of 1 "),
    ];
    for (precisions, expected, why) in cases {
        change_manifest(&folder, |manifest| manifest["precisions"] = precisions);
        let found = coded(&folder, "t.csv", &["--precision", "auto"]);
        assert!(found == explicit[FORMATS.iter().position(|f| *f == expected).unwrap()]);
        let says = [&*format!("computing in {expected} ({}): ", Level::best()), why];
        classify(&folder, "t.csv", &["--force"]).exits(0).says(&says);
        run(&folder, &["evaluate", "b", "coded.csv"], &[]).exits(0).says(&says);
    }
    // A format that was found wanting is still there for those who ask, with its figures.
    change_manifest(&folder, |manifest| manifest["precisions"] = json!([unlike("int8")]));
    let asked = classify(&folder, "t.csv", &["--force", "--precision", "int8"]);
    asked.exits(0).says(&["computing in int8", "as asked; 99.5 % of 200"]);
    // A bundle of a version that measured nothing.
    change_manifest(&folder, |manifest| {
        manifest.as_object_mut().unwrap().remove("precisions");
    });
    classify(&folder, "t.csv", &["--force"]).exits(0).says(&["in f32", "did not measure"]);
    change_manifest(&folder, |manifest| manifest["precisions"] = json!([good("int4")]));
    classify(&folder, "t.csv", &["--force"]).exits(4).says(&["manifest.json"]);
}

#[test]
fn a_training_notes_what_narrower_formats_change() {
    for recipe in [FROZEN.to_owned(), FULL.to_owned(), format!("mode = \"lora\"\n{FULL}")] {
        let folder = study(&recipe);
        train(&folder, "b", &[]).exits(0);
        let manifest: Value = serde_json::from_str(&folder.read("b/manifest.json")).unwrap();
        let noted = manifest["precisions"].as_array().unwrap();
        let formats: Vec<&Value> = noted.iter().map(|figures| &figures["precision"]).collect();
        assert_eq!(formats, ["int8", "bf16"]);
        // The bundle itself shows the same.
        let exact = reached(&folder, "f32");
        for figures in noted {
            assert_eq!(figures["level"], Level::best().name());
            assert_eq!(figures["rows"], 9);
            let list = |name: &str| figures[name].as_array().unwrap().clone();
            let (tiers, changes) = (list("tiers"), list("macro_f1_change"));
            assert_eq!((tiers.len(), changes.len()), (3, 3));
            let narrow = reached(&folder, figures["precision"].as_str().unwrap());
            let mut shares = 0.0;
            for tier in 0..3 {
                let pairs = narrow.0.iter().zip(&exact.0);
                let share = pairs.filter(|(a, b)| a[tier] == b[tier]).count() as f64 / 9.0;
                assert_eq!(tiers[tier], share, "{recipe}{figures}");
                shares += share / 3.0;
                let change = narrow.1[tier] - exact.1[tier];
                let noted = changes[tier].as_f64().unwrap();
                assert!((noted - change).abs() < 1e-12, "{recipe}{change}{figures}");
            }
            let agreement = figures["agreement"].as_f64().unwrap();
            assert!((agreement - shares).abs() < 1e-12 && agreement <= 1.0, "{figures}");
        }
        classify(&folder, "coded.csv", &["--as", "x", "--force"])
            .exits(0)
            .says(&["9 validation rows"]);
    }
}

/// What the bundle `b` makes of the validation rows: codes, and macro-F1 of every tier.
fn reached(folder: &Folder, format: &str) -> (Vec<[String; 3]>, [f64; 3]) {
    let flags = ["--precision", format];
    let mut rows = coded(folder, "coded.csv", &[&flags[..], &["--as", "x"]].concat());
    rows.retain(|_, row| row["split"] == "validation");
    let evaluate = ["evaluate", "b", "coded.csv", "--split", "validation", "--json"];
    let ran = run(folder, &evaluate, &flags);
    ran.exits(0);
    let found = ran.json();
    let macro_f1 = |tier| found["tiers"][tier]["pipeline"]["macro_f1"].as_f64().unwrap();
    let codes = codes(&rows, "__x").into_iter().map(|row| row.map(str::to_owned)).collect();
    (codes, TIERS.map(macro_f1))
}

#[test]
fn a_row_is_coded_the_same_in_any_company() {
    let deep = HeadShape { hidden: 8, chained: true };
    let linear = HeadShape::default();
    for (fixture, pooling, heads, windows) in [
        ("bert-tiny", Pooling::Mean, linear, false),
        ("bert-tiny", Pooling::Cls, deep, true),
        ("deberta-v2", Pooling::Mean, linear, false),
        ("deberta-v3", Pooling::Mean, deep, true),
        ("llama-tiny", Pooling::Last, linear, true),
        ("modernbert-tiny", Pooling::Cls, linear, false),
    ] {
        let folder = Folder::new();
        let model = Model { fixture, pooling, heads };
        bundle_of(folder.root(), "b", "llm-mental-health", None, model);
        if windows {
            change_manifest(&folder, |manifest| {
                manifest["max_tokens"] = json!(16);
                manifest["window_stride"] = json!(5);
            });
        }
        ignores_company(&folder, fixture);
    }
    let folder = study(&format!("pooling = \"attention\"\n{FULL}"));
    train(&folder, "b", &[]).exits(0);
    ignores_company(&folder, "attention pooling and lexical heads");
}

fn ignores_company(folder: &Folder, bundle: &str) {
    const ROWS: usize = 120;
    write(folder, "t.csv", 0..ROWS);
    write(folder, "shuffled.csv", (0..ROWS).map(|at| at * 67 % ROWS));
    let parts = [0..1, 1..3, 3..60, 60..ROWS];
    for (at, part) in parts.iter().enumerate() {
        write(folder, &format!("part{at}.csv"), part.clone());
    }
    for format in FORMATS {
        let code = |input: &str, threads: &str| {
            coded(folder, input, &["--precision", format, "--threads", threads])
        };
        let whole = code("t.csv", "2");
        assert_eq!(whole.len(), ROWS);
        let distinct: BTreeSet<_> = whole.values().map(|row| &row["experience_p"]).collect();
        assert!(distinct.len() > ROWS / 2, "{bundle}: like rows prove nothing");
        assert!(whole == code("t.csv", "1"), "{bundle} in {format}, on one thread");
        assert!(whole == code("shuffled.csv", "2"), "{bundle} in {format}, shuffled");
        let parts = (0..parts.len()).flat_map(|at| code(&format!("part{at}.csv"), "2"));
        assert!(whole == parts.collect(), "{bundle} in {format}, in parts");
    }
}

#[test]
fn every_level_gives_the_same_codes() {
    let folder = coding(40);
    let best = coded(&folder, "t.csv", &["--precision", "f32"]);
    let (here, absent): (Vec<Level>, Vec<Level>) =
        Level::ALL.into_iter().partition(|level| level.is_here());
    for level in &here {
        let flags = ["--precision", "f32", "--kernel", level.name()];
        let found = coded(&folder, "t.csv", &flags);
        assert_eq!(codes(&found, ""), codes(&best, ""), "{level}");
        for (row, best) in found.values().zip(best.values()) {
            for (name, cell) in row.iter().filter(|(name, _)| name.contains("_p__")) {
                let (p, best): (f64, f64) = (cell.parse().unwrap(), best[name].parse().unwrap());
                assert!((p - best).abs() < 1e-4, "{level} {name}: {p} {best}");
            }
        }
        let ran = classify(&folder, "t.csv", &[&flags[..], &["--force"]].concat());
        ran.exits(0).says(&[&format!("computing in f32 ({level})")]);
    }
    folder.file("coded.csv", table());
    let names: Vec<&str> = here.iter().map(|level| level.name()).collect();
    let said = [&["--kernel"], &names[..]].concat();
    for level in absent.iter().map(|level| level.name()).chain(["avx1024", ""]) {
        let flags = ["--kernel", level];
        classify(&folder, "t.csv", &[&flags[..], &["--force"]].concat()).exits(2).says(&said);
        run(&folder, &["evaluate", "b", "coded.csv"], &flags).exits(2).says(&said);
    }
}

#[cfg(unix)]
#[test]
fn work_begun_in_another_format_is_not_continued() {
    let folder = coding(400);
    let good = figures("bf16", 200, 1.0, [None; 3]);
    change_manifest(&folder, |manifest| manifest["precisions"] = json!([good]));
    // A disk with room for the state, but not for the table, leaves unfinished work behind.
    let begun = std::process::Command::new("sh")
        .current_dir(folder.root())
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_confide"))
        .args(["classify", "b", "t.csv", "-o", "o.csv", "--probabilities=path"])
        .args(["--device", "cpu"])
        .output()
        .unwrap();
    assert_eq!(begun.status.code(), Some(5), "{}", String::from_utf8_lossy(&begun.stderr));
    let state = folder.read("o.csv.partial/state.json");
    let mut others = vec![vec!["--precision", "f32"], vec!["--precision", "int8"]];
    if Level::best() != Level::Portable {
        others.push(vec!["--kernel", "portable"]);
    }
    for flags in others {
        let ran = classify(&folder, "t.csv", &flags);
        ran.exits(2).says(&["unfinished work", "o.csv.partial", "--force"]);
        assert_eq!(folder.read("o.csv.partial/state.json"), state);
    }
    // Taken unasked or asked for, it is the same format.
    let flags = ["--precision", "bf16", "--kernel", Level::best().name()];
    classify(&folder, "t.csv", &flags).exits(0);
    assert_eq!(read(&folder, "o.csv").len(), 400);
}
