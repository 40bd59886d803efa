//! How the training went.

use serde_json::Value;

use super::{Figure, Section, distinct, number};
use crate::error::Result;
use crate::report::charts::{Line, Lines, lines};
use crate::report::sheet::{Cell, Kind, Sheet};
use crate::report::study::{Found, Study};

/// Points of the training loss that a figure shows; each is the mean of the updates up to it.
const POINTS: usize = 60;

pub(super) fn section(study: &Study, warning: Option<&str>) -> Result<Section> {
    let mut section = Section::new("training", "How the training went");
    if let Some(log) = &study.log {
        section.figures.extend(losses(log, warning)?);
        section.figures.extend(scores(log, warning)?);
    }
    if let Some(manifest) = &study.manifest {
        section.sheets.push(validation(manifest));
    }
    if !section.is_empty() {
        section.lead.push(
            "The validation rows chose temperatures and thresholds (and the epoch, where the recipe \
             keeps the best one), so that their figures flatter; those on held-out comments are the \
             ones to report."
                .into(),
        );
    }
    Ok(section)
}

/// Points of one key over epochs.
fn points(log: &[Value], key: &str) -> Vec<(f64, f64)> {
    log.iter().filter_map(|line| number(line, &["epoch"]).zip(number(line, &[key]))).collect()
}

fn losses(log: &Found<Vec<Value>>, warning: Option<&str>) -> Result<Option<Figure>> {
    let all = points(&log.content, "loss");
    let train: Vec<(f64, f64)> = all
        .chunks(all.len().div_ceil(POINTS).max(1))
        .filter_map(|chunk| {
            let last = chunk.last()?;
            Some((last.0, chunk.iter().map(|point| point.1).sum::<f64>() / chunk.len() as f64))
        })
        .collect();
    let validation = points(&log.content, "eval_loss");
    let named = [("training", train), ("validation", validation)];
    curves(log, "loss", "Loss while training", "loss", named.into(), warning)
}

fn scores(log: &Found<Vec<Value>>, warning: Option<&str>) -> Result<Option<Figure>> {
    let fields = log.content.iter().filter_map(Value::as_object).flat_map(|line| line.keys());
    let mut keys = distinct(
        fields
            .map(String::as_str)
            .filter(|key| key.starts_with("eval_") && key.ends_with("macro_f1")),
    );
    if keys.is_empty() {
        keys.push("eval_score");
    }
    let name = |key: &str| {
        let key = key.trim_start_matches("eval_");
        key.trim_end_matches("_macro_f1").replace('_', " ")
    };
    let named: Vec<(String, Vec<(f64, f64)>)> =
        keys.iter().map(|key| (name(key), points(&log.content, key))).collect();
    let named = named.iter().map(|(name, points)| (name.as_str(), points.clone())).collect();
    let title = "Macro-F1 on the validation rows while training";
    curves(log, "validation-scores", title, "macro-F1", named, warning)
}

fn curves(
    log: &Found<Vec<Value>>,
    name: &str,
    title: &str,
    upwards: &str,
    named: Vec<(&str, Vec<(f64, f64)>)>,
    warning: Option<&str>,
) -> Result<Option<Figure>> {
    let kinds = [("line", Kind::Text), ("epoch", Kind::Figure), (upwards, Kind::Figure)];
    let mut data = Sheet::new(name, title, &kinds, &[&log.path]);
    let mut all = Vec::new();
    let mut ends = Vec::new();
    for (line, points) in named {
        for (epoch, value) in &points {
            let figures = [Cell::figure(Some(*epoch)), Cell::figure(Some(*value))];
            data.rows.push([Cell::text(line)].into_iter().chain(figures).collect());
        }
        if let Some((_, last)) = points.last() {
            ends.push(format!("{line} {last:.3}"));
            all.push(Line { name: line.to_owned(), points });
        }
    }
    if all.is_empty() {
        return Ok(None);
    }
    let chart = lines(&Lines {
        lines: &all,
        across: "epoch",
        upwards,
        ranges: [None, None],
        names: None,
        has_diagonal: false,
        warning,
    })?;
    let description = format!("At the end: {}.", ends.join(", "));
    Ok(Some(Figure { name: name.to_owned(), title: title.to_owned(), description, chart, data }))
}

fn validation(manifest: &Found<Value>) -> Sheet {
    let columns = [
        ("tier", Kind::Text),
        ("coded rows", Kind::Figure),
        ("macro-F1, oracle", Kind::Figure),
        ("macro-F1, pipeline", Kind::Figure),
    ];
    let caption = "Validation rows, which also chose thresholds";
    let mut sheet = Sheet::new("validation", caption, &columns, &[&manifest.path]);
    for tier in manifest.content["validation"].as_array().into_iter().flatten() {
        sheet.rows.push(vec![
            Cell::text(super::words(tier, &["tier"])),
            Cell::count(number(tier, &["n"])),
            Cell::figure(number(tier, &["oracle_macro_f1"])),
            Cell::figure(number(tier, &["pipeline_macro_f1"])),
        ]);
    }
    sheet
}
