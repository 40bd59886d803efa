//! Bundles for other programs: one tier as a plain Hugging Face model for sequence
//! classification, or the encoder alone with its adapter merged.

mod classifier;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::BundleFiles;
use super::card::{export_head, plain};
use crate::codebook::{Tier, TierKind};
use crate::corpus::{WholeFile, replace_folder};
use crate::encoder::save_weights;
use crate::error::{Error, Result, nearest};
use classifier::{Classifier, Source};

/// What an export does not carry over, in sentences for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// One sentence each; none where nothing is lost.
    pub left_out: Vec<String>,
}

/// The tokens that tokenizers pad with where the configuration names none, the likelier first; a
/// causal model may pad with the token that ends a text.
const PADDING: [&str; 7] =
    ["[PAD]", "<pad>", "<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "</s>", "<|eot_id|>"];

/// Writes one tier of a bundle as a Hugging Face `*ForSequenceClassification` folder, whose
/// logits are the bundle's before temperatures and thresholds; `base` as in
/// [`super::Bundle::load`].
///
/// # Errors
/// If the bundle cannot be read, has no such tier, or was trained in a form that the
/// architecture's class cannot compute; if the folder cannot be written.
pub fn export_tier(
    bundle: &Path,
    base: Option<&str>,
    tier: &str,
    target: &Path,
) -> Result<Exported> {
    let read = BundleFiles::read(bundle, base)?;
    let names = || read.codebook.tiers.iter().map(|tier| tier.name.as_str());
    let Some(at) = names().position(|name| name == tier) else {
        let hint = nearest(tier, names()).map(|name| format!("did you mean '{name}'? "));
        return Err(Error::usage("the bundle has no such tier").at("--tier").advise(format!(
            "{}its tiers are {}",
            hint.unwrap_or_default(),
            names().collect::<Vec<_>>().join(", ")
        )));
    };
    let place = bundle.display().to_string();
    let source = Source {
        tier: &read.codebook.tiers[at],
        first: at == 0,
        shape: read.manifest.heads,
        pooling: read.manifest.pooling,
        heads: &read.head_tensors,
        encoder: &read.parameters,
        place: &place,
    };
    let Classifier { tensors, class, mut changes } = classifier::of(&read.config, &source)?;
    changes.extend(labels(&read, at));
    changes.insert("architectures".into(), json!([class]));
    let (tokenizer_config, padding) = tokenizer_config(&read)?;
    // RoBERTa counts positions from the number that its configuration has.
    if let Some(id) = padding.filter(|_| own_padding(&read).is_none()) {
        changes.insert("pad_token_id".into(), json!(id));
    }
    let mut left_out = Vec::new();
    if read.lexical.is_some() {
        left_out.push(
            "the lexical heads, so that its answers differ from the bundle's; a training with \
             lexical_features = 0 has none"
                .to_owned(),
        );
    }
    if read.manifest.window_stride.is_some() {
        left_out.push("the windows over long texts: it cuts them".into());
    }
    if !read.codebook.tiers[at].asked_when.conditions.is_empty() {
        left_out.push("the gate: it answers for every text, asked or not".into());
    }
    if padding.is_none() {
        left_out
            .push("a padding token, which its tokenizer lacks: it takes one text a time".into());
    }
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    write_folder(
        target,
        &[
            ("config.json", changed(&read.files.config, changes)?),
            ("tokenizer.json", read.files.tokenizer.to_vec()),
            ("tokenizer_config.json", tokenizer_config),
            ("model.safetensors", save_weights(tensors.iter(), Some(metadata))?),
            ("README.md", card(&read, at, class, &left_out).into_bytes()),
        ],
    )?;
    Ok(Exported { left_out })
}

/// Writes the bundle's encoder as a plain Hugging Face folder, an adapter merged into its
/// weights; it can be the base of another training.
///
/// # Errors
/// If the bundle cannot be read, or the folder cannot be written.
pub fn export_merged(bundle: &Path, base: Option<&str>, target: &Path) -> Result<Exported> {
    let read = BundleFiles::read(bundle, base)?;
    let (tokenizer_config, _) = tokenizer_config(&read)?;
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    write_folder(
        target,
        &[
            ("config.json", changed(&read.files.config, Map::new())?),
            ("tokenizer.json", read.files.tokenizer.to_vec()),
            ("tokenizer_config.json", tokenizer_config),
            ("model.safetensors", save_weights(read.parameters.iter(), Some(metadata))?),
        ],
    )?;
    Ok(Exported { left_out: vec!["the heads: it is the encoder alone".into()] })
}

/// What `config.json` says of a tier's labels and of how its logits are read.
fn labels(read: &BundleFiles, at: usize) -> Map<String, Value> {
    let (tier, decision) = (&read.codebook.tiers[at], &read.decisions.tiers[at]);
    let names = || tier.labels.iter().map(|label| &label.name).enumerate();
    let problem = match tier.kind {
        TierKind::Single => "single_label_classification",
        TierKind::Multi => "multi_label_classification",
    };
    let mut out = Map::new();
    let by_id = names().map(|(id, name)| (id.to_string(), json!(name))).collect();
    let by_name = names().map(|(id, name)| (name.clone(), json!(id))).collect();
    out.insert("id2label".into(), Value::Object(by_id));
    out.insert("label2id".into(), Value::Object(by_name));
    out.insert("problem_type".into(), json!(problem));
    out.insert(
        "confide".into(),
        json!({
            "bundle": read.digest,
            "tier": tier.name,
            "temperature": decision.temperature,
            "thresholds": decision.thresholds,
        }),
    );
    out
}

/// The base's `config.json` with these entries, for weights of 32 bits.
fn changed(config: &[u8], changes: Map<String, Value>) -> Result<Vec<u8>> {
    let bad = |e: serde_json::Error| Error::model(format!("not a model configuration: {e}"));
    let mut all: Map<String, Value> = serde_json::from_slice(config).map_err(bad)?;
    all.shift_remove("dtype");
    all.insert("torch_dtype".into(), json!("float32"));
    all.extend(changes);
    let mut json = serde_json::to_vec_pretty(&all).map_err(bad)?;
    json.push(b'\n');
    Ok(json)
}

/// The token that pads, as `config.json` numbers it.
fn own_padding(read: &BundleFiles) -> Option<u64> {
    let config: Value = serde_json::from_slice(&read.files.config).ok()?;
    config["pad_token_id"].as_u64()
}

/// `tokenizer_config.json`, and the id of the token that pads.
fn tokenizer_config(read: &BundleFiles) -> Result<(Vec<u8>, Option<u64>)> {
    let bad = |e: serde_json::Error| Error::model(format!("not a tokenizer: {e}"));
    let tokenizer: Value = serde_json::from_slice(&read.files.tokenizer).map_err(bad)?;
    let added = || {
        let entries = tokenizer["added_tokens"].as_array().into_iter().flatten();
        entries.filter_map(|entry| Some((entry["content"].as_str()?, entry["id"].as_u64()?)))
    };
    let padding = match own_padding(read) {
        Some(own) => added().find(|(_, id)| *id == own),
        None => PADDING.iter().find_map(|token| added().find(|(content, _)| content == token)),
    };
    let mut config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": read.manifest.max_tokens,
    });
    if let Some((token, _)) = padding {
        config["pad_token"] = json!(token);
    }
    let mut bytes = serde_json::to_vec_pretty(&config).map_err(bad)?;
    bytes.push(b'\n');
    Ok((bytes, padding.map(|(_, id)| id)))
}

fn card(read: &BundleFiles, at: usize, class: &str, left_out: &[String]) -> String {
    let (tier, decision): (&Tier, _) = (&read.codebook.tiers[at], &read.decisions.tiers[at]);
    let mut out = format!(
        "{}\n# {}, tier {}\n\n\
         One tier of a Confide bundle as `{class}`: {}\n\n\
         Its logits are the bundle's to 1e-4, in 32 bits; in 16 bits they would be wrong. The \
         bundle divides them by its temperature, {}, before they become probabilities",
        export_head(&read.codebook),
        plain(&read.codebook.name),
        tier.name,
        plain(&tier.question),
        decision.temperature,
    );
    if let Some(thresholds) = &decision.thresholds {
        let of_label =
            |(label, least): (&crate::codebook::Label, &f64)| format!("{} {least}", label.name);
        let each: Vec<String> = tier.labels.iter().zip(thresholds).map(of_label).collect();
        out += &format!(", and chooses a label from a probability of: {}", each.join(", "));
    }
    out += ".\n";
    if !left_out.is_empty() {
        out += "\nIt does not carry over:\n\n";
        left_out.iter().for_each(|what| out += &format!("- {what}\n"));
    }
    out += &format!("\nFrom the bundle {}, codebook {}.\n", read.digest, read.manifest.codebook);
    out
}

/// Writes a folder that stands under its name only when it is whole.
fn write_folder(target: &Path, files: &[(&str, Vec<u8>)]) -> Result<()> {
    let mut name = target.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    let partial: PathBuf = target.with_file_name(name);
    if partial.exists() {
        std::fs::remove_dir_all(&partial).map_err(|e| Error::writing(&partial, &e))?;
    }
    std::fs::create_dir_all(&partial).map_err(|e| Error::writing(&partial, &e))?;
    for (name, bytes) in files {
        WholeFile::write_all_to(&partial.join(name), bytes)?;
    }
    replace_folder(&partial, target)
}
