//! What the model should not decide: the review rule and conformal sets on held-out comments.

use serde_json::Value;

use super::{Section, entries, number, words};
use crate::report::sheet::{Cell, Kind, Sheet, Shown};
use crate::report::study::Study;

pub(super) fn section(study: &Study) -> Section {
    let mut section = Section::new("doubt", "When not to trust a code");
    let Some(found) = &study.evaluation else { return section };
    let source = [found.path.as_str()];
    let tiers = entries(&found.content, &["tiers"]);
    if let Some(review) = found.content.get("review").filter(|review| review.is_object()) {
        section.lead.push(
            "Comments whose least probable answer is below the review rule's limit are left to people. \
             What the others come to was measured on held-out comments; it holds for comments like \
             these, not for another platform or time."
                .into(),
        );
        section.sheets.push(reviewed(review, &source));
    }
    let sets = sets(&tiers, &source);
    if !sets.rows.is_empty() {
        section.lead.push(
            "A set holds every answer that may be right. How often sets hold the gold is an average \
             over all comments: no single label, platform or month is promised it."
                .into(),
        );
        section.sheets.push(sets);
    }
    section
}

fn reviewed(review: &Value, source: &[&str]) -> Sheet {
    let columns = [
        ("of the comments", Kind::Text),
        ("comments", Kind::Figure),
        ("share", Kind::Figure),
        ("95 % interval", Kind::Interval),
    ];
    let limit = number(review, &["below"]).unwrap_or(0.0);
    let asked = number(review, &["risk"])
        .map(|risk| format!(", fitted to leave at most {:.1} % wrong", 100.0 * risk))
        .unwrap_or_default();
    let caption = format!("Comments that the rule leaves to the model (limit {limit:.3}{asked})");
    let mut sheet = Sheet::new("review", &caption, &columns, source);
    let mut row = |what: String, own: &Value| {
        sheet.rows.push(vec![
            Cell::text(&what),
            Cell::count(number(own, &["n"])),
            Cell::percent(number(own, &["value"])),
            Cell::Interval(interval(own), Shown::Percent),
        ]);
    };
    row("left to the model".into(), &review["kept"]);
    row("of these wrong in any tier".into(), &review["wrong"]);
    for (tier, own) in entries(review, &["tiers"]) {
        row(format!("of these wrong in {tier}"), own);
    }
    sheet
}

fn sets(tiers: &[(&str, &Value)], source: &[&str]) -> Sheet {
    let columns = [
        ("tier", Kind::Text),
        ("sets asked to hold the gold", Kind::Figure),
        ("guaranteed", Kind::Figure),
        ("that do", Kind::Figure),
        ("95 % interval", Kind::Interval),
        ("answers in a set", Kind::Figure),
        ("fitted on", Kind::Text),
    ];
    let caption = "How often sets of plausible answers hold the gold";
    let mut sheet = Sheet::new("sets", caption, &columns, source);
    for (tier, figures) in tiers {
        for own in figures.get("sets").and_then(Value::as_array).into_iter().flatten() {
            let observed = &own["observed"];
            sheet.rows.push(vec![
                Cell::text(*tier),
                Cell::percent(number(own, &["asked"])),
                Cell::percent(number(own, &["guaranteed"])),
                Cell::percent(number(observed, &["value"])),
                Cell::Interval(interval(observed), Shown::Percent),
                Cell::figure(number(own, &["size", "value"])),
                Cell::text(words(own, &["fitted_on"]).replace('_', " ")),
            ]);
        }
    }
    sheet
}

/// The interval of a share: over groups, which stands as a list, where there are groups.
fn interval(share: &Value) -> Option<(f64, f64)> {
    let list = share.get("of_groups").and_then(Value::as_array);
    let grouped = list.and_then(|list| list.first()?.as_f64().zip(list.get(1)?.as_f64()));
    grouped.or_else(|| super::bounds(share, &[]).filter(|_| share["value"].is_number()))
}
