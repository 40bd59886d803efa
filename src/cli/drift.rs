//! `confide drift`: two coded corpora, of two months or two platforms, compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::json;

use super::input::InputArgs;
use super::joined::tell_joined;
use super::messages::Messages;
use super::table::{Table, percent, print, print_json};
use super::{Global, Outcome};
use crate::codebook::Codebook;
use crate::corpus::{
    Answer, Codings, CodingsRequest, GOLD, KeptColumn, ReadOptions, TableReader, read_codings,
};
use crate::error::{Error, Result};
use crate::evaluation::drift::{
    GroupCounts, MixSplit, ShareDifference, Texts, Verdict, difference, mix_split, stability_index,
};
use crate::evaluation::paired::holm;
use crate::prevalence::{Method, Request, Share, Target, shares};

/// The column whose values are groups of rows.
const GROUP: &str = "group";

/// Compares two coded corpora: shares, lengths, words, rows for review
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  \
    confide drift llm-mental-health may.csv june.csv --gold gold.csv --design srs --margin 0.05\n\n\
    Shares are corrected by gold rows of each corpus, and tested only with them. Two corpora are\n\
    called stable only within a margin that was given beforehand. A difference between platforms\n\
    says nothing of the ages of those who write there.")]
pub struct DriftArgs {
    /// A codebook file, or the name of a shipped one
    #[arg(value_name = "CODEBOOK")]
    codebook: String,
    /// The first coded corpus
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The second
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Tables with gold codes of rows of either corpus
    #[arg(long, value_name = "DATA", num_args = 1.., env = "CONFIDE_GOLD")]
    gold: Vec<PathBuf>,
    /// The coder in the columns <tier>__<coder> [default: the plain columns]
    #[arg(long, value_name = "CODER", env = "CONFIDE_CODER")]
    coder: Option<String>,
    /// The coder in the gold tables' columns <tier>__<coder> [default: the plain columns]
    #[arg(long, value_name = "CODER", env = "CONFIDE_GOLD_CODER")]
    gold_coder: Option<String>,
    /// How gold rows without a column pi were drawn: srs
    #[arg(long, value_parser = ["srs"], env = "CONFIDE_DESIGN")]
    design: Option<String>,
    /// Shares that differ by less than this are stable
    #[arg(long, value_name = "SHARE", env = "CONFIDE_MARGIN")]
    margin: Option<f64>,
    /// Also give the codes' shares with the groups in the parts that this corpus has them
    #[arg(long, value_enum, value_name = "CORPUS", env = "CONFIDE_STANDARDISE_TO")]
    standardise_to: Option<Standard>,
    /// Print one JSON document instead of tables
    #[arg(long, env = "CONFIDE_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
    #[command(flatten)]
    input: InputArgs,
}

/// The corpus whose mix of groups is the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Standard {
    /// The first
    A,
    /// The second
    B,
}

/// One label in both corpora.
#[derive(Serialize)]
struct LabelDrift {
    tier: String,
    label: String,
    a: Share,
    b: Share,
    naive_a: Option<f64>,
    naive_b: Option<f64>,
    /// The naive difference within shared groups and by their mix.
    groups: Option<MixSplit>,
    difference: Option<ShareDifference>,
    p_holm: Option<f64>,
    verdict: Verdict,
}

/// What can be seen of a corpus without its codes.
#[derive(Serialize)]
struct Seen {
    rows: usize,
    review: Option<f64>,
    median_words: Option<u32>,
    /// Share of its words that the other corpus does not have.
    strange_words: Option<f64>,
}

pub fn run(args: &DriftArgs, global: &Global) -> Result<Outcome> {
    let messages = Messages::new(global);
    if args.margin.is_some_and(|margin| !(margin > 0.0 && margin < 1.0)) {
        return Err(Error::usage("a margin lies between 0 and 1").at("--margin"));
    }
    if [&args.a, &args.b].into_iter().any(|path| path == Path::new("-")) {
        return Err(Error::usage("the corpora are read twice, and standard input only once")
            .advise("save it to a file"));
    }
    let codebook = Codebook::find(&args.codebook)?;
    let options = args.input.options();
    let coder = args.coder.clone().unwrap_or_else(|| GOLD.to_owned());
    let read = |path: &PathBuf| -> Result<Codings> {
        let columns = TableReader::open(path, &options)?.columns().to_vec();
        let request = CodingsRequest {
            coders: vec![coder.clone()],
            keep: columns.into_iter().filter(|column| column == GROUP).collect(),
            options: options.clone(),
            ..CodingsRequest::default()
        };
        let codings = read_codings(std::slice::from_ref(path), &codebook, &request)?;
        tell_joined(&codings, &messages);
        Ok(codings)
    };
    let (a, b) = (read(&args.a)?, read(&args.b)?);
    let request = CodingsRequest {
        coders: vec![args.gold_coder.clone().unwrap_or_else(|| GOLD.to_owned())],
        options: options.clone(),
        ..CodingsRequest::default()
    };
    let gold = match args.gold.is_empty() {
        true => None,
        false => Some(read_codings(&args.gold, &codebook, &request)?),
    };
    let of_a = corrected(args, &codebook, &a, gold.as_ref(), &args.a)?;
    let of_b = corrected(args, &codebook, &b, gold.as_ref(), &args.b)?;
    for (path, shares) in [(&args.a, &of_a), (&args.b, &of_b)] {
        if shares.iter().all(|share| share.n_gold == 0) {
            messages.warn(&format!(
                "{}: no gold row is of this corpus; how well it is coded is not known",
                path.display()
            ));
        }
    }
    let mut labels = labels(args.margin, &of_a, &of_b);
    if let (Some(in_a), Some(in_b)) = (a.kept(GROUP), b.kept(GROUP)) {
        for label in &mut labels {
            label.groups = mix_split(&by_group(&codebook, label, [(&a, in_a), (&b, in_b)]));
        }
    } else if args.standardise_to.is_some() {
        return Err(Error::data("a corpus has no column group, so that its mix is not known")
            .at("--standardise-to")
            .advise("add a column group, such as the video or the platform, to both"));
    }
    let indices: Vec<(String, Option<f64>)> = (0..codebook.tiers.len())
        .map(|tier| {
            let labels = codebook.tiers[tier].labels.len();
            let index = stability_index(&answers(&a, tier, labels), &answers(&b, tier, labels));
            (codebook.tiers[tier].name.clone(), index)
        })
        .collect();
    let seen = seen(args, &options)?;
    if args.json {
        let indices: serde_json::Map<String, serde_json::Value> =
            indices.into_iter().map(|(tier, index)| (tier, json!(index))).collect();
        print_json(&json!({
            "codebook": codebook.digest(),
            "margin": args.margin,
            "labels": labels,
            "stability_index": indices,
            "a": seen[0],
            "b": seen[1],
        }))?;
    } else {
        print(&text(args, &labels, &indices, &seen))?;
    }
    Ok(Outcome::Done)
}

/// All shares of a corpus over all its comments, by gold of its own where there is any.
fn corrected(
    args: &DriftArgs,
    codebook: &Codebook,
    corpus: &Codings,
    gold: Option<&Codings>,
    path: &Path,
) -> Result<Vec<Share>> {
    let request = Request {
        by: None,
        weight: None,
        among: None,
        target: Target::Process,
        simple_random: args.design.is_some(),
        scores: None,
        strata: None,
        verified: None,
    };
    let none = Codings::empty(codebook, GOLD);
    let found = shares(codebook, corpus, gold.unwrap_or(&none), &request)
        .map_err(|_| Error::data("a weight is no number").at(path.display().to_string()))?;
    if found.counts.without_pi > 0 && !request.simple_random {
        return Err(Error::usage("gold rows have no inclusion probability pi")
            .advise("--design srs if they are a simple random sample of each corpus"));
    }
    Ok(found.rows.into_iter().filter(|share| share.of == "all" && share.by.is_none()).collect())
}

fn labels(margin: Option<f64>, a: &[Share], b: &[Share]) -> Vec<LabelDrift> {
    let naive = |all: &[Share], share: &Share| {
        let own = all.iter().find(|other| {
            other.estimate.method == Method::Naive
                && other.tier == share.tier
                && other.label == share.label
        });
        own.and_then(|own| own.estimate.estimate)
    };
    let pairs = a.iter().filter(|share| share.primary).zip(b.iter().filter(|share| share.primary));
    let mut all: Vec<LabelDrift> = pairs
        .map(|(first, second)| {
            // Exact intervals have no standard error that a test could rest on.
            let figures = |share: &Share| {
                let e = &share.estimate;
                let tested = e.method == Method::PpiPlusPlus;
                e.estimate.zip(e.standard_error).filter(|_| tested)
            };
            let pair = figures(first).zip(figures(second));
            LabelDrift {
                tier: first.tier.clone(),
                label: first.label.clone(),
                a: first.clone(),
                b: second.clone(),
                naive_a: naive(a, first),
                naive_b: naive(b, second),
                groups: None,
                difference: pair.and_then(|(first, second)| difference(first, second, margin)),
                p_holm: None,
                verdict: Verdict::NotTested,
            }
        })
        .collect();
    let p: Vec<f64> = all.iter().filter_map(|label| label.difference).map(|d| d.p).collect();
    let mut adjusted = holm(&p).into_iter();
    for label in all.iter_mut() {
        let Some(found) = label.difference else { continue };
        label.p_holm = adjusted.next();
        label.verdict = match (found.equivalent, label.p_holm) {
            (Some(true), _) => Verdict::Stable,
            (_, Some(p)) if p < 0.05 => Verdict::Different,
            _ => Verdict::NoDifferenceShown,
        };
    }
    all
}

/// How many answers hold each label, how many are empty, and how many are not asked.
fn answers(codings: &Codings, tier: usize, labels: usize) -> Vec<f64> {
    let mut counts = vec![0.0; labels + 2];
    for answer in codings.answers(0, tier) {
        match (*answer, answer.set()) {
            (Answer::NOT_ASKED, _) => counts[labels + 1] += 1.0,
            (_, Some(set)) => {
                let set = &codings.sets(tier)[set as usize];
                set.iter().for_each(|label| counts[label] += 1.0);
                counts[labels] += f64::from(u8::from(set.is_empty()));
            }
            _ => {}
        }
    }
    counts
}

/// Lengths, words and rows for review of both corpora.
fn seen(args: &DriftArgs, options: &ReadOptions) -> Result<[Seen; 2]> {
    let mut texts = [Texts::default(), Texts::default()];
    let mut found = Vec::new();
    for (path, texts) in [&args.a, &args.b].into_iter().zip(&mut texts) {
        let (mut rows, mut review) = (0, 0);
        let status = each(path, options, |text, status| {
            rows += 1;
            review += usize::from(status == Some("review"));
            text.into_iter().for_each(|text| texts.add(text));
        })?;
        let share = (status && rows > 0).then(|| review as f64 / rows as f64);
        found.push((rows, share));
    }
    let mut strange = Vec::new();
    for (path, other) in [(&args.a, &texts[1]), (&args.b, &texts[0])] {
        let (mut odd, mut all) = (0, 0);
        each(path, options, |text, _| {
            let (own, of) = text.map_or((0, 0), |text| other.strange_words(text));
            (odd, all) = (odd + own, all + of);
        })?;
        strange.push((all > 0).then(|| odd as f64 / all as f64));
    }
    Ok([0, 1].map(|at| Seen {
        rows: found[at].0,
        review: found[at].1,
        median_words: texts[at].median_words(),
        strange_words: strange[at],
    }))
}

/// Visits every readable row's text and status; says whether there is a status.
fn each(
    path: &Path,
    options: &ReadOptions,
    mut visit: impl FnMut(Option<&str>, Option<&str>),
) -> Result<bool> {
    let mut reader = TableReader::open(path, options)?;
    let find = |name: &str| reader.columns().iter().position(|column| column == name);
    let (text, status) = (find(options.text.as_deref().unwrap_or("text")), find("status"));
    while let Some(row) = reader.next_row()? {
        if row.defect.is_none() {
            visit(text.map(|text| row.cell(text)), status.map(|status| row.cell(status)));
        }
    }
    Ok(status.is_some())
}

/// The counts of a label by the model's codes, group by group; rows without a group are one.
fn by_group(
    codebook: &Codebook,
    label: &LabelDrift,
    corpora: [(&Codings, &KeptColumn); 2],
) -> Vec<[GroupCounts; 2]> {
    let tier = codebook.tier_index(&label.tier).unwrap_or_default();
    let place = codebook.tiers[tier].label_index(&label.label).unwrap_or_default();
    let mut counts: BTreeMap<&str, [GroupCounts; 2]> = BTreeMap::new();
    for (which, (codings, groups)) in corpora.into_iter().enumerate() {
        for (row, answer) in codings.answers(0, tier).iter().enumerate() {
            if *answer == Answer::MISSING {
                continue;
            }
            let own = &mut counts.entry(groups.cell(row)).or_default()[which];
            own.rows += 1.0;
            own.carry += f64::from(u8::from(codings.holds(tier, *answer, place)));
        }
    }
    counts.into_values().collect()
}

/// The split of the naive differences, and shares with the standard's mix.
fn groups_text(args: &DriftArgs, labels: &[LabelDrift]) -> String {
    let points = |value: f64| format!("{:+.1}", 100.0 * value);
    let standard = match args.standardise_to {
        None => "",
        Some(Standard::A) => "B, mix of A",
        Some(Standard::B) => "A, mix of B",
    };
    let mut table = Table::new(["tier", "label", "within shared groups", "by their mix", standard]);
    for label in labels {
        let Some(split) = label.groups else { continue };
        let standardised = match args.standardise_to {
            None => None,
            Some(Standard::A) => split.second_as_first,
            Some(Standard::B) => split.first_as_second,
        };
        table.row([
            label.tier.clone(),
            label.label.clone(),
            points(split.within),
            points(split.mix),
            percent(standardised),
        ]);
    }
    if table.is_empty() {
        return String::new();
    }
    format!("the naive difference, in points, by groups:\n{table}\n")
}

fn text(
    args: &DriftArgs,
    labels: &[LabelDrift],
    indices: &[(String, Option<f64>)],
    seen: &[Seen; 2],
) -> String {
    let mut table = Table::new([
        "tier",
        "label",
        "A",
        "B",
        "B - A, points (95 %)",
        "p (Holm)",
        "",
        "naive A",
        "naive B",
    ]);
    for label in labels {
        let difference = label.difference.map_or_else(String::new, |d| {
            format!("{:+.1} ({:+.1} to {:+.1})", 100.0 * d.value, 100.0 * d.lower, 100.0 * d.upper)
        });
        let of = |share: &Share| match share.estimate.method {
            // What is not corrected stands under "naive" alone.
            Method::Naive => String::new(),
            _ => percent(share.estimate.estimate),
        };
        table.row([
            label.tier.clone(),
            label.label.clone(),
            of(&label.a),
            of(&label.b),
            difference,
            label.p_holm.map_or_else(String::new, |p| format!("{p:.3}")),
            label.verdict.words().to_owned(),
            percent(label.naive_a),
            percent(label.naive_b),
        ]);
    }
    let mut index = Table::new(["tier", "population stability index of the codes"]);
    for (tier, value) in indices {
        index.row([tier.clone(), value.map_or_else(String::new, |v| format!("{v:.3}"))]);
    }
    let mut corpora =
        Table::new(["corpus", "rows", "for review", "words, median", "words the other lacks"]);
    for (name, seen) in ["A", "B"].into_iter().zip(seen) {
        corpora.row([
            name.to_owned(),
            seen.rows.to_string(),
            percent(seen.review),
            seen.median_words.map_or_else(String::new, |words| words.to_string()),
            percent(seen.strange_words),
        ]);
    }
    format!("{table}\n{}{index}\n{corpora}", groups_text(args, labels))
}
