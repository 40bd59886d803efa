//! `confide doctor`: what it tells of this machine.

use crate::harness::{Folder, command};

#[test]
fn it_tells_what_will_be_used() {
    let folder = Folder::new();
    let ran = folder.run(&["doctor", "--json", "--threads", "3"]);
    ran.exits(0);
    let document = ran.json();
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document["threads"], 3);
    assert_eq!(document["device"], "cpu");
    assert!(document["cores"].as_u64().unwrap() > 0);
    assert!(document["memory_bytes"].as_u64().unwrap() > 1 << 20);
    assert!(document["kernel_level"].as_str().unwrap().contains(std::env::consts::ARCH));
    assert_eq!(document["encoders"][0], "minilm");
    let ran = folder.run(&["doctor"]);
    ran.exits(0).prints(&["network", "threads", "memory", "minilm"]);
    assert!(folder.entries().is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn it_says_that_the_network_is_denied() {
    let folder = Folder::new();
    let document = folder.run(&["doctor", "--json"]).json();
    assert_eq!(document["network_denied"], true);
    folder.run(&["doctor"]).prints(&["refuses this process every socket"]);
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_kernel_does_not_let_it_read_and_write_is_on_record() {
    let study = crate::study::study(crate::study::FROZEN);
    let landlock = study.run(&["doctor", "--json"]).json()["in_force"]["landlock"].clone();
    crate::study::train(&study, "bundle", &[]).exits(0);
    let record: serde_json::Value =
        serde_json::from_str(&study.read("bundle.run/run.json")).unwrap();
    assert_eq!(record["in_force"]["landlock"], landlock);
    if landlock.is_null() {
        eprintln!("skipped: this kernel limits no files");
        study.run(&["doctor"]).prints(&["not in force"]);
        return;
    }
    assert!(landlock["level"].as_u64().unwrap() >= 2 && landlock["reading"] == true);
    study.run(&["doctor"]).prints(&["Landlock", "write below the folders of its outputs"]);
    assert!(record["sandbox"].as_str().unwrap().contains("Landlock"));
}

#[test]
fn a_sandbox_that_is_not_wanted_is_recorded() {
    let folder = Folder::new();
    let ran = folder.run(&["doctor", "--json", "--no-sandbox"]);
    ran.exits(0).says(&["--no-sandbox"]);
    assert_eq!(ran.json()["network_denied"], false);
    assert!(ran.json()["in_force"]["landlock"].is_null());
    folder.run(&["doctor", "--no-sandbox"]).prints(&["--no-sandbox was given"]);
    let study = crate::study::study(crate::study::FROZEN);
    crate::study::train(&study, "bundle", &["--no-sandbox"]).exits(0);
    assert!(study.read("bundle.run/run.json").contains("--no-sandbox was given"));
    crate::study::train(&study, "other", &[]).exits(0);
    assert!(!study.read("other.run/run.json").contains("--no-sandbox"));
}

#[test]
fn its_flags_have_twins_in_the_environment() {
    let folder = Folder::new();
    let mut twin = command(folder.root());
    let output = twin.arg("doctor").envs([("CONFIDE_JSON", "1"), ("CONFIDE_THREADS", "2")]);
    let document = output.output().unwrap().stdout;
    let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["threads"], 2);
    folder.run(&["doctor", "--threads", "0"]).exits(2);
    folder.run(&["doctor", "--device", "cuda"]).exits(5).says(&["--device cpu"]);
    folder.run(&["doctor", "--device", "abacus"]).exits(2).says(&["--device"]);
}
