//! The report of a study: one page to look at, figures and tables to paste into a paper, and its
//! paragraphs. It rests on nothing but the files that other commands wrote.

mod charts;
mod latex;
mod page;
mod prose;
mod references;
mod sections;
mod sheet;
mod study;

pub use sections::annotator_sheets;
pub use sheet::{Cell, Kind, Sheet, Shown};
pub use study::{Found, ShareRow, Study, StudyRequest};

use charts::Rasteriser;
use prose::{Markup, prose};
use sections::sections;

use crate::error::Result;

/// What stands below every figure of comments that were written for a purpose.
const WRITTEN: &str = "Demonstration on written comments: these shares describe nobody";

/// A file of the report, its path below the report's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportFile {
    /// Its path, with `/`.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The page, which needs no other file.
    pub page: String,
    /// Figures, tables and paragraphs as files of their own.
    pub files: Vec<ReportFile>,
    /// What the study lacks, and how to make it.
    pub missing: Vec<(&'static str, &'static str)>,
}

/// Makes the report of a study. `has_verbatim`: the column of examples holds the comments themselves.
///
/// # Errors
/// If a figure cannot be drawn or a template not be filled.
pub fn report(study: &Study, has_verbatim: bool) -> Result<Report> {
    let warning = study.written.is_some().then_some(WRITTEN);
    let (sections, missing) = sections(study, warning)?;
    let on_page = prose(study, has_verbatim, Markup::Html)?;
    let in_paper = prose(study, has_verbatim, Markup::Latex)?;
    let page = page::page(study, &sections, &missing, &on_page, warning, has_verbatim)?;
    let rasteriser = Rasteriser::default();
    let mut files = Vec::new();
    let mut add = |path: String, bytes: Vec<u8>| files.push(ReportFile { path, bytes });
    for section in &sections {
        for figure in &section.figures {
            let document = figure.chart.document(&figure.title, &figure.description);
            add(format!("figures/{}.png", figure.name), rasteriser.png(&document)?);
            add(format!("figures/{}.svg", figure.name), document.into_bytes());
            add(format!("figures/{}.csv", figure.name), figure.data.csv()?);
        }
        for sheet in &section.sheets {
            add(format!("tables/{}.csv", sheet.name), sheet.csv()?);
            add(format!("tables/{}.tex", sheet.name), sheet.latex().into_bytes());
        }
    }
    let cited = || in_paper.cited.iter().map(String::as_str);
    let sources: Vec<&str> = study.sources().into_iter().map(|(path, _)| path).collect();
    let from = format!("% Figures of {}", sheet::printable(&sources.join(", ")));
    for (name, text) in [
        ("methods.tex", format!("{from}\n{}\n", in_paper.methods)),
        ("data-protection.tex", format!("{from}\n{}\n", in_paper.data_protection)),
        ("limitations.tex", format!("{from}\n{}\n", in_paper.limitations)),
        ("references.bib", references::bibtex(cited())),
        ("paper.tex", page::paper(&sections)?),
    ] {
        add(name.to_owned(), text.into_bytes());
    }
    let missing = missing.iter().map(|lack| (lack.what, lack.how)).collect();
    Ok(Report { page, files, missing })
}
