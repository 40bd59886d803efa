//! `confide compare`: two coders against gold on the same rows.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::input::InputArgs;
use super::joined::{joined_json, tell_joined};
use super::messages::Messages;
use super::table::{Table, figure, print, print_json};
use super::{Global, Outcome};
use crate::codebook::{Codebook, hex_sha256};
use crate::corpus::{Codings, CodingsRequest, GOLD, read_codings};
use crate::error::{Error, Result, shown};
use crate::evaluation::alternative_annotators::{AlternativeAnnotators, alternative_annotators};
use crate::evaluation::comparison::{
    Compared, Difference, Primary, Request, TierComparison, compare,
};
use crate::evaluation::view::ByName;
use crate::report::{Shown, annotator_sheets};

/// Compares two coders with gold on the same rows: say Confide and GPT-4o
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  \
    confide compare llm-mental-health gold.csv coded.csv --a confide --b gpt4o --margin 0.03\n\n\
    Gold is the plain columns <tier>, a coder's codes stand in <tier>__<coder>; tables are joined\n\
    by id. Differences are a less b, with 95 % bootstrap intervals.")]
pub struct CompareArgs {
    /// A codebook file, or the name of a shipped one
    #[arg(value_name = "CODEBOOK")]
    codebook: String,
    /// Tables with gold and both coders; - is standard input
    #[arg(value_name = "DATA", required = true)]
    data: Vec<PathBuf>,
    /// The one coder
    #[arg(long, value_name = "CODER", env = "CONFIDE_A")]
    a: String,
    /// The other
    #[arg(long, value_name = "CODER", env = "CONFIDE_B")]
    b: String,
    /// The coder whose codes are taken as true
    #[arg(long, value_name = "CODER", env = "CONFIDE_GOLD", default_value = GOLD)]
    gold: String,
    /// At least three people who coded the same rows: could either coder stand in for one of them?
    #[arg(long, value_name = "NAMES", value_delimiter = ',', env = "CONFIDE_HUMANS")]
    humans: Vec<String>,
    /// What replacing a person is worth in the test against --humans, from 0 to 1
    #[arg(long, value_name = "SHARE", env = "CONFIDE_EPSILON", default_value_t = 0.2)]
    epsilon: f64,
    /// Test whether a is worse than b by less than this much of the primary figure
    #[arg(long, value_name = "SHARE", env = "CONFIDE_MARGIN")]
    margin: Option<f64>,
    /// The figure of each tier that decides, to be named before the figures are seen
    #[arg(long, value_enum, env = "CONFIDE_PRIMARY", default_value = "pipeline-macro-f1")]
    primary: PrimaryArg,
    /// Print one JSON document instead of tables
    #[arg(long, env = "CONFIDE_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
    #[command(flatten)]
    input: InputArgs,
}

/// The figures that can decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PrimaryArg {
    /// Macro-F1 over all rows whose gold is coded or not asked.
    PipelineMacroF1,
    /// Share of these rows with the right answer.
    PipelineAccuracy,
    /// Macro-F1 over the rows that the gold asks.
    AskedMacroF1,
    /// Share of these rows with the right answer.
    AskedAccuracy,
}

impl PrimaryArg {
    fn figure(self) -> Primary {
        match self {
            Self::PipelineMacroF1 => Primary::PipelineMacroF1,
            Self::PipelineAccuracy => Primary::PipelineAccuracy,
            Self::AskedMacroF1 => Primary::AskedMacroF1,
            Self::AskedAccuracy => Primary::AskedAccuracy,
        }
    }
}

/// The annotator test's results for both coders, tier by tier.
type Annotators = ByName<[AlternativeAnnotators; 2]>;

pub fn run(args: &CompareArgs, global: &Global) -> Result<Outcome> {
    let messages = Messages::new(global);
    check(args)?;
    let codebook = Codebook::find(&args.codebook)?;
    let mut coders = vec![args.gold.clone(), args.a.clone(), args.b.clone()];
    for human in &args.humans {
        if !coders.contains(human) {
            coders.push(human.clone());
        }
    }
    let request =
        CodingsRequest { coders, options: args.input.options(), ..CodingsRequest::default() };
    let codings = read_codings(&args.data, &codebook, &request)?;
    tell_joined(&codings, &messages);
    for coder in [&args.a, &args.b] {
        if args.humans.contains(coder) {
            messages.warn(&format!(
                "not independent: {} is one of --humans, of whom the gold may be made",
                shown(coder)
            ));
        }
    }
    let request = Request {
        gold: 0,
        a: 1,
        b: 2,
        primary: args.primary.figure(),
        margin: args.margin,
        seed: global.seed,
    };
    let tiers = compare(&codebook, &codings, request);
    for (at, tier) in codebook.tiers.iter().enumerate() {
        let missing: Vec<&str> = [&args.gold, &args.a, &args.b]
            .into_iter()
            .enumerate()
            .filter(|(coder, _)| !codings.present(*coder, at))
            .map(|(_, name)| name.as_str())
            .collect();
        if !missing.is_empty() {
            messages.warn(&format!(
                "the tier {} is left out: there are no codes of it by {}",
                tier.name,
                missing.join(", ")
            ));
        }
    }
    if tiers.iter().all(|(_, tier)| tier.pipeline.n == 0) {
        return Err(Error::data("no row has gold and the codes of both coders")
            .advise("give the tables of both coders and of the gold, with the same ids"));
    }
    let annotators = match args.humans.is_empty() {
        true => None,
        false => Some(annotators(args, &codebook, &codings)),
    };
    if args.json {
        print_json(&document(args, &codebook, &codings, &tiers, annotators.as_ref())?)?;
    } else {
        print(&text(args, &data_digest(&codings), &tiers, annotators.as_ref()))?;
    }
    Ok(Outcome::Done)
}

fn check(args: &CompareArgs) -> Result<()> {
    if args.a == args.b || args.a == args.gold || args.b == args.gold {
        return Err(Error::usage("--a, --b and --gold must be three coders")
            .advise("a coder's columns are named <tier>__<coder>"));
    }
    let share = |name: &str, value: f64| {
        if (0.0..1.0).contains(&value) {
            return Ok(());
        }
        Err(Error::usage(format!("{name} is {value}, but must be at least 0 and below 1")))
    };
    share("--epsilon", args.epsilon)?;
    args.margin.map_or(Ok(()), |margin| share("--margin", margin))?;
    if !args.humans.is_empty() && args.humans.len() < 3 {
        return Err(Error::usage("the test against people takes at least three of them")
            .advise("--humans ana,ben,cleo, or leave --humans away"));
    }
    Ok(())
}

fn annotators(args: &CompareArgs, codebook: &Codebook, codings: &Codings) -> Annotators {
    let place = |name: &String| codings.coder(name).unwrap_or_default();
    let humans: Vec<usize> = args.humans.iter().map(place).collect();
    let of_tier = |(at, tier): (usize, &crate::codebook::Tier)| {
        let of =
            |model| alternative_annotators(codebook, codings, at, model, &humans, args.epsilon);
        (tier.name.clone(), [of(1), of(2)])
    };
    codebook.tiers.iter().enumerate().map(of_tier).collect()
}

fn document(
    args: &CompareArgs,
    codebook: &Codebook,
    codings: &Codings,
    tiers: &ByName<TierComparison>,
    annotators: Option<&Annotators>,
) -> Result<Value> {
    let failed =
        |e: serde_json::Error| Error::resource(format!("the figures cannot be written: {e}"));
    let mut document = json!({
        "codebook": codebook.digest(),
        "tables": joined_json(codings),
        "gold": args.gold,
        "a": args.a,
        "b": args.b,
        "primary": args.primary.figure(),
        "margin": args.margin,
        "data": data_digest(codings),
        "resampled": if codings.groups.is_some() { "groups" } else { "rows" },
        "tiers": serde_json::to_value(tiers).map_err(failed)?,
    });
    for (tier, results) in annotators.iter().flat_map(|all| all.iter()) {
        if let Some(object) = document["tiers"].get_mut(tier).and_then(Value::as_object_mut) {
            let [a, b] = results;
            let results = json!({"epsilon": args.epsilon, "a": a, "b": b});
            object.insert("alternative_annotators".into(), results);
        }
    }
    Ok(document)
}

/// One digest of all tables, by which a margin can be told to have been named for these data.
fn data_digest(codings: &Codings) -> String {
    let digests: Vec<&str> = codings.tables.iter().map(|table| table.digest.as_str()).collect();
    hex_sha256(digests.join("\n").as_bytes())
}

fn p(value: Option<f64>) -> String {
    value.map_or_else(String::new, |p| Shown::P.text(Some(p)))
}

fn difference(d: &Difference) -> String {
    match (d.value, d.lower, d.upper) {
        (Some(value), Some(lower), Some(upper)) => {
            format!("{value:+.3} ({lower:+.3} to {upper:+.3})")
        }
        (Some(value), _, _) => format!("{value:+.3}"),
        _ => "undefined".into(),
    }
}

fn text<'a>(
    args: &'a CompareArgs,
    data: &str,
    tiers: &ByName<TierComparison>,
    annotators: Option<&'a Annotators>,
) -> String {
    let heads = ["tier", "rows", "figure", "n", "a", "b", "a - b (95 %)", "p", "p (Holm)", ""];
    let mut figures = Table::new(heads);
    let mut mcnemar =
        Table::new(["tier", "rows", "only a right", "only b right", "p exact", "p (Holm)", ""]);
    let mut labels = Table::new([
        "tier",
        "label",
        "support",
        "F1 a",
        "F1 b",
        "a - b (95 %)",
        "p",
        "p (Holm)",
        "",
    ]);
    let mut sentences = String::new();
    for (name, tier) in tiers.iter() {
        for (rows, view) in [("all", Some(&tier.pipeline)), ("asked by gold", tier.asked.as_ref())]
        {
            let Some(view) = view else { continue };
            add_figures(&mut figures, name, rows, view, tier, args);
            let m = &view.mcnemar;
            mcnemar.row([
                name.to_owned(),
                rows.to_owned(),
                m.only_a_right.to_string(),
                m.only_b_right.to_string(),
                p(m.p),
                p(m.p_holm),
                if m.assumes_independent_rows { "assumes independent rows" } else { "" }.to_owned(),
            ]);
        }
        let view = &tier.pipeline;
        let both = view.a.scores.labels.iter().zip(view.b.scores.labels.iter());
        for (((label, a), (_, b)), (_, d)) in both.zip(view.label_differences.iter()) {
            labels.row([
                name.to_owned(),
                label.to_owned(),
                a.support.to_string(),
                figure(a.f1),
                figure(b.f1),
                difference(d),
                p(d.p),
                p(d.p_holm),
                if a.too_few { "too few" } else { "" }.to_owned(),
            ]);
        }
        sentences += &sentence(args, name, tier);
    }
    let of_tier = |(tier, both): (&'a str, &[AlternativeAnnotators; 2])| {
        let [a, b] = both.clone();
        [(tier, args.a.as_str(), a), (tier, args.b.as_str(), b)]
    };
    let tested: Vec<_> = annotators.iter().flat_map(|all| all.iter()).flat_map(of_tier).collect();
    let annotators: String = annotator_sheets(&tested, "", &[])
        .iter()
        .map(|sheet| format!("\n{}:\n{}", sheet.caption, Table::from(sheet)))
        .collect();
    let margin = args.margin.map_or_else(String::new, |margin| format!(", margin {margin}"));
    format!(
        "a is {}, b is {}, gold is {}{margin}; data {}\n{figures}\n{mcnemar}\n{sentences}\n{labels}{annotators}",
        args.a,
        args.b,
        args.gold,
        &data[..12]
    )
}

fn add_figures(
    table: &mut Table,
    name: &str,
    rows: &str,
    view: &Compared,
    tier: &TierComparison,
    args: &CompareArgs,
) {
    let (a, b) = (&view.a.scores, &view.b.scores);
    let asked = rows != "all";
    let deciding = |accuracy: bool| {
        let own = match args.primary.figure() {
            Primary::PipelineMacroF1 => !asked && !accuracy,
            Primary::PipelineAccuracy => !asked && accuracy,
            // A tier that is always asked has one view only.
            Primary::AskedMacroF1 => (asked || tier.asked.is_none()) && !accuracy,
            Primary::AskedAccuracy => (asked || tier.asked.is_none()) && accuracy,
        };
        if own { "primary" } else { "" }
    };
    for (what, a, b, d, accuracy) in [
        ("macro-F1", a.macro_f1, b.macro_f1, &view.macro_f1_difference, false),
        ("accuracy", a.accuracy, b.accuracy, &view.accuracy_difference, true),
    ] {
        table.row([
            name.to_owned(),
            rows.to_owned(),
            what.to_owned(),
            view.n.to_string(),
            figure(a),
            figure(b),
            difference(d),
            p(d.p),
            p(d.p_holm),
            deciding(accuracy).to_owned(),
        ]);
    }
}

/// What is left out, and what the margin says.
fn sentence(args: &CompareArgs, name: &str, tier: &TierComparison) -> String {
    let l = &tier.left_out;
    let mut text = String::new();
    if l.only_a + l.only_b + l.neither + l.no_gold > 0 {
        text += &format!(
            "{name}: left out are {} rows that only {} coded, {} that only {} coded, {} that \
             neither coded, {} without gold\n",
            l.only_a, args.a, l.only_b, args.b, l.neither, l.no_gold
        );
    }
    let (a, b) = (&args.a, &args.b);
    match (tier.non_inferiority, args.margin) {
        (Some(test), _) => {
            let verdict = if test.non_inferior {
                "is not worse than"
            } else {
                "is not shown to be no worse than"
            };
            text += &format!(
                "{name}: {a} {verdict} {b} by {} or more (one-sided 95 % bound {:+.3})\n",
                test.margin, test.lower_bound
            );
        }
        (None, Some(margin)) => {
            text += &format!(
                "{name}: a margin of {margin} cannot be tested: there are fewer than ten rows or groups, \
                 or {a} and {b} never differ\n"
            );
        }
        (None, None) => {}
    }
    if let Some(margin) = tier.smallest_margin {
        text += &format!(
            "{name}: the smallest margin that these rows could have shown of coders as good as each \
             other is {margin:.3}\n"
        );
    }
    text
}
