//! Lexical heads: what a recipe asks for is in the bundle, and codes as it did in training.

use safetensors::SafeTensors;
use serde_json::Value;

use crate::harness::Folder;
use crate::study::{FROZEN, FULL, bytes, holds_no_text, study, train};

fn tensors(folder: &Folder, bundle: &str) -> Vec<String> {
    let heads = bytes(folder, bundle).remove("heads.safetensors").unwrap();
    let file = SafeTensors::deserialize(&heads).unwrap();
    file.names().iter().map(ToString::to_string).collect()
}

/// Macro-F1 on the validation rows by tier, as the training noted it and as the bundle reaches it.
pub fn validation(folder: &Folder, bundle: &str) -> [Vec<(Value, Value)>; 2] {
    let manifest: Value =
        serde_json::from_str(&folder.read(&format!("{bundle}/manifest.json"))).unwrap();
    let ran = folder.run(&["evaluate", bundle, "coded.csv", "--split", "validation", "--json"]);
    ran.exits(0);
    let reached: Value = serde_json::from_str(&ran.stdout).unwrap();
    let noted = manifest["validation"].as_array().unwrap();
    let again = noted.iter().map(|tier| {
        let tier = &reached["tiers"][tier["tier"].as_str().unwrap()];
        (tier["oracle"]["macro_f1"].clone(), tier["pipeline"]["macro_f1"].clone())
    });
    let noted = noted
        .iter()
        .map(|tier| (tier["oracle_macro_f1"].clone(), tier["pipeline_macro_f1"].clone()));
    [noted.collect(), again.collect()]
}

#[test]
fn a_bundle_with_lexical_heads_codes_as_it_did_in_training() {
    for recipe in [FULL, FROZEN] {
        let folder = study(recipe);
        train(&folder, "bundle", &[]).exits(0);
        let names = tensors(&folder, "bundle");
        for name in ["features", "idf", "attitude.weight", "attitude.bias"] {
            assert!(names.contains(&format!("lexical.{name}")), "{names:?}");
        }
        let [noted, reached] = validation(&folder, "bundle");
        assert_eq!(noted.len(), 3);
        assert!(noted.iter().any(|(oracle, _)| oracle.as_f64() > Some(0.0)), "{noted:?}");
        assert_eq!(noted, reached);
        holds_no_text(&folder, &["bundle", "bundle.run"]);
    }
}

#[test]
fn a_recipe_may_do_without() {
    let folder = study(&format!("{FROZEN}lexical_features = 0\n"));
    train(&folder, "bundle", &[]).exits(0);
    assert!(tensors(&folder, "bundle").iter().all(|name| !name.starts_with("lexical.")));
    let [noted, reached] = validation(&folder, "bundle");
    assert_eq!(noted, reached);
}
