//! Corrected shares of all comments.

use super::{Figure, Section, distinct, slug};
use crate::error::Result;
use crate::prevalence::NAIVE_HEADING;
use crate::report::charts::{IntervalRow, Intervals, intervals};
use crate::report::sheet::{Cell, Kind, Sheet, Shown};
use crate::report::study::{Found, ShareRow, Study};

const NAIVE: &str = "naive";

/// The shares of all comments by the method to report, in the table's order, of the first table
/// that has them.
pub fn primary(study: &Study) -> Option<(&Found<Vec<ShareRow>>, Vec<&ShareRow>)> {
    study.shares.iter().find_map(|found| {
        let whole = |row: &&ShareRow| row.by.is_empty() && row.is_primary && row.method != NAIVE;
        let rows: Vec<&ShareRow> = found.content.iter().filter(whole).collect();
        (!rows.is_empty()).then_some((found, rows))
    })
}

/// Each tier's most frequent label among all comments, with its row.
pub fn headline(study: &Study) -> Vec<&ShareRow> {
    let Some((_, rows)) = primary(study) else { return Vec::new() };
    let mut best: Vec<&ShareRow> = Vec::new();
    for row in rows.into_iter().filter(|row| row.of == "all" && row.estimate.is_some()) {
        match best.iter_mut().find(|own| own.tier == row.tier) {
            Some(own) if row.estimate > own.estimate => *own = row,
            Some(_) => {}
            None => best.push(row),
        }
    }
    best
}

/// The same share as the model's codes would claim it.
fn naive<'a>(all: &'a [ShareRow], of: &ShareRow) -> Option<&'a ShareRow> {
    all.iter().find(|row| {
        row.method == NAIVE
            && (&row.tier, &row.label, &row.of, &row.by, &row.value)
                == (&of.tier, &of.label, &of.of, &of.by, &of.value)
    })
}

/// What a method is called in print.
pub(super) fn method(name: &str) -> &str {
    match name {
        "ppi_plus_plus" => "PPI++",
        "dsl" => "DSL",
        "rogan_gladen" => "Rogan-Gladen",
        "gold_only" => "gold only",
        NAIVE => "naive",
        other => other,
    }
}

pub(super) fn section(study: &Study, warning: Option<&str>) -> Result<Section> {
    let mut section = Section::new("shares", "Shares of comments");
    let Some((found, rows)) = primary(study) else { return Ok(section) };
    let columns = [
        ("tier", Kind::Text),
        ("label", Kind::Text),
        ("among", Kind::Text),
        ("share", Kind::Figure),
        ("95 % interval", Kind::Interval),
        ("gold rows", Kind::Figure),
        ("gain", Kind::Figure),
        ("method", Kind::Text),
        ("remark", Kind::Text),
        (NAIVE_HEADING, Kind::Figure),
    ];
    let sources = [found.path.as_str()];
    let table = |name: &str, caption: &str, rows: &[&ShareRow]| {
        let mut sheet = Sheet::new(name, caption, &columns, &sources);
        for row in rows {
            let own_naive = naive(&found.content, row).and_then(|row| row.estimate);
            sheet.rows.push(vec![
                Cell::text(row.tier.as_str()),
                Cell::text(row.label.as_str()),
                Cell::text(row.of.as_str()),
                Cell::percent(row.estimate),
                Cell::Interval(row.bounds, Shown::Percent),
                Cell::count(row.n_gold),
                Cell::figure(row.gain),
                Cell::text(method(&row.method)),
                Cell::text(row.note.replace('_', " ")),
                Cell::percent(own_naive),
            ]);
        }
        sheet
    };
    section.lead.push(
        "Shares are corrected for the model's errors by the comments that people coded; the naive share \
         is what the model's codes alone would claim, biased by these errors. Gain says how many times \
         more comments people would have to code to know the share as well without the model."
            .into(),
    );
    for tier in distinct(rows.iter().map(|row| row.tier.as_str())) {
        let own: Vec<&ShareRow> =
            rows.iter().copied().filter(|row| row.tier == tier && row.of == "all").collect();
        if own.iter().all(|row| row.estimate.is_none()) {
            continue;
        }
        let points: Vec<IntervalRow> = own
            .iter()
            .map(|row| IntervalRow {
                label: row.label.clone(),
                heading: None,
                value: row.estimate,
                bounds: row.bounds,
                beside: naive(&found.content, row).and_then(|row| row.estimate),
                shown: Shown::Percent.text(row.estimate),
            })
            .collect();
        let chart = intervals(&Intervals {
            rows: &points,
            range: (0.0, 0.0001),
            is_percent: true,
            axis: "share of all comments",
            marks: &[],
            legend: Some(("corrected, 95 %", NAIVE_HEADING)),
            warning,
        })?;
        let name = format!("shares-{}", slug(tier));
        let title = format!("{tier}: shares of all comments");
        let most = own.iter().max_by(|a, b| {
            a.estimate.partial_cmp(&b.estimate).unwrap_or(std::cmp::Ordering::Equal)
        });
        let description = most.map_or_else(String::new, |row| {
            format!(
                "Most frequent is {} with {} ({}).",
                row.label,
                Shown::Percent.text(row.estimate),
                Cell::Interval(row.bounds, Shown::Percent).shown()
            )
        });
        let data = table(&name, &title, &own);
        section.figures.push(Figure { name, title, description, chart, data });
    }
    section.sheets.push(table("shares", "Corrected shares of comments", &rows));
    Ok(section)
}
