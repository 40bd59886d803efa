//! The parts of a report, each made of what the study holds of it.

mod accuracy;
mod agreement;
mod annotators;
mod answers;
mod change;
mod comparison;
mod doubt;
mod drift;
mod examples;
mod shares;
mod training;

pub use annotators::annotator_sheets;
pub use examples::examples;
pub use shares::{headline, primary};

use serde_json::Value;

use super::charts::Chart;
use super::sheet::Sheet;
use super::study::Study;
use crate::error::Result;

/// A chart with its title, a description for those who do not see it, and its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The name of its files and its place in the page.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// The same in a sentence, with the figures that matter most.
    pub description: String,
    /// The drawing.
    pub chart: Chart,
    /// Its numbers.
    pub data: Sheet,
}

/// A part of the report.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Its place in the page.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What must be known before reading it.
    pub lead: Vec<String>,
    /// Its figures.
    pub figures: Vec<Figure>,
    /// Its tables.
    pub sheets: Vec<Sheet>,
}

impl Section {
    fn new(id: &'static str, title: &'static str) -> Self {
        Self { id, title, lead: Vec::new(), figures: Vec::new(), sheets: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.figures.is_empty() && self.sheets.is_empty()
    }
}

/// What a section without its artefact would have shown, and the command that makes it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Missing {
    /// What is not there.
    pub what: &'static str,
    /// How to make it.
    pub how: &'static str,
}

/// The sections that the study has something for, and what it lacks.
///
/// # Errors
/// If a figure cannot be drawn.
pub fn sections(study: &Study, warning: Option<&str>) -> Result<(Vec<Section>, Vec<Missing>)> {
    let parts = [
        (
            shares::section(study, warning)?,
            Missing {
                what: "corrected shares with intervals",
                how: "confide prevalence CODEBOOK coded.csv --gold check/sample.csv … -o STUDY/prevalence.csv",
            },
        ),
        (
            answers::section(study, warning)?,
            Missing {
                what: "the coded corpus: the tree of answers, topics by attitude, platforms and months",
                how: "confide classify STUDY/bundle corpus.csv -o STUDY/coded.csv",
            },
        ),
        (
            accuracy::section(study, warning)?,
            Missing {
                what: "how well the model codes held-out comments",
                how: "confide evaluate STUDY/bundle split/coded.csv -o STUDY/evaluation",
            },
        ),
        (
            doubt::section(study),
            Missing {
                what: "what the model should not decide: review rule and sets of plausible answers",
                how: "confide evaluate STUDY/bundle split/coded.csv -o STUDY/evaluation",
            },
        ),
        (
            agreement::section(study, warning)?,
            Missing {
                what: "how far coders agree",
                how: "confide agree CODEBOOK sheet-ana.csv sheet-ben.csv --humans ana,ben --json > STUDY/agreement.json",
            },
        ),
        (
            comparison::section(study, warning)?,
            Missing {
                what: "the comparison with a hosted model",
                how: "confide compare CODEBOOK by-confide.csv gpt4o.csv --a confide --b gpt4o --json > STUDY/comparison.json",
            },
        ),
        (
            change::section(study, warning)?,
            Missing {
                what: "shares over time, by platform, or two corpora compared",
                how: "confide prevalence … --by platform -o STUDY/by-platform.csv, or confide drift CODEBOOK may.csv june.csv --json > STUDY/drift.json",
            },
        ),
        (
            training::section(study, warning)?,
            Missing {
                what: "how the training went",
                how: "confide train CODEBOOK --data split/coded.csv -o STUDY/bundle",
            },
        ),
    ];
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for (section, lack) in parts {
        match section.is_empty() {
            true => missing.push(lack),
            false => found.push(section),
        }
    }
    Ok((found, missing))
}

/// Each name once, in the order in which it first stands.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

/// The number at a path of keys.
fn number(value: &Value, keys: &[&str]) -> Option<f64> {
    at(value, keys)?.as_f64().filter(|value| value.is_finite())
}

/// The text at a path of keys; blank where there is none.
fn words<'a>(value: &'a Value, keys: &[&str]) -> &'a str {
    at(value, keys).and_then(Value::as_str).unwrap_or_default()
}

/// The ends of an interval in a document: fields `lower` and `upper`.
fn bounds(value: &Value, keys: &[&str]) -> Option<(f64, f64)> {
    let place = at(value, keys)?;
    number(place, &["lower"]).zip(number(place, &["upper"]))
}

fn at<'a>(value: &'a Value, keys: &[&str]) -> Option<&'a Value> {
    keys.iter().try_fold(value, |value, key| value.get(key))
}

/// The entries of an object, in its order.
fn entries<'a>(value: &'a Value, keys: &[&str]) -> Vec<(&'a str, &'a Value)> {
    let object = at(value, keys).and_then(Value::as_object);
    object.map_or_else(Vec::new, |object| object.iter().map(|(k, v)| (k.as_str(), v)).collect())
}

/// A part of a file's name: letters, digits and hyphens.
fn slug(text: &str) -> String {
    let plain =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    plain.take(40).collect()
}
