//! The YAML head of a model card, as the Hugging Face hub reads it
//! (<https://huggingface.co/docs/hub/model-cards#model-card-metadata>).

use super::markup::yaml_string;
use crate::bundle::{Manifest, TierFigures};
use crate::codebook::Codebook;

/// The hub's name of the shipped encoder (models/minilm/CARD.md).
const SHIPPED: (&str, &str) = ("minilm", "sentence-transformers/all-MiniLM-L6-v2");

/// The head of a bundle's card, its fences included.
pub fn bundle_head(codebook: &Codebook, manifest: &Manifest) -> String {
    let mut head = begun(codebook, "confide");
    if let Some(base) = hub_name(&manifest.base) {
        let relation = if manifest.recipe["mode"] == "lora" { "adapter" } else { "finetune" };
        head += &format!("base_model: {}\n", yaml_string(base));
        head += &format!("base_model_relation: \"{relation}\"\n");
    }
    let title = format!("{} {}", codebook.name, codebook.version);
    let mut results = String::new();
    let own = &manifest.validation;
    own.iter().for_each(|tier| results += &result(&title, "validation rows", tier));
    if let Some(crossed) = &manifest.cross_validation {
        let set = format!("training rows, {}-fold cross-validation", crossed.folds);
        crossed.tiers.iter().for_each(|tier| results += &result(&title, &set, tier));
    }
    if !results.is_empty() {
        let name = yaml_string(title.trim());
        head += &format!("model-index:\n- name: {name}\n  results:\n{results}");
    }
    head + "---\n"
}

/// The head of an exported tier's card, its fences included.
pub fn export_head(codebook: &Codebook) -> String {
    begun(codebook, "transformers") + "---\n"
}

fn begun(codebook: &Codebook, library: &str) -> String {
    let mut head = "---\n".to_owned();
    if let Some(language) = language(&codebook.language) {
        head += &format!("language: {}\n", yaml_string(language));
    }
    head += &format!("library_name: \"{library}\"\npipeline_tag: \"text-classification\"\n");
    head + "tags:\n- \"confide\"\n- \"content-analysis\"\n- \"codebook\"\n"
}

/// The language code of a tag such as `pt-BR`; the hub knows codes of two or three letters alone.
fn language(tag: &str) -> Option<&str> {
    let code = tag.split(['-', '_']).next().unwrap_or_default();
    let known = (2..=3).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase());
    known.then_some(code)
}

/// The hub's name of an encoder that is known by one; a file or folder has none.
fn hub_name(base: &str) -> Option<&str> {
    if base == SHIPPED.0 {
        return Some(SHIPPED.1);
    }
    let (owner, name) = base.split_once('/')?;
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let file = name.to_ascii_lowercase().ends_with(".gguf");
    (is_name(owner) && is_name(name) && !file).then_some(base)
}

/// The figures of one tier on one set of rows; nothing where none is defined.
fn result(title: &str, set: &str, tier: &TierFigures) -> String {
    let figures = [
        ("f1", "macro-F1, oracle view", tier.oracle_macro_f1),
        ("f1", "macro-F1, pipeline view", tier.pipeline_macro_f1),
        ("accuracy", "accuracy, oracle view", tier.oracle_accuracy),
        ("accuracy", "accuracy, pipeline view", tier.pipeline_accuracy),
    ];
    let metrics: String = figures
        .iter()
        .filter_map(|(kind, name, value)| {
            let value = (*value)?;
            Some(format!(
                "    - type: \"{kind}\"\n      name: \"{name}\"\n      value: {value:.4}\n"
            ))
        })
        .collect();
    if metrics.is_empty() {
        return metrics;
    }
    format!(
        "  - task:\n      type: \"text-classification\"\n      name: {}\n    dataset:\n      \
         type: \"coded-texts\"\n      name: {}\n      config: {}\n      split: {}\n    \
         metrics:\n{metrics}",
        yaml_string(&format!("tier {}", tier.tier)),
        yaml_string(format!("{title}, {set}").trim()),
        yaml_string(&tier.tier),
        yaml_string(set),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_and_encoders_that_the_hub_does_not_know_are_left_out() {
        assert_eq!(language("pt-BR"), Some("pt"));
        assert_eq!(language("no"), Some("no"));
        for odd in ["", "English", "e", "EN", "e: n"] {
            assert_eq!(language(odd), None, "{odd}");
        }
        assert_eq!(hub_name("minilm"), Some("sentence-transformers/all-MiniLM-L6-v2"));
        assert_eq!(hub_name("some-lab/tiny_1.0"), Some("some-lab/tiny_1.0"));
        for odd in
            ["tiny", "models/a.gguf", "/abs/olute", "./here", "a/b/c", "a/\"b", "a local folder"]
        {
            assert_eq!(hub_name(odd), None, "{odd}");
        }
    }
}
