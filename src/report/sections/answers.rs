//! The model's codes of the corpus: how comments pass through the gates, and which answers meet.

use std::collections::BTreeMap;

use super::{Figure, Section, slug};
use crate::codebook::{Codebook, TierKind};
use crate::corpus::{Answer, Codings, Patterns};
use crate::error::Result;
use crate::prevalence::NAIVE_HEADING;
use crate::report::charts::{Branch, HeatMap, heat_map, tree};
use crate::report::sheet::{Cell, Kind, Sheet};
use crate::report::study::Study;

/// Columns that a tree has room for.
const MOST_TIERS: usize = 4;

pub(super) fn section(study: &Study, warning: Option<&str>) -> Result<Section> {
    let mut section = Section::new("answers", "The coded corpus");
    let (Some(found), Some(codebook)) = (&study.corpus, &study.codebook) else {
        return Ok(section);
    };
    let codings = &found.content.codings;
    section.lead.push(format!(
        "{} comments as the model coded them, its errors included: these counts are not corrected, and \
         shares made of them are biased.",
        codings.rows()
    ));
    let source = [found.path.as_str()];
    section.sheets.push(status(codings, &source));
    section.sheets.push(counts(codebook, codings, &source));
    section.figures.push(answer_tree(codebook, codings, &source, warning)?);
    for (multi, tier) in codebook.tiers.iter().enumerate() {
        let above = (0..multi).rev().find(|at| codebook.tiers[*at].kind == TierKind::Single);
        if tier.kind == TierKind::Multi
            && let Some(above) = above
        {
            section.figures.push(crossed(codebook, codings, (multi, above), &source, warning)?);
        }
    }
    Ok(section)
}

/// How the rows came out.
fn status(codings: &Codings, source: &[&str]) -> Sheet {
    let columns = [("status", Kind::Text), ("comments", Kind::Figure), ("share", Kind::Figure)];
    let mut sheet = Sheet::new("status", "How the comments came out", &columns, source);
    let Some(status) = codings.kept("status") else { return sheet };
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for row in 0..codings.rows() {
        *counts.entry(status.cell(row)).or_default() += 1;
    }
    for (name, count) in counts {
        let share = count as f64 / codings.rows().max(1) as f64;
        let name = if name.is_empty() { "(blank)" } else { name };
        sheet.rows.push(vec![
            Cell::text(name),
            Cell::count(Some(count as f64)),
            Cell::percent(Some(share)),
        ]);
    }
    sheet
}

/// How often each label was given.
fn counts(codebook: &Codebook, codings: &Codings, source: &[&str]) -> Sheet {
    let columns = [
        ("tier", Kind::Text),
        ("label", Kind::Text),
        ("comments", Kind::Figure),
        ("of all (biased)", Kind::Figure),
        ("of those asked (biased)", Kind::Figure),
    ];
    let caption = "Codes of the corpus, not corrected for the model's errors";
    let mut sheet = Sheet::new("codes", caption, &columns, source);
    let rows = codings.rows().max(1) as f64;
    for (at, tier) in codebook.tiers.iter().enumerate() {
        let answers = codings.answers(0, at);
        let asked = answers.iter().filter(|answer| answer.set().is_some()).count().max(1) as f64;
        let mut line = |name: &str, count: usize| {
            sheet.rows.push(vec![
                Cell::text(tier.name.as_str()),
                Cell::text(name),
                Cell::count(Some(count as f64)),
                Cell::percent(Some(count as f64 / rows)),
                Cell::percent(Some(count as f64 / asked)),
            ]);
        };
        for (label, own) in tier.labels.iter().enumerate() {
            line(&own.name, answers.iter().filter(|a| codings.holds(at, **a, label)).count());
        }
        if tier.kind == TierKind::Multi {
            line("none", answers.iter().filter(|a| is_none(codings, at, **a)).count());
        }
    }
    sheet
}

fn is_none(codings: &Codings, tier: usize, answer: Answer) -> bool {
    answer.set().is_some_and(|set| codings.sets(tier)[set as usize].is_empty())
}

/// What one tier was answered, for the tree: a single tier's label, or whether a multi tier has any.
fn branch_name(codebook: &Codebook, codings: &Codings, tier: usize, answer: Answer) -> String {
    if answer == Answer::NOT_ASKED {
        return "not asked".into();
    }
    if answer.set().is_none() {
        return "not coded".into();
    }
    match codebook.tiers[tier].kind {
        TierKind::Single => codings.display(codebook, tier, answer),
        TierKind::Multi if is_none(codings, tier, answer) => "none".into(),
        TierKind::Multi => format!("with {}", codebook.tiers[tier].name),
    }
}

fn answer_tree(
    codebook: &Codebook,
    codings: &Codings,
    source: &[&str],
    warning: Option<&str>,
) -> Result<Figure> {
    let tiers = codebook.tiers.len().min(MOST_TIERS);
    let columns: Vec<&[Answer]> = (0..tiers).map(|tier| codings.answers(0, tier)).collect();
    let patterns = Patterns::of(&columns, 0..codings.rows());
    let mut counts = vec![0u64; patterns.distinct.len()];
    for at in &patterns.of_row {
        counts[*at as usize] += 1;
    }
    let mut paths: BTreeMap<Vec<(usize, String)>, u64> = BTreeMap::new();
    for (answers, count) in patterns.distinct.iter().zip(counts) {
        let step = |(tier, answer): (usize, &Answer)| {
            let name = branch_name(codebook, codings, tier, *answer);
            let labels = &codebook.tiers[tier].labels;
            let rank = labels.iter().position(|label| label.name == name).unwrap_or(labels.len());
            (rank, name)
        };
        *paths.entry(answers.iter().enumerate().map(step).collect()).or_default() += count;
    }
    let headings: Vec<String> =
        codebook.tiers[..tiers].iter().map(|tier| tier.name.clone()).collect();
    let kinds: Vec<(&str, Kind)> =
        headings.iter().map(|name| (name.as_str(), Kind::Text)).collect();
    let kinds: Vec<(&str, Kind)> = kinds.into_iter().chain([("comments", Kind::Figure)]).collect();
    let title = "How comments pass through the codebook".to_owned();
    let mut data = Sheet::new("answers", &title, &kinds, source);
    let mut branches = Vec::new();
    for (path, count) in &paths {
        let names = path.iter().map(|(_, name)| Cell::text(name.as_str()));
        data.rows.push(names.chain([Cell::count(Some(*count as f64))]).collect());
        let names: Vec<&str> = path.iter().map(|(_, name)| name.as_str()).collect();
        grow(&mut branches, &names, *count);
    }
    let chart = tree(&headings, &branches, warning)?;
    let first: Vec<String> = branches.iter().map(|b| format!("{} {}", b.name, b.count)).collect();
    let description =
        format!("{} comments; {}: {}.", codings.rows(), headings[0], first.join(", "));
    Ok(Figure { name: "answers".into(), title, description, chart, data })
}

/// Adds a path of answers; after an answer that closes every later gate nothing is drawn.
fn grow(branches: &mut Vec<Branch>, names: &[&str], count: u64) {
    let Some((name, rest)) = names.split_first() else { return };
    let is_closed = *name == "not asked";
    let at = branches.iter().position(|branch| branch.name == *name).unwrap_or_else(|| {
        branches.push(Branch { name: (*name).to_owned(), is_closed, ..Branch::default() });
        branches.len() - 1
    });
    branches[at].count += count;
    if !(is_closed && rest.iter().all(|name| *name == "not asked")) {
        grow(&mut branches[at].next, rest, count);
    }
}

/// A multi tier's labels by a single tier's.
fn crossed(
    codebook: &Codebook,
    codings: &Codings,
    (multi, single): (usize, usize),
    source: &[&str],
    warning: Option<&str>,
) -> Result<Figure> {
    let (rows, columns) = (&codebook.tiers[multi], &codebook.tiers[single]);
    let mut counts = vec![vec![0u64; columns.labels.len()]; rows.labels.len()];
    let mut asked = vec![0u64; columns.labels.len()];
    for (answer, above) in codings.answers(0, multi).iter().zip(codings.answers(0, single)) {
        if answer.set().is_none() {
            continue;
        }
        for (column, asked) in asked.iter_mut().enumerate() {
            if !codings.holds(single, *above, column) {
                continue;
            }
            *asked += 1;
            for (label, counts) in counts.iter_mut().enumerate() {
                counts[column] += u64::from(codings.holds(multi, *answer, label));
            }
        }
    }
    // Answers that the tier is never asked after have no column.
    let kept: Vec<usize> = (0..asked.len()).filter(|column| asked[*column] > 0).collect();
    let share = |label: usize, column: usize| counts[label][column] as f64 / asked[column] as f64;
    let most = (0..counts.len())
        .flat_map(|label| kept.iter().map(move |column| (label, *column)))
        .map(|(label, column)| share(label, column))
        .fold(0.0, f64::max)
        .max(1e-9);
    let shade: Vec<Vec<f64>> = (0..counts.len())
        .map(|label| kept.iter().map(|column| share(label, *column) / most).collect())
        .collect();
    let shown: Vec<Vec<String>> = (0..counts.len())
        .map(|label| {
            let cell = |column: &usize| format!("{:.0} %", 100.0 * share(label, *column));
            kept.iter().map(cell).collect()
        })
        .collect();
    let row_names: Vec<String> = rows.labels.iter().map(|label| label.name.clone()).collect();
    let column_names: Vec<String> =
        kept.iter().map(|column| columns.labels[*column].name.clone()).collect();
    let chart = heat_map(&HeatMap {
        of_rows: &rows.name,
        of_columns: &columns.name,
        rows: &row_names,
        columns: &column_names,
        shade: &shade,
        shown: &shown,
        warning,
    })?;
    let name = format!("{}-by-{}", slug(&rows.name), slug(&columns.name));
    let title = format!(
        "{} by {}: {NAIVE_HEADING}, in per cent of the comments asked",
        rows.name, columns.name
    );
    let kinds = [
        (rows.name.as_str(), Kind::Text),
        (columns.name.as_str(), Kind::Text),
        ("comments", Kind::Figure),
        ("asked", Kind::Figure),
        (NAIVE_HEADING, Kind::Figure),
    ];
    let mut data = Sheet::new(&name, &title, &kinds, source);
    let mut highest = (0.0, String::new());
    for (label, row_name) in row_names.iter().enumerate() {
        for (column, column_name) in kept.iter().zip(&column_names) {
            let share = share(label, *column);
            if share > highest.0 {
                highest = (share, format!("{row_name} among {column_name}"));
            }
            data.rows.push(vec![
                Cell::text(row_name.as_str()),
                Cell::text(column_name.as_str()),
                Cell::count(Some(counts[label][*column] as f64)),
                Cell::count(Some(asked[*column] as f64)),
                Cell::percent(Some(share)),
            ]);
        }
    }
    let description = format!("Highest is {} with {:.0} %.", highest.1, 100.0 * highest.0);
    Ok(Figure { name, title, description, chart, data })
}
