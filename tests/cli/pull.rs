//! `confide pull` against a stand-in for the hub, and what is pulled in use.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use candle_core::{DType, Device, Tensor};
use confide::encoder::save_weights;
use serde_json::json;

use crate::harness::{Folder, Ran, command};
use crate::lexical::validation;
use crate::standin::{COMMIT, StandIn};
use crate::study::{FROZEN, SECRET, base, base_of, study, training};

/// The files of the tiny BERT.
fn tiny() -> BTreeMap<String, Vec<u8>> {
    let folder = Folder::new();
    base(&folder, "base");
    let read =
        |name: &str| (name.to_owned(), std::fs::read(folder.path("base").join(name)).unwrap());
    let mut files: BTreeMap<_, _> =
        ["config.json", "tokenizer.json", "model.safetensors"].map(read).into();
    files.insert("README.md".into(), b"a card".to_vec());
    files.insert("pytorch_model.bin".into(), b"\x80\x02}".to_vec());
    files
}

fn on(hub: &StandIn, folder: &Folder) -> Command {
    let mut command = command(folder.root());
    command
        .env("HF_HOME", folder.path("home"))
        .env("HF_ENDPOINT", &hub.address)
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_HUB_OFFLINE")
        .env_remove("HF_TOKEN");
    command
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().expect("the program ends");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn pull(hub: &StandIn, folder: &Folder, more: &[&str]) -> Ran {
    ran(on(hub, folder).arg("pull").args(more))
}

/// The bytes of a pulled file.
fn pulled(folder: &Folder, name: &str) -> Vec<u8> {
    let snapshot = format!("home/hub/models--org--tiny/snapshots/{COMMIT}/{name}");
    std::fs::read(folder.path(&snapshot)).unwrap()
}

fn trained(hub: &StandIn, folder: &Folder, base: &str, output: &str) -> Ran {
    let mut arguments = training(output);
    let at = arguments.iter().position(|a| *a == "base").unwrap();
    arguments[at] = base;
    let ran = ran(on(hub, folder).args(arguments));
    ran.keeps_quiet_about(SECRET);
    ran
}

#[test]
fn a_pulled_model_is_a_base_by_its_name() {
    let (hub, folder) = (StandIn::new(tiny()), study(FROZEN));
    trained(&hub, &folder, "org/tiny", "bundle").exits(4).says(&["confide pull org/tiny"]);
    pull(&hub, &folder, &["org/tiny"]).exits(0).prints(&[COMMIT, "model.safetensors"]);
    let files = tiny();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        assert_eq!(pulled(&folder, name), files[name], "{name}");
    }
    let entries = folder.entries().join(" ");
    assert!(!entries.contains("pytorch_model") && !entries.contains(".pull"), "{entries}");
    assert_eq!(folder.read("home/hub/models--org--tiny/refs/main"), COMMIT);
    trained(&hub, &folder, "org/tiny", "bundle").exits(0);
    trained(&hub, &folder, &format!("org/tiny@{COMMIT}"), "pinned").exits(0);
    let [noted, reached] = validation(&folder, "bundle");
    assert_eq!(noted, reached);
    // What is there is not fetched again.
    let before = hub.seen().len();
    pull(&hub, &folder, &["org/tiny"]).exits(0);
    assert_eq!(hub.seen().len(), before + 1);
}

#[test]
fn a_download_that_was_cut_goes_on_where_it_ended() {
    let (hub, folder) = (StandIn::new(tiny()), Folder::new());
    let size = tiny()["model.safetensors"].len();
    // The two small files first, then the weights in three pieces.
    hub.set(|state| state.cuts = vec![usize::MAX, usize::MAX, 5_000, 20_000]);
    pull(&hub, &folder, &["org/tiny"]).exits(0).says(&["trying again", &format!("5000 of {size}")]);
    assert_eq!(pulled(&folder, "model.safetensors"), tiny()["model.safetensors"]);
    let seen = hub.seen().join("\n");
    assert!(seen.contains("model.safetensors bytes=5000-"), "{seen}");
    assert!(seen.contains("model.safetensors bytes=25000-"), "{seen}");
}

#[test]
fn what_came_is_kept_for_the_next_command() {
    let (hub, folder) = (StandIn::new(tiny()), Folder::new());
    hub.set(|state| state.cuts = vec![usize::MAX, usize::MAX, 3_000, 100, 100, 100, 100]);
    pull(&hub, &folder, &["org/tiny"]).exits(5).says(&["run the same command again"]);
    let snapshot = format!("home/hub/models--org--tiny/snapshots/{COMMIT}");
    assert!(!folder.path(&format!("{snapshot}/model.safetensors")).exists());
    assert!(!folder.path("home/hub/models--org--tiny/refs/main").exists());
    let before = hub.seen().len();
    pull(&hub, &folder, &["org/tiny"]).exits(0);
    let seen = hub.seen()[before..].join("\n");
    assert!(seen.contains("model.safetensors bytes=3400-"), "{seen}");
    assert!(!seen.contains("config.json"), "{seen}");
    assert_eq!(pulled(&folder, "model.safetensors"), tiny()["model.safetensors"]);
}

#[test]
fn weights_in_several_files_are_one_model() {
    let mut files = tiny();
    let whole = files.remove("model.safetensors").unwrap();
    let tensors: Vec<(String, Tensor)> =
        candle_core::safetensors::load_buffer(&whole, &Device::Cpu)
            .unwrap()
            .into_iter()
            .filter(|(_, tensor)| tensor.dtype() == DType::F32)
            .collect();
    let (mut map, mut parts) = (serde_json::Map::new(), [Vec::new(), Vec::new()]);
    for (at, (name, tensor)) in tensors.iter().enumerate() {
        map.insert(name.clone(), json!(format!("model-{}.safetensors", at % 2)));
        parts[at % 2].push((name, tensor));
    }
    for (at, part) in parts.into_iter().enumerate() {
        files.insert(format!("model-{at}.safetensors"), save_weights(part, None).unwrap());
    }
    let index = json!({"weight_map": map}).to_string();
    files.insert("model.safetensors.index.json".into(), index.into_bytes());
    let (hub, folder) = (StandIn::new(files), study(FROZEN));
    pull(&hub, &folder, &["org/tiny"]).exits(0).prints(&["model-0", "model-1"]);
    trained(&hub, &folder, "org/tiny", "parts").exits(0);
    trained(&hub, &folder, "base", "whole").exits(0);
    let heads =
        |bundle: &str| std::fs::read(folder.path(bundle).join("heads.safetensors")).unwrap();
    assert!(heads("parts") == heads("whole"), "the parts are another model");
    let part = format!("home/hub/models--org--tiny/snapshots/{COMMIT}/model-1.safetensors");
    std::fs::remove_file(folder.path(&part)).unwrap();
    trained(&hub, &folder, "org/tiny", "other").exits(4).says(&["model-1.safetensors"]);
}

#[test]
fn bytes_of_another_digest_are_thrown_away() {
    let (hub, folder) = (StandIn::new(tiny()), Folder::new());
    hub.set(|state| state.digest = Some("ab".repeat(32)));
    pull(&hub, &folder, &["org/tiny"]).exits(4).says(&["digest", "config.json"]);
    for place in ["snapshots", "blobs", "refs"] {
        assert!(!folder.path(&format!("home/hub/models--org--tiny/{place}")).exists(), "{place}");
    }
    hub.set(|state| state.digest = Some("weak".into()));
    pull(&hub, &folder, &["org/tiny"]).exits(4).says(&["no digest"]);
    hub.set(|state| state.digest = None);
    pull(&hub, &folder, &["org/tiny"]).exits(0);
}

#[test]
fn pickles_are_refused_with_the_reason() {
    let mut files = tiny();
    files.remove("model.safetensors");
    let (hub, folder) = (StandIn::new(files.clone()), study(FROZEN));
    pull(&hub, &folder, &["org/tiny"]).exits(4).says(&["pickle", "safetensors"]);
    assert!(hub.seen().iter().all(|request| !request.contains("resolve")), "{:?}", hub.seen());
    for (name, bytes) in files {
        folder.file(&format!("pickled/{name}"), bytes);
    }
    trained(&hub, &folder, "pickled", "bundle").exits(4).says(&["pickle", "pytorch_model.bin"]);
}

#[test]
fn an_architecture_that_is_not_known_is_refused_before_its_weights() {
    let mut files = tiny();
    files.insert("config.json".into(), br#"{"model_type": "t5"}"#.to_vec());
    let (hub, folder) = (StandIn::new(files), Folder::new());
    pull(&hub, &folder, &["org/tiny"]).exits(4).says(&["'t5'"]);
    assert!(hub.seen().iter().all(|request| !request.contains("model.safetensors")));
}

#[test]
fn refusals_say_what_to_do() {
    let (hub, folder) = (StandIn::new(tiny()), Folder::new());
    pull(&hub, &folder, &["org/other"]).exits(4).says(&["org/other@main", "no such model"]);
    pull(&hub, &folder, &["../tiny"]).exits(2).says(&["owner/name"]);
    hub.set(|state| state.status = Some(401));
    let token = "hf_zanzibarzanzibar";
    ran(on(&hub, &folder).args(["pull", "org/tiny"]).env("HF_TOKEN", token))
        .exits(4)
        .says(&["HF_TOKEN"])
        .keeps_quiet_about(token);
    assert!(hub.seen().iter().any(|request| request.ends_with(&format!("Bearer {token}"))));
    hub.set(|state| state.status = Some(503));
    pull(&hub, &folder, &["org/tiny"]).exits(5).says(&["503"]);
    let before = hub.seen().len();
    ran(on(&hub, &folder).args(["pull", "org/tiny"]).env("HF_HUB_OFFLINE", "1"))
        .exits(2)
        .says(&["HF_HUB_OFFLINE"]);
    assert_eq!(hub.seen().len(), before);
    ran(on(&hub, &folder).args(["pull", "org/tiny"]).env("HF_ENDPOINT", "nowhere")).exits(2);
    // Nobody listens there: the port was given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    ran(on(&hub, &folder).args(["pull", "org/tiny"]).env("HF_ENDPOINT", format!("http://{free}")))
        .exits(5)
        .says(&[&free.to_string()]);
}

#[test]
fn a_revision_is_pinned_by_its_commit() {
    let (hub, folder) = (StandIn::new(tiny()), study(FROZEN));
    pull(&hub, &folder, &["org/tiny", "--revision", COMMIT]).exits(0);
    assert!(!folder.path("home/hub/models--org--tiny/refs").exists());
    trained(&hub, &folder, "org/tiny", "bundle").exits(4).says(&["confide pull"]);
    trained(&hub, &folder, &format!("org/tiny@{COMMIT}"), "bundle").exits(0);
    pull(&hub, &folder, &["org/tiny@v1"]).exits(0);
    assert_eq!(folder.read("home/hub/models--org--tiny/refs/v1"), COMMIT);
}

/// The tiny DeBERTa with as many word embeddings as the fixture of SentencePiece has pieces.
fn sentencepiece_only() -> BTreeMap<String, Vec<u8>> {
    const WORDS: &str = "embeddings.word_embeddings.weight";
    let folder = Folder::new();
    base_of(&folder, "base", "deberta-v3");
    let weights = std::fs::read(folder.path("base/model.safetensors")).unwrap();
    let mut tensors = candle_core::safetensors::load_buffer(&weights, &Device::Cpu).unwrap();
    let words = tensors[WORDS].repeat((9, 1)).unwrap().narrow(0, 0, 901).unwrap();
    tensors.insert(WORDS.into(), words);
    let config =
        folder.read("base/config.json").replace("\"vocab_size\": 101", "\"vocab_size\": 901");
    let model =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizer/deberta.model");
    [
        ("config.json".to_owned(), config.into_bytes()),
        ("spm.model".to_owned(), std::fs::read(model).unwrap()),
        ("model.safetensors".to_owned(), save_weights(tensors.iter(), None).unwrap()),
    ]
    .into()
}

#[test]
fn a_model_of_sentencepiece_becomes_the_tokenizer() {
    let (hub, folder) = (StandIn::new(sentencepiece_only()), study(FROZEN));
    pull(&hub, &folder, &["org/tiny"]).exits(0).prints(&["spm.model"]);
    trained(&hub, &folder, "org/tiny", "bundle").exits(0);
    let [noted, reached] = validation(&folder, "bundle");
    assert_eq!(noted, reached);
    let tokenizer: serde_json::Value =
        serde_json::from_str(&folder.read("bundle/tokenizer.json")).unwrap();
    assert_eq!(tokenizer["model"]["type"], "Unigram");
}
