//! What can be watched of a training, and messages as JSON.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{Folder, Ran, command};
use crate::interruption::{LONG, kill_at, kill_with};
use crate::study::{
    FROZEN, FULL, SECRET, bytes, holds_no_text, json_lines, same, study, table, train, training,
};

const EVENTS: &str = "tensorboard/events.out.tfevents.0000000000.confide";

/// The events of a run's event file without their times.
fn events(folder: &Folder, run: &str) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(folder.path(run).join(EVENTS)).expect("an event file");
    let mut events = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        events.push(bytes[at + 12 + 9..at + 12 + length].to_vec());
        at += 12 + length + 4;
    }
    assert_eq!(at, bytes.len(), "the last record is whole");
    events
}

#[test]
fn the_log_has_the_fields_of_hugging_face() {
    let folder = study(FULL);
    train(&folder, "bundle", &[]).exits(0);
    let log = json_lines(&folder, "bundle.run/log.jsonl");
    let (updates, evaluations): (Vec<&Value>, Vec<&Value>) =
        log.iter().partition(|line| line.get("loss").is_some());
    let fields = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for (at, line) in updates.iter().enumerate() {
        assert_eq!(fields(line), ["step", "epoch", "loss", "learning_rate", "grad_norm"]);
        assert_eq!(line["step"], at + 1);
        assert!(line["epoch"].is_f64());
    }
    for (at, line) in evaluations.iter().enumerate() {
        assert_eq!(line["epoch"].as_f64(), Some(at as f64));
        let tiers = ["experience", "attitude", "topics"];
        let of_tiers = ["score", "macro_f1"].into_iter().flat_map(|what| tiers.map(|t| (t, what)));
        let own = ["step", "epoch", "eval_loss", "eval_score"].map(String::from).into_iter();
        let own = own.chain(of_tiers.map(|(tier, what)| format!("eval_{tier}_{what}")));
        assert_eq!(fields(line), own.collect::<Vec<_>>());
    }
    assert!(log.iter().flat_map(|line| line.as_object().unwrap().values()).all(Value::is_number));
    let steps: Vec<u64> = log.iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert!(steps.is_sorted());
}

#[test]
fn tensorboard_is_told_what_the_log_is_told() {
    let folder = study(FULL);
    train(&folder, "plain", &[]).exits(0);
    assert!(!folder.path("plain.run/tensorboard").exists());
    train(&folder, "bundle", &["--tensorboard"]).exits(0);
    same(&folder, "plain", "bundle");
    let (events, log) = (events(&folder, "bundle.run"), folder.read("bundle.run/log.jsonl"));
    assert!(log == folder.read("plain.run/log.jsonl"));
    assert_eq!(events.len(), 1 + log.lines().count(), "one for the version");
    let holds = |event: &[u8], tag: &str| event.windows(tag.len()).any(|w| w == tag.as_bytes());
    for (line, event) in log.lines().zip(&events[1..]) {
        let update = line.contains("\"loss\"");
        assert_eq!(holds(event, "train/loss") && holds(event, "train/learning_rate"), update);
        assert_eq!(holds(event, "eval/loss") && holds(event, "eval/topics_macro_f1"), !update);
    }
    holds_no_text(&folder, &["bundle.run"]);
}

#[test]
fn events_go_on_where_a_killed_training_goes_on() {
    let folder = study(LONG);
    train(&folder, "unbroken", &["--tensorboard"]).exits(0);
    let whole = events(&folder, "unbroken.run");
    kill_with(&folder, "killed", &["--tensorboard"], 9);
    // A while without TensorBoard leaves no gap.
    kill_at(&folder, "killed", 30);
    kill_with(&folder, "killed", &["--tensorboard"], 60);
    train(&folder, "killed", &["--tensorboard"]).exits(0).says(&["continuing"]);
    assert!(events(&folder, "killed.run") == whole);
    same(&folder, "unbroken", "killed");
    kill_at(&folder, "late", 50);
    train(&folder, "late", &["--tensorboard"]).exits(0).says(&["continuing"]);
    assert!(events(&folder, "late.run") == whole);
}

#[test]
fn heads_alone_have_nothing_to_draw() {
    let folder = study(FROZEN);
    train(&folder, "bundle", &["--tensorboard"]).exits(0).says(&["TensorBoard"]);
    assert!(!folder.path("bundle.run/tensorboard").exists());
}

/// Every line of standard error as a JSON object with level and message; none is prose.
#[track_caller]
fn messages(ran: &Ran) -> Vec<Value> {
    ran.keeps_quiet_about(SECRET);
    let line = |line: &str| -> Value {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let level = value["level"].as_str().expect("a level");
        assert!(["note", "warning", "error"].contains(&level), "{line}");
        assert!(!value["message"].as_str().expect("a message").is_empty(), "{line}");
        value
    };
    ran.stderr.lines().map(line).collect()
}

#[test]
fn epochs_are_messages_with_their_figures() {
    let folder = study(&format!("{FULL}keep = \"best\"\n"));
    let ran = train(&folder, "bundle", &["--log-format", "json"]);
    ran.exits(0);
    let messages = messages(&ran);
    let epochs: Vec<&Value> =
        messages.iter().filter(|line| line.get("eval_loss").is_some()).collect();
    let log = json_lines(&folder, "bundle.run/log.jsonl");
    let logged: Vec<&Value> = log.iter().filter(|line| line.get("eval_loss").is_some()).collect();
    assert_eq!(epochs.len(), logged.len());
    assert_eq!(epochs[0]["best"], true);
    for (epoch, logged) in epochs.into_iter().zip(logged) {
        for (field, value) in logged.as_object().unwrap() {
            assert_eq!(&epoch[field], value, "{field}");
        }
        assert!(epoch["best"].is_boolean() && epoch["seconds"].is_number());
        assert_eq!(epoch["train_loss"].is_number(), epoch["epoch"] != 0.0);
    }
}

#[test]
fn every_command_speaks_json() {
    let folder = study(FROZEN);
    train(&folder, "bundle", &[]).exits(0);
    folder.file("ragged.csv", format!("{}x,{SECRET}\n", table()));
    folder.file("two.csv", table().replace("experience", "experience__ana"));
    folder
        .file("out.jsonl", "{\"custom_id\":\"b\",\"response\":null,\"error\":{\"code\":\"x\"}}\n");
    folder.file("page.json", "{}");
    let book = "bundle/codebook.toml";
    let commands: BTreeMap<&str, &str> = BTreeMap::from([
        ("agree", "two.csv --coders ana,ben"),
        ("check", "ragged.csv --with bundle"),
        ("classify", "bundle ragged.csv -o out.csv --as m"),
        ("compare", "two.csv --a ana --b ben"),
        ("doctor", "--device cuda"),
        ("drift", "coded.csv ragged.csv"),
        ("evaluate", "bundle coded.csv --split all"),
        ("export", "bundle nowhere -o exported"),
        ("import openai", "out.jsonl --codebook llm-mental-health --coder b -o i.csv"),
        ("import tiktok", "page.json -o t.csv"),
        ("prevalence", "coded.csv --gold coded.csv --design srs"),
        ("quickstart", "-o coded.csv"),
        ("sample", "ragged.csv -n 5 -o sheets"),
        ("split", "ragged.csv -o split --train 20 --validation 9"),
        ("train", "--data ragged.csv --base base --recipe recipe.toml -o trained"),
        ("pull", "no/such/name"),
    ]);
    let mut silent = Vec::new();
    for (name, rest) in commands {
        let own = ["agree", "check", "compare", "drift", "prevalence", "train"].contains(&name);
        let words = name.split(' ').chain(own.then_some(book)).chain(rest.split(' '));
        let arguments: Vec<&str> = words.chain(["--log-format", "json"]).collect();
        let ran = folder.run(&arguments);
        let said = messages(&ran);
        if said.is_empty() {
            silent.push(name);
        }
        let failed = ran.code > 1;
        let errors: Vec<&Value> = said.iter().filter(|line| line["level"] == "error").collect();
        assert_eq!(errors.len(), usize::from(failed), "{name}: {}", ran.stderr);
        assert!(errors.iter().all(|error| error["exit_code"] == ran.code), "{}", ran.stderr);
        for line in ran.stdout.lines() {
            assert!(!line.contains("\"level\""), "{name}: {line}");
        }
    }
    assert!(silent.len() < 5, "{silent:?}");
}

#[test]
fn a_misused_command_line_is_a_message_too() {
    let folder = Folder::new();
    let misuses = [
        vec!["--log-format", "json", "train", "--no-such-flag"],
        vec!["--log-format=json", "no-such-command"],
        vec!["split", "--log-format", "json"],
    ];
    for arguments in &misuses {
        let ran = folder.run(arguments);
        let said = messages(ran.exits(2));
        assert_eq!((said.len(), &said[0]["level"]), (1, &Value::from("error")));
        assert_eq!(said[0]["exit_code"], 2);
    }
    let mut twin = command(folder.root());
    let output = twin.arg("no-such-command").env("CONFIDE_LOG_FORMAT", "json").output().unwrap();
    assert!(output.stderr.starts_with(b"{\"level\":\"error\""));
    let ran = folder.run(&["--log-format", "text", "no-such-command"]);
    assert!(ran.exits(2).stderr.starts_with("error: "), "{}", ran.stderr);
    folder.run(&["train", "--help", "--log-format", "json"]).exits(0).prints(&["--tensorboard"]);
}

#[test]
fn the_environment_chooses_the_format_of_messages() {
    let folder = study(FROZEN);
    let mut twin = command(folder.root());
    let output = twin.args(training("bundle")).env("CONFIDE_LOG_FORMAT", "json").output().unwrap();
    let ran = Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert!(!messages(ran.exits(0)).is_empty());
    assert!(bytes(&folder, "bundle").contains_key("README.md"));
}
