//! Weights as folders hold them: one safetensors file, or several that an index lists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use safetensors::SafeTensors;
use serde::Deserialize;

use super::folder::{LONGEST_TOKENIZER, LONGEST_WEIGHTS, Unreadable, read_within};
use crate::error::{Error, Result};

/// The file that holds all weights.
pub const WEIGHTS: &str = "model.safetensors";

/// The file that says which file holds which tensor.
pub const INDEX: &str = "model.safetensors.index.json";

/// The endings of files that Python unpickles, which runs what code they hold.
const PICKLES: [&str; 5] = ["bin", "pt", "pth", "ckpt", "pkl"];

/// Whether a file is one that Python unpickles, by its ending.
pub fn is_pickle(file: &str) -> bool {
    file.rsplit_once('.').is_some_and(|(_, ending)| PICKLES.contains(&ending))
}

/// Why weights in pickles are refused.
pub fn refuse_pickle(file: &str) -> Error {
    Error::model(format!(
        "the weights are a Python pickle ('{file}'), which can run any code when it is loaded; \
         only safetensors and GGUF are read"
    ))
    .advise("look for a revision with model.safetensors, or convert the weights with safetensors")
}

/// The files that an index names, in alphabetical order; `place` names it.
///
/// # Errors
/// If it is no index, or names a file that lies elsewhere.
pub fn listed(index: &[u8], place: &str) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let bad = |what: String| Error::model(what).at(place).advise("download the model again");
    let index: Index = serde_json::from_slice(index)
        .map_err(|e| bad(format!("not an index of safetensors files: {e}")))?;
    let files: BTreeSet<String> = index.weight_map.into_values().collect();
    for file in &files {
        let plain = file.ends_with(".safetensors") && !file.contains(['/', '\\', ':']);
        if !plain {
            return Err(bad("it names a file that is no safetensors file beside it".into()));
        }
    }
    if files.is_empty() {
        return Err(bad("it names no file".into()));
    }
    Ok(files.into_iter().collect())
}

/// The bytes of one safetensors file with the tensors of all the files that the folder's index
/// lists.
///
/// # Errors
/// If a file is missing or damaged, or two hold the same tensor.
pub fn joined(folder: &Path) -> Result<Vec<u8>> {
    let read = |name: &str, most: u64| {
        read_within(folder, name, most).map_err(|why| {
            let what = match why {
                Unreadable::Missing => "a part of the weights is missing".to_owned(),
                Unreadable::Refused(what) => what,
            };
            Error::model(what)
                .at(folder.join(name).display().to_string())
                .advise("download the model again")
        })
    };
    let names =
        listed(&read(INDEX, LONGEST_TOKENIZER)?, &folder.join(INDEX).display().to_string())?;
    let parts: Vec<Vec<u8>> =
        names.iter().map(|name| read(name, LONGEST_WEIGHTS)).collect::<Result<_>>()?;
    let mut tensors = BTreeMap::new();
    for (name, part) in names.iter().zip(&parts) {
        let bad = |what: String| {
            let place = folder.join(name).display().to_string();
            Error::model(what).at(place).advise("download the model again")
        };
        let file = SafeTensors::deserialize(part)
            .map_err(|e| bad(format!("not a whole safetensors file: {e}")))?;
        for (tensor, view) in file.tensors() {
            if tensors.insert(tensor.clone(), view).is_some() {
                return Err(bad(format!("the tensor '{tensor}' stands in another part, too")));
            }
        }
    }
    safetensors::serialize(tensors, None)
        .map_err(|e| Error::model(format!("the parts of the weights cannot be joined: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_files_beside_it_only() {
        let index = |file: &str| format!(r#"{{"weight_map": {{"a": "{file}", "b": "{file}"}}}}"#);
        assert_eq!(listed(index("m-1.safetensors").as_bytes(), "i").unwrap(), ["m-1.safetensors"]);
        for bad in ["../m.safetensors", "/m.safetensors", "m.bin"] {
            assert_eq!(listed(index(bad).as_bytes(), "i").unwrap_err().exit_code(), 4, "{bad}");
        }
        assert!(listed(b"{", "i").is_err() && listed(br#"{"weight_map": {}}"#, "i").is_err());
    }

    #[test]
    fn pickles_are_known_by_their_endings() {
        assert!(is_pickle("pytorch_model.bin") && is_pickle("a.pt"));
        assert!(!is_pickle("model.safetensors") && !is_pickle("bin"));
    }
}
