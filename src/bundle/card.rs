//! The model card of a bundle, filled from its manifest.

mod head;
mod markup;

use std::fmt::Write;

use super::{Manifest, SetRows, TierFigures, TierRows};
use crate::codebook::{Codebook, Gate, Label, Tier, TierKind};
use crate::decision::{CONFIDENCE, Decisions, FittedOn};
use crate::evaluation::view::TOO_FEW;
use head::bundle_head;
pub(super) use head::export_head;
use markup::code;
pub(super) use markup::plain;

/// Rows of which an accuracy is known to three points or so (a 95 % interval at one half).
const MANY: usize = 1000;

/// The card as Markdown with the YAML head that model hubs read. It holds nothing that differs
/// between equal trainings, and of the codebook's words no examples, which may be real comments.
pub(super) fn card(codebook: &Codebook, decisions: &Decisions, manifest: &Manifest) -> String {
    let mut out = bundle_head(codebook, manifest);
    let version = match plain(&codebook.version) {
        version if version.is_empty() => version,
        version => format!(", version {version}"),
    };
    out += &format!("\n# {}{version}, coded by Confide\n\n", plain(&codebook.name));
    out += &format!(
        "Codes short texts in {} tiers: {}. Trained from {} on {} coded texts, validated on {}; \
         {}.\n",
        codebook.tiers.len(),
        codebook.tiers.iter().map(|t| code(&t.name)).collect::<Vec<_>>().join(", "),
        code(&manifest.base),
        manifest.train_rows,
        manifest.validation_rows,
        match manifest.epochs.len() {
            0 => "the heads alone were fitted, the encoder is as it was".to_owned(),
            _ => match manifest.members {
                1 => format!("epoch {} was kept", manifest.best_epoch),
                members => format!("its weights are the mean of {members} trainings"),
            },
        },
    );
    if let Some(choice) = &manifest.choice {
        out += &format!(
            "\nThe recipe {} was chosen among {} by cross-validation on the training rows alone.\n",
            code(&choice.chosen),
            choice.candidates.len()
        );
    }
    if let Some(digest) = &manifest.plan.unlabelled {
        let of = match &manifest.teachers[..] {
            [] => String::new(),
            names => {
                let names: Vec<String> = names.iter().map(|name| code(name)).collect();
                format!(" of {}{}", if names.len() > 1 { "each of " } else { "" }, names.join(", "))
            }
        };
        out += &format!(
            "\nIt also learnt from uncoded texts, of which {} models{of} had said first what they think \
             (SHA-256 over the texts: {}).\n",
            manifest.recipe["teachers"],
            code(digest)
        );
        if manifest.recipe["adaptation_epochs"].as_u64().is_some_and(|epochs| epochs > 0) {
            out += "Before that the encoder learnt from these texts without any code.\n";
        }
    }
    if !codebook.description.trim().is_empty() {
        out += &format!("\nThe codebook says: {}\n", plain(&codebook.description));
    }
    out += "\n## What it codes\n";
    codebook.tiers.iter().for_each(|tier| out += &coded_tier(codebook, tier));
    out += &data(manifest);
    out += &figures(manifest);
    out += &doubt(decisions);
    out += &uses(codebook, manifest);
    out += &limits(codebook, manifest);
    out += &sources(manifest);
    out
}

fn coded_tier(codebook: &Codebook, tier: &Tier) -> String {
    let mut out = format!("\n### {}\n\n", code(&tier.name));
    if !tier.question.trim().is_empty() {
        out += &format!("Question: {}\n\n", plain(&tier.question));
    }
    out += match tier.kind {
        TierKind::Single => "Exactly one label",
        TierKind::Multi => "Every label that applies, or none",
    };
    out += &match in_words(codebook, &tier.asked_when) {
        Some(gate) => format!("; asked only when {gate}.\n\n"),
        None => "; always asked.\n\n".into(),
    };
    let gated = tier.labels.iter().any(|label| !label.only_when.conditions.is_empty());
    let (heading, line) = if gated { (" permitted only when |", " --- |") } else { ("", "") };
    out += &format!("| label | definition |{heading}\n| --- | --- |{line}\n");
    let row = |label: &Label| {
        let gate = in_words(codebook, &label.only_when).unwrap_or_default();
        let gate = if gated { format!(" {gate} |") } else { String::new() };
        format!("| {} | {} |{gate}\n", code(&label.name), plain(&label.definition))
    };
    out + &tier.labels.iter().map(row).collect::<String>()
}

/// A gate as a clause, if it has conditions.
fn in_words(codebook: &Codebook, gate: &Gate) -> Option<String> {
    let clause = |condition: &crate::codebook::Condition| {
        let tier = &codebook.tiers[condition.tier];
        let names: Vec<String> =
            condition.labels.iter().map(|label| code(&tier.labels[*label].name)).collect();
        format!("{} is {}", code(&tier.name), names.join(" or "))
    };
    let clauses: Vec<String> = gate.conditions.iter().map(clause).collect();
    (!clauses.is_empty()).then(|| clauses.join(" and "))
}

fn data(manifest: &Manifest) -> String {
    let mut out = format!(
        "\n## Data\n\n{} coded texts trained, {} validated. They are no part of this bundle; the \
         SHA-256 over their ids, texts and codes is `{}`.\n",
        manifest.train_rows, manifest.validation_rows, manifest.plan.data
    );
    if manifest.rows.is_empty() {
        return out;
    }
    out += "\n| tier | answer | training rows | validation rows |\n| --- | --- | --- | --- |\n";
    for tier in &manifest.rows {
        for (answer, rows) in answers(tier) {
            let (train, validation) = (rows.train, rows.validation);
            let _ = writeln!(out, "| {} | {answer} | {train} | {validation} |", code(&tier.tier));
        }
    }
    out
}

/// The answers of a tier and their rows; those that are no label only where there are some.
fn answers(tier: &TierRows) -> impl Iterator<Item = (String, SetRows)> {
    let labels = tier.labels.iter().map(|own| (code(&own.label), own.rows));
    let none = tier.none.map(|rows| ("none applies".to_owned(), rows));
    let others = [("not asked", tier.not_asked), ("not coded", tier.missing)];
    let some = |(_, rows): &(&str, SetRows)| *rows != SetRows::default();
    let others = others.into_iter().filter(some).map(|(name, rows)| (name.to_owned(), rows));
    labels.chain(none).chain(others)
}

fn figures(manifest: &Manifest) -> String {
    let mut out = "\n## Figures\n\n\
        Oracle view: a tier scored given the gold answers above it. Pipeline view: scored as it \
        will be used, errors above included. Macro-F1 is the mean over the labels that occur; \
        majority is the macro-F1 of always giving the most frequent label.\n\n"
        .to_owned();
    if let Some(crossed) = &manifest.cross_validation {
        out += &format!(
            "### Cross-validated\n\n\
             {} training rows in {} folds, each coded by a model that was trained on the other \
             folds. The validation rows chose each model's epoch.\n\n{}\n",
            crossed.rows,
            crossed.folds,
            figures_table(&crossed.tiers)
        );
    }
    out += &format!(
        "### On the validation rows\n\n\
         These rows also chose temperatures, margins and thresholds, and the epoch where the \
         recipe keeps the best one, so the figures flatter; `confide evaluate` on held-out rows gives honest ones.\n\n{}",
        figures_table(&manifest.validation)
    );
    out
}

fn figures_table(tiers: &[TierFigures]) -> String {
    let figure =
        |value: Option<f64>| value.map_or_else(|| "undefined".into(), |v| format!("{v:.3}"));
    let mut out = "| tier | view | rows | macro-F1 | majority | accuracy |\n\
         | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for own in tiers {
        let views = [
            (
                "oracle",
                own.n,
                own.oracle_macro_f1,
                own.oracle_majority_macro_f1,
                own.oracle_accuracy,
            ),
            (
                "pipeline",
                own.pipeline_n,
                own.pipeline_macro_f1,
                own.pipeline_majority_macro_f1,
                own.pipeline_accuracy,
            ),
        ];
        for (view, rows, macro_f1, majority, accuracy) in views {
            let (macro_f1, majority) = (figure(macro_f1), figure(majority));
            let _ = writeln!(
                out,
                "| {} | {view} | {rows} | {macro_f1} | {majority} | {} |",
                code(&own.tier),
                figure(accuracy)
            );
        }
    }
    out
}

/// What it leaves to people, and how its sets of plausible answers came about.
fn doubt(decisions: &Decisions) -> String {
    let mut out = "\n## When not to trust a code\n\n".to_owned();
    out += &match &decisions.review {
        None => "No text is marked for review: the recipe asks for none (`review_risk`). \
                 `confide classify --review-budget` picks those whose hand coding helps most.\n"
            .to_owned(),
        Some(rule) => {
            let risk = rule.risk.map(|risk| {
                format!(
                    " Of the others at most {:.1} % should have a wrong code, with a probability of \
                     {CONFIDENCE} over the rows that told the limit.",
                    100.0 * risk
                )
            });
            format!(
                "A text is for review if the probability of any of its answers is below {:.3}.{}\n",
                rule.below,
                risk.unwrap_or_default()
            )
        }
    };
    if let Some(sets) = &decisions.sets {
        let basis = match sets.fitted_on {
            FittedOn::OutOfFold => {
                "rows as models answered that had not seen them: 1 - 2 alpha are guaranteed to hold \
                 the gold, 1 - alpha are observed to"
            }
            FittedOn::Validation => {
                "the validation rows, on which other choices rest as well, so that 1 - alpha is \
                 approximate and nothing is guaranteed"
            }
        };
        out += &format!(
            "\n`confide classify --sets 0.9` lists every answer that may be right. Its sets rest on \
             {basis}. It is an average over all texts of this kind, of no single label or platform.\n"
        );
    }
    out
}

fn uses(codebook: &Codebook, manifest: &Manifest) -> String {
    let language = match plain(&codebook.language) {
        language if language.is_empty() => language,
        language => format!(" (language: {language})"),
    };
    let mut out = format!(
        "\n## Intended use\n\n\
         Coding many texts like those it was trained on{language} by the same codebook, for \
         statements about the whole: `confide classify`, then `confide prevalence`, which corrects \
         shares for the model's errors. Before that, compare its codes with those of your own \
         coders on a sample of your own texts.\n"
    );
    if manifest.recipe["mode"] == "lora" {
        out += &format!(
            "\nIt holds an adapter of {}, in the layout of Hugging Face PEFT: where it codes, that \
             encoder must be at hand (`--base` names it where it is not found).\n",
            code(&manifest.base)
        );
    }
    out + "\n## Unsuitable use\n\n\
        - Decisions about a single person: moderation, admission, employment, insurance, prosecution.\n\
        - Diagnosis, or the detection of crises; a text that needs help needs a person.\n\
        - Texts of another kind, language, platform or time that nobody has checked it on.\n\
        - Counting its codes as shares without correction: rare labels above all are over- or \
        undercounted.\n"
}

fn limits(codebook: &Codebook, manifest: &Manifest) -> String {
    let mut out = format!(
        "\n## Limits\n\n\
         - It codes as the coders of {} texts did, with what they disagreed in and overlooked, and \
         with what its encoder learnt elsewhere.\n",
        manifest.train_rows
    );
    if manifest.validation_rows < MANY {
        out += &format!(
            "- {} validation rows are few: differences of some points between figures may be \
             chance.\n",
            manifest.validation_rows
        );
    }
    let few = few_rows(manifest);
    if !few.is_empty() {
        out += &format!(
            "- Learnt from fewer than {TOO_FEW} training rows, and hardly reliable: {}.\n",
            few.join(", ")
        );
    }
    out += &match manifest.window_stride {
        Some(_) => format!(
            "- Texts of more than {} tokens are read in overlapping windows.\n",
            manifest.max_tokens
        ),
        None => format!(
            "- Of texts of more than {} tokens it reads the beginning alone, and marks them.\n",
            manifest.max_tokens
        ),
    };
    if codebook.tiers.iter().any(|tier| !tier.asked_when.conditions.is_empty()) {
        out += "- Where an earlier tier is answered wrongly, later ones are asked, or left out, \
                wrongly: the pipeline view counts that.\n";
    }
    out + "- It holds no text of any comment, unless the codebook's authors made examples of some \
        (`codebook.toml`). Its weights were fitted to comments: who has it \
        may be able to tell whether a given text was among them. Words and word parts that stood \
        in several training texts are known to it as hashes (`lexical.features`), in which a word \
        that is guessed can be found; `lexical_features = 0` in the recipe leaves them out.\n"
}

/// The labels that fewer than [`TOO_FEW`] training rows have.
fn few_rows(manifest: &Manifest) -> Vec<String> {
    let of_tier = |tier: &TierRows| -> Vec<String> {
        let few = tier.labels.iter().filter(|own| (own.rows.train as u64) < TOO_FEW);
        few.map(|own| format!("{} of {}", code(&own.label), code(&tier.tier))).collect()
    };
    manifest.rows.iter().flat_map(of_tier).collect()
}

fn sources(manifest: &Manifest) -> String {
    let plan = &manifest.plan;
    let folds = plan.folds.map(|count| format!(", {count} folds")).unwrap_or_default();
    format!(
        "\n## Licence\n\n\
         None is stated: it is for those to give who own the coded texts, within the licence of \
         the encoder {}.\n\
         \n## Reproducibility\n\n\
         The same data, codebook, encoder, recipe and seed give this bundle again, byte for byte, \
         by the same version on the same kind of processor. SHA-256 of each:\n\n\
         - codebook `{}` (`codebook.toml`)\n- data `{}`\n- base encoder `{}`\n- recipe `{}` (with \
         every field in `manifest.json`)\n\nSeed {}{folds}; Confide {}, kernel level {}.\n",
        code(&manifest.base),
        manifest.codebook,
        plan.data,
        plan.base,
        plan.recipe,
        plan.seed,
        plain(&plan.version),
        code(&plan.kernel),
    )
}
