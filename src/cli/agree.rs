//! `confide agree`: how far coders agree, person or model.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::FalseyValueParser;
use serde_json::{Value, json};

use super::input::InputArgs;
use super::joined::{joined_json, tell_joined};
use super::messages::Messages;
use super::table::{Table, figure, print, print_json};
use super::{Global, Outcome};
use crate::codebook::Codebook;
use crate::corpus::{
    Answer, Codings, CodingsRequest, Format, GOLD, Row, TableReader, TableWriter, WholeFile,
    read_codings, refuse_existing,
};
use crate::error::{Error, Result, shown};
use crate::evaluation::coder_agreement::{
    Estimate, Figures, LabelPair, TierAgreement, coder_agreement,
};
use crate::evaluation::view::ByName;

/// Says how far coders agree, person or model, tier by tier and label by label
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  \
    confide agree llm-mental-health ana.csv ben.csv coded.csv --coders ana,ben,confide --humans ana,ben\n\n\
    A coder's codes stand in columns <tier>__<coder>; tables are joined by id. The coder 'gold' is\n\
    the plain columns. Intervals are 95 % bootstrap intervals, over groups where there is a column\n\
    'group'.")]
pub struct AgreeArgs {
    /// A codebook file, or the name of a shipped one
    #[arg(value_name = "CODEBOOK")]
    codebook: String,
    /// Tables with columns <tier>__<coder>; - is standard input
    #[arg(value_name = "DATA", required = true)]
    data: Vec<PathBuf>,
    /// The coders to compare [default: all that the tables have]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', env = "CONFIDE_CODERS")]
    coders: Vec<String>,
    /// Which of them are people, so that pairs of people stand beside pairs of a person and a model
    #[arg(long, value_name = "NAMES", value_delimiter = ',', env = "CONFIDE_HUMANS")]
    humans: Vec<String>,
    /// Write the rows on which coders differ to a table, with columns to be adjudicated
    #[arg(long, value_name = "FILE", env = "CONFIDE_DISAGREEMENTS")]
    disagreements: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long, env = "CONFIDE_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
    /// Replace a table of disagreements that exists
    #[arg(long, env = "CONFIDE_FORCE", value_parser = FalseyValueParser::new())]
    force: bool,
    #[command(flatten)]
    input: InputArgs,
}

pub fn run(args: &AgreeArgs, global: &Global) -> Result<Outcome> {
    let messages = Messages::new(global);
    let codebook = Codebook::find(&args.codebook)?;
    if let Some(file) = &args.disagreements {
        refuse_existing(file, args.force)?;
        if args.data.contains(&PathBuf::from("-")) {
            return Err(Error::usage("the texts of standard input cannot be read twice")
                .advise("save the table to a file, or leave --disagreements away"));
        }
    }
    let mut coders: Vec<String> = args.coders.clone();
    if !coders.is_empty() {
        coders.extend(args.humans.iter().filter(|h| !args.coders.contains(h)).cloned());
    }
    let request =
        CodingsRequest { coders, options: args.input.options(), ..CodingsRequest::default() };
    let codings = read_codings(&args.data, &codebook, &request)?;
    tell_joined(&codings, &messages);
    require(&codings, &args.humans)?;
    let humans = (!args.humans.is_empty()).then_some(args.humans.as_slice());
    let tiers = coder_agreement(&codebook, &codings, humans, global.seed);
    let compared = |tier: &TierAgreement| {
        let views = [Some(&tier.asked), tier.with_not_asked.as_ref()];
        views.into_iter().flatten().any(|view| view.pairs.iter().any(|pair| pair.n > 0.0))
    };
    if !tiers.iter().any(|(_, tier)| compared(tier)) {
        return Err(Error::data("no row is coded by two coders").advise(
            "give the tables of at least two coders who coded the same ids, \
             in columns <tier>__<coder>",
        ));
    }
    if let Some(file) = &args.disagreements {
        let rows = write_disagreements(file, &codebook, &codings, args)?;
        messages.note(&format!("wrote {rows} rows on which coders differ to {}", file.display()));
    }
    if args.json {
        print_json(&document(&codebook, &codings, &tiers)?)?;
    } else {
        print(&text(&tiers))?;
    }
    Ok(Outcome::Done)
}

/// At least two coders, and no person who is not among them.
fn require(codings: &Codings, humans: &[String]) -> Result<()> {
    let coders = &codings.coders;
    if let Some(stranger) = humans.iter().find(|human| !coders.contains(human)) {
        return Err(Error::usage(format!("--humans names {}, who is no coder", shown(stranger)))
            .advise(format!("the coders are {}", coders.join(", "))));
    }
    if coders.len() < 2 {
        let found = match coders.first() {
            None => "no coder at all".to_owned(),
            Some(coder) => format!("only the coder {}", shown(coder)),
        };
        return Err(Error::data(format!("agreement takes two coders; the tables have {found}"))
            .advise("a coder's columns are named <tier>__<coder>; --coders gold,… adds the plain columns"));
    }
    Ok(())
}

fn document(
    codebook: &Codebook,
    codings: &Codings,
    tiers: &ByName<TierAgreement>,
) -> Result<Value> {
    let tiers = serde_json::to_value(tiers)
        .map_err(|e| Error::resource(format!("the figures cannot be written: {e}")))?;
    Ok(json!({
        "codebook": codebook.digest(),
        "tables": joined_json(codings),
        "rows": codings.rows(),
        "coders": codings.coders,
        "resampled": if codings.groups.is_some() { "groups" } else { "rows" },
        "tiers": tiers,
    }))
}

/// Krippendorff's customary readings of alpha (2018, Content Analysis, chapter 12).
fn reading(alpha: Option<f64>) -> &'static str {
    match alpha {
        Some(alpha) if alpha >= 0.8 => "reliable (.800)",
        Some(alpha) if alpha >= 0.667 => "tentative (.667)",
        Some(_) => "below .667",
        None => "",
    }
}

fn estimate(estimate: Estimate) -> String {
    match (estimate.value, estimate.lower, estimate.upper) {
        (Some(value), Some(lower), Some(upper)) => format!("{value:.3} ({lower:.3} to {upper:.3})"),
        (value, _, _) => figure(value),
    }
}

/// The pair of independent coders whose kappa is lowest.
fn lowest(pairs: &[LabelPair]) -> String {
    let independent = pairs.iter().filter(|pair| !pair.not_independent);
    let known = independent.filter_map(|pair| Some((pair.kappa.value?, pair)));
    let least = known.min_by(|(a, _), (b, _)| a.total_cmp(b));
    least.map_or_else(|| figure(None), |(kappa, pair)| format!("{kappa:.3} {}, {}", pair.a, pair.b))
}

fn text(tiers: &ByName<TierAgreement>) -> String {
    let mut all =
        Table::new(["tier", "rows of", "n", "percent", "alpha (95 %)", "reading", "AC1 (95 %)"]);
    let mut kinds =
        Table::new(["tier", "rows of", "pairs of", "pairs", "mean kappa", "mean alpha"]);
    let mut pairs = Table::new([
        "tier",
        "rows of",
        "a",
        "b",
        "n",
        "percent",
        "kappa (95 %)",
        "alpha (95 %)",
        "",
    ]);
    let mut labels = Table::new([
        "tier",
        "label",
        "codes",
        "share",
        "percent",
        "alpha (95 %)",
        "reading",
        "AC1 (95 %)",
        "kappa, lowest pair",
        "positive",
        "negative",
        "",
    ]);
    let mut lost = String::new();
    for (name, tier) in tiers.iter() {
        let views = [("asked by all", Some(&tier.asked)), ("all", tier.with_not_asked.as_ref())];
        for (view, figures) in views {
            let Some(figures) = figures else { continue };
            let view = if tier.with_not_asked.is_none() { "all" } else { view };
            all.row([
                name.to_owned(),
                view.to_owned(),
                figures.n.to_string(),
                estimate(Estimate {
                    value: figures.percent,
                    lower: figures.percent_lower,
                    upper: figures.percent_upper,
                }),
                estimate(figures.alpha),
                reading(figures.alpha.value).to_owned(),
                estimate(figures.ac1),
            ]);
            add_pairs(&mut pairs, &mut kinds, name, view, figures);
        }
        if let (Some(rows), Some(share)) = (tier.lost_to_gate, tier.share_lost_to_gate) {
            lost += &format!(
                "{name}: {rows} rows ({:.1} %) that one coder asks and another does not\n",
                100.0 * share
            );
        }
        for (label, figures) in tier.asked.labels.iter() {
            labels.row([
                name.to_owned(),
                label.to_owned(),
                figures.codes.to_string(),
                figure(figures.prevalence),
                figure(figures.percent.value),
                estimate(figures.alpha),
                reading(figures.alpha.value).to_owned(),
                estimate(figures.ac1),
                lowest(&figures.pairs),
                figure(figures.positive_agreement),
                figure(figures.negative_agreement),
                if figures.too_few { "too few".to_owned() } else { String::new() },
            ]);
        }
    }
    let kinds = if kinds.is_empty() { String::new() } else { format!("\n{kinds}") };
    let lost = if lost.is_empty() { lost } else { format!("\n{lost}") };
    format!("{all}{lost}{kinds}\n{pairs}\n{labels}")
}

fn add_pairs(pairs: &mut Table, kinds: &mut Table, tier: &str, view: &str, figures: &Figures) {
    for (kind, means) in figures.kinds.iter().filter(|(kind, _)| !kind.is_empty()) {
        kinds.row([
            tier.to_owned(),
            view.to_owned(),
            kind.to_owned(),
            means.pairs.to_string(),
            estimate(means.kappa),
            estimate(means.alpha),
        ]);
    }
    for pair in &figures.pairs {
        let kappa =
            Estimate { value: pair.kappa, lower: pair.kappa_lower, upper: pair.kappa_upper };
        let note = if pair.not_independent { "not independent" } else { pair.kind.name() };
        pairs.row([
            tier.to_owned(),
            view.to_owned(),
            pair.a.clone(),
            pair.b.clone(),
            pair.n.to_string(),
            figure(pair.percent),
            estimate(kappa),
            estimate(pair.alpha),
            note.to_owned(),
        ]);
    }
}

/// Writes the rows on which coders differ: id, text, the tiers in dispute, every coder's codes, and
/// a column for every tier, in which stands what all agree on. Returns how many rows these are.
fn write_disagreements(
    path: &Path,
    codebook: &Codebook,
    codings: &Codings,
    args: &AgreeArgs,
) -> Result<usize> {
    let coders: Vec<usize> =
        (0..codings.coders.len()).filter(|&coder| codings.coders[coder] != GOLD).collect();
    let answers = |row: usize, tier: usize| {
        let own = coders.iter().map(move |&coder| codings.answers(coder, tier)[row]);
        own.filter(|answer| *answer != Answer::MISSING)
    };
    let disputed = |row: usize| -> Vec<usize> {
        let differ = |tier: &usize| {
            let mut given = answers(row, *tier);
            given.next().is_some_and(|first| given.any(|answer| answer != first))
        };
        (0..codebook.tiers.len()).filter(differ).collect()
    };
    let rows: Vec<(usize, Vec<usize>)> = (0..codings.rows())
        .map(|row| (row, disputed(row)))
        .filter(|(_, tiers)| !tiers.is_empty())
        .collect();
    let texts = texts(codings, &rows, args)?;
    let mut columns = vec!["id".to_owned(), "text".to_owned(), "disputed".to_owned()];
    for tier in &codebook.tiers {
        columns.extend(coders.iter().map(|&c| format!("{}__{}", tier.name, codings.coders[c])));
    }
    columns.extend(codebook.tiers.iter().map(|tier| tier.name.clone()));
    let format = Format::of_path(path, None)?;
    let mut file = WholeFile::create(path)?;
    let failed = |error: std::io::Error| Error::writing(path, &error);
    let mut writer = TableWriter::new(&mut file, format, &columns).map_err(failed)?;
    for ((row, tiers), text) in rows.iter().zip(texts) {
        let names: Vec<&str> = tiers.iter().map(|&t| codebook.tiers[t].name.as_str()).collect();
        let mut cells = vec![codings.ids[*row].clone(), text, names.join("|")];
        for tier in 0..codebook.tiers.len() {
            let own = coders.iter().map(|&c| codings.answers(c, tier)[*row]);
            cells.extend(own.map(|answer| codings.display(codebook, tier, answer)));
        }
        for tier in 0..codebook.tiers.len() {
            let agreed = answers(*row, tier).next().filter(|_| !tiers.contains(&tier));
            let shown = agreed.map(|answer| codings.display(codebook, tier, answer));
            cells.push(shown.unwrap_or_default());
        }
        let number = *row as u64 + 1;
        let row = Row { number, line: number, cells, json: None, defect: None };
        writer.write(&row, &[]).map_err(failed)?;
    }
    writer.finish().and_then(|file| file.flush()).map_err(failed)?;
    file.finish()?;
    Ok(rows.len())
}

/// The texts of these rows, from the first table that has them; blank where none has.
fn texts(codings: &Codings, rows: &[(usize, Vec<usize>)], args: &AgreeArgs) -> Result<Vec<String>> {
    let options = args.input.options();
    let mut texts = vec![String::new(); rows.len()];
    let places: std::collections::HashMap<&str, usize> =
        rows.iter().enumerate().map(|(at, (row, _))| (codings.ids[*row].as_str(), at)).collect();
    for path in &args.data {
        let mut reader = TableReader::open(path, &options)?;
        let find = |name: &str| reader.columns().iter().position(|column| column == name);
        let id = find(options.id.as_deref().unwrap_or("id"));
        let Some(text) = find(options.text.as_deref().unwrap_or("text")) else { continue };
        while let Some(row) = reader.next_row()? {
            let number = row.number.to_string();
            let id = id.map_or(number.as_str(), |column| row.cell(column));
            if let Some(place) = places.get(id).filter(|_| row.defect.is_none())
                && texts[*place].is_empty()
            {
                texts[*place] = row.cell(text).to_owned();
            }
        }
    }
    Ok(texts)
}
