//! What a power cut may take away: nothing gets a name before it is on the disk.

use std::collections::BTreeSet;

use super::cases::CASES;
use super::injector::{Call, Injector};

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A path as it is named from the working folder; that itself is nothing.
fn plain(path: &str) -> String {
    path.trim_end_matches('/').trim_start_matches("./").trim_start_matches('.').to_owned()
}

/// What is wrong with the order of these calls, if anything is.
fn wrong_order(calls: &[Call], output: &str) -> Option<String> {
    // Files whose bytes, and folders whose names, may not be on the disk.
    let (mut bytes, mut names) = (BTreeSet::new(), BTreeSet::new());
    for call in calls {
        let file = plain(&call.file);
        match &*call.kind {
            "create" => {
                names.insert(folder_of(&file).to_owned());
            }
            "write" | "truncate" => {
                bytes.insert(file);
            }
            "sync" => {
                bytes.remove(&file);
                names.remove(&file);
            }
            "rename" | "exchange" => {
                let to = plain(&call.second);
                let inside = format!("{file}/");
                let own = |name: &&String| **name == file || name.starts_with(&inside);
                // A state tells of all other files; everything else only of itself.
                let is_state = ["state.json", "checkpoint.safetensors"];
                let is_state = is_state.iter().any(|state| to.ends_with(state));
                if let Some(unsynced) = bytes.iter().find(|name| is_state || own(name)) {
                    return Some(format!("{to} gets its name while {unsynced} is not on the disk"));
                }
                if let Some(folder) = names.iter().find(own) {
                    return Some(format!("{to} gets its name before what is named in {folder}"));
                }
                names.insert(folder_of(&file).to_owned());
                names.insert(folder_of(&to).to_owned());
            }
            _ => {}
        }
    }
    let above = folder_of(output);
    names.contains(above).then(|| format!("the name {output} is not on the disk"))
}

#[test]
fn nothing_is_named_before_it_is_on_the_disk() {
    let Some(injector) = Injector::build() else { return };
    for case in &CASES {
        let folder = (case.inputs)();
        let (ran, calls) = injector.trace(&folder, &(case.args)());
        ran.exits(case.code);
        assert!(calls.iter().any(|call| call.kind == "rename"), "{}", case.name);
        let wrong = wrong_order(&calls, case.output);
        assert_eq!(wrong, None, "{}: {calls:#?}", case.name);
    }
}

#[test]
fn a_wrong_order_is_seen() {
    let call = |kind: &str, file: &str, second: &str| Call {
        kind: kind.into(),
        file: file.into(),
        second: second.into(),
    };
    let order = |calls: &[(&str, &str, &str)]| {
        let calls: Vec<Call> = calls.iter().map(|(a, b, c)| call(a, b, c)).collect();
        wrong_order(&calls, "a")
    };
    let (create, write) = (("create", "a.tmp", ""), ("write", "a.tmp", ""));
    let (sync, rename, folder) =
        (("sync", "a.tmp", ""), ("rename", "a.tmp", "a"), ("sync", ".", ""));
    assert_eq!(order(&[create, write, sync, rename, folder]), None);
    assert!(order(&[create, write, rename, sync, folder]).is_some());
    assert!(order(&[create, write, sync, rename]).is_some());
    assert!(order(&[create, sync, write, rename, folder]).is_some());
    let log = ("write", "log", "");
    assert_eq!(order(&[log, create, write, sync, rename, folder]), None);
    let state = ("rename", "a.tmp", "state.json");
    assert!(order(&[log, create, write, sync, state, folder]).is_some());
    let inner = [("create", "d/b", ""), ("write", "d/b", ""), ("sync", "d/b", "")];
    let outer = [("rename", "d", "a"), ("sync", ".", "")];
    assert!(order(&[&inner[..], &outer].concat()).is_some());
    assert_eq!(order(&[&inner[..], &[("sync", "d", "")], &outer].concat()), None);
}
