//! Two coders, say the model and a hosted one, against gold on the same comments.

use serde::Deserialize;
use serde_json::Value;

use super::annotators::{Tested, annotator_sheets};
use super::{Figure, Section, bounds, entries, number, words};
use crate::error::Result;
use crate::evaluation::alternative_annotators::AlternativeAnnotators;
use crate::report::charts::{IntervalRow, Intervals, intervals};
use crate::report::sheet::{Cell, Kind, Sheet, Shown};
use crate::report::study::{Found, Study};

pub(super) fn section(study: &Study, warning: Option<&str>) -> Result<Section> {
    let mut section = Section::new("comparison", "Compared with the baseline");
    for (at, found) in study.comparisons.iter().enumerate() {
        let suffix = if at == 0 { String::new() } else { format!("-{}", at + 1) };
        let (a, b) = (words(&found.content, &["a"]), words(&found.content, &["b"]));
        let margin = number(&found.content, &["margin"]);
        section.lead.push(format!(
            "{a} and {b} on the same comments against {}; differences are {a} less {b}, with paired \
             intervals; p is adjusted over tiers by Holm's method.",
            words(&found.content, &["gold"]),
        ));
        section.lead.push(verdict(found, (a, b), margin));
        section.lead.push(smallest_margins(found, (a, b)));
        section.figures.push(chart(found, &suffix, (a, b), margin, warning)?);
        section.sheets.push(tiers(found, &suffix, (a, b)));
        section.sheets.push(labels(found, &suffix, (a, b)));
        let tested = annotators(found, (a, b));
        if !tested.is_empty() {
            section.lead.push(format!(
                "Whether {a} or {b} could stand in for a person: advantage is the share of comments on \
                 which the coder agrees with the other people at least as well as the person does, beside \
                 the person's own such share. A coder wins where its share is shown not to fall short by \
                 epsilon; p is adjusted over people by Benjamini and Yekutieli's method.",
            ));
        }
        section.sheets.extend(annotator_sheets(&tested, &suffix, &[&found.path]));
    }
    Ok(section)
}

/// The alternative annotator test of both coders in every tier that it was made of.
fn annotators<'a>(found: &'a Found<Value>, (a, b): (&'a str, &'a str)) -> Vec<Tested<'a>> {
    let of_tier = |(tier, own): (&'a str, &'a Value)| {
        let test = |(coder, side): (&'a str, &str)| {
            let result = AlternativeAnnotators::deserialize(&own["alternative_annotators"][side]);
            Some((tier, coder, result.ok()?))
        };
        [(a, "a"), (b, "b")].into_iter().filter_map(test).collect::<Vec<_>>()
    };
    entries(&found.content, &["tiers"]).into_iter().flat_map(of_tier).collect()
}

/// What the test with a margin says, or that none was named.
fn verdict(found: &Found<Value>, (a, b): (&str, &str), margin: Option<f64>) -> String {
    let Some(margin) = margin else {
        return format!(
            "No margin was named beforehand, so that nothing is said of {a} being no worse than {b}: a \
             difference that is not significant shows no equality."
        );
    };
    let of_tier = |(tier, own): (&str, &Value)| {
        let said = match own["non_inferiority"]["non_inferior"].as_bool() {
            Some(true) => "shown",
            Some(false) => "not shown",
            None => "not testable",
        };
        format!("{tier}: {said}")
    };
    let tiers: Vec<String> = entries(&found.content, &["tiers"]).into_iter().map(of_tier).collect();
    format!("That {a} is no worse than {b} by more than {margin:.3}: {}.", tiers.join("; "))
}

/// The figure that was to decide.
fn primary(found: &Found<Value>) -> String {
    words(&found.content, &["primary"]).replace('_', " ")
}

/// What so many rows could have shown at best.
fn smallest_margins(found: &Found<Value>, (a, b): (&str, &str)) -> String {
    let of_tier = |(tier, own): (&str, &Value)| match number(own, &["smallest_margin"]) {
        Some(margin) => format!("{tier}: {margin:.3}"),
        None => format!(
            "{tier}: none, as rows or groups are fewer than ten or {a} and {b} never differ"
        ),
    };
    let tiers: Vec<String> = entries(&found.content, &["tiers"]).into_iter().map(of_tier).collect();
    format!(
        "The smallest margin of {} that so many rows could have shown of coders as good as each other: {}.",
        primary(found),
        tiers.join("; ")
    )
}

fn chart(
    found: &Found<Value>,
    suffix: &str,
    (a, b): (&str, &str),
    margin: Option<f64>,
    warning: Option<&str>,
) -> Result<Figure> {
    let name = format!("comparison{suffix}");
    let title = format!("{a} less {b}: difference in {}", primary(found));
    let kinds =
        [("tier", Kind::Text), ("difference", Kind::Figure), ("95 % interval", Kind::Interval)];
    let mut data = Sheet::new(&name, &title, &kinds, &[&found.path]);
    let mut rows = Vec::new();
    for (tier, own) in entries(&found.content, &["tiers"]) {
        let (value, ends) = (number(own, &["primary", "value"]), bounds(own, &["primary"]));
        rows.push(IntervalRow {
            label: tier.to_owned(),
            heading: None,
            value,
            bounds: ends,
            beside: None,
            shown: Shown::Signed.text(value),
        });
        let cells = [
            Cell::text(tier),
            Cell::Figure(value, Shown::Signed),
            Cell::Interval(ends, Shown::Signed),
        ];
        data.rows.push(cells.into());
    }
    let mut marks = vec![(0.0, "no difference".to_owned())];
    marks.extend(margin.map(|margin| (-margin, "margin".to_owned())));
    let least = margin.map_or(-0.02, |margin| -1.2 * margin);
    let chart = intervals(&Intervals {
        rows: &rows,
        range: (least, 0.02),
        is_percent: false,
        axis: "difference, 95 % interval",
        marks: &marks,
        legend: None,
        warning,
    })?;
    let said: Vec<String> = rows.iter().map(|row| format!("{} {}", row.label, row.shown)).collect();
    let description = format!("Differences: {}.", said.join("; "));
    Ok(Figure { name, title, description, chart, data })
}

fn tiers(found: &Found<Value>, suffix: &str, (a, b): (&str, &str)) -> Sheet {
    let (of_a, of_b) = (format!("F1 {a}"), format!("F1 {b}"));
    let (accuracy_a, accuracy_b) = (format!("accuracy {a}"), format!("accuracy {b}"));
    let margin = format!("smallest margin of {}", primary(found));
    let columns = [
        ("tier", Kind::Text),
        ("rows", Kind::Figure),
        (of_a.as_str(), Kind::Figure),
        (of_b.as_str(), Kind::Figure),
        ("difference", Kind::Figure),
        ("95 % interval", Kind::Interval),
        ("p (Holm)", Kind::Figure),
        (margin.as_str(), Kind::Figure),
        (accuracy_a.as_str(), Kind::Figure),
        (accuracy_b.as_str(), Kind::Figure),
        ("McNemar p (Holm)", Kind::Figure),
        ("remark", Kind::Text),
    ];
    let caption = format!("Macro-F1 and accuracy of {a} and {b}");
    let mut sheet =
        Sheet::new(format!("comparison-tiers{suffix}"), caption, &columns, &[&found.path]);
    for (tier, own) in entries(&found.content, &["tiers"]) {
        let assumes = own["mcnemar"]["assumes_independent_rows"].as_bool().unwrap_or(false);
        sheet.rows.push(vec![
            Cell::text(tier),
            Cell::count(number(own, &["n"])),
            Cell::figure(number(own, &["a", "macro_f1"])),
            Cell::figure(number(own, &["b", "macro_f1"])),
            Cell::Figure(number(own, &["macro_f1_difference", "value"]), Shown::Signed),
            Cell::Interval(bounds(own, &["macro_f1_difference"]), Shown::Signed),
            Cell::p(number(own, &["macro_f1_difference", "p_holm"])),
            Cell::figure(number(own, &["smallest_margin"])),
            Cell::figure(number(own, &["a", "accuracy"])),
            Cell::figure(number(own, &["b", "accuracy"])),
            Cell::p(number(own, &["mcnemar", "p_holm"])),
            Cell::text(if assumes { "McNemar assumes independent rows" } else { "" }),
        ]);
    }
    sheet
}

fn labels(found: &Found<Value>, suffix: &str, (a, b): (&str, &str)) -> Sheet {
    let (of_a, of_b) = (format!("F1 {a}"), format!("F1 {b}"));
    let columns = [
        ("tier", Kind::Text),
        ("label", Kind::Text),
        ("support", Kind::Figure),
        (of_a.as_str(), Kind::Figure),
        (of_b.as_str(), Kind::Figure),
        ("difference", Kind::Figure),
        ("95 % interval", Kind::Interval),
        ("p (Holm)", Kind::Figure),
    ];
    let caption = format!("F1 of {a} and {b} by label");
    let mut sheet =
        Sheet::new(format!("comparison-labels{suffix}"), caption, &columns, &[&found.path]);
    for (tier, own) in entries(&found.content, &["tiers"]) {
        for (label, difference) in entries(own, &["label_differences"]) {
            sheet.rows.push(vec![
                Cell::text(tier),
                Cell::text(label),
                Cell::count(number(own, &["a", "labels", label, "support"])),
                Cell::figure(number(own, &["a", "labels", label, "f1"])),
                Cell::figure(number(own, &["b", "labels", label, "f1"])),
                Cell::Figure(number(difference, &["value"]), Shown::Signed),
                Cell::Interval(bounds(difference, &[]), Shown::Signed),
                Cell::p(number(difference, &["p_holm"])),
            ]);
        }
    }
    sheet
}
