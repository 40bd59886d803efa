//! The page, and the document that takes in the tables and paragraphs.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Value as Filled, context};
use serde::Serialize;

use super::latex::escaped;
use super::prose::Prose;
use super::references;
use super::sections::{Missing, Section, examples, headline};
use super::sheet::{Cell, SheetView, Shown, printable};
use super::study::Study;
use crate::error::{Error, Result};

const PAGE: &str = include_str!("templates/page.html.jinja");
const STYLE: &str = include_str!("templates/style.css");
const CANNOT_SHOW: &str = include_str!("templates/cannot-show.jinja");
const PAPER: &str = include_str!("templates/paper.tex.jinja");

#[derive(Serialize)]
struct FigureView<'a> {
    name: &'a str,
    title: String,
    description: String,
    svg: String,
    data: SheetView<'a>,
}

#[derive(Serialize)]
struct SectionView<'a> {
    id: &'a str,
    title: &'a str,
    lead: Vec<String>,
    figures: Vec<FigureView<'a>>,
    sheets: Vec<SheetView<'a>>,
}

/// The answers that the page opens with.
#[derive(Serialize)]
struct Answer {
    what: String,
    figure: String,
    detail: String,
}

/// The page as HTML.
///
/// # Errors
/// If the template cannot be filled.
pub fn page(
    study: &Study,
    sections: &[Section],
    missing: &[Missing],
    prose: &Prose,
    warning: Option<&str>,
    has_verbatim: bool,
) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let sections: Vec<SectionView> = sections.iter().map(section_view).collect();
    let (name, version) = study.codebook.as_ref().map_or_else(
        || ("Study".to_owned(), String::new()),
        |codebook| (printable(&codebook.name), printable(&codebook.version)),
    );
    let works: Vec<_> = references::REFERENCES
        .iter()
        .filter(|work| prose.cited.contains(work.key))
        .map(|work| context! { key => work.key, long => work.long })
        .collect();
    let filled = environment.render_str(
        PAGE,
        context! {
            style => Filled::from_safe_string(STYLE.to_owned()),
            title => name,
            version,
            description => study.codebook.as_ref().map(|codebook| printable(&codebook.description)),
            warning,
            has_verbatim,
            answers => Serde(answers(study)),
            sections => Serde(sections),
            examples => Serde(examples(study)),
            methods => Filled::from_safe_string(prose.methods.clone()),
            data_protection => Filled::from_safe_string(prose.data_protection.clone()),
            limitations => Filled::from_safe_string(prose.limitations.clone()),
            cannot_show => Filled::from_safe_string(CANNOT_SHOW.to_owned()),
            works,
            missing => Serde(missing),
            left_out => Serde(&study.left_out),
            sources => Serde(study.sources()),
            confide => env!("CARGO_PKG_VERSION"),
        },
    );
    filled.map_err(|e| Error::resource(format!("the page cannot be written: {e}")))
}

fn section_view(section: &Section) -> SectionView<'_> {
    let figures = section.figures.iter().map(|figure| FigureView {
        name: &figure.name,
        title: printable(&figure.title),
        description: printable(&figure.description),
        svg: figure.chart.inline(&format!("title-{}", figure.name)),
        data: figure.data.view(),
    });
    SectionView {
        id: section.id,
        title: section.title,
        lead: section.lead.iter().map(|text| printable(text)).collect(),
        figures: figures.collect(),
        sheets: section.sheets.iter().map(|sheet| sheet.view()).collect(),
    }
}

/// What was coded, how well, and the corrected shares.
fn answers(study: &Study) -> Vec<Answer> {
    let mut answers = Vec::new();
    if let Some(corpus) = &study.corpus {
        let tiers = study.codebook.as_ref().map_or(0, |codebook| codebook.tiers.len());
        answers.push(Answer {
            what: "comments coded".into(),
            figure: corpus.content.codings.rows().to_string(),
            detail: format!("in {tiers} tiers"),
        });
    }
    if let Some(evaluation) = &study.evaluation {
        for (tier, own) in evaluation.content["tiers"].as_object().into_iter().flatten() {
            let majority = Shown::Decimals.text(own["pipeline"]["baseline_macro_f1"].as_f64());
            answers.push(Answer {
                what: format!("macro-F1, {}", printable(tier)),
                figure: Shown::Decimals.text(own["pipeline"]["macro_f1"].as_f64()),
                detail: format!("as the model is used; always the most frequent label: {majority}"),
            });
        }
    }
    for row in headline(study) {
        answers.push(Answer {
            what: format!("{} ({})", printable(&row.label), printable(&row.tier)),
            figure: Shown::Percent.text(row.estimate),
            detail: format!(
                "of all comments, corrected; 95 % interval {}",
                Cell::Interval(row.bounds, Shown::Percent).shown()
            ),
        });
    }
    answers
}

/// The LaTeX document that takes in the paragraphs, the tables and the figures.
///
/// # Errors
/// If the template cannot be filled.
pub fn paper(sections: &[Section]) -> Result<String> {
    let tables: Vec<&str> =
        sections.iter().flat_map(|s| s.sheets.iter().map(|sheet| sheet.name.as_str())).collect();
    let figures: Vec<(&str, String)> = sections
        .iter()
        .flat_map(|s| s.figures.iter().map(|figure| (figure.name.as_str(), escaped(&figure.title))))
        .collect();
    Environment::new()
        .render_str(PAPER, context! { tables => Serde(tables), figures => Serde(figures) })
        .map_err(|e| Error::resource(format!("the paper cannot be written: {e}")))
}
