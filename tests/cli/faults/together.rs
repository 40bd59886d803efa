//! Two processes at once, and inputs that change under a process.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::cases::case;
use super::injector::Injector;
use crate::harness::Folder;
use crate::study::SECRET;

/// Starts a command that stops before its call of that number and kind, and waits until it has.
fn stopped(injector: &Injector, folder: &Folder, args: &[&str], call: &str, at: usize) -> Child {
    let settings =
        [("FAULT_CALL", call), ("FAULT_AT", &*at.to_string()), ("FAULT_WHAT", "before:19")];
    let mut command = injector.prepare(folder, args, &settings);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let begun = Instant::now();
    let status = format!("/proc/{}/stat", child.id());
    let is_stopped = |text: String| text.rsplit(") ").next().is_some_and(|s| s.starts_with('T'));
    while !std::fs::read_to_string(&status).is_ok_and(is_stopped) {
        assert!(begun.elapsed() < Duration::from_secs(120), "{args:?} never comes to {call} {at}");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

/// Lets it go on to its end; its exit code and what it said.
fn go_on(child: Child) -> (Option<i32>, String) {
    let id = child.id().to_string();
    let sent = std::process::Command::new("kill").args(["-CONT", &id]).status().expect("kill");
    assert!(sent.success());
    let output = child.wait_with_output().expect("its end");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_second_process_is_refused() {
    let Some(injector) = Injector::build() else { return };
    for (name, call, at) in
        [("classify", "write", 4), ("train", "write", 12), ("retrain", "write", 12)]
    {
        let case = case(name);
        let alone = (case.inputs)();
        injector.run(&alone, &(case.args)(), &[]).exits(case.code);
        let folder = (case.inputs)();
        let first = stopped(&injector, &folder, &(case.args)(), call, at);
        let before = folder.entries();
        for force in [&[][..], &["--force"]] {
            let args = [&(case.args)()[..], force].concat();
            let args: Vec<&str> = match force.is_empty() && name == "retrain" {
                true => continue,
                false if name == "retrain" => (case.args)(),
                false => args,
            };
            folder.run(&args).exits(2).says(&["is being written"]).keeps_quiet_about(SECRET);
        }
        assert_eq!(folder.entries(), before, "the second one changes nothing");
        let (code, said) = go_on(first);
        assert_eq!(code, Some(case.code), "{said}");
        let output = |folder: &Folder| match folder.path(case.output).is_dir() {
            true => crate::study::bytes(folder, case.output),
            false => [(String::new(), folder.read(case.output).into_bytes())].into(),
        };
        assert!(output(&folder) == output(&alone), "{name}");
    }
}

#[test]
fn a_table_that_changes_while_it_is_coded_is_noticed() {
    let Some(injector) = Injector::build() else { return };
    let case = case("classify");
    let folder = (case.inputs)();
    let table = folder.read("t.csv");
    let (_, calls) = injector.trace(&folder, &(case.args)());
    let reads = calls.iter().filter(|call| call.kind == "read");
    let of_table: Vec<usize> =
        reads.enumerate().filter(|(_, call)| call.file == "t.csv").map(|(at, _)| at + 1).collect();
    // At last the digest is made again, by blocks and an empty one.
    let again = of_table.len() - table.len().div_ceil(1 << 16) - 1;
    assert!(again > 6);
    for at in [of_table[1], of_table[again / 2], of_table[again]] {
        let folder = (case.inputs)();
        let child = stopped(&injector, &folder, &(case.args)(), "read", at);
        folder.file("t.csv", table.replace(",n\n", ",m\n"));
        let (code, said) = go_on(child);
        assert_eq!(code, Some(3), "read {at}: {said}");
        assert!(
            said.contains("t.csv") && said.contains("changed") && !said.contains(SECRET),
            "{said}"
        );
        assert!(!folder.path("o.csv").exists() && !folder.path("o.csv.partial").exists());
    }
}
