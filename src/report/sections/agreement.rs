//! How far coders agree.

use serde_json::Value;

use super::{Figure, Section, bounds, entries, number, words};
use crate::error::Result;
use crate::report::charts::{IntervalRow, Intervals, intervals};
use crate::report::sheet::{Cell, Kind, Sheet, Shown};
use crate::report::study::{Found, Study};

pub(super) fn section(study: &Study, warning: Option<&str>) -> Result<Section> {
    let mut section = Section::new("agreement", "How far coders agree");
    if study.agreements.is_empty() {
        return Ok(section);
    }
    section.lead.push(
        "Krippendorff's alpha, customarily read as reliable from .800 and tentative from .667, over the \
         comments that every coder was asked of. What a model can be held to is how far people agree \
         among themselves."
            .into(),
    );
    for (at, found) in study.agreements.iter().enumerate() {
        let suffix = if at == 0 { String::new() } else { format!("-{}", at + 1) };
        let coders: Vec<&str> = found.content["coders"]
            .as_array()
            .map_or_else(Vec::new, |list| list.iter().filter_map(Value::as_str).collect());
        let title = format!("Agreement of {}", coders.join(", "));
        section.figures.push(chart(found, &suffix, &title, warning)?);
        section.sheets.push(tiers(found, &suffix, &title));
        section.sheets.push(labels(found, &suffix));
        section.sheets.push(pairs(found, &suffix));
    }
    Ok(section)
}

fn chart(found: &Found<Value>, suffix: &str, title: &str, warning: Option<&str>) -> Result<Figure> {
    let mut rows = Vec::new();
    let kinds = [
        ("tier", Kind::Text),
        ("pairs of", Kind::Text),
        ("alpha", Kind::Figure),
        ("95 % interval", Kind::Interval),
    ];
    let name = format!("agreement{suffix}");
    let mut data = Sheet::new(&name, title, &kinds, &[&found.path]);
    for (tier, own) in entries(&found.content, &["tiers"]) {
        let of_kinds = entries(own, &["kinds"]);
        let all = [("all coders", own)];
        let of_kinds: &[(&str, &Value)] = if of_kinds.len() > 1 { &of_kinds } else { &all };
        for (kind, own) in of_kinds {
            let (value, ends) = (number(own, &["alpha", "value"]), bounds(own, &["alpha"]));
            rows.push(IntervalRow {
                label: (*kind).to_owned(),
                heading: Some(tier.to_owned()),
                value,
                bounds: ends,
                beside: None,
                shown: Shown::Decimals.text(value),
            });
            let cells = vec![Cell::text(tier), Cell::text(*kind), Cell::figure(value)];
            data.rows
                .push(cells.into_iter().chain([Cell::Interval(ends, Shown::Decimals)]).collect());
        }
    }
    let chart = intervals(&Intervals {
        rows: &rows,
        range: (0.0, 1.0),
        is_percent: false,
        axis: "Krippendorff's alpha, 95 % interval",
        marks: &[(0.667, ".667".into()), (0.8, ".800".into())],
        legend: None,
        warning,
    })?;
    let said: Vec<String> = rows
        .iter()
        .map(|row| {
            format!("{} {} {}", row.heading.as_deref().unwrap_or_default(), row.label, row.shown)
        })
        .collect();
    let description = format!("Alpha: {}.", said.join("; "));
    Ok(Figure { name, title: title.to_owned(), description, chart, data })
}

fn tiers(found: &Found<Value>, suffix: &str, title: &str) -> Sheet {
    let columns = [
        ("tier", Kind::Text),
        ("rows of", Kind::Text),
        ("rows", Kind::Figure),
        ("percent", Kind::Figure),
        ("alpha", Kind::Figure),
        ("95 % interval", Kind::Interval),
        ("AC1", Kind::Figure),
        ("AC1 95 %", Kind::Interval),
    ];
    let mut sheet = Sheet::new(format!("agreement-tiers{suffix}"), title, &columns, &[&found.path]);
    for (tier, own) in entries(&found.content, &["tiers"]) {
        let with_not_asked = own.get("with_not_asked").filter(|value| !value.is_null());
        let views = [("all asked", Some(own)), ("all, not asked a value", with_not_asked)];
        for (name, view) in views {
            let Some(view) = view else { continue };
            sheet.rows.push(vec![
                Cell::text(tier),
                Cell::text(name),
                Cell::count(number(view, &["n"])),
                Cell::percent(number(view, &["percent"])),
                Cell::figure(number(view, &["alpha", "value"])),
                Cell::Interval(bounds(view, &["alpha"]), Shown::Decimals),
                Cell::figure(number(view, &["ac1", "value"])),
                Cell::Interval(bounds(view, &["ac1"]), Shown::Decimals),
            ]);
        }
    }
    sheet
}

fn labels(found: &Found<Value>, suffix: &str) -> Sheet {
    let columns = [
        ("tier", Kind::Text),
        ("label", Kind::Text),
        ("codes", Kind::Figure),
        ("prevalence", Kind::Figure),
        ("alpha", Kind::Figure),
        ("95 % interval", Kind::Interval),
        ("positive", Kind::Figure),
        ("negative", Kind::Figure),
        ("remark", Kind::Text),
    ];
    let caption = "Agreement by label: alpha, positive and negative agreement";
    let mut sheet =
        Sheet::new(format!("agreement-labels{suffix}"), caption, &columns, &[&found.path]);
    for (tier, own) in entries(&found.content, &["tiers"]) {
        for (label, own) in entries(own, &["labels"]) {
            let few = own.get("too_few").and_then(Value::as_bool).unwrap_or(false);
            sheet.rows.push(vec![
                Cell::text(tier),
                Cell::text(label),
                Cell::count(number(own, &["codes"])),
                Cell::percent(number(own, &["prevalence"])),
                Cell::figure(number(own, &["alpha", "value"])),
                Cell::Interval(bounds(own, &["alpha"]), Shown::Decimals),
                Cell::figure(number(own, &["positive_agreement"])),
                Cell::figure(number(own, &["negative_agreement"])),
                Cell::text(if few { "too few" } else { "" }),
            ]);
        }
    }
    sheet
}

fn pairs(found: &Found<Value>, suffix: &str) -> Sheet {
    let columns = [
        ("tier", Kind::Text),
        ("coders", Kind::Text),
        ("kind", Kind::Text),
        ("rows", Kind::Figure),
        ("percent", Kind::Figure),
        ("kappa", Kind::Figure),
        ("95 % interval", Kind::Interval),
        ("remark", Kind::Text),
    ];
    let caption = "Cohen's kappa of every pair of coders";
    let mut sheet =
        Sheet::new(format!("agreement-pairs{suffix}"), caption, &columns, &[&found.path]);
    for (tier, own) in entries(&found.content, &["tiers"]) {
        for pair in own["pairs"].as_array().into_iter().flatten() {
            let ends = number(pair, &["kappa_lower"]).zip(number(pair, &["kappa_upper"]));
            let dependent = pair["not_independent"].as_bool().unwrap_or(false);
            sheet.rows.push(vec![
                Cell::text(tier),
                Cell::text(format!("{} and {}", words(pair, &["a"]), words(pair, &["b"]))),
                Cell::text(words(pair, &["kind"])),
                Cell::count(number(pair, &["n"])),
                Cell::percent(number(pair, &["percent"])),
                Cell::figure(number(pair, &["kappa"])),
                Cell::Interval(ends, Shown::Decimals),
                Cell::text(if dependent { "not independent" } else { "" }),
            ]);
        }
    }
    sheet
}
