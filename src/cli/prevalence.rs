//! `confide prevalence`: shares of a corpus that account for the coder's errors.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::classify::coded_by_folds;
use super::input::InputArgs;
use super::joined::{joined_json, tell_joined};
use super::messages::Messages;
use super::table::{Table, percent, print, print_json};
use super::verified::{VERIFIED, tell_precision};
use super::{Global, Outcome};
use crate::codebook::Codebook;
use crate::corpus::{
    Answer, Codings, CodingsRequest, Format, GOLD, Row, TableReader, TableWriter, WholeFile,
    read_codings, refuse_existing,
};
use crate::error::{Error, Result, nearest, shown};
use crate::inference::fold_coder;
use crate::prevalence::{
    Among, FEW_CLUSTERS, Method, NAIVE_HEADING, NoChance, Note, Request, Scores, Share, Shares,
    Target, shares,
};

/// Values that a column to divide by has at most.
const MOST_VALUES: usize = 1_000;

/// Estimates how much of a corpus carries each label, corrected by gold rows for the coder's errors
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  \
    confide prevalence llm-mental-health coded.csv --gold check/sample.csv check/sheet.csv\n\n\
    CORPUS is the output of classify. The gold rows must be drawn with known probabilities: a\n\
    column 'pi', as sample writes it, or --design srs. Rows that were picked by rank, by likes or by\n\
    the model's doubt may train, but never estimate.")]
pub struct PrevalenceArgs {
    /// A codebook file, or the name of a shipped one
    #[arg(value_name = "CODEBOOK")]
    codebook: String,
    /// The coded corpus
    #[arg(value_name = "CORPUS")]
    corpus: PathBuf,
    /// Tables with gold codes of rows of the corpus, joined by id
    #[arg(long, value_name = "DATA", num_args = 1.., required = true, env = "CONFIDE_GOLD")]
    gold: Vec<PathBuf>,
    /// The coder in the gold tables' columns <tier>__<coder> [default: the plain columns]; 'verified',
    /// whose codes were given with the model's beside them, gives precision only
    #[arg(long, value_name = "CODER", env = "CONFIDE_GOLD_CODER")]
    gold_coder: Option<String>,
    /// The coder in the corpus's columns <tier>__<coder> [default: the plain columns]
    #[arg(long, value_name = "CODER", env = "CONFIDE_CODER")]
    coder: Option<String>,
    /// The out-of-fold codes of a bundle trained with --folds, so that the rows that trained are gold;
    /// the corpus must be coded with classify --folds --probabilities
    #[arg(long, value_name = "FILE", conflicts_with_all = ["coder", "verified"], env = "CONFIDE_OOF")]
    oof: Option<PathBuf>,
    /// How gold rows without a column pi were drawn
    #[arg(long, value_enum, env = "CONFIDE_DESIGN")]
    design: Option<Design>,
    /// Tables with codes that were given with the model's beside them, in <tier>__verified: gold where the
    /// model proposes a label, beside the blind gold of rows where it does not
    #[arg(long, value_name = "DATA", num_args = 1.., env = "CONFIDE_VERIFIED")]
    verified: Vec<PathBuf>,
    /// The column of the corpus that the gold was drawn by (sample --by): values of which no row was
    /// drawn leave the target
    #[arg(long, value_name = "COLUMN", env = "CONFIDE_STRATA")]
    strata: Option<String>,
    /// Also estimate each value of this column of the corpus, by its own gold rows
    #[arg(long, value_name = "COLUMN", env = "CONFIDE_BY")]
    by: Option<String>,
    /// Count only comments that carry this label
    #[arg(long, value_name = "TIER=LABEL", env = "CONFIDE_AMONG")]
    among: Option<String>,
    /// A column of the corpus with weights, such as likes
    #[arg(long, value_name = "COLUMN", env = "CONFIDE_WEIGHT")]
    weight: Option<String>,
    /// For what intervals hold: this corpus, or the process that it is one outcome of
    #[arg(long, value_enum, env = "CONFIDE_TARGET", default_value = "corpus")]
    target: TargetArg,
    /// Write all shares to a table
    #[arg(short, long, value_name = "FILE", env = "CONFIDE_OUTPUT")]
    output: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long, env = "CONFIDE_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
    /// Replace an output that exists
    #[arg(long, env = "CONFIDE_FORCE", value_parser = FalseyValueParser::new())]
    force: bool,
    #[command(flatten)]
    input: InputArgs,
}

/// Designs that need no column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Design {
    /// A simple random sample of the corpus
    Srs,
}

/// For what intervals hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TargetArg {
    /// The corpus as it is
    Corpus,
    /// The process that it is one outcome of
    Process,
}

pub fn run(args: &PrevalenceArgs, global: &Global) -> Result<Outcome> {
    let messages = Messages::new(global);
    if let Some(output) = &args.output {
        refuse_existing(output, args.force)?;
    }
    let is_verified = args.gold_coder.as_deref() == Some(VERIFIED);
    let asks_shares = args.oof.is_some()
        || args.by.is_some()
        || args.among.is_some()
        || args.weight.is_some()
        || args.strata.is_some()
        || !args.verified.is_empty()
        || args.output.is_some();
    if is_verified && asks_shares {
        return Err(Error::usage(
            "codes that were confirmed with the model's beside them give precision only, no share",
        )
        .at("--gold-coder verified")
        .advise("leave the other flags out, or have a blind sample coded: confide sample without --verify"));
    }
    let texts = args.input.text.as_deref().unwrap_or("text");
    let columns = [&args.by, &args.weight, &args.strata];
    for (flag, column) in ["--by", "--weight", "--strata"].into_iter().zip(columns) {
        if column.as_deref() == Some(texts) {
            return Err(Error::usage("the texts of comments are no column to divide or weigh by")
                .at(flag)
                .advise("name another column, such as platform"));
        }
    }
    let codebook = Codebook::find(&args.codebook)?;
    let among = args.among.as_deref().map(|given| among(given, &codebook)).transpose()?;
    let mut keep: Vec<String> = Vec::new();
    for column in columns.into_iter().flatten() {
        if !keep.contains(column) {
            keep.push(column.clone());
        }
    }
    let held_out = args.oof.as_deref().map(|oof| read_held_out(oof, &codebook)).transpose()?;
    let mut coders = vec![args.coder.clone().unwrap_or_else(|| GOLD.to_owned())];
    let mut numbers = Vec::new();
    if let Some((_, folds)) = &held_out {
        let last = format!("{}__{}", codebook.tiers[0].name, fold_coder(*folds));
        let table = TableReader::open(&args.corpus, &args.input.options())?;
        if !table.columns().contains(&last) {
            return Err(no_pair(&args.corpus));
        }
        coders.extend((1..=*folds).map(fold_coder));
        numbers = score_columns(&codebook);
    }
    // Before the corpus, which takes long to read, so that what is wrong with them is said at once.
    let request = CodingsRequest {
        coders: vec![args.gold_coder.clone().unwrap_or_else(|| GOLD.to_owned())],
        options: args.input.options(),
        ..CodingsRequest::default()
    };
    let gold = read_codings(&args.gold, &codebook, &request)?;
    let verified = match args.verified.is_empty() {
        true => None,
        false => {
            let request = CodingsRequest { coders: vec![VERIFIED.to_owned()], ..request };
            Some(read_codings(&args.verified, &codebook, &request)?)
        }
    };
    let request = CodingsRequest { coders, keep, numbers, options: args.input.options() };
    let corpus = read_codings(std::slice::from_ref(&args.corpus), &codebook, &request)?;
    for codings in [Some(&corpus), Some(&gold), verified.as_ref()].into_iter().flatten() {
        tell_joined(codings, &messages);
    }
    if is_verified {
        tell_precision(&codebook, &corpus, &gold, args.json, &messages)?;
        return Ok(Outcome::Done);
    }
    let values = args.by.as_deref().and_then(|by| corpus.kept(by)).map_or(0, |c| c.values.len());
    if values > MOST_VALUES {
        return Err(Error::usage(format!(
            "the column has over {MOST_VALUES} values, of which none would have gold enough"
        ))
        .at("--by")
        .advise("divide by a column of few values, such as platform or month"));
    }
    let scores = match (&args.oof, held_out) {
        (Some(oof), Some((held_out, folds))) => {
            Some(scores(oof, held_out, folds, &codebook, &corpus, args)?)
        }
        _ => None,
    };
    let request = Request {
        by: args.by.as_deref(),
        weight: args.weight.as_deref(),
        among,
        target: match args.target {
            TargetArg::Corpus => Target::Corpus,
            TargetArg::Process => Target::Process,
        },
        simple_random: args.design.is_some(),
        scores: scores.as_ref(),
        strata: args.strata.as_deref(),
        verified: verified.as_ref(),
        ..Request::default()
    };
    let found = estimate(&codebook, &corpus, &gold, &request, &args.corpus)?;
    for line in account(&found, &request) {
        messages.note(&line);
    }
    for line in cautions(&corpus, &gold, &found, &request) {
        messages.warn(&line);
    }
    if let Some(output) = &args.output {
        write_csv(output, &found)?;
        messages.note(&format!("wrote {}", output.display()));
    }
    if args.json {
        print_json(&document(args, &codebook, &corpus, &gold, &found)?)?;
    } else {
        print(&text(&found))?;
    }
    Ok(Outcome::Done)
}

/// The columns of every label's probability, tier by tier.
fn score_columns(codebook: &Codebook) -> Vec<String> {
    let tiers = codebook.tiers.iter();
    tiers
        .flat_map(|tier| tier.labels.iter().map(|l| format!("{}_p__{}", tier.name, l.name)))
        .collect()
}

/// The out-of-fold codes, and how many folds there are.
fn read_held_out(oof: &Path, codebook: &Codebook) -> Result<(Codings, usize)> {
    let mut numbers = score_columns(codebook);
    numbers.push("fold".to_owned());
    let request =
        CodingsRequest { coders: vec![GOLD.to_owned()], numbers, ..CodingsRequest::default() };
    let held_out = read_codings(&[oof.to_path_buf()], codebook, &request)?;
    let folds = held_out.numbers("fold").unwrap_or_default();
    let folds = folds.iter().copied().fold(0.0, f32::max);
    if !(1.0..=1_000.0).contains(&folds) {
        return Err(Error::data("there is no fold of any row")
            .at(format!("{}, column fold", oof.display()))
            .advise("give the oof.csv that train --folds wrote"));
    }
    Ok((held_out, folds as usize))
}

/// Out-of-fold codes go with one corpus alone.
fn no_pair(corpus: &Path) -> Error {
    Error::usage(
        "the corpus is not, byte for byte, a table that the mean of these folds' models coded",
    )
    .at(corpus.display().to_string())
    .advise("code it again: confide classify BUNDLE … --folds --probabilities")
}

/// The corpus's probabilities, and in place of them the out-of-fold ones of the rows that trained.
fn scores(
    oof: &Path,
    held_out: Codings,
    folds: usize,
    codebook: &Codebook,
    corpus: &Codings,
    args: &PrevalenceArgs,
) -> Result<Scores> {
    let run = oof.parent().unwrap_or(Path::new(""));
    if !coded_by_folds(run).contains(&corpus.tables[0].digest) {
        return Err(no_pair(&args.corpus));
    }
    let places: HashMap<&str, usize> =
        corpus.ids.iter().enumerate().map(|(row, id)| (id.as_str(), row)).collect();
    let mut held_out_row = vec![None; corpus.rows()];
    let matched: Vec<(usize, usize)> = held_out
        .ids
        .iter()
        .enumerate()
        .filter_map(|(own, id)| Some((own, *places.get(id.as_str())?)))
        .collect();
    matched.iter().for_each(|(own, row)| held_out_row[*row] = Some(*own as u32));
    let column = |name: &str| {
        let missing = || Error::data(format!("there is no column {}", shown(name)));
        let mut values = corpus.numbers(name).ok_or_else(missing)?.to_vec();
        let own = held_out.numbers(name).ok_or_else(missing)?;
        for (from, row) in &matched {
            values[*row] = own[*from];
        }
        // Rows without codes leave the corpus; they have no probabilities either.
        let coded = |row: usize| corpus.answers(0, 0)[row] != Answer::MISSING;
        let strange = |row: &usize| coded(*row) && !(0.0..=1.0).contains(&values[*row]);
        match (0..values.len()).find(strange) {
            Some(row) => Err(Error::data("a probability is no number from 0 to 1").at(format!(
                "{}, id {}, column {name}",
                args.corpus.display(),
                shown(&corpus.ids[row])
            ))),
            None => Ok(values),
        }
    };
    let of_tier = |tier: &crate::codebook::Tier| {
        tier.labels.iter().map(|l| column(&format!("{}_p__{}", tier.name, l.name))).collect()
    };
    let marginal = codebook.tiers.iter().map(of_tier).collect::<Result<Vec<Vec<Vec<f32>>>>>()?;
    Ok(Scores { marginal, held_out, held_out_row, folds })
}

/// The shares, or why there are none.
pub(super) fn estimate(
    codebook: &Codebook,
    corpus: &Codings,
    gold: &Codings,
    request: &Request,
    place: &Path,
) -> Result<Shares> {
    let found = shares(codebook, corpus, gold, request).map_err(|row| {
        let column = request.weight.unwrap_or_default();
        Error::data("a weight is a number of at least 0").at(format!(
            "{}, id {}, column {}",
            place.display(),
            shown(&corpus.ids[row]),
            shown(column)
        ))
    })?;
    let counts = found.counts;
    if counts.gold == 0 {
        let error = Error::data(match (counts.used, counts.unmatched) {
            (0, 0) => "the gold tables hold no codes".to_owned(),
            (0, n) => format!("none of the {n} gold rows is in the corpus"),
            (n, _) => format!(
                "all {n} gold rows in the corpus were used in training, where the model knew their codes"
            ),
        });
        return Err(error.at(place.display().to_string()).advise(
            "code a random sample of the corpus by hand: confide sample draws it, with pi",
        ));
    }
    if counts.without_pi > 0 && !request.simple_random {
        return Err(Error::usage(format!(
            "{} gold rows have no inclusion probability pi, so that their design is not known",
            counts.without_pi
        ))
        .advise(
            "--design srs if they are a simple random sample of the corpus; else draw one with \
             confide sample, which writes pi",
        ));
    }
    Ok(found)
}

fn among(given: &str, codebook: &Codebook) -> Result<Among> {
    let wrong = |what: String| Error::usage(what).at("--among").advise("--among TIER=LABEL");
    let (tier, label) = given
        .split_once('=')
        .ok_or_else(|| wrong(format!("{} is not TIER=LABEL", shown(given))))?;
    let names = codebook.tiers.iter().map(|tier| tier.name.as_str());
    let at = codebook.tier_index(tier).ok_or_else(|| {
        let near = nearest(tier, names).map_or(String::new(), |n| format!(", perhaps {n}"));
        wrong(format!("{} is no tier{near}", shown(tier)))
    })?;
    let labels = codebook.tiers[at].labels.iter().map(|label| label.name.as_str());
    let label = codebook.tiers[at].label_index(label).ok_or_else(|| {
        let near = nearest(label, labels).map_or(String::new(), |n| format!(", perhaps {n}"));
        wrong(format!("{} is no label of {tier}{near}", shown(label)))
    })?;
    Ok(Among { tier: at, label })
}

/// What became of the rows, in sentences.
pub(super) fn account(found: &Shares, request: &Request) -> Vec<String> {
    let c = &found.counts;
    let mut lines =
        vec![format!("{} comments, {} of them with gold codes that estimate", c.corpus, c.gold)];
    if request.simple_random {
        lines.push(
            "design as stated: gold rows without pi are a simple random sample of the corpus"
                .into(),
        );
    }
    let used = match request.target {
        Target::Corpus => "they stand in the corpus with their gold codes",
        Target::Process => "they are left out",
    };
    for (count, what) in [
        (c.uncoded, "comments have no code and leave the corpus".to_owned()),
        (c.used, format!("gold rows were used in training and estimate nothing: {used}")),
        (c.out_of_fold, "gold rows trained; they estimate by their out-of-fold codes".to_owned()),
        (c.unmatched, "gold rows are not in the corpus and are left out".to_owned()),
        (
            c.drawn_uncoded,
            "rows were drawn but not coded; they are taken to be missing by chance".to_owned(),
        ),
        (
            c.verified,
            "rows have codes given with the model's beside them: gold where it proposes a label and \
             blind gold has rows where it does not"
                .to_owned(),
        ),
        (c.duplicates, "comments repeat the text of an earlier one".to_owned()),
    ] {
        if count > 0 {
            lines.push(format!("{count} {what}"));
        }
    }
    lines
}

/// What a reader must be warned of.
pub(super) fn cautions(
    corpus: &Codings,
    gold: &Codings,
    found: &Shares,
    request: &Request,
) -> Vec<String> {
    let stratum = |own: &NoChance| {
        let rows = own.rows;
        match (&own.stratum, request.strata) {
            (Some(value), Some(column)) => format!(
                "{} = {}: {rows} comments had no chance of selection and leave the target",
                shown(column),
                shown(value)
            ),
            _ => format!("pi = 0: {rows} comments had no chance of selection and leave the target"),
        }
    };
    let mut lines: Vec<String> = found.no_chance.iter().map(stratum).collect();
    let few = found.rows.iter().any(|share| share.estimate.note == Some(Note::FewClusters));
    if few && (corpus.groups.is_some() || gold.groups.is_some()) {
        lines.push(format!(
            "the gold rows come from fewer than {FEW_CLUSTERS} groups: intervals take Student's \
             quantile for so few, and still rest on how alike these groups are to the others"
        ));
    }
    lines
}

fn document(
    args: &PrevalenceArgs,
    codebook: &Codebook,
    corpus: &Codings,
    gold: &Codings,
    found: &Shares,
) -> Result<Value> {
    let failed =
        |e: serde_json::Error| Error::resource(format!("the figures cannot be written: {e}"));
    Ok(json!({
        "codebook": codebook.digest(),
        "corpus": joined_json(corpus),
        "gold": joined_json(gold),
        "design": if args.design.is_some() { "srs" } else { "pi" },
        "target": match args.target {
            TargetArg::Corpus => "corpus",
            TargetArg::Process => "process",
        },
        "weight": args.weight,
        "clustered": corpus.groups.is_some() || gold.groups.is_some(),
        "strata": args.strata,
        "no_chance": serde_json::to_value(&found.no_chance).map_err(failed)?,
        "counts": serde_json::to_value(found.counts).map_err(failed)?,
        "rows": serde_json::to_value(&found.rows).map_err(failed)?,
        "sentences": found.rows.iter().filter(|share| share.primary).map(sentence)
            .collect::<Vec<String>>(),
    }))
}

const COLUMNS: [&str; 15] = [
    "tier",
    "label",
    "of",
    "by",
    "value",
    "method",
    "estimate",
    "lower",
    "upper",
    "n_gold",
    "positives",
    "n_corpus",
    "ess_gain",
    "primary",
    "note",
];

/// Writes all shares as a table.
pub(super) fn write_csv(path: &Path, found: &Shares) -> Result<()> {
    let header = COLUMNS.map(str::to_owned);
    let figure = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let mut bytes = Vec::new();
    let write = |bytes: &mut Vec<u8>| -> std::io::Result<()> {
        let format = Format::Csv { delimiter: b',' };
        let mut writer = TableWriter::new(bytes, format, &header)?;
        for share in &found.rows {
            let e = &share.estimate;
            let cells = vec![
                share.tier.clone(),
                share.label.clone(),
                share.of.clone(),
                share.by.clone().unwrap_or_default(),
                share.value.clone().unwrap_or_default(),
                e.method.name().to_owned(),
                figure(e.estimate),
                figure(e.lower),
                figure(e.upper),
                share.n_gold.to_string(),
                share.positives.to_string(),
                share.n_corpus.to_string(),
                figure(e.ess_gain),
                share.primary.to_string(),
                e.note.map_or(String::new(), |note| note.name().to_owned()),
            ];
            writer.write(&Row { number: 1, line: 1, cells, json: None, defect: None }, &[])?;
        }
        writer.finish().map(|_| ())
    };
    write(&mut bytes).map_err(|error| Error::writing(path, &error))?;
    WholeFile::write_all_to(path, &bytes)
}

/// A share as a reader would say it; never of people.
fn sentence(share: &Share) -> String {
    let e = &share.estimate;
    let of = match share.of.as_str() {
        "all" => "of comments".to_owned(),
        "asked" => format!("of comments of which {} is asked", share.tier),
        other => format!("of comments with {other}"),
    };
    let place = match (&share.by, &share.value) {
        (Some(by), Some(value)) if by == "duplicates" => format!(", duplicates {value}"),
        (Some(by), Some(value)) => format!(", {by} {value}"),
        _ => String::new(),
    };
    let what = format!("{} = {}{place}", share.tier, share.label);
    match (e.estimate, e.lower, e.upper, e.note) {
        (Some(_), Some(_), Some(upper), Some(Note::OneSided)) if share.positives == 0 => format!(
            "{what}: at most {} {of}; none of {} gold rows carries it.",
            percent(Some(upper)),
            share.n_gold
        ),
        (Some(estimate), Some(lower), Some(upper), note) => format!(
            "{what}: {} {of} (95 % interval {} to {}), from {} gold rows{}{}.",
            percent(Some(estimate)),
            percent(Some(lower)),
            percent(Some(upper)),
            share.n_gold,
            match note {
                Some(Note::ExactGoldOnly) => ", exactly and without the model: too few carry it",
                Some(Note::FewClusters) => ", of fewer than 30 groups",
                _ => "",
            },
            as_good_as(share)
        ),
        _ => format!("{what}: no share {of} can be given: {}.", e.note.map_or("", reason)),
    }
}

/// What the model's codes add, as a number of gold rows.
fn as_good_as(share: &Share) -> String {
    let alone = share.estimate.ess_gain.map(|gain| gain * share.n_gold as f64);
    match alone {
        Some(alone) if share.estimate.method == Method::PpiPlusPlus => {
            format!("; without the model that takes {alone:.0}")
        }
        _ => String::new(),
    }
}

impl Note {
    fn name(self) -> &'static str {
        match self {
            Note::ExactGoldOnly => "exact_gold_only",
            Note::OneSided => "one_sided",
            Note::NoGold => "no_gold",
            Note::DenominatorMayBeZero => "denominator_may_be_zero",
            Note::NotForRatios => "not_for_ratios",
            Note::PoorModel => "poor_model",
            Note::UnevenWeights => "uneven_weights",
            Note::Biased => "biased",
            Note::FewClusters => "few_clusters",
            Note::FewInGroups => "few_in_groups",
            Note::NotForProbabilities => "not_for_probabilities",
        }
    }
}

fn reason(note: Note) -> &'static str {
    match note {
        Note::NoGold => "no gold row is counted",
        Note::DenominatorMayBeZero => {
            "so few gold rows are counted that it might be none of the corpus"
        }
        Note::NotForRatios => "not for weights or shares among other than all comments",
        Note::UnevenWeights => "weights too unequal for it",
        Note::PoorModel => "the codes hardly tell it from its absence",
        Note::Biased => "biased",
        Note::ExactGoldOnly => "exact, gold only",
        Note::OneSided => "one end only",
        Note::FewClusters => "fewer than 30 groups",
        Note::FewInGroups => "too few in groups for it",
        Note::NotForProbabilities => "for codes, not for out-of-fold gold's probabilities",
    }
}

/// One line for every label's share of all rows: the one to report, with the biased naive one last.
pub(super) fn summary(found: &Shares) -> Table {
    let mut table =
        Table::new(["tier", "label", "share", "95 % interval", "gold rows", "", NAIVE_HEADING]);
    let all: Vec<&Share> =
        found.rows.iter().filter(|share| share.of == "all" && share.by.is_none()).collect();
    for share in all.iter().filter(|share| share.primary) {
        let same = |other: &&&Share| other.tier == share.tier && other.label == share.label;
        let naive = all.iter().filter(|other| other.estimate.method == Method::Naive).find(same);
        let e = &share.estimate;
        table.row([
            share.tier.clone(),
            share.label.clone(),
            percent(e.estimate),
            ends(e.lower, e.upper),
            share.n_gold.to_string(),
            e.note.map_or(String::new(), |note| reason(note).to_owned()),
            percent(naive.and_then(|naive| naive.estimate.estimate)),
        ]);
    }
    table
}

fn ends(lower: Option<f64>, upper: Option<f64>) -> String {
    match (lower, upper) {
        (Some(_), Some(_)) => format!("{} to {}", percent(lower), percent(upper)),
        _ => String::new(),
    }
}

/// The share to report of every label, then every method.
pub(super) fn text(found: &Shares) -> String {
    let mut table = Table::new([
        "tier",
        "label",
        "of",
        "by",
        "method",
        "share",
        "95 % interval",
        "gold",
        "positive",
        "gain",
        "",
    ]);
    for share in &found.rows {
        let e = &share.estimate;
        let place = match (&share.by, &share.value) {
            (Some(by), Some(value)) => format!("{by}: {value}"),
            _ => String::new(),
        };
        table.row([
            share.tier.clone(),
            share.label.clone(),
            share.of.clone(),
            place,
            e.method.name().to_owned(),
            percent(e.estimate),
            ends(e.lower, e.upper),
            share.n_gold.to_string(),
            share.positives.to_string(),
            e.ess_gain.map_or(String::new(), |gain| format!("{gain:.2}")),
            match (e.method, e.note) {
                (Method::Naive, _) => "biased".to_owned(),
                (_, Some(note)) => reason(note).to_owned(),
                _ if share.primary => "to report".to_owned(),
                _ => String::new(),
            },
        ]);
    }
    let sentences: Vec<String> =
        found.rows.iter().filter(|share| share.primary).map(sentence).collect();
    format!("{}\n\n{table}", sentences.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prevalence::{Counts, Estimate};

    #[test]
    fn a_summary_ends_with_the_naive_share_marked_as_biased() {
        let share = |method, estimate, note| Share {
            tier: "use".into(),
            label: "yes".into(),
            of: "all".into(),
            by: None,
            value: None,
            estimate: Estimate {
                method,
                estimate: Some(estimate),
                lower: None,
                upper: None,
                standard_error: None,
                ess_gain: None,
                note: Some(note),
            },
            primary: method != Method::Naive,
            n_gold: 50,
            positives: 20,
            n_corpus: 400,
        };
        let rows = vec![
            share(Method::PpiPlusPlus, 0.25, Note::FewClusters),
            share(Method::Naive, 0.4, Note::Biased),
        ];
        let found = Shares { rows, counts: Counts::default(), no_chance: Vec::new() };
        let text = summary(&found).to_string();
        let ends = |piece: &str| text.lines().any(|line| line.ends_with(piece));
        assert!(ends("naive (biased)") && ends("40.0 %"), "{text}");
        assert_eq!(text.matches("naive").count(), 1, "{text}");
    }
}
