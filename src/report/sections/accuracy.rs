//! How well the model codes held-out comments, and how right its probabilities are.

use serde_json::Value;

use super::{Figure, Section, bounds, entries, number, slug};
use crate::error::Result;
use crate::report::charts::{HeatMap, Line, Lines, heat_map, lines};
use crate::report::sheet::{Cell, Kind, Sheet, Shown};
use crate::report::study::Study;

const VIEWS: [&str; 2] = ["oracle", "pipeline"];

pub(super) fn section(study: &Study, warning: Option<&str>) -> Result<Section> {
    let mut section = Section::new("accuracy", "How well the model codes");
    let Some(found) = &study.evaluation else { return Ok(section) };
    let source = [found.path.as_str()];
    let tiers = entries(&found.content, &["tiers"]);
    section.lead.push(format!(
        "Measured on {} comments with gold codes. The oracle view scores a tier given the gold answers \
         above it, the pipeline view as the model is used, errors above included. A label with fewer \
         than ten gold rows is marked: its figures rest on too few.",
        number(&found.content, &["rows"]).unwrap_or(0.0)
    ));
    section.sheets.push(views(&tiers, &source));
    section.sheets.push(labels(&tiers, &source));
    for (tier, figures) in &tiers {
        section.figures.extend(confusion(tier, figures, &source, warning)?);
    }
    let calibrated: Vec<_> =
        tiers.iter().filter(|(_, f)| f.get("calibration").is_some_and(|c| !c.is_null())).collect();
    if !calibrated.is_empty() {
        section.sheets.push(calibration(&tiers, &source));
        for (tier, figures) in &calibrated {
            section.figures.extend(reliability(tier, figures, &source, warning)?);
        }
        section.figures.extend(risk(&tiers, &source, warning)?);
    }
    Ok(section)
}

fn views(tiers: &[(&str, &Value)], source: &[&str]) -> Sheet {
    let columns = [
        ("tier", Kind::Text),
        ("view", Kind::Text),
        ("rows", Kind::Figure),
        ("macro-F1", Kind::Figure),
        ("95 % interval", Kind::Interval),
        ("majority", Kind::Figure),
        ("micro-F1", Kind::Figure),
        ("accuracy", Kind::Figure),
        ("MCC", Kind::Figure),
    ];
    let mut sheet =
        Sheet::new("accuracy", "Accuracy by tier on held-out comments", &columns, source);
    for (tier, figures) in tiers {
        for view in VIEWS {
            let Some(own) = figures.get(view) else { continue };
            let of = |key: &str| Cell::figure(number(own, &[key]));
            sheet.rows.push(vec![
                Cell::text(*tier),
                Cell::text(view),
                Cell::count(number(own, &["n"])),
                of("macro_f1"),
                Cell::Interval(ends(figures, view, "macro_f1"), Shown::Decimals),
                of("baseline_macro_f1"),
                of("micro_f1"),
                of("accuracy"),
                of("mcc"),
            ]);
        }
    }
    sheet
}

/// The ends of a figure's interval, which stand as a list.
fn ends(tier: &Value, view: &str, figure: &str) -> Option<(f64, f64)> {
    let list = tier.get("intervals")?.get(view)?.get(figure)?;
    list.get(0)?.as_f64().zip(list.get(1)?.as_f64())
}

fn labels(tiers: &[(&str, &Value)], source: &[&str]) -> Sheet {
    let columns = [
        ("tier", Kind::Text),
        ("label", Kind::Text),
        ("support", Kind::Figure),
        ("precision", Kind::Figure),
        ("recall", Kind::Figure),
        ("F1", Kind::Figure),
        ("F1, oracle", Kind::Figure),
        ("remark", Kind::Text),
    ];
    let caption = "Precision, recall and F1 by label, pipeline view";
    let mut sheet = Sheet::new("labels", caption, &columns, source);
    for (tier, figures) in tiers {
        for (label, own) in entries(figures, &["pipeline", "labels"]) {
            let few = own.get("too_few").and_then(Value::as_bool).unwrap_or(false);
            sheet.rows.push(vec![
                Cell::text(*tier),
                Cell::text(label),
                Cell::count(number(own, &["support"])),
                Cell::figure(number(own, &["precision"])),
                Cell::figure(number(own, &["recall"])),
                Cell::figure(number(own, &["f1"])),
                Cell::figure(number(figures, &["oracle", "labels", label, "f1"])),
                Cell::text(if few { "too few" } else { "" }),
            ]);
        }
    }
    sheet
}

fn calibration(tiers: &[(&str, &Value)], source: &[&str]) -> Sheet {
    let columns = [
        ("tier", Kind::Text),
        ("probability", Kind::Text),
        ("rows", Kind::Figure),
        ("Brier", Kind::Figure),
        ("log loss", Kind::Figure),
        ("slope", Kind::Figure),
        ("error", Kind::Figure),
        ("95 % interval", Kind::Interval),
    ];
    let caption = "How right the probabilities are: calibration error without what chance adds";
    let mut sheet = Sheet::new("calibration", caption, &columns, source);
    for (tier, figures) in tiers {
        for (key, name) in [
            ("before", "label given asked, uncalibrated"),
            ("after", "label given asked"),
            ("path", "answer, path included"),
        ] {
            let Some(own) = figures.get("calibration").and_then(|c| c.get(key)) else { continue };
            let of = |key: &str| Cell::figure(number(own, &[key]));
            sheet.rows.push(vec![
                Cell::text(*tier),
                Cell::text(name),
                Cell::count(number(own, &["n"])),
                of("brier"),
                of("log_loss"),
                of("slope"),
                of("error"),
                Cell::Interval(bounds(own, &[]), Shown::Decimals),
            ]);
        }
    }
    sheet
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array);
    list.map_or_else(Vec::new, |list| {
        list.iter().map(|name| name.as_str().unwrap_or_default().to_owned()).collect()
    })
}

fn confusion(
    tier: &str,
    figures: &Value,
    source: &[&str],
    warning: Option<&str>,
) -> Result<Option<Figure>> {
    let Some(matrix) = figures.get("pipeline").and_then(|view| view.get("confusion")) else {
        return Ok(None);
    };
    let (gold, predicted) = (strings(matrix.get("gold")), strings(matrix.get("predicted")));
    let count = |row: usize, column: usize| matrix.get("counts")?.get(row)?.get(column)?.as_f64();
    if gold.is_empty() || predicted.is_empty() {
        return Ok(None);
    }
    let counts: Vec<Vec<f64>> = (0..gold.len())
        .map(|row| (0..predicted.len()).map(|c| count(row, c).unwrap_or(0.0)).collect())
        .collect();
    let shade: Vec<Vec<f64>> = counts
        .iter()
        .map(|row| {
            let all: f64 = row.iter().sum();
            row.iter().map(|count| count / all.max(1.0)).collect()
        })
        .collect();
    let shown: Vec<Vec<String>> =
        counts.iter().map(|row| row.iter().map(|count| format!("{count:.0}")).collect()).collect();
    let chart = heat_map(&HeatMap {
        of_rows: "gold",
        of_columns: "model",
        rows: &gold,
        columns: &predicted,
        shade: &shade,
        shown: &shown,
        warning,
    })?;
    let name = format!("confusion-{}", slug(tier));
    let title = format!("{tier}: gold codes against the model's, pipeline view");
    let kinds = [("gold", Kind::Text), ("model", Kind::Text), ("comments", Kind::Figure)];
    let mut data = Sheet::new(&name, &title, &kinds, source);
    let mut worst = (0.0, String::new());
    for (row, gold) in gold.iter().enumerate() {
        for (column, predicted) in predicted.iter().enumerate() {
            let count = counts[row][column];
            if gold != predicted && count > worst.0 {
                worst = (count, format!("{gold} coded as {predicted}"));
            }
            let cells = [Cell::text(gold.as_str()), Cell::text(predicted.as_str())];
            data.rows.push(cells.into_iter().chain([Cell::count(Some(count))]).collect());
        }
    }
    let description = match worst.0 > 0.0 {
        true => format!("The most frequent error is {}, {:.0} times.", worst.1, worst.0),
        false => "There is no error.".to_owned(),
    };
    Ok(Some(Figure { name, title, description, chart, data }))
}

fn reliability(
    tier: &str,
    figures: &Value,
    source: &[&str],
    warning: Option<&str>,
) -> Result<Option<Figure>> {
    let mut all = Vec::new();
    let name = format!("reliability-{}", slug(tier));
    let title = format!("{tier}: stated probabilities against what came true");
    let kinds = [
        ("probability", Kind::Text),
        ("rows", Kind::Figure),
        ("stated", Kind::Figure),
        ("observed", Kind::Figure),
    ];
    let mut data = Sheet::new(&name, &title, &kinds, source);
    for (key, shown) in [("before", "uncalibrated"), ("after", "calibrated"), ("path", "with path")]
    {
        let bins = figures["calibration"][key].get("bins").and_then(Value::as_array);
        let points = bins.into_iter().flatten().filter_map(|bin| {
            let (stated, observed) = number(bin, &["stated"]).zip(number(bin, &["observed"]))?;
            data.rows.push(vec![
                Cell::text(shown),
                Cell::count(number(bin, &["n"])),
                Cell::figure(Some(stated)),
                Cell::figure(Some(observed)),
            ]);
            Some((stated, observed))
        });
        let points: Vec<(f64, f64)> = points.collect();
        if !points.is_empty() {
            all.push(Line { name: shown.into(), points });
        }
    }
    if all.is_empty() {
        return Ok(None);
    }
    let chart = lines(&Lines {
        lines: &all,
        across: "stated probability",
        upwards: "share that came true",
        ranges: [Some((0.0, 1.0)), Some((0.0, 1.0))],
        names: None,
        has_diagonal: true,
        warning,
    })?;
    let after = &figures["calibration"]["after"];
    let description = format!(
        "On the line from corner to corner, probabilities are right. Calibration error {} ({}) after \
         calibration.",
        Shown::Decimals.text(number(after, &["error"])),
        Cell::Interval(bounds(after, &[]), Shown::Decimals).shown()
    );
    Ok(Some(Figure { name, title, description, chart, data }))
}

fn risk(
    tiers: &[(&str, &Value)],
    source: &[&str],
    warning: Option<&str>,
) -> Result<Option<Figure>> {
    let name = "risk".to_owned();
    let title = "How often the surest answers are wrong".to_owned();
    let kinds = [
        ("tier", Kind::Text),
        ("kept", Kind::Figure),
        ("answers", Kind::Figure),
        ("least probability", Kind::Figure),
        ("wrong", Kind::Figure),
        ("95 % interval", Kind::Interval),
    ];
    let mut data = Sheet::new(&name, &title, &kinds, source);
    let mut all = Vec::new();
    for (tier, figures) in tiers {
        let steps = figures["calibration"].get("selective").and_then(Value::as_array);
        let mut points = Vec::new();
        for step in steps.into_iter().flatten() {
            let Some((kept, wrong)) = number(step, &["coverage"]).zip(number(step, &["risk"]))
            else {
                continue;
            };
            points.push((kept, wrong));
            data.rows.push(vec![
                Cell::text(*tier),
                Cell::percent(Some(kept)),
                Cell::count(number(step, &["n"])),
                Cell::figure(number(step, &["below"])),
                Cell::percent(Some(wrong)),
                Cell::Interval(bounds(step, &[]), Shown::Percent),
            ]);
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        if !points.is_empty() {
            all.push(Line { name: (*tier).to_owned(), points });
        }
    }
    if all.is_empty() {
        return Ok(None);
    }
    let top = all.iter().flat_map(|line| &line.points).map(|point| point.1).fold(0.0, f64::max);
    let chart = lines(&Lines {
        lines: &all,
        across: "share of answers kept, the surest first",
        upwards: "share of them that is wrong",
        ranges: [None, Some((0.0, (top * 1.1).max(0.01)))],
        names: None,
        has_diagonal: false,
        warning,
    })?;
    let ends = all.iter().filter_map(|line| {
        let (first, last) = (line.points.first()?, line.points.last()?);
        Some(format!(
            "{}: {:.0} % of all, {:.0} % of the surest {:.0} %",
            line.name,
            100.0 * last.1,
            100.0 * first.1,
            100.0 * first.0
        ))
    });
    let description = format!("Wrong are, {}.", ends.collect::<Vec<_>>().join("; "));
    Ok(Some(Figure { name, title, description, chart, data }))
}
