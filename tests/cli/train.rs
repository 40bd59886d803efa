//! `confide train`: what a training leaves behind, and that it follows from its inputs alone.

use std::collections::HashMap;

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use crate::harness::{Folder, command};
use crate::study::{
    BUNDLE, FROZEN, FULL, HEADING, SECRET, base, bytes, differences, holds_no_text, json_lines,
    rows, same, study, table, tests, train, training,
};

#[test]
fn a_full_training_writes_the_bundle_and_its_run() {
    let folder = study(FULL);
    train(&folder, "bundle", &[]).exits(0);
    assert_eq!(bytes(&folder, "bundle").into_keys().collect::<Vec<_>>(), BUNDLE);
    let manifest: Value = serde_json::from_str(&folder.read("bundle/manifest.json")).unwrap();
    assert_eq!(manifest["train_rows"], 24);
    assert_eq!(manifest["validation_rows"], 9);
    assert_eq!(manifest["recipe"]["batch_rows"], 4);
    assert_eq!(manifest["recipe"]["dropout"], 0.1);
    for digest in ["data", "codebook", "base", "recipe"] {
        assert_eq!(manifest["plan"][digest].as_str().unwrap().len(), 64, "{digest}");
    }
    let card = folder.read("bundle/README.md");
    assert!(card.contains("experience") && card.contains("24 coded texts"), "{card}");
    let check = folder.run(&["check", "bundle/codebook.toml", "coded.csv"]);
    check.exits(0);

    let log = json_lines(&folder, "bundle.run/log.jsonl");
    let updates: Vec<_> = log.iter().filter(|line| line["loss"].is_number()).collect();
    let epochs: Vec<_> = log.iter().filter(|line| line["eval_loss"].is_number()).collect();
    assert_eq!(log.len(), updates.len() + epochs.len());
    assert_eq!(epochs.len(), manifest["epochs"].as_array().unwrap().len());
    for (at, line) in updates.iter().enumerate() {
        assert_eq!(line["step"], at + 1);
        assert!(line["epoch"].is_number() && line["learning_rate"].is_number());
        assert!(line["grad_norm"].as_f64().unwrap() > 0.0);
    }
    assert!(epochs.iter().all(|line| line["eval_score"].is_number()));
    let resolved = folder.read("bundle.run/recipe.toml");
    assert!(resolved.contains("epochs = 4") && resolved.contains("layer_decay"), "{resolved}");
    let run: Value = serde_json::from_str(&folder.read("bundle.run/run.json")).unwrap();
    assert!(run["seconds"].is_number() && run["threads"].is_number() && run["sandbox"].is_string());
    let left = bytes(&folder, "bundle.run");
    assert!(!left.keys().any(|name| name.ends_with(".safetensors") || name.contains("partial")));
    holds_no_text(&folder, &["bundle", "bundle.run"]);
}

#[test]
fn a_bundle_holds_nothing_of_where_and_when() {
    let folder = study(FULL);
    train(&folder, "first", &["--threads", "1"]).exits(0);
    train(&folder, "second", &["--threads", "2"]).exits(0);
    same(&folder, "first", "second");
    // Elsewhere, and from a table in another format with another column beside.
    let elsewhere = study(FULL);
    let object = |line: &str| {
        let cell: Vec<&str> = line.split(',').collect();
        let topics: Vec<&str> = cell[4].split('|').filter(|topic| !topic.is_empty()).collect();
        json!({"platform": "forum", "split": cell[5], "id": cell[0], "text": cell[1],
            "experience": cell[2], "attitude": cell[3],
            "topics": if topics.is_empty() { json!(null) } else { json!(topics) }})
    };
    let lines: Vec<String> = table().lines().skip(1).map(|l| object(l).to_string()).collect();
    elsewhere.file("coded.csv", lines.join("\n"));
    train(&elsewhere, "bundle", &["--threads", "5", "--format", "jsonl"]).exits(0);
    let expected = bytes(&folder, "first");
    assert!(bytes(&elsewhere, "bundle") == expected);
    train(&folder, "seeded", &["--seed", "1"]).exits(0);
    let changed = differences(&folder, "first", "seeded");
    assert!(changed.contains(&"model.safetensors".into()), "{changed:?}");
}

#[test]
fn heads_alone_leave_the_encoder_as_it_was() {
    let folder = study(FROZEN);
    train(&folder, "first", &["--threads", "1"]).exits(0);
    train(&folder, "second", &["--threads", "2"]).exits(0);
    assert_eq!(bytes(&folder, "first").into_keys().collect::<Vec<_>>(), BUNDLE);
    same(&folder, "first", "second");
    assert!(
        bytes(&folder, "first")["model.safetensors"] == bytes(&folder, "base")["model.safetensors"]
    );
    holds_no_text(&folder, &["first", "first.run"]);
}

#[test]
fn heads_may_start_from_random_weights() {
    let folder = study(&format!("{FULL}fitted_start = \"none\"\n"));
    train(&folder, "first", &[]).exits(0);
    train(&folder, "second", &["--threads", "1"]).exits(0);
    same(&folder, "first", "second");
}

#[test]
fn the_shipped_encoder_trains() {
    let folder =
        study("members = 1\nepochs = 1\nbatch_rows = 12\nmax_tokens = 12\npenalties = [0.1]\n");
    let arguments = ["train", "llm-mental-health", "--data", "coded.csv", "-o", "bundle"];
    let arguments = [&arguments[..], &["--recipe", "recipe.toml"]].concat();
    folder.run(&arguments).exits(0).keeps_quiet_about(SECRET);
    assert_eq!(bytes(&folder, "bundle").into_keys().collect::<Vec<_>>(), BUNDLE);
    holds_no_text(&folder, &["bundle", "bundle.run"]);
}

#[test]
fn test_rows_are_left_alone() {
    let folder = study(FULL);
    train(&folder, "first", &[]).exits(0);
    let sets = format!("{HEADING}{}{}", rows("train", 24, "a"), rows("validation", 9, "b"));
    for (at, others) in [tests("changed"), String::new()].iter().enumerate() {
        folder.file("coded.csv", format!("{sets}{others}"));
        let name = format!("again{at}");
        train(&folder, &name, &[]).exits(0);
        same(&folder, "first", &name);
    }
    folder.file("coded.csv", table().replace("a 3 ", "another 3 "));
    train(&folder, "other", &[]).exits(0);
    assert!(differences(&folder, "first", "other").contains(&"heads.safetensors".into()));
}

#[test]
fn validation_rows_come_from_the_column_a_file_or_a_tenth() {
    let folder = study(FROZEN);
    let validating = |name: &str| -> (u64, u64) {
        let manifest: Value =
            serde_json::from_str(&folder.read(&format!("{name}/manifest.json"))).unwrap();
        let of = |field: &str| manifest[field].as_u64().unwrap();
        (of("train_rows"), of("validation_rows"))
    };
    let without_column = |rows: &str| -> String {
        let cut = |line: &str| line.rsplit_once(',').unwrap().0.to_owned() + "\n";
        rows.lines().map(cut).collect()
    };
    let heading = without_column(HEADING);
    let train_rows = without_column(&rows("train", 30, "a"));
    folder.file("coded.csv", format!("{heading}{train_rows}"));
    train(&folder, "tenth", &[]).exits(0).says(&["tenth"]);
    // Texts that are nearly the same stay together, so it may be a few more or fewer.
    let (training_rows, held_rows) = validating("tenth");
    assert_eq!(training_rows + held_rows, 30);
    assert!((1..=6).contains(&held_rows), "{held_rows}");

    let held = without_column(&rows("validation", 7, "b"));
    folder.file("held.csv", format!("{heading}{held}"));
    train(&folder, "file", &["--validation", "held.csv"]).exits(0);
    assert_eq!(validating("file"), (30, 7));

    folder.file("coded.csv", table());
    train(&folder, "both", &["--validation", "held.csv"]).exits(2).says(&["coded.csv", "split"]);
    folder.file("coded.csv", format!("{HEADING}{}{}", rows("train", 12, "a"), tests("c")));
    train(&folder, "none", &[]).exits(3).says(&["coded.csv", "validation"]);
    folder.file("coded.csv", format!("{HEADING}{}", rows("validation", 12, "a")));
    train(&folder, "none", &[]).exits(3).says(&["coded.csv", "train"]);
    // Validation rows that nobody coded cannot choose anything.
    let uncoded = "v1,nobody coded this,,,,validation\n";
    folder.file("coded.csv", format!("{HEADING}{}{uncoded}", rows("train", 12, "a")));
    train(&folder, "none", &[]).exits(3).says(&["validation"]);
    assert!(!folder.path("none").exists());
}

#[test]
fn codes_that_cannot_be_trusted_stop_a_training() {
    let folder = study(FROZEN);
    let broken = table().replacen("personal_use,positive", "personal_use,postive", 1);
    folder.file("coded.csv", broken);
    let ran = train(&folder, "bundle", &[]);
    ran.exits(3).says(&["coded.csv", "row 1", "attitude", "'postive'", "positive"]);
    // A text in a column of codes is not shown.
    folder.file("coded.csv", table().replacen("off_topic", "we spoke of zanzibar once", 1));
    train(&folder, "bundle", &[]).exits(3).says(&["row 3", "experience"]);
    folder.file("coded.csv", table().replacen("attitude", "atitude", 1));
    train(&folder, "bundle", &[]).exits(3).says(&["coded.csv", "'attitude'", "'atitude'"]);
    folder.file("coded.csv", table().replacen("text", "comment", 1));
    train(&folder, "bundle", &[]).exits(3).says(&["coded.csv", "--text comment"]);
    folder.file("coded.csv", table().replace(",validation\n", ",valdation\n"));
    train(&folder, "bundle", &[]).exits(3).says(&["row 25", "split"]);
    folder.file("coded.csv", "");
    train(&folder, "bundle", &[]).exits(3).says(&["coded.csv"]);
    folder.file("coded.csv", HEADING);
    train(&folder, "bundle", &[]).exits(3).says(&["coded.csv"]);
    folder.file("coded.csv", format!("{}x,\"{SECRET} is open\n", table()));
    train(&folder, "bundle", &[]).exits(3).says(&["coded.csv", "47"]);
    std::fs::remove_file(folder.path("coded.csv")).unwrap();
    train(&folder, "bundle", &[]).exits(3).says(&["coded.csv"]);
    assert!(!folder.path("bundle").exists());
}

#[test]
fn codes_under_a_closed_gate_are_counted_and_ignored() {
    let folder = study(FROZEN);
    train(&folder, "first", &[]).exits(0);
    folder.file("coded.csv", table().replacen("off_topic,,", "off_topic,positive,other", 2));
    train(&folder, "second", &[]).exits(0).says(&["4 rows with closed_gate"]);
    let heads = |name| bytes(&folder, name).remove("heads.safetensors");
    assert!(heads("first") == heads("second"));
}

#[test]
fn a_tier_that_nobody_coded_is_named() {
    let folder = study(FULL);
    let blank = |line: &str| -> String {
        let cells: Vec<&str> = line.split(',').collect();
        format!("{},{},{},{},,{}\n", cells[0], cells[1], cells[2], cells[3], cells[5])
    };
    let sets: String = table().lines().skip(1).map(blank).collect();
    folder.file("coded.csv", format!("{HEADING}{sets}"));
    train(&folder, "bundle", &[]).exits(3).says(&["topics"]);
    folder.file("recipe.toml", FROZEN);
    train(&folder, "bundle", &["--force"]).exits(3).says(&["topics"]);
    assert!(!folder.path("bundle").exists());
}

#[test]
fn an_output_in_the_way_is_replaced_only_by_force() {
    let folder = study(FROZEN);
    train(&folder, "bundle", &[]).exits(0);
    let before = bytes(&folder, "bundle");
    train(&folder, "bundle", &["--seed", "1"]).exits(2).says(&["bundle", "--force"]);
    // A command that cannot work takes nothing away.
    let elsewhere = ["train", "llm-mental-health", "--data", "coded.csv", "-o", "bundle"];
    let broken = [&elsewhere[..], &["--force", "--base", "nowhere"]].concat();
    folder.run(&broken).exits(4);
    assert!(bytes(&folder, "bundle") == before);
    train(&folder, "bundle", &["--force", "--seed", "1"]).exits(0);
    assert!(bytes(&folder, "bundle") != before);
    folder.file("file", "something");
    train(&folder, "file", &[]).exits(2).says(&["file", "--force"]);
    assert_eq!(folder.read("file"), "something");
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let folder = study(FROZEN);
    folder.file("occupied", "a file, not a folder");
    train(&folder, "occupied/bundle", &[]).exits(5).says(&["occupied"]);
    train(&folder, "/proc/nowhere/bundle", &[]).exits(5).says(&["/proc/nowhere"]);
    assert_eq!(folder.read("occupied"), "a file, not a folder");
}

#[test]
fn a_bundle_that_was_taken_away_is_made_again() {
    let folder = study(FULL);
    train(&folder, "bundle", &[]).exits(0);
    let before = bytes(&folder, "bundle");
    std::fs::remove_dir_all(folder.path("bundle")).unwrap();
    train(&folder, "bundle", &[]).exits(0);
    assert!(bytes(&folder, "bundle") == before);
}

#[test]
fn messages_come_as_the_user_wants_them() {
    let folder = study(FROZEN);
    let ran = train(&folder, "first", &["--log-format", "json"]);
    ran.exits(0);
    let levels: Vec<Value> =
        ran.stderr.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(levels.iter().any(|line| line["level"] == "note"));
    let ran = train(&folder, "first", &["--log-format", "json"]);
    ran.exits(2);
    let error: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(error["level"], "error");
    let ran = train(&folder, "second", &["-q"]);
    ran.exits(0);
    assert!(ran.stdout.is_empty());
    assert!(ran.stderr.lines().all(|line| line.starts_with("warning")), "{}", ran.stderr);
}

#[test]
fn an_encoder_is_found_in_the_local_cache() {
    let folder = study(FROZEN);
    train(&folder, "first", &[]).exits(0);
    let hub = "cache/hub/models--some-lab--tiny";
    folder.file(&format!("{hub}/refs/main"), "abc123");
    base(&folder, &format!("{hub}/snapshots/abc123"));
    let mut arguments = training("second");
    arguments[5] = "some-lab/tiny";
    let mut command = command(folder.root());
    let output = command.args(&arguments).env("HF_HOME", folder.path("cache")).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        bytes(&folder, "first")["heads.safetensors"]
            == bytes(&folder, "second")["heads.safetensors"]
    );
    let manifest: Value = serde_json::from_str(&folder.read("second/manifest.json")).unwrap();
    assert_eq!(manifest["base"], "some-lab/tiny");
}

#[test]
fn mistakes_in_a_recipe_are_placed() {
    let folder = study("epochs = 2\nlearning_rat = 1e-4\n");
    train(&folder, "bundle", &[]).exits(2).says(&["recipe.toml:2", "learning_rat"]);
    for (text, field) in [
        ("epochs = 0", "epochs"),
        ("dropout = 1.5", "dropout"),
        ("precision = \"int8\"", "precision"),
    ] {
        folder.file("recipe.toml", text);
        train(&folder, "bundle", &[]).exits(2).says(&["recipe.toml", field]);
    }
    folder.file("recipe.toml", "epochs = [");
    train(&folder, "bundle", &[]).exits(2).says(&["recipe.toml:1"]);
    std::fs::remove_file(folder.path("recipe.toml")).unwrap();
    train(&folder, "bundle", &[]).exits(2).says(&["recipe.toml", "frozen"]);
    assert!(!folder.path("bundle").exists() && !folder.path("bundle.run").exists());
}

/// Trains from the base, which is expected to be refused; nothing may be left behind.
#[track_caller]
fn refuses_base(folder: &Folder, pieces: &[&str]) {
    train(folder, "bundle", &["--force"]).exits(4).says(pieces);
    assert!(!folder.path("bundle").exists());
}

#[test]
fn an_encoder_that_is_not_there_or_not_whole_is_named() {
    let folder = study(FULL);
    let mut unknown = training("bundle");
    unknown[5] = "some-lab/some-encoder";
    let ran = folder.run(&unknown);
    ran.exits(4).says(&["confide pull some-lab/some-encoder"]);
    unknown[5] = "./nowhere";
    folder.run(&unknown).exits(4).says(&["./nowhere"]).keeps_quiet_about("confide pull");
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let whole = bytes(&folder, "base").remove(file).unwrap();
        std::fs::remove_file(folder.path("base").join(file)).unwrap();
        refuses_base(&folder, &[file]);
        folder.file(&format!("base/{file}"), &whole[..whole.len() / 2]);
        refuses_base(&folder, &[file]);
        folder.file(&format!("base/{file}"), "");
        refuses_base(&folder, &[file]);
        folder.file(&format!("base/{file}"), &whole);
    }
    assert!(!folder.path("bundle.run").exists());
    let config = folder.read("base/config.json");
    for (from, to, named) in [
        ("\"hidden_size\": 32", "\"hidden_size\": 64", "model.safetensors"),
        ("\"hidden_size\": 32", "\"hidden_size\": 33", "config.json"),
        ("\"hidden_size\": 32", "\"hidden_size\": 0", "config.json"),
        ("\"vocab_size\": 101", "\"vocab_size\": 50", "base"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "model.safetensors"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1000000000", "base"),
        ("\"model_type\": \"bert\"", "\"model_type\": \"gpt2\"", "config.json"),
    ] {
        let changed = config.replace(from, to);
        assert_ne!(changed, config, "{from}");
        folder.file("base/config.json", changed);
        refuses_base(&folder, &[named]);
    }
    folder.file("base/config.json", &config);
    train(&folder, "bundle", &["--force"]).exits(0);
}

/// The base's weights with every value of one tensor replaced.
fn flatten(folder: &Folder, name: &str, value: f32) {
    base(folder, "base");
    let path = folder.path("base/model.safetensors");
    let file = std::fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let mut raw: HashMap<String, (safetensors::Dtype, Vec<usize>, Vec<u8>)> = HashMap::new();
    for (at, tensor) in tensors.tensors() {
        let bytes = if at == name {
            assert_eq!(tensor.dtype(), safetensors::Dtype::F32);
            value.to_le_bytes().repeat(tensor.data().len() / 4)
        } else {
            tensor.data().to_vec()
        };
        raw.insert(at, (tensor.dtype(), tensor.shape().to_vec(), bytes));
    }
    assert!(raw.contains_key(name), "{:?}", raw.keys());
    let views: HashMap<&str, TensorView> = raw
        .iter()
        .map(|(n, (dtype, shape, b))| {
            (n.as_str(), TensorView::new(*dtype, shape.clone(), b).unwrap())
        })
        .collect();
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn an_encoder_that_cannot_learn_is_refused() {
    let folder = study(FULL);
    // Without this scale the layers below it receive nothing.
    flatten(&folder, "encoder.layer.1.output.LayerNorm.weight", 0.0);
    refuses_base(&folder, &["receives no gradient", "trainable tensor '"]);
    flatten(&folder, "encoder.layer.0.attention.self.query.weight", f32::NAN);
    refuses_base(&folder, &["model.safetensors", "encoder.layer.0.attention.self.query.weight"]);
}
