//! The model card of a bundle, filled from its manifest.

use std::fmt::Write;

use super::Manifest;
use crate::codebook::Codebook;

fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "undefined".into(), |v| format!("{v:.3}"))
}

/// The card as Markdown with the YAML head that model hubs read.
pub(super) fn card(codebook: &Codebook, manifest: &Manifest) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    line(format!("---\nlanguage: {}\nlibrary_name: confide", codebook.language));
    line("pipeline_tag: text-classification\n---\n".into());
    line(format!("# {}, version {}, coded by Confide\n", codebook.name, codebook.version));
    line(format!(
        "Codes short texts in {} tiers: {}. Trained from `{}` on {} coded texts, validated on {}; \
         epoch {} was kept.\n",
        codebook.tiers.len(),
        codebook.tiers.iter().map(|t| t.name.as_str()).collect::<Vec<_>>().join(", "),
        manifest.base,
        manifest.train_rows,
        manifest.validation_rows,
        manifest.best_epoch,
    ));
    line("## Figures on the validation rows\n".into());
    line(
        "These rows also chose the epoch, the temperatures, the margins and the thresholds, so"
            .into(),
    );
    line("the figures flatter; `confide evaluate` on held-out rows gives honest ones.\n".into());
    line("| tier | coded rows | macro-F1, oracle view | macro-F1, pipeline view |".into());
    line("| --- | --- | --- | --- |".into());
    for tier in &manifest.validation {
        line(format!(
            "| {} | {} | {} | {} |",
            tier.tier,
            tier.n,
            figure(tier.oracle_macro_f1),
            figure(tier.pipeline_macro_f1)
        ));
    }
    line("\n## Use\n".into());
    line(
        "For coding texts like those it was trained on, after a check against the lab's own".into(),
    );
    line(
        "coders. Not for decisions about a single person, not for diagnosis or the detection"
            .into(),
    );
    line("of crises, and not for texts of another kind, language or platform unseen.\n".into());
    if manifest.recipe["mode"] == "lora" {
        line(format!(
            "It holds an adapter of `{}`, in the layout of Hugging Face PEFT: where it codes, that",
            manifest.base
        ));
        line("encoder must be at hand (`--base` names it where it is not found).\n".into());
    }
    line("## What it follows from\n".into());
    line(format!("- codebook {}", manifest.codebook));
    line(format!("- data {}", manifest.plan.data));
    line(format!("- base encoder {}", manifest.plan.base));
    line(format!("- recipe {}, seed {}", manifest.plan.recipe, manifest.plan.seed));
    line(format!("- Confide {}, kernel level {}", manifest.plan.version, manifest.plan.kernel));
    line(
        "\nIt holds no text of any comment; words and word parts that stood in several training"
            .into(),
    );
    line(
        "texts are known to it as hashes (`lexical.features`), in which a word that is guessed"
            .into(),
    );
    line("can be found. `lexical_features = 0` in the recipe leaves them out.".into());
    out
}
