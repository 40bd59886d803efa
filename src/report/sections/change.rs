//! Shares over time and by platform, and two corpora compared.

use std::collections::BTreeMap;

use super::shares::method;
use super::{Figure, Section, distinct, drift, slug};
use crate::codebook::Codebook;
use crate::corpus::Codings;
use crate::error::Result;
use crate::prevalence::NAIVE_HEADING;
use crate::report::charts::{IntervalRow, Intervals, Line, Lines, intervals, lines};
use crate::report::sheet::{Cell, Kind, Sheet, Shown};
use crate::report::study::{Found, ShareRow, Study};

/// Labels of a tier that a figure shows; its table has all.
const MOST_LABELS: usize = 6;

/// Values of a column that a figure shows.
const MOST_VALUES: usize = 36;

pub(super) fn section(study: &Study, warning: Option<&str>) -> Result<Section> {
    let mut section = Section::new("change", "Over time, by platform, between corpora");
    for found in &study.shares {
        divided(found, &mut section, warning)?;
    }
    if let (Some(found), Some(codebook)) = (&study.corpus, &study.codebook) {
        for (column, there) in [
            ("created", found.content.columns.created),
            ("platform", found.content.columns.platform),
        ] {
            if there {
                uncorrected(
                    codebook,
                    &found.content.codings,
                    column,
                    &found.path,
                    &mut section,
                    warning,
                )?;
            }
        }
    }
    for (at, found) in study.drifts.iter().enumerate() {
        let suffix = if at == 0 { String::new() } else { format!("-{}", at + 1) };
        drift::add(found, &suffix, &mut section, warning)?;
    }
    Ok(section)
}

/// What one tier's figure is made of: label, then value of the column, then share and interval.
type Series = Vec<(String, Vec<Option<Point>>)>;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    share: f64,
    bounds: Option<(f64, f64)>,
}

/// Corrected shares of a table that divides the corpus by a column.
fn divided(
    found: &Found<Vec<ShareRow>>,
    section: &mut Section,
    warning: Option<&str>,
) -> Result<()> {
    let rows: Vec<&ShareRow> = found
        .content
        .iter()
        .filter(|row| !row.by.is_empty() && row.is_primary && row.of == "all")
        .collect();
    let mut columns: Vec<&str> = rows.iter().map(|row| row.by.as_str()).collect();
    columns.sort_unstable();
    columns.dedup();
    for column in columns {
        let own: Vec<&ShareRow> = rows.iter().copied().filter(|row| row.by == column).collect();
        let kinds = [
            ("tier", Kind::Text),
            ("label", Kind::Text),
            (column, Kind::Text),
            ("share", Kind::Figure),
            ("95 % interval", Kind::Interval),
            ("gold rows", Kind::Figure),
            ("method", Kind::Text),
            ("remark", Kind::Text),
        ];
        let caption = format!("Corrected shares by {column}");
        let mut sheet =
            Sheet::new(format!("shares-by-{}", slug(column)), caption, &kinds, &[&found.path]);
        for row in &own {
            sheet.rows.push(vec![
                Cell::text(row.tier.as_str()),
                Cell::text(row.label.as_str()),
                Cell::text(row.value.as_str()),
                Cell::percent(row.estimate),
                Cell::Interval(row.bounds, Shown::Percent),
                Cell::count(row.n_gold),
                Cell::text(method(&row.method)),
                Cell::text(row.note.replace('_', " ")),
            ]);
        }
        let mut values: Vec<&str> = own.iter().map(|row| row.value.as_str()).collect();
        values.sort_unstable();
        values.dedup();
        for tier in distinct(own.iter().map(|row| row.tier.as_str())) {
            let mut series: Series = Vec::new();
            for row in own.iter().filter(|row| row.tier == tier) {
                let at =
                    series.iter().position(|(label, _)| *label == row.label).unwrap_or_else(|| {
                        series.push((row.label.clone(), vec![None; values.len()]));
                        series.len() - 1
                    });
                if let Ok(value) = values.binary_search(&row.value.as_str()) {
                    series[at].1[value] =
                        row.estimate.map(|share| Point { share, bounds: row.bounds });
                }
            }
            let names: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            let of =
                Divided { tier, column, names: &names, is_corrected: true, source: &found.path };
            section.figures.extend(figure(&of, series, warning)?);
        }
        section.sheets.push(sheet);
    }
    Ok(())
}

/// The model's own shares by a column of the corpus.
fn uncorrected(
    codebook: &Codebook,
    codings: &Codings,
    column: &str,
    source: &str,
    section: &mut Section,
    warning: Option<&str>,
) -> Result<()> {
    let Some(kept) = codings.kept(column) else { return Ok(()) };
    let by_month = column == "created";
    let name = if by_month { "month" } else { column };
    let mut of_value: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for row in 0..codings.rows() {
        let value = match by_month {
            true => month(kept.cell(row)),
            false => Some(kept.cell(row).trim().to_owned()).filter(|value| !value.is_empty()),
        };
        if let Some(value) = value {
            of_value.entry(value).or_default().push(row);
        }
    }
    if of_value.len() < 2 {
        return Ok(());
    }
    let names: Vec<String> = of_value.keys().cloned().collect();
    for (at, tier) in codebook.tiers.iter().enumerate() {
        let answers = codings.answers(0, at);
        let share = |label: usize, rows: &Vec<usize>| {
            let count = rows.iter().filter(|row| codings.holds(at, answers[**row], label)).count();
            Some(Point { share: count as f64 / rows.len() as f64, bounds: None })
        };
        let of_label = |(label, own): (usize, &crate::codebook::Label)| {
            (own.name.clone(), of_value.values().map(|rows| share(label, rows)).collect())
        };
        let series: Series = tier.labels.iter().enumerate().map(of_label).collect();
        let of =
            Divided { tier: &tier.name, column: name, names: &names, is_corrected: false, source };
        section.figures.extend(figure(&of, series, warning)?);
    }
    Ok(())
}

/// The month of a time: of ISO 8601 its first seven characters, of seconds since 1970 in UTC.
fn month(created: &str) -> Option<String> {
    let created = created.trim();
    let is_iso = created.len() >= 7
        && created
            .bytes()
            .take(7)
            .enumerate()
            .all(|(at, b)| if at == 4 { b == b'-' } else { b.is_ascii_digit() });
    if is_iso {
        return created.get(..7).map(str::to_owned);
    }
    let seconds: i64 = created.parse().ok()?;
    let time = time::OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    Some(format!("{:04}-{:02}", time.year(), u8::from(time.month())))
}

/// One tier's shares by the values of a column.
struct Divided<'a> {
    tier: &'a str,
    column: &'a str,
    names: &'a [String],
    is_corrected: bool,
    source: &'a str,
}

/// Lines where the values follow each other in time, rows with intervals where they do not.
fn figure(of: &Divided, series: Series, warning: Option<&str>) -> Result<Option<Figure>> {
    let corrected = if of.is_corrected { "corrected" } else { NAIVE_HEADING };
    let name = format!(
        "{}-by-{}{}",
        slug(of.tier),
        slug(of.column),
        if of.is_corrected { "" } else { "-uncorrected" }
    );
    let title = format!("{} by {}: {corrected}", of.tier, of.column);
    let mut kinds = vec![("label", Kind::Text), (of.column, Kind::Text)];
    match of.is_corrected {
        true => kinds.extend([("share", Kind::Figure), ("95 % interval", Kind::Interval)]),
        false => kinds.push((NAIVE_HEADING, Kind::Figure)),
    }
    let mut data = Sheet::new(&name, &title, &kinds, &[of.source]);
    for (label, points) in &series {
        for (value, point) in of.names.iter().zip(points) {
            let mut cells = vec![
                Cell::text(label.as_str()),
                Cell::text(value.as_str()),
                Cell::percent(point.map(|point| point.share)),
            ];
            if of.is_corrected {
                let bounds = point.and_then(|point| point.bounds);
                cells.push(Cell::Interval(bounds, Shown::Percent));
            }
            data.rows.push(cells);
        }
    }
    let mean =
        |points: &[Option<Point>]| points.iter().flatten().map(|point| point.share).sum::<f64>();
    let mut shown = series;
    shown.sort_by(|a, b| mean(&b.1).total_cmp(&mean(&a.1)));
    shown.truncate(MOST_LABELS);
    if shown.iter().all(|(_, points)| points.iter().flatten().next().is_none()) {
        return Ok(None);
    }
    let is_time = of.names.len() > 2 && of.names.iter().all(|name| month(name).is_some());
    let chart = if is_time {
        let line = |(label, points): &(String, Vec<Option<Point>>)| {
            let points = points.iter().enumerate();
            let points = points.filter_map(|(at, p)| p.map(|p| (at as f64, 100.0 * p.share)));
            Line { name: label.clone(), points: points.collect() }
        };
        let all: Vec<Line> = shown.iter().map(line).collect();
        let top = all.iter().flat_map(|line| &line.points).map(|p| p.1).fold(1.0, f64::max);
        lines(&Lines {
            lines: &all,
            across: of.column,
            upwards: "share in per cent",
            ranges: [Some((0.0, (of.names.len() - 1) as f64)), Some((0.0, 1.05 * top))],
            names: Some(of.names),
            has_diagonal: false,
            warning,
        })?
    } else {
        let mut rows = Vec::new();
        for (label, points) in &shown {
            for (value, point) in of.names.iter().zip(points).take(MOST_VALUES) {
                rows.push(IntervalRow {
                    label: value.clone(),
                    heading: Some(label.clone()),
                    value: point.map(|point| point.share),
                    bounds: point.and_then(|point| point.bounds),
                    beside: None,
                    shown: Shown::Percent.text(point.map(|point| point.share)),
                });
            }
        }
        intervals(&Intervals {
            rows: &rows,
            range: (0.0, 0.0001),
            is_percent: true,
            axis: "share of comments",
            marks: &[],
            legend: None,
            warning,
        })?
    };
    let description = format!(
        "{} labels over {} values; the most frequent is {}.",
        shown.len(),
        of.names.len(),
        shown[0].0
    );
    Ok(Some(Figure { name, title, description, chart, data }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_read_from_dates_and_from_seconds() {
        assert_eq!(month("2025-03-31T23:59:59Z").as_deref(), Some("2025-03"));
        assert_eq!(month("1700000000").as_deref(), Some("2023-11"));
        assert_eq!(month("yesterday"), None);
        assert_eq!(month("2025/03"), None);
    }
}
