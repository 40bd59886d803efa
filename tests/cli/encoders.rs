//! Every architecture trains, in full and by LoRA, and codes as it did in training.

use crate::lexical::validation;
use crate::study::{FULL, base_of, same, study, train};

const LORA: &str = "mode = \"lora\"\nlora_rank = 2\nlayer_decay = 1.0\n";

#[test]
fn every_architecture_trains_in_full_and_by_lora() {
    for fixture in ["deberta-v3", "deberta-v2", "llama-tiny", "qwen3-tiny"] {
        for recipe in [FULL.to_owned(), format!("{LORA}{FULL}")] {
            let folder = study(&recipe);
            base_of(&folder, "base", fixture);
            train(&folder, "bundle", &["--threads", "1"]).exits(0);
            let [noted, reached] = validation(&folder, "bundle");
            assert_eq!(noted, reached, "{fixture}");
            train(&folder, "again", &["--threads", "2"]).exits(0);
            same(&folder, "bundle", "again");
        }
    }
}

#[test]
fn a_model_type_that_is_not_known_is_named() {
    let folder = study(FULL);
    let config = folder.read("base/config.json");
    folder.file("base/config.json", config.replace("\"bert\"", "\"t5\""));
    train(&folder, "bundle", &[]).exits(4).says(&["config.json", "'t5'", "bert, deberta-v2"]);
    folder.file("base/config.json", config.replace("\"bert\"", "\"deberta\""));
    train(&folder, "bundle", &[]).exits(4).says(&["did you mean 'deberta-v2'"]);
}
