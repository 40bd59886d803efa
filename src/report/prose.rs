//! The paragraphs of a paper, filled with the study's figures: once for the page, once in LaTeX.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Value as Filled};
use serde::Serialize;
use serde_json::{Value, json};

use super::sections::{headline, primary};
use super::sheet::{Cell, Shown, printable};
use super::study::Study;
use super::{latex, references};
use crate::codebook::TierKind;
use crate::error::{Error, Result};

/// The paragraphs, and the keys of the works that they cite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prose {
    /// How it was done.
    pub methods: String,
    /// What became of the comments.
    pub data_protection: String,
    /// What the figures do not carry.
    pub limitations: String,
    /// Keys of the works cited, in order.
    #[serde(skip)]
    pub cited: BTreeSet<String>,
}

/// In what the paragraphs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Markup {
    /// For the page.
    Html,
    /// For a paper.
    Latex,
}

/// The name of LaTeX's way to escape.
const LATEX: &str = "latex";

const METHODS: &str = include_str!("templates/methods.jinja");
const DATA_PROTECTION: &str = include_str!("templates/data-protection.jinja");
const LIMITATIONS: &str = include_str!("templates/limitations.jinja");

/// Writes the paragraphs.
///
/// # Errors
/// If a template cannot be filled.
pub fn prose(study: &Study, has_verbatim: bool, markup: Markup) -> Result<Prose> {
    let cited = Arc::new(Mutex::new(BTreeSet::new()));
    let mut environment = Environment::new();
    let escape = match markup {
        Markup::Html => AutoEscape::Html,
        Markup::Latex => AutoEscape::Custom(LATEX.into()),
    };
    environment.set_auto_escape_callback(move |_| escape.clone());
    environment.set_formatter(|out, state, value| match state.auto_escape() {
        AutoEscape::Custom(name) if name == LATEX => {
            if value.is_undefined() || value.is_none() {
                return Ok(());
            }
            let text = value.to_string();
            let text = if value.is_safe() { text } else { latex::escaped(&text) };
            out.write_str(&text).map_err(minijinja::Error::from)
        }
        _ => minijinja::escape_formatter(out, state, value),
    });
    let seen = cited.clone();
    environment.add_function("cite", move |key: String| {
        if let Ok(mut seen) = seen.lock() {
            seen.insert(key.clone());
        }
        let short = references::find(&key).map_or("", |work| work.short);
        Filled::from_safe_string(match markup {
            Markup::Html => format!("(<a href=\"#ref-{key}\">{short}</a>)"),
            Markup::Latex => format!("\\cite{{{key}}}"),
        })
    });
    let failed =
        |e: minijinja::Error| Error::resource(format!("a paragraph cannot be written: {e}"));
    let facts = facts(study, has_verbatim);
    let fill = |template: &str| {
        let filled = environment.render_str(template, Filled::from(Serde(&facts)));
        filled.map(|text| text.trim().to_owned()).map_err(failed)
    };
    let (methods, data_protection, limitations) =
        (fill(METHODS)?, fill(DATA_PROTECTION)?, fill(LIMITATIONS)?);
    let cited = cited.lock().map(|cited| cited.clone()).unwrap_or_default();
    Ok(Prose { methods, data_protection, limitations, cited })
}

/// What the templates are filled with; a part that the study lacks is null.
fn facts(study: &Study, has_verbatim: bool) -> Value {
    json!({
        "codebook": codebook(study),
        "training": training(study),
        "run": study.run.as_ref().map(|run| json!({ "sandbox": run.content["sandbox"] })),
        "evaluation": evaluation(study),
        "agreements": study.agreements.iter().map(|found| agreement(&found.content)).collect::<Vec<_>>(),
        "corpus": study.corpus.as_ref().map(|found| json!({ "rows": found.content.codings.rows() })),
        "shares": shares(study),
        "comparisons": study.comparisons.iter().map(|found| comparison(&found.content)).collect::<Vec<_>>(),
        "written": study.written.is_some(),
        "has_verbatim": has_verbatim,
        "has_examples": study.corpus.as_ref().is_some_and(|c| c.content.columns.examples.is_some()),
    })
}

fn codebook(study: &Study) -> Option<Value> {
    study.codebook.as_ref().map(|codebook| {
        let tiers = codebook.tiers.iter().map(|tier| {
            json!({
                "name": tier.name,
                "labels": tier.labels.len(),
                "is_multi": tier.kind == TierKind::Multi,
            })
        });
        json!({
            "name": printable(&codebook.name),
            "version": printable(&codebook.version),
            "is_of_study": codebook.name == "llm-mental-health",
            "tiers": tiers.collect::<Vec<_>>(),
        })
    })
}

fn training(study: &Study) -> Option<Value> {
    let manifest = &study.manifest.as_ref()?.content;
    let base = manifest["base"].as_str().unwrap_or("unnamed");
    let epochs = manifest["epochs"].as_array().map_or(0, Vec::len).saturating_sub(1);
    let teachers = manifest["plan"]["unlabelled"].as_str().and_then(|_| {
        let kinds = manifest["teachers"].as_array().map_or(1, Vec::len) as u64;
        Some(manifest["recipe"]["teachers"].as_u64()? * kinds)
    });
    Some(json!({
        "base": base,
        "is_minilm": base == "minilm",
        "version": manifest["plan"]["version"],
        "seed": manifest["plan"]["seed"],
        "train_rows": manifest["train_rows"],
        "validation_rows": manifest["validation_rows"],
        "epochs": epochs,
        "members": manifest["members"].as_u64().unwrap_or(1),
        "teachers": teachers,
        "best_epoch": manifest["best_epoch"],
        "keeps_best": manifest["recipe"]["keep"] == "best",
        "has_words": manifest["recipe"]["lexical_features"].as_f64().unwrap_or(0.0) > 0.0,
    }))
}

fn evaluation(study: &Study) -> Option<Value> {
    let document = &study.evaluation.as_ref()?.content;
    let mut few = Vec::new();
    let mut tiers = Vec::new();
    for (name, tier) in document["tiers"].as_object()? {
        let figure = |view: &str, key: &str, shown: Shown| shown.text(tier[view][key].as_f64());
        tiers.push(json!({
            "name": name,
            "oracle": figure("oracle", "macro_f1", Shown::Decimals),
            "pipeline": figure("pipeline", "macro_f1", Shown::Decimals),
            "interval": Cell::Interval(
                tier["intervals"]["pipeline"]["macro_f1"][0]
                    .as_f64()
                    .zip(tier["intervals"]["pipeline"]["macro_f1"][1].as_f64()),
                Shown::Decimals,
            )
            .shown(),
            "accuracy": figure("pipeline", "accuracy", Shown::Percent),
        }));
        for (label, own) in tier["pipeline"]["labels"].as_object().into_iter().flatten() {
            if own["too_few"].as_bool() == Some(true) {
                few.push(label.clone());
            }
        }
    }
    Some(json!({ "rows": document["rows"], "tiers": tiers, "few": few }))
}

fn agreement(document: &Value) -> Value {
    let coders = document["coders"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut has_sets = false;
    let mut tiers = Vec::new();
    for (name, tier) in document["tiers"].as_object().into_iter().flatten() {
        has_sets |= tier["kind"] == "multi";
        let alpha = Shown::Decimals.text(tier["alpha"]["value"].as_f64());
        tiers.push(json!({ "name": name, "alpha": alpha }));
    }
    json!({
        "coders": coders.map(printable).collect::<Vec<_>>().join(", "),
        "has_sets": has_sets,
        "resampled": document["resampled"],
        "tiers": tiers,
    })
}

fn shares(study: &Study) -> Option<Value> {
    let (_, rows) = primary(study)?;
    let n_gold = rows.iter().filter_map(|row| row.n_gold).fold(0.0, f64::max);
    let headline: Vec<Value> = headline(study)
        .into_iter()
        .map(|row| {
            json!({
                "tier": row.tier,
                "label": row.label,
                "share": Shown::Percent.text(row.estimate),
                "interval": format!("95 % interval {}", Cell::Interval(row.bounds, Shown::Percent).shown()),
            })
        })
        .collect();
    (!headline.is_empty()).then(|| {
        json!({
            "n_gold": Shown::Count.text(Some(n_gold)),
            "has_ppi": rows.iter().any(|row| row.method == "ppi_plus_plus"),
            "has_notes": rows.iter().any(|row| !row.note.is_empty()),
            "headline": headline,
        })
    })
}

fn comparison(document: &Value) -> Value {
    let name = |key: &str| printable(document[key].as_str().unwrap_or_default());
    let tiers: Vec<Value> = document["tiers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, tier)| {
            let difference = Shown::Signed.text(tier["primary"]["value"].as_f64());
            let ends = tier["primary"]["lower"].as_f64().zip(tier["primary"]["upper"].as_f64());
            let interval = Cell::Interval(ends, Shown::Signed).shown();
            json!({ "name": name, "difference": format!("{difference} ({interval})") })
        })
        .collect();
    let has_annotators = document["tiers"]
        .as_object()
        .into_iter()
        .flatten()
        .any(|(_, tier)| tier.get("alternative_annotators").is_some());
    json!({
        "a": name("a"),
        "b": name("b"),
        "primary": name("primary").replace('_', " "),
        "has_annotators": has_annotators,
        "tiers": tiers,
    })
}
