//! What the system sees the program call: no network at all.

use std::process::Command;

use crate::harness::{Folder, command};
use crate::study::{FROZEN, FULL, study, training};

/// Runs the program under a trace of all that concerns the network; what was traced, or nothing
/// where this system cannot trace.
fn traced(folder: &Folder, args: &[&str]) -> Option<String> {
    let own = command(folder.root());
    let ran = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=%network", "-e", "signal=none", "-o", "trace.txt"])
        .arg(own.get_program())
        .args(args)
        .envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(folder.root())
        .output();
    let Ok(ran) = ran else {
        eprintln!("skipped: there is no strace here");
        return None;
    };
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    if said.contains("PTRACE") || said.contains("ptrace") {
        eprintln!("skipped: nothing can be traced here: {said}");
        return None;
    }
    assert!(ran.status.success(), "{args:?}: {said}");
    Some(folder.read("trace.txt"))
}

#[test]
fn training_scoring_and_coding_call_no_network() {
    for recipe in [FROZEN, &FULL.replace("epochs = 4", "epochs = 1")] {
        let folder = study(recipe);
        for args in [
            training("bundle"),
            vec!["evaluate", "bundle", "coded.csv", "-o", "figures"],
            vec!["classify", "bundle", "coded.csv", "-o", "out.csv", "--as", "bot"],
        ] {
            let Some(trace) = traced(&folder, &args) else { return };
            assert_eq!(trace, "", "{args:?}");
        }
    }
}

#[cfg(feature = "hub")]
#[test]
fn a_trace_would_show_a_connection() {
    let folder = Folder::new();
    let home = folder.path("cache").display().to_string();
    let own = command(folder.root());
    let ran = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=%network", "-o", "trace.txt"])
        .arg(own.get_program())
        .args(["pull", "org/name"])
        .envs([("HF_ENDPOINT", "http://127.0.0.1:9"), ("HF_HOME", home.as_str())])
        .current_dir(folder.root())
        .output();
    if !ran.is_ok_and(|ran| !String::from_utf8_lossy(&ran.stderr).contains("PTRACE")) {
        eprintln!("skipped: nothing can be traced here");
        return;
    }
    assert!(folder.read("trace.txt").contains("connect("));
}
