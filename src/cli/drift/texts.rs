//! What can be seen of the texts of two corpora, whatever their codes say.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use crate::cli::Global;
use crate::cli::compute::device;
use crate::cli::messages::Messages;
use crate::cli::process::stop_flag;
use crate::corpus::{ReadOptions, Reservoir, TableReader, near_duplicates, units};
use crate::encoder::{ComputeRequest, Precision, SHIPPED};
use crate::error::{Error, Result};
use crate::evaluation::domain::{DomainClassifier, domain_classifier};
use crate::evaluation::drift::Texts;
use crate::inference::Embedder;

/// What can be seen of a corpus without its codes.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    pub rows: usize,
    /// Share of rows whose status is `review`.
    pub review: Option<f64>,
    pub median_words: Option<u32>,
    pub mean_words: Option<f64>,
    /// Share of its words that the other corpus does not have.
    pub strange_words: Option<f64>,
}

/// A classifier that tells the corpora apart, and what it was shown.
#[derive(Clone, Debug, Serialize)]
pub struct Domain {
    /// The bundle or encoder whose vectors it sees.
    pub encoder: String,
    /// Distinct texts of either corpus.
    pub distinct: [usize; 2],
    #[serde(flatten)]
    pub classifier: DomainClassifier,
}

/// Which texts are shown to a classifier, and as whose vectors.
pub struct Request<'a> {
    pub paths: [&'a PathBuf; 2],
    pub options: &'a ReadOptions,
    pub bundle: Option<&'a Path>,
    /// Distinct texts of each corpus at most.
    pub sample: usize,
}

/// A text that was drawn, and its group.
struct DrawnText {
    text: String,
    group: Option<String>,
}

/// Lengths, words and rows for review of both corpora, and how well their texts are told apart, if
/// there is an encoder to see them by.
pub fn seen(
    request: &Request,
    global: &Global,
    messages: &Messages,
) -> Result<([Seen; 2], Option<Domain>)> {
    let mut texts = [Texts::default(), Texts::default()];
    let mut found = Vec::new();
    let mut drawn = Vec::new();
    for (path, texts) in request.paths.into_iter().zip(&mut texts) {
        let (mut rows, mut review) = (0, 0);
        let mut known = HashSet::new();
        let mut sample = Reservoir::new(request.sample, global.seed);
        let has_status = each(path, request.options, |row| {
            rows += 1;
            review += usize::from(row.status == Some("review"));
            let Some(text) = row.text.filter(|text| !text.trim().is_empty()) else { return };
            texts.add(text);
            if known.insert(digest(text)) {
                let group = row.group.filter(|group| !group.trim().is_empty());
                sample
                    .offer(|| DrawnText { text: text.to_owned(), group: group.map(str::to_owned) });
            }
        })?;
        found.push((rows, (has_status && rows > 0).then(|| review as f64 / rows as f64)));
        drawn.push(sample);
    }
    let mut strange = Vec::new();
    for (path, other) in request.paths.into_iter().zip([&texts[1], &texts[0]]) {
        let (mut odd, mut all) = (0, 0);
        each(path, request.options, |row| {
            let (own, of) = row.text.map_or((0, 0), |text| other.strange_words(text));
            (odd, all) = (odd + own, all + of);
        })?;
        strange.push((all > 0).then(|| odd as f64 / all as f64));
    }
    let seen = [0, 1].map(|at| Seen {
        rows: found[at].0,
        review: found[at].1,
        median_words: texts[at].median_words(),
        mean_words: texts[at].mean_words(),
        strange_words: strange[at],
    });
    let distinct = [drawn[0].seen(), drawn[1].seen()];
    let drawn: Vec<Vec<DrawnText>> = drawn.into_iter().map(Reservoir::into_kept).collect();
    Ok((seen, told_apart(request, &drawn, distinct, global, messages)?))
}

fn told_apart(
    request: &Request,
    drawn: &[Vec<DrawnText>],
    distinct: [usize; 2],
    global: &Global,
    messages: &Messages,
) -> Result<Option<Domain>> {
    if drawn.iter().any(Vec::is_empty) {
        return Ok(None);
    }
    let compute = ComputeRequest {
        device: device(global, messages)?,
        precision: Some(Precision::F32),
        ..ComputeRequest::default()
    };
    let (encoder, embedder) = match (request.bundle, SHIPPED.first()) {
        (Some(bundle), _) => {
            (bundle.display().to_string(), Embedder::of_bundle(bundle, None, &compute)?)
        }
        (None, Some(shipped)) => ((*shipped).to_owned(), Embedder::of_model(shipped, &compute)?),
        (None, None) => return Ok(None),
    };
    let all: Vec<&DrawnText> = drawn.iter().flatten().collect();
    let texts: Vec<&str> = all.iter().map(|own| own.text.as_str()).collect();
    let second: Vec<bool> = (0..all.len()).map(|at| at >= drawn[0].len()).collect();
    let stop: &AtomicBool = &*stop_flag()?;
    let bar = messages.bar(texts.len() as u64, "texts");
    bar.set_prefix("embedding");
    let vectors = embedder.vectors(&texts, stop, &|more| bar.inc(more as u64))?;
    bar.finish_and_clear();
    let groups: Vec<Option<&str>> = all.iter().map(|own| own.group.as_deref()).collect();
    let units = units(&groups, near_duplicates(&texts));
    let classifier = domain_classifier(&vectors.concat(), &second, &units, global.seed);
    Ok(Some(Domain { encoder, distinct, classifier }))
}

/// 64 bits that hardly any two texts share.
fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.trim().hash(&mut hasher);
    hasher.finish()
}

/// What a row has of the columns that are looked at.
struct Cells<'a> {
    text: Option<&'a str>,
    status: Option<&'a str>,
    group: Option<&'a str>,
}

/// Visits every readable row; says whether there is a status.
fn each(path: &Path, options: &ReadOptions, mut visit: impl FnMut(Cells)) -> Result<bool> {
    let mut reader = TableReader::open(path, options)?;
    let find = |name: &str| reader.columns().iter().position(|column| column == name);
    let text = find(options.text.as_deref().unwrap_or("text"));
    if let (None, Some(named)) = (text, &options.text) {
        return Err(Error::data(format!("there is no column {}", crate::error::shown(named)))
            .at(format!("{}, --text", path.display()))
            .advise("name the column with the texts, or leave --text away"));
    }
    let (status, group) = (find("status"), find("group"));
    while let Some(row) = reader.next_row()? {
        if row.defect.is_none() {
            let cell = |column: Option<usize>| column.map(|column| row.cell(column));
            visit(Cells { text: cell(text), status: cell(status), group: cell(group) });
        }
    }
    Ok(status.is_some())
}
