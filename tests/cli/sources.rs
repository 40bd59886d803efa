//! What the sources themselves promise.

use std::path::{Path, PathBuf};

/// Every file of the program's sources below a folder.
fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn unsafe_code_is_in_kernels_and_set_up_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    sources(&root.join("src"), &mut all);
    assert!(all.len() > 100);
    let allowed = ["src/encoder/kernels/", "src/encoder/ops/matmul.rs", "src/cli/process.rs"];
    for path in all {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
        let text = std::fs::read_to_string(&path).unwrap();
        let has = text.lines().any(|line| {
            let code = line.split("//").next().unwrap_or_default();
            code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
        });
        assert!(!has || allowed.iter().any(|place| name.starts_with(place)), "unsafe in {name}");
    }
}
