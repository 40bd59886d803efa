//! `confide classify` with bundles that are not whole.

use crate::bundles::{FILES, tiny_bundle};
use crate::harness::Folder;

fn refuses(folder: &Folder, file: &str) {
    let args = ["classify", "b", "t.csv", "-o", "o.csv"];
    folder.run(&args).exits(4).says(&[file]).keeps_quiet_about("zanzibar");
    let left: Vec<String> =
        folder.entries().into_iter().filter(|name| name.starts_with('o')).collect();
    assert_eq!(left, ["other"], "{file}");
}

/// A folder with a sound bundle `b`, a table, and the files of another bundle in `other`.
fn study() -> Folder {
    let folder = Folder::new();
    tiny_bundle(folder.root(), "b", "olid", None);
    folder.file("t.csv", "text\nzanzibar\n");
    std::fs::create_dir(folder.path("other")).unwrap();
    folder
}

#[test]
fn every_file_must_be_there_and_whole() {
    let folder = study();
    for file in FILES {
        let path = folder.path("b").join(file);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        refuses(&folder, file);
        std::fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
        refuses(&folder, file);
        std::fs::write(&path, "").unwrap();
        refuses(&folder, file);
        std::fs::write(&path, &bytes).unwrap();
    }
    folder.run(&["classify", "b", "t.csv", "-o", "whole.csv"]).exits(0);
}

#[test]
fn files_of_another_bundle_are_refused() {
    let folder = study();
    let scratch = Folder::new();
    let other = tiny_bundle(scratch.root(), "c", "edos", None);
    for file in ["heads.safetensors", "codebook.toml", "decision.json"] {
        let path = folder.path("b").join(file);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::copy(other.join(file), &path).unwrap();
        refuses(&folder, file);
        std::fs::write(&path, &bytes).unwrap();
    }
    // A tokenizer with more words than the encoder has embeddings.
    let path = folder.path("b").join("tokenizer.json");
    let larger = std::fs::read_to_string(&path).unwrap().replace("\"##9\":", "\"##9\":9");
    std::fs::write(&path, larger).unwrap();
    refuses(&folder, "tokenizer.json");
}

#[test]
fn no_bundle_at_all_is_said() {
    let folder = study();
    let ran = folder.run(&["classify", "absent", "t.csv", "-o", "o.csv"]);
    ran.exits(4).says(&["absent", "confide train"]);
    refuses_nothing_else(&folder);
}

fn refuses_nothing_else(folder: &Folder) {
    assert!(!folder.path("o.csv").exists() && !folder.path("o.csv.partial").exists());
}

#[cfg(unix)]
#[test]
fn files_outside_a_bundle_are_not_part_of_it() {
    let folder = study();
    folder.file("t.csv", "id,text\n1,zanzibar\n");
    for file in FILES {
        let (inside, outside) = (folder.path(&format!("b/{file}")), folder.path("outside"));
        std::fs::rename(&inside, &outside).unwrap();
        std::os::unix::fs::symlink("../outside", &inside).unwrap();
        let ran = folder.run(&["classify", "b", "t.csv", "-o", "o.csv"]);
        ran.exits(4).says(&[file, "outside its folder"]).keeps_quiet_about("zanzibar");
        std::fs::remove_file(&inside).unwrap();
        // What would be waited for without an end.
        assert!(std::process::Command::new("mkfifo").arg(&inside).status().unwrap().success());
        folder.run(&["classify", "b", "t.csv", "-o", "o.csv"]).exits(4).says(&[file, "no file"]);
        std::fs::remove_file(&inside).unwrap();
        std::fs::rename(&outside, &inside).unwrap();
    }
    folder.run(&["classify", "b", "t.csv", "-o", "o.csv"]).exits(0);
}
