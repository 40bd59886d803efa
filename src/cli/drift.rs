//! `confide drift`: two coded corpora, of two months or two platforms, compared.

mod print;
mod standard;
mod texts;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::json;

use super::input::InputArgs;
use super::joined::{joined_json, tell_joined};
use super::messages::Messages;
use super::table::print_json;
use super::{Global, Outcome};
use crate::codebook::Codebook;
use crate::corpus::{Answer, Codings, CodingsRequest, GOLD, TableReader, read_codings};
use crate::error::{Error, Result, shown};
use crate::evaluation::drift::{ShareDifference, Verdict, difference, stability_index};
use crate::evaluation::paired::holm;
use crate::prevalence::{
    Corpora, Method, MixSplit, Request, Share, Target, mix_splits, shared_parts, shares,
};
use standard::{Standardised, standardised};
use texts::{Domain, Seen};

/// The column whose values are groups of rows.
const GROUP: &str = "group";
/// What no difference between corpora says, whatever it is.
const NO_AGES: &str = "A and B are compared as corpora of comments: a difference between platforms or \
    months is none between the ages of those who write there.";

/// Compares two coded corpora: shares, lengths, words, rows for review, how well texts are told apart
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
    /// The column whose values' mix a difference is split by [default: group, where there is one]
    #[arg(long, value_name = "COLUMN", env = "CONFIDE_BY")]
    by: Option<String>,
    /// Also give the other corpus's shares with the values of that column in the parts that this
    /// corpus has them
    #[arg(long, value_enum, value_name = "CORPUS", env = "CONFIDE_STANDARDISE_TO")]
    standardise_to: Option<Standard>,
    /// The bundle whose encoder a classifier tells the texts apart by [default: the shipped encoder]
    #[arg(long, value_name = "BUNDLE", env = "CONFIDE_BUNDLE")]
    bundle: Option<PathBuf>,
    /// Distinct texts of each corpus that the classifier is shown at most; 0 leaves it out
    #[arg(long, value_name = "N", env = "CONFIDE_SAMPLE", default_value_t = 2000)]
    sample: usize,
    /// Print one JSON document instead of tables
    #[arg(long, env = "CONFIDE_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
    #[command(flatten)]
    input: InputArgs,
}

/// The corpus whose mix is the standard.
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
    /// The difference within shared values of the column and by their mix.
    groups: Option<MixSplit>,
    standardised: Option<Standardised>,
    difference: Option<ShareDifference>,
    p_holm: Option<f64>,
    p_equivalence_holm: Option<f64>,
    verdict: Verdict,
}

/// All that is told.
struct Found {
    labels: Vec<LabelDrift>,
    indices: Vec<(String, Option<f64>)>,
    seen: [Seen; 2],
    domain: Option<Domain>,
    /// The column that differences are split by, and the shares of rows with values that both have.
    mix: Option<(String, [f64; 2])>,
    /// Gold rows of either corpus.
    gold: [usize; 2],
}

pub fn run(args: &DriftArgs, global: &Global) -> Result<Outcome> {
    let messages = Messages::new(global);
    check(args)?;
    let codebook = Codebook::find(&args.codebook)?;
    let by = args.by.as_deref().unwrap_or(GROUP);
    // Before the corpora, which take long to read, so that what is wrong with it is said at once.
    let request = CodingsRequest {
        coders: vec![args.gold_coder.clone().unwrap_or_else(|| GOLD.to_owned())],
        options: args.input.options(),
        ..CodingsRequest::default()
    };
    let gold = match args.gold.is_empty() {
        true => Codings::empty(&codebook, GOLD),
        false => read_codings(&args.gold, &codebook, &request)?,
    };
    let (a, b) = (corpus(args, &args.a, &codebook, by)?, corpus(args, &args.b, &codebook, by)?);
    tell_joined(&a, &messages);
    tell_joined(&b, &messages);
    let study = Study { args, codebook: &codebook, corpora: [&a, &b], gold: &gold };
    let (of_a, first) = study.corrected(0, None)?;
    let (of_b, second) = study.corrected(1, None)?;
    for (path, gold) in [(&args.a, first), (&args.b, second)] {
        if gold == 0 {
            messages.warn(&format!(
                "{}: no gold row is of this corpus: the coder was never validated on it, and how well \
                 it is coded is not known",
                path.display()
            ));
        }
    }
    let mut labels = labels(args.margin, &of_a, &of_b);
    let mix = study.mix(by, &mut labels)?;
    let indices: Vec<(String, Option<f64>)> = (0..codebook.tiers.len())
        .map(|tier| {
            let labels = codebook.tiers[tier].labels.len();
            let index = stability_index(&answers(&a, tier, labels), &answers(&b, tier, labels));
            (codebook.tiers[tier].name.clone(), index)
        })
        .collect();
    let options = args.input.options();
    let request = texts::Request {
        paths: [&args.a, &args.b],
        options: &options,
        bundle: args.bundle.as_deref(),
        sample: args.sample,
    };
    let (seen, domain) = texts::seen(&request, global, &messages)?;
    let found = Found { labels, indices, seen, domain, mix, gold: [first, second] };
    match args.json {
        true => print_json(&document(args, &codebook, &[a, b], &found))?,
        false => super::table::print(&print::text(args, &found))?,
    }
    Ok(Outcome::Done)
}

fn check(args: &DriftArgs) -> Result<()> {
    if args.margin.is_some_and(|margin| !(margin > 0.0 && margin < 1.0)) {
        return Err(Error::usage("a margin lies between 0 and 1").at("--margin"));
    }
    if [&args.a, &args.b].into_iter().any(|path| path == Path::new("-")) {
        return Err(Error::usage("the corpora are read twice, and standard input only once")
            .advise("save it to a file"));
    }
    let text = args.input.text.as_deref().unwrap_or("text");
    if args.by.as_deref() == Some(text) {
        return Err(Error::usage("the texts of comments have no mix")
            .at("--by")
            .advise("split by a column of few values, such as platform or month"));
    }
    Ok(())
}

/// Reads a coded corpus with the column that it is split by, if it has it or was asked for it.
fn corpus(args: &DriftArgs, path: &PathBuf, codebook: &Codebook, by: &str) -> Result<Codings> {
    let options = args.input.options();
    let has = TableReader::open(path, &options)?.columns().iter().any(|column| column == by);
    let request = CodingsRequest {
        coders: vec![args.coder.clone().unwrap_or_else(|| GOLD.to_owned())],
        keep: (has || args.by.is_some()).then(|| by.to_owned()).into_iter().collect(),
        options,
        ..CodingsRequest::default()
    };
    read_codings(std::slice::from_ref(path), codebook, &request)
}

fn document(
    args: &DriftArgs,
    codebook: &Codebook,
    corpora: &[Codings; 2],
    found: &Found,
) -> serde_json::Value {
    let indices: serde_json::Map<String, serde_json::Value> =
        found.indices.iter().map(|(tier, index)| (tier.clone(), json!(index))).collect();
    let side = |at: usize| {
        let mut side = json!(found.seen[at]);
        side["gold_rows"] = json!(found.gold[at]);
        side["validated"] = json!(found.gold[at] > 0);
        side["tables"] = joined_json(&corpora[at]);
        side
    };
    json!({
        "codebook": codebook.digest(),
        "margin": args.margin,
        "by": found.mix.as_ref().map(|(by, _)| by),
        "shared_rows": found.mix.as_ref().map(|(_, shared)| shared),
        "labels": found.labels,
        "stability_index": indices,
        "domain_classifier": found.domain,
        "a": side(0),
        "b": side(1),
        "note": NO_AGES,
    })
}

/// Both corpora, and what is known of them.
struct Study<'a> {
    args: &'a DriftArgs,
    codebook: &'a Codebook,
    corpora: [&'a Codings; 2],
    gold: &'a Codings,
}

impl Study<'_> {
    fn request<'w>(&self, weights: Option<&'w [f64]>) -> Request<'w> {
        Request {
            weights,
            target: Target::Process,
            simple_random: self.args.design.is_some(),
            ..Request::default()
        }
    }

    /// All shares of a corpus over all its comments, by gold of its own where there is any, and how
    /// many gold rows that is.
    fn corrected(&self, which: usize, weights: Option<&[f64]>) -> Result<(Vec<Share>, usize)> {
        let path = [&self.args.a, &self.args.b][which];
        let request = self.request(weights);
        let found = shares(self.codebook, self.corpora[which], self.gold, &request)
            .map_err(|_| Error::data("a weight is no number").at(path.display().to_string()))?;
        if found.counts.without_pi > 0 && !request.simple_random {
            return Err(Error::usage("gold rows have no inclusion probability pi")
                .advise("--design srs if they are a simple random sample of each corpus"));
        }
        let own = |share: &Share| share.of == "all" && share.by.is_none();
        Ok((found.rows.into_iter().filter(own).collect(), found.counts.gold))
    }

    /// Splits every difference by the values of a column that both corpora have; gives its name, and
    /// of either the share of rows with values that the other has.
    fn mix(&self, by: &str, labels: &mut [LabelDrift]) -> Result<Option<(String, [f64; 2])>> {
        let columns = self.corpora.map(|corpus| corpus.kept(by));
        let [Some(first), Some(second)] = columns else {
            if self.args.standardise_to.is_none() {
                return Ok(None);
            }
            let what =
                format!("a corpus has no column {}, so that its mix is not known", shown(by));
            return Err(Error::data(what).at("--standardise-to").advise(
                "add a column group, such as the video, to both, or name another with --by",
            ));
        };
        let mut numbers = HashMap::new();
        let levels = [first, second].map(|column| {
            let of_value: Vec<u32> = column
                .values
                .iter()
                .map(|value| {
                    let next = numbers.len() as u32;
                    *numbers.entry(value.as_str()).or_insert(next)
                })
                .collect();
            column.at.iter().map(|at| of_value[*at as usize]).collect::<Vec<u32>>()
        });
        let levels = [levels[0].as_slice(), levels[1].as_slice()];
        let corpora = Corpora { codings: self.corpora, levels, clustered: by != GROUP };
        let splits = mix_splits(self.codebook, corpora, self.gold, &self.request(None));
        for (label, split) in labels.iter_mut().zip(splits.into_iter().flatten()) {
            label.groups = split;
        }
        let shared = shared_parts(levels);
        if let Some(standard) = self.args.standardise_to {
            if shared.iter().all(|shared| *shared == 0.0) {
                let what = format!("no value of {} is in both corpora", shown(by));
                return Err(Error::data(what)
                    .at("--standardise-to")
                    .advise("name a column with values that both have: --by COLUMN"));
            }
            standardised(self, standard, levels, labels)?;
        }
        Ok(Some((by.to_owned(), shared)))
    }
}

/// A share with its standard error, where a test can rest on it: exact intervals have none.
fn figures(share: &Share) -> Option<(f64, f64)> {
    let tested = share.estimate.method == Method::PpiPlusPlus;
    share.estimate.estimate.zip(share.estimate.standard_error).filter(|_| tested)
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
            let pair = figures(first).zip(figures(second));
            LabelDrift {
                tier: first.tier.clone(),
                label: first.label.clone(),
                a: first.clone(),
                b: second.clone(),
                naive_a: naive(a, first),
                naive_b: naive(b, second),
                groups: None,
                standardised: None,
                difference: pair.and_then(|(first, second)| difference(first, second, margin)),
                p_holm: None,
                p_equivalence_holm: None,
                verdict: Verdict::NotTested,
            }
        })
        .collect();
    let family = |p: &dyn Fn(&ShareDifference) -> Option<f64>| {
        let p: Vec<f64> = all.iter().filter_map(|label| p(label.difference.as_ref()?)).collect();
        holm(&p).into_iter()
    };
    let (mut p, mut equivalence) = (family(&|d| Some(d.p)), family(&|d| d.p_equivalence));
    for label in all.iter_mut().filter(|label| label.difference.is_some()) {
        label.p_holm = p.next();
        label.p_equivalence_holm = equivalence.next();
        if let Some(p) = label.p_holm {
            label.verdict = Verdict::of(p, label.p_equivalence_holm);
        }
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
