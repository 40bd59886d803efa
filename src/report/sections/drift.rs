//! Two corpora compared: their shares, and what can be seen of their texts.

use std::path::Path;

use serde_json::Value;

use super::{Figure, Section, bounds, entries, number, words};
use crate::error::Result;
use crate::prevalence::NAIVE_HEADING;
use crate::report::charts::{IntervalRow, Intervals, intervals};
use crate::report::sheet::{Cell, Kind, Sheet, Shown};
use crate::report::study::Found;

/// Adds what one comparison of two corpora found.
pub(super) fn add(
    found: &Found<Value>,
    suffix: &str,
    section: &mut Section,
    warning: Option<&str>,
) -> Result<()> {
    section.lead.extend(not_validated(&found.content));
    section.lead.push(told_apart(&found.content));
    section
        .lead
        .extend(Some(words(&found.content, &["note"]).to_owned()).filter(|n| !n.is_empty()));
    section.figures.push(chart(found, suffix, warning)?);
    section.sheets.push(shares(found, suffix));
    section.sheets.push(corpora(found, suffix));
    section.sheets.extend(classifier(found, suffix));
    section.sheets.push(stability(found, suffix));
    Ok(())
}

/// The two sides of a comparison, as the document and as a reader calls them.
const SIDES: [(&str, &str); 2] = [("a", "first"), ("b", "second")];

/// Which corpora the coder was never validated on.
fn not_validated(document: &Value) -> Option<String> {
    let never = |(side, _): &&(&str, &str)| document[*side]["validated"].as_bool() == Some(false);
    let names: Vec<&str> = SIDES.iter().filter(never).map(|(_, name)| *name).collect();
    (!names.is_empty()).then(|| {
        format!(
            "No comment of the {} corpus was coded by people, so that how well it is coded is not known \
             and no difference is tested.",
            names.join(" nor of the ")
        )
    })
}

/// How well a classifier tells the texts of the corpora apart.
fn told_apart(document: &Value) -> String {
    let domain = &document["domain_classifier"];
    if domain.is_null() {
        return "How well the texts of the two corpora can be told apart was not measured.".into();
    }
    let texts = |at: usize| Shown::Count.text(domain["texts"][at].as_f64());
    let shown = format!(
        "{} and {} distinct comments, as {} embeds them",
        texts(0),
        texts(1),
        encoder(domain)
    );
    let Some(auc) = number(domain, &["auc"]) else {
        return format!(
            "How well the texts of the two corpora can be told apart is not known: {shown}, are too few, \
             or in too few groups."
        );
    };
    let interval = bounds(domain, &[]).map_or_else(
        || "no interval".to_owned(),
        |ends| format!("95 % interval {}", Cell::Interval(Some(ends), Shown::Decimals).shown()),
    );
    format!(
        "A classifier that was shown {shown}, tells the first corpus from the second with an area under \
         the ROC curve (AUC) of {auc:.3} ({interval}), where .5 is chance and 1 is always; comments that \
         it was asked of it had not seen."
    )
}

/// The encoder by name: where a bundle lay is of no use to a reader.
fn encoder(domain: &Value) -> &str {
    let given = words(domain, &["encoder"]);
    Path::new(given).file_name().and_then(|name| name.to_str()).unwrap_or(given)
}

fn corpora(found: &Found<Value>, suffix: &str) -> Sheet {
    let columns = [
        ("corpus", Kind::Text),
        ("comments", Kind::Figure),
        ("gold rows", Kind::Figure),
        ("for review", Kind::Figure),
        ("words, median", Kind::Figure),
        ("words, mean", Kind::Figure),
        ("words the other lacks", Kind::Figure),
    ];
    let caption = "Two corpora compared: size, length and vocabulary";
    let mut sheet = Sheet::new(format!("drift-corpora{suffix}"), caption, &columns, &[&found.path]);
    for (side, name) in SIDES {
        let own = |key: &str| number(&found.content, &[side, key]);
        sheet.rows.push(vec![
            Cell::text(name),
            Cell::count(own("rows")),
            Cell::count(own("gold_rows")),
            Cell::percent(own("review")),
            Cell::count(own("median_words")),
            Cell::figure(own("mean_words")),
            Cell::percent(own("strange_words")),
        ]);
    }
    sheet
}

fn classifier(found: &Found<Value>, suffix: &str) -> Option<Sheet> {
    let domain = found.content.get("domain_classifier").filter(|domain| !domain.is_null())?;
    let columns = [
        ("encoder", Kind::Text),
        ("AUC", Kind::Figure),
        ("95 % interval", Kind::Interval),
        ("first: shown", Kind::Figure),
        ("first: distinct", Kind::Figure),
        ("second: shown", Kind::Figure),
        ("second: distinct", Kind::Figure),
    ];
    let caption = "Two corpora compared: how well a classifier of embeddings tells them apart";
    let mut sheet =
        Sheet::new(format!("drift-classifier{suffix}"), caption, &columns, &[&found.path]);
    let of = |key: &str, at: usize| Cell::count(domain[key][at].as_f64());
    sheet.rows.push(vec![
        Cell::text(encoder(domain)),
        Cell::figure(number(domain, &["auc"])),
        Cell::Interval(bounds(domain, &[]), Shown::Decimals),
        of("texts", 0),
        of("distinct", 0),
        of("texts", 1),
        of("distinct", 1),
    ]);
    Some(sheet)
}

fn stability(found: &Found<Value>, suffix: &str) -> Sheet {
    let columns = [("tier", Kind::Text), ("population stability index", Kind::Figure)];
    let caption = "Two corpora compared: how far the model's codes have moved";
    let mut sheet =
        Sheet::new(format!("drift-stability{suffix}"), caption, &columns, &[&found.path]);
    for (tier, index) in entries(&found.content, &["stability_index"]) {
        sheet.rows.push(vec![Cell::text(tier), Cell::figure(index.as_f64())]);
    }
    sheet
}

/// The columns of shares that nothing corrected; they stand last.
const NAIVE: [(&str, Kind); 2] =
    [("naive first (biased)", Kind::Figure), ("naive second (biased)", Kind::Figure)];

fn labels(found: &Found<Value>) -> Vec<&Value> {
    found.content["labels"].as_array().map_or_else(Vec::new, |rows| rows.iter().collect())
}

/// A side's share corrected by gold.
fn corrected(row: &Value, side: &str) -> Option<f64> {
    number(row, &[side, "estimate"])
}

/// A side's share as the model's codes alone would claim it.
fn naive(row: &Value, side: &str) -> Option<f64> {
    number(row, &[&format!("naive_{side}")])
}

fn shares(found: &Found<Value>, suffix: &str) -> Sheet {
    let columns = [
        ("tier", Kind::Text),
        ("label", Kind::Text),
        ("first", Kind::Figure),
        ("second", Kind::Figure),
        ("difference", Kind::Figure),
        ("95 % interval", Kind::Interval),
        ("p (Holm)", Kind::Figure),
        ("verdict", Kind::Text),
        NAIVE[0],
        NAIVE[1],
    ];
    let caption = "Two corpora compared: corrected shares, and naive ones";
    let mut sheet = Sheet::new(format!("drift{suffix}"), caption, &columns, &[&found.path]);
    for row in labels(found) {
        sheet.rows.push(vec![
            Cell::text(words(row, &["tier"])),
            Cell::text(words(row, &["label"])),
            Cell::percent(corrected(row, "a")),
            Cell::percent(corrected(row, "b")),
            Cell::Figure(number(row, &["difference", "value"]), Shown::Signed),
            Cell::Interval(bounds(row, &["difference"]), Shown::Signed),
            Cell::figure(number(row, &["p_holm"])),
            Cell::text(words(row, &["verdict"]).replace('_', " ")),
            Cell::percent(naive(row, "a")),
            Cell::percent(naive(row, "b")),
        ]);
    }
    sheet
}

fn chart(found: &Found<Value>, suffix: &str, warning: Option<&str>) -> Result<Figure> {
    let mut rows = Vec::new();
    let name = format!("drift{suffix}");
    let title = "Two corpora: the second's shares and the first's".to_owned();
    let kinds = [
        ("tier", Kind::Text),
        ("label", Kind::Text),
        ("first", Kind::Figure),
        ("second", Kind::Figure),
        ("95 % interval of the second", Kind::Interval),
        NAIVE[0],
        NAIVE[1],
    ];
    let mut data = Sheet::new(&name, &title, &kinds, &[&found.path]);
    let mut is_naive = [false; 2];
    for row in labels(found) {
        let own = SIDES.map(|(side, _)| corrected(row, side));
        // Of a corpus without gold there is no other share than the naive one.
        let uncorrected = [0, 1].map(|at| match own[at] {
            Some(_) => None,
            None => naive(row, SIDES[at].0),
        });
        let [first, second] = [0, 1].map(|at| own[at].or(uncorrected[at]));
        for (is_naive, share) in is_naive.iter_mut().zip(uncorrected) {
            *is_naive |= share.is_some();
        }
        let ends = bounds(row, &["b"]);
        rows.push(IntervalRow {
            label: words(row, &["label"]).to_owned(),
            heading: Some(words(row, &["tier"]).to_owned()),
            value: second,
            bounds: ends,
            beside: first,
            shown: Shown::Percent.text(second),
        });
        data.rows.push(vec![
            Cell::text(words(row, &["tier"])),
            Cell::text(words(row, &["label"])),
            Cell::percent(own[0]),
            Cell::percent(own[1]),
            Cell::Interval(ends, Shown::Percent),
            Cell::percent(uncorrected[0]),
            Cell::percent(uncorrected[1]),
        ]);
    }
    let [first, second] = [0, 1].map(|at| match is_naive[at] {
        true => format!("{}, {NAIVE_HEADING}", SIDES[at].1),
        false => SIDES[at].1.to_owned(),
    });
    let chart = intervals(&Intervals {
        rows: &rows,
        range: (0.0, 0.0001),
        is_percent: true,
        axis: "share of comments",
        marks: &[],
        legend: Some((&second, &first)),
        warning,
    })?;
    let gap = |row: &IntervalRow| row.value.zip(row.beside).map_or(0.0, |(b, a)| (b - a).abs());
    let largest = rows.iter().max_by(|a, b| gap(a).total_cmp(&gap(b)));
    let description = largest.map_or_else(String::new, |row| {
        format!(
            "The largest difference is that of {}: {} against {}.",
            row.label,
            Shown::Percent.text(row.value),
            Shown::Percent.text(row.beside)
        )
    });
    Ok(Figure { name, title, description, chart, data })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_area_is_told_with_its_interval_or_why_there_is_none() {
        let of = |domain: Value| told_apart(&json!({ "domain_classifier": domain }));
        let found =
            of(json!({"encoder": "/home/lab/bundle", "distinct": [30, 40], "texts": [30, 40],
            "auc": 0.8124, "lower": 0.75, "upper": 0.875}));
        for piece in ["0.812", "0.750 to 0.875", "30 and 40", "bundle"] {
            assert!(found.contains(piece), "{piece}: {found}");
        }
        assert!(!found.contains("/home"), "{found}");
        let without = of(
            json!({"encoder": "minilm", "texts": [30, 40], "auc": 1.0, "lower": null, "upper": null}),
        );
        assert!(without.contains("1.000 (no interval)"), "{without}");
        let few = of(json!({"encoder": "minilm", "texts": [3, 4], "auc": null}));
        assert!(few.contains("too few") && !few.contains("NaN"), "{few}");
        assert!(of(Value::Null).contains("not measured"));
    }

    #[test]
    fn corpora_without_gold_are_named() {
        let of = |a: bool, b: bool| {
            not_validated(&json!({"a": {"validated": a}, "b": {"validated": b}}))
        };
        assert_eq!(of(true, true), None);
        assert!(
            of(true, false).is_some_and(|said| said.contains("second") && !said.contains("first"))
        );
        assert!(of(false, false).is_some_and(|said| said.contains("first nor of the second")));
    }
}
