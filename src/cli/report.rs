//! `confide report`: one page of a study, and figures, tables and paragraphs for a paper.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::FalseyValueParser;

use super::messages::Messages;
use super::{Global, Outcome};
use crate::codebook::Codebook;
use crate::corpus::{WholeFile, refuse_existing, replace_folder};
use crate::error::{Error, Result};
use crate::report::{Report, Study, StudyRequest, report};

/// Makes one page of a study's folder, and figures, tables and paragraphs for a paper
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  confide report study\n\n\
    reads what train, evaluate, classify, prevalence, agree, compare and drift left in the folder,\n\
    each recognised by its content, and writes study/report.html, one file that needs no other, and\n\
    study/report/ with every figure as SVG, PNG and CSV, every table as LaTeX and CSV, the paragraphs\n\
    for a paper and the works in BibTeX. What is missing is named with the command that makes it.\n\
    agree, compare and drift print what a report reads with --json. Pictures in PNG have Latin, Greek\n\
    and Cyrillic letters; those in SVG and on the page have all.")]
pub struct ReportArgs {
    /// Folders of the study
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// The page; its folder of files is named after it [default: DIR/report.html]
    #[arg(short, long, value_name = "FILE", env = "CONFIDE_OUTPUT")]
    output: Option<PathBuf>,
    /// The codebook of the coded corpus [default: the bundle's]
    #[arg(long, value_name = "CODEBOOK", env = "CONFIDE_CODEBOOK")]
    codebook: Option<String>,
    /// A column of the coded corpus with paraphrases of your own, for examples
    #[arg(long, value_name = "COLUMN", env = "CONFIDE_PARAPHRASES")]
    paraphrases: Option<String>,
    /// Quote comments word for word as examples: a search finds their authors
    #[arg(long, conflicts_with = "paraphrases", env = "CONFIDE_VERBATIM", value_parser = FalseyValueParser::new())]
    verbatim: bool,
    /// Replace a report that exists
    #[arg(long, env = "CONFIDE_FORCE", value_parser = FalseyValueParser::new())]
    force: bool,
}

pub fn run(args: &ReportArgs, global: &Global) -> Result<Outcome> {
    let messages = Messages::new(global);
    let page = args.output.clone().unwrap_or_else(|| args.folders[0].join("report.html"));
    let files = files_of(&page)?;
    refuse_existing(&page, args.force)?;
    refuse_existing(&files, args.force)?;
    if args.verbatim {
        messages.warn("the page will quote comments word for word: a search finds their authors");
    }
    let examples = match args.verbatim {
        true => Some("text".to_owned()),
        false => args.paraphrases.clone(),
    };
    if !args.verbatim && examples.as_deref() == Some("text") {
        return Err(Error::usage(
            "the column of texts holds the comments themselves, no paraphrases",
        )
        .at("--paraphrases")
        .advise("name a column of your own words, or --verbatim"));
    }
    let codebook = args.codebook.as_deref().map(Codebook::find).transpose()?;
    let request = StudyRequest { codebook, examples };
    let report = make(&args.folders, &request, args.verbatim, &page, &messages)?;
    for (what, how) in &report.missing {
        messages.note(&format!("missing: {what}\n  {how}"));
    }
    Ok(Outcome::Done)
}

/// The report of a folder whose bundle has the codebook, replacing an earlier one.
pub fn of_study(folder: &Path, page: &Path, messages: &Messages) -> Result<()> {
    make(&[folder.to_path_buf()], &StudyRequest::default(), false, page, messages).map(drop)
}

fn make(
    folders: &[PathBuf],
    request: &StudyRequest,
    has_verbatim: bool,
    page: &Path,
    messages: &Messages,
) -> Result<Report> {
    let study = Study::read(folders, request)?;
    let report = report(&study, has_verbatim)?;
    write(page, &report)?;
    messages.note(&format!(
        "wrote {} and {} files in {}",
        page.display(),
        report.files.len(),
        files_of(page)?.display()
    ));
    Ok(report)
}

/// The folder of a page's files: the page's name without its ending.
fn files_of(page: &Path) -> Result<PathBuf> {
    let folder = page.with_extension("");
    if folder == page {
        return Err(Error::usage("a page's name has an ending")
            .at(page.display().to_string())
            .advise("name it like report.html"));
    }
    Ok(folder)
}

/// Writes the files and then the page, each whole or not at all.
///
/// # Errors
/// A resource error.
fn write(page: &Path, report: &Report) -> Result<()> {
    let folder = files_of(page)?;
    let mut partial = folder.clone().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let clear = |folder: &Path| match folder.is_dir() {
        true => std::fs::remove_dir_all(folder).map_err(|e| Error::writing(folder, &e)),
        false => Ok(()),
    };
    clear(&partial)?;
    for file in &report.files {
        let path = file.path.split('/').fold(partial.clone(), |path, part| path.join(part));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| Error::writing(parent, &e))?;
        }
        WholeFile::write_all_to(&path, &file.bytes)?;
    }
    replace_folder(&partial, &folder)?;
    WholeFile::write_all_to(page, report.page.as_bytes())
}
