//! `confide check`: whether a codebook and tables of codes can be used, and what to mend.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::FalseyValueParser;
use serde_json::{Value, json};

use super::counts::{counts_json, counts_table};
use super::input::InputArgs;
use super::messages::Messages;
use super::redact::{Masked, RedactionArgs};
use super::suspects::Suspects;
use super::table::{Table, print, print_json};
use super::{Global, Outcome};
use crate::codebook::Codebook;
use crate::corpus::{
    GoldRow, GoldTable, Problem, ReadOptions, TableReader, TierCounts, WholeFile, coders, contents,
    count_codes, near_duplicates, read_gold_from, refuse_existing,
};
use crate::error::Result;

/// A label with fewer rows than this is hard to learn and harder to judge.
const FEW_ROWS: usize = 10;
/// Problems that are listed for people; --json lists all.
const LISTED: usize = 50;

/// Checks a codebook and coded tables, counts labels, and lists problems by row
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  confide check llm-mental-health coded.csv\n\n\
    Ends with 1 if there are problems; every one is listed with file, row and column.")]
pub struct CheckArgs {
    /// A codebook file, or the name of a shipped one
    #[arg(value_name = "CODEBOOK")]
    codebook: String,
    /// Tables with one column per tier (or <tier>__<coder>); - is standard input
    #[arg(value_name = "DATA", required_unless_present = "manual")]
    data: Vec<PathBuf>,
    /// Write the codebook as a page to print for coders
    #[arg(long, value_name = "FILE", env = "CONFIDE_MANUAL")]
    manual: Option<PathBuf>,
    /// Replace a manual that exists
    #[arg(long, env = "CONFIDE_FORCE", value_parser = FalseyValueParser::new())]
    force: bool,
    /// A bundle trained with --folds: also list codes that models contradict which had not seen
    /// them
    #[arg(long, value_name = "BUNDLE", env = "CONFIDE_WITH")]
    with: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long, env = "CONFIDE_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    redaction: RedactionArgs,
}

pub fn run(args: &CheckArgs, global: &Global) -> Result<Outcome> {
    let codebook = Codebook::find(&args.codebook)?;
    if let Some(manual) = &args.manual {
        refuse_existing(manual, args.force)?;
        WholeFile::write_all_to(manual, codebook.manual().as_bytes())?;
        Messages::new(global).note(&format!("wrote {}", manual.display()));
        if args.data.is_empty() {
            return Ok(Outcome::Done);
        }
    }
    let options = args.redaction.apply(args.input.options())?;
    let (mut tables, mut masked) = (Vec::new(), Masked::default());
    for path in &args.data {
        tables.extend(read(path, &codebook, &options, &mut masked)?);
    }
    let masked = options.redaction.is_some().then_some(masked);
    let problems: Vec<&Problem> = tables.iter().flat_map(|(_, table)| &table.problems).collect();
    let counts = count(&tables, &codebook);
    let mut warnings = few_rows(&counts);
    warnings.extend(leaks(&tables));
    let gold = || {
        let of_gold = tables.iter().filter(|(coder, _)| coder.is_none());
        of_gold.flat_map(|(_, table)| table.rows.iter().map(|row| (table.name.as_str(), row)))
    };
    let suspects = match &args.with {
        Some(bundle) => Some(Suspects::find(bundle, &codebook, gold())?),
        None => None,
    };
    if args.json {
        let mut document = document(&codebook, &tables, &problems, &counts, &warnings);
        if let Some(suspects) = &suspects {
            document["suspects"] = suspects.json();
        }
        if let Some(masked) = &masked {
            document["masked"] = masked.json();
        }
        print_json(&document)?;
    } else {
        let mut text = text(&codebook, &tables, &problems, &counts, &warnings);
        if let Some(suspects) = &suspects {
            text += &suspects.text(LISTED);
        }
        if let Some(masked) = &masked {
            text += &format!("\n{}", masked.text());
        }
        print(&text)?;
    }
    Ok(if problems.is_empty() { Outcome::Done } else { Outcome::Findings })
}

/// A table as one coder coded it; `None` is the gold.
type CoderTable = (Option<String>, GoldTable);

fn read(
    path: &Path,
    codebook: &Codebook,
    options: &ReadOptions,
    masked: &mut Masked,
) -> Result<Vec<CoderTable>> {
    let (name, bytes) = contents(path)?;
    masked.add(&bytes, &name, options)?;
    let columns = TableReader::from_bytes(bytes.clone(), &name, options)?.columns().to_vec();
    let coders = coders(&columns, codebook);
    let gold = codebook.tiers.iter().any(|tier| columns.contains(&tier.name));
    let mut tables: Vec<CoderTable> = Vec::new();
    if gold || coders.is_empty() {
        tables.push((None, read_gold_from(&bytes[..], &name, codebook, options, None)?));
    }
    for coder in coders {
        let mut table = read_gold_from(&bytes[..], &name, codebook, options, Some(&coder))?;
        if !tables.is_empty() {
            // What is wrong with the row itself stands in the first table already.
            let own = format!("__{coder}");
            table.problems.retain(|p| p.column.as_ref().is_some_and(|c| c.ends_with(&own)));
        }
        tables.push((Some(coder), table));
    }
    for (_, table) in &mut tables {
        table.problems.sort_by_key(|problem| problem.row);
    }
    Ok(tables)
}

/// Counts of the gold over all files, then of each coder under the names of its columns.
fn count(tables: &[CoderTable], codebook: &Codebook) -> Vec<TierCounts> {
    let mut rows: BTreeMap<Option<&str>, Vec<GoldRow>> = BTreeMap::new();
    for (coder, table) in tables {
        rows.entry(coder.as_deref()).or_default().extend(table.rows.iter().cloned());
    }
    let mut all = Vec::new();
    for (coder, rows) in rows {
        for mut counts in count_codes(&rows, codebook) {
            if let Some(coder) = coder {
                counts.tier = format!("{}__{coder}", counts.tier);
            }
            all.push(counts);
        }
    }
    all
}

/// Something that is no error in any row, but that the user should know.
struct Warning {
    code: &'static str,
    message: String,
    details: Value,
}

fn few_rows(counts: &[TierCounts]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for tier in counts.iter().filter(|tier| !tier.tier.contains("__")) {
        for (label, counts) in &tier.labels {
            let rows = counts.total();
            if rows < FEW_ROWS {
                warnings.push(Warning {
                    code: "few_rows",
                    message: format!("{} = {label}: only {rows} rows", tier.tier),
                    details: json!({"tier": tier.tier, "label": label, "rows": rows}),
                });
            }
        }
    }
    warnings
}

/// Texts and groups that stand in more than one set. Names rows, never texts or groups.
fn leaks(tables: &[CoderTable]) -> Vec<Warning> {
    let mut seen: Vec<&str> = Vec::new();
    let mut rows: Vec<(&str, &GoldRow)> = Vec::new();
    for (_, table) in tables {
        if !seen.contains(&table.name.as_str()) {
            seen.push(&table.name);
            let set = table.rows.iter().filter(|row| row.split.is_some());
            rows.extend(set.map(|row| (table.name.as_str(), row)));
        }
    }
    let texts: Vec<&str> = rows.iter().map(|(_, row)| row.text.as_str()).collect();
    let copies = near_duplicates(&texts).sets();
    let mut groups: HashMap<&str, usize> = HashMap::new();
    let mut grouped: Vec<Vec<usize>> = Vec::new();
    for (at, (_, row)) in rows.iter().enumerate() {
        if let Some(group) = &row.group {
            let place = *groups.entry(group).or_insert_with(|| {
                grouped.push(Vec::new());
                grouped.len() - 1
            });
            grouped[place].push(at);
        }
    }
    let mut warnings = Vec::new();
    for (code, what, sets) in [
        ("duplicates_across_splits", "nearly the same text", copies),
        ("group_across_splits", "the same group", grouped),
    ] {
        for members in sets {
            if members.iter().all(|&at| rows[at].1.split == rows[members[0]].1.split) {
                continue;
            }
            let place = |at: &usize| {
                let (file, row) = rows[*at];
                let split = row.split.map_or("", |split| split.name());
                json!({"file": file, "row": row.number, "split": split})
            };
            let named: Vec<String> = members
                .iter()
                .take(4)
                .map(|&at| {
                    let (file, row) = rows[at];
                    let split = row.split.map_or("", |split| split.name());
                    format!("{file} row {} ({split})", row.number)
                })
                .collect();
            let more = members.len().saturating_sub(named.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            warnings.push(Warning {
                code,
                message: format!("{what} in several sets: {}{more}", named.join(", ")),
                details: json!({"rows": members.iter().map(place).collect::<Vec<_>>()}),
            });
        }
    }
    warnings
}

fn document(
    codebook: &Codebook,
    tables: &[CoderTable],
    problems: &[&Problem],
    counts: &[TierCounts],
    warnings: &[Warning],
) -> Value {
    let files: Vec<Value> = tables
        .iter()
        .map(|(coder, table)| {
            json!({
                "file": table.name,
                "coder": coder,
                "rows": table.rows.len(),
                "digest": table.digest,
            })
        })
        .collect();
    let warnings: Vec<Value> = warnings
        .iter()
        .map(|warning| {
            let mut object = json!({"code": warning.code, "message": warning.message});
            if let (Some(object), Some(details)) =
                (object.as_object_mut(), warning.details.as_object())
            {
                object.extend(details.clone());
            }
            object
        })
        .collect();
    let by_code: serde_json::Map<String, Value> =
        by_code(problems).into_iter().map(|(code, n)| (code.to_string(), n.into())).collect();
    json!({
        "codebook": {
            "name": codebook.name,
            "version": codebook.version,
            "digest": codebook.digest(),
        },
        "files": files,
        "problems": problems,
        "problems_by_code": by_code,
        "warnings": warnings,
        "counts": counts_json(counts),
    })
}

fn by_code(problems: &[&Problem]) -> BTreeMap<&'static str, usize> {
    let mut by_code = BTreeMap::new();
    for problem in problems {
        *by_code.entry(problem.code.name()).or_insert(0) += 1;
    }
    by_code
}

fn text(
    codebook: &Codebook,
    tables: &[CoderTable],
    problems: &[&Problem],
    counts: &[TierCounts],
    warnings: &[Warning],
) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "Codebook {} {}, digest {}",
        codebook.name,
        codebook.version,
        &codebook.digest()[..16]
    );
    for (coder, table) in tables {
        let coder = coder.as_ref().map(|coder| format!(", coder {coder}")).unwrap_or_default();
        let rows = table.rows.len();
        let _ = writeln!(out, "{}{coder}: {rows} rows can be read", table.name);
    }
    let _ = write!(out, "\n{}", counts_table(counts));
    if !warnings.is_empty() {
        let _ = writeln!(out, "\nTo know ({}):", warnings.len());
        for warning in warnings.iter().take(LISTED) {
            let _ = writeln!(out, "  {}", warning.message);
        }
        if warnings.len() > LISTED {
            let _ = writeln!(out, "  and {} more; --json lists all", warnings.len() - LISTED);
        }
    }
    if problems.is_empty() {
        out.push_str("\nNo problems.\n");
        return out;
    }
    let kinds: Vec<String> =
        by_code(problems).iter().map(|(code, n)| format!("{code} {n}")).collect();
    let _ = writeln!(out, "\nProblems ({}): {}", problems.len(), kinds.join(", "));
    let mut list = Table::new(["file", "row", "line", "column", "problem", "what", "nearest"]);
    for problem in problems.iter().take(LISTED) {
        list.row([
            problem.file.clone(),
            problem.row.to_string(),
            problem.line.to_string(),
            problem.column.clone().unwrap_or_default(),
            problem.code.name().to_string(),
            problem.message.clone(),
            problem.nearest.clone().unwrap_or_default(),
        ]);
    }
    let _ = write!(out, "{list}");
    if problems.len() > LISTED {
        let _ = writeln!(out, "and {} more; --json lists all", problems.len() - LISTED);
    }
    out
}
