//! `confide split`: a table of codes cut into train, validation and test.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::FalseyValueParser;
use serde_json::json;

use super::counts::{counts_json, counts_table, set_json};
use super::input::InputArgs;
use super::messages::Messages;
use super::table::{print, print_json};
use super::{Global, Outcome};
use crate::codebook::{Codebook, is_blank};
use crate::corpus::{
    Format, GoldRow, ReadOptions, Roles, Row, SetCounts, Split, SplitSizes, TableReader,
    TableWriter, TierCounts, WholeFile, code_traits, contents, count_codes, near_duplicates,
    read_gold_from, refuse_existing, split, units,
};
use crate::error::{Error, Result, shown};

/// A column with more different values than this is no column of codes.
const MOST_VALUES: usize = 64;

/// Cuts a coded table into train, validation and test
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  \
    confide split coded.csv -o study --train 800 --validation 100 --codebook llm-mental-health\n\n\
    Writes study/coded.csv, the table with a column 'split'. Labels keep their shares in every \
    set; rows of one group and near-duplicates stay together.")]
pub struct SplitArgs {
    /// The coded table; - is standard input
    #[arg(value_name = "DATA")]
    data: PathBuf,
    /// Folder in which coded.csv is written
    #[arg(short, long, value_name = "DIR", env = "CONFIDE_OUTPUT")]
    output: PathBuf,
    /// Rows to train on
    #[arg(long, value_name = "N", env = "CONFIDE_TRAIN")]
    train: usize,
    /// Rows to validate on
    #[arg(long, value_name = "N", env = "CONFIDE_VALIDATION")]
    validation: usize,
    /// Rows to test on [default: all that remain]
    #[arg(long, value_name = "N", env = "CONFIDE_TEST")]
    test: Option<usize>,
    /// Codebook whose tiers keep their shares [default: every column with few values]
    #[arg(long, value_name = "CODEBOOK", env = "CONFIDE_CODEBOOK")]
    codebook: Option<String>,
    /// Replace an output, or a column 'split', that exists
    #[arg(long, env = "CONFIDE_FORCE", value_parser = FalseyValueParser::new())]
    force: bool,
    /// Print one JSON document instead of a table
    #[arg(long, env = "CONFIDE_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
    #[command(flatten)]
    input: InputArgs,
}

pub fn run(args: &SplitArgs, global: &Global) -> Result<Outcome> {
    let codebook = args.codebook.as_deref().map(Codebook::find).transpose()?;
    let path = args.output.join("coded.csv");
    refuse_existing(&path, args.force)?;
    let options = args.input.options();
    let (name, bytes) = contents(&args.data)?;
    let table = Rows::read(&name, bytes.clone(), &options)?;
    if table.roles.split.is_some() && !args.force {
        return Err(Error::usage("the table has a column 'split' already")
            .at(name)
            .advise("use it as it is, or --force to split anew"));
    }
    if table.rows.is_empty() {
        return Err(Error::data("the table has no rows").at(name));
    }
    let strata = match &codebook {
        Some(codebook) => Strata::of_codes(&name, &bytes, codebook, &options)?,
        None => Strata::of_columns(&table),
    };
    let group = |row: &Row| -> Option<String> {
        let cell = table.roles.group.map(|group| row.cell(group))?;
        (!is_blank(cell)).then(|| cell.to_string())
    };
    let groups: Vec<Option<String>> = table.rows.iter().map(group).collect();
    let groups: Vec<Option<&str>> = groups.iter().map(Option::as_deref).collect();
    let texts: Vec<&str> = table.rows.iter().map(|row| row.cell(table.roles.text)).collect();
    let units = units(&groups, near_duplicates(&texts));
    let sizes = SplitSizes { train: args.train, validation: args.validation, test: args.test };
    let sets = split(&strata.traits, &units, sizes, global.seed)?;
    table.write(&path, &sets)?;
    let mut rows = SetCounts::default();
    sets.iter().for_each(|set| rows.add(*set));
    let problems = strata.problems;
    let counts = strata.counts(&sets);
    if args.json {
        print_json(&json!({
            "rows": table.rows.len(),
            "sets": set_json(&rows),
            "asked": {"train": args.train, "validation": args.validation, "test": args.test},
            "units": units.len(),
            "seed": global.seed,
            "problems": problems,
            "counts": counts_json(&counts),
            "output": path.display().to_string(),
        }))?;
    } else {
        print(&text(args, &table, &units, &rows, &counts, &path))?;
    }
    if problems > 0 && !global.quiet {
        let codebook = args.codebook.as_deref().unwrap_or_default();
        Messages::new(global).warn(&format!(
            "{problems} problems in the codes; 'confide check {codebook}' lists them"
        ));
    }
    Ok(Outcome::Done)
}

fn text(
    args: &SplitArgs,
    table: &Rows,
    units: &[Vec<usize>],
    rows: &SetCounts,
    counts: &[TierCounts],
    path: &Path,
) -> String {
    let mut out = format!("{} rows", table.rows.len());
    let tied: usize = units.iter().filter(|unit| unit.len() > 1).map(Vec::len).sum();
    if tied > 0 {
        out.push_str(&format!(", {tied} of them tied by group or as near-duplicates"));
    }
    let of = |set: Split| rows.of(Some(set));
    out.push_str(&format!(
        ": {} train, {} validation, {} test",
        of(Split::Train),
        of(Split::Validation),
        of(Split::Test)
    ));
    if rows.of(None) > 0 {
        out.push_str(&format!(", {} in no set", rows.of(None)));
    }
    let test = args.test.unwrap_or(of(Split::Test));
    let met = [args.train, args.validation, test]
        == [of(Split::Train), of(Split::Validation), of(Split::Test)];
    out.push_str(if met { "\n\n" } else { " (as near to the sizes asked for as ties allow)\n\n" });
    if !counts.is_empty() {
        out.push_str(&format!("{}\n", counts_table(counts)));
    }
    out.push_str(&format!("Written: {}\n", path.display()));
    out
}

/// A whole table in memory, every row of it sound.
struct Rows {
    columns: Vec<String>,
    roles: Roles,
    rows: Vec<Row>,
}

impl Rows {
    fn read(name: &str, bytes: Vec<u8>, options: &ReadOptions) -> Result<Self> {
        let mut reader = TableReader::from_bytes(bytes, name, options)?;
        let roles = reader.roles(options)?;
        let mut rows = Vec::new();
        while let Some(row) = reader.next_row()? {
            if let Some(defect) = &row.defect {
                return Err(Error::data(format!("row {}: {defect}", row.number))
                    .at(format!("{name}:{}", row.line))
                    .advise("mend the row first; 'confide check' lists all such rows"));
            }
            rows.push(row);
        }
        Ok(Self { columns: reader.columns().to_vec(), roles, rows })
    }

    fn write(&self, path: &Path, sets: &[Option<Split>]) -> Result<()> {
        let failed = |error: std::io::Error| Error::writing(path, &error);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut columns = self.columns.clone();
        if self.roles.split.is_none() {
            columns.push("split".into());
        }
        let file = WholeFile::create(path)?;
        let format = Format::Csv { delimiter: b',' };
        let mut writer = TableWriter::new(file, format, &columns).map_err(failed)?;
        for (row, set) in self.rows.iter().zip(sets) {
            let set = set.map_or("", Split::name).to_string();
            match self.roles.split {
                None => writer.write(row, &[("split", set)]),
                Some(column) => {
                    let mut row = row.clone();
                    row.cells[column] = set;
                    writer.write(&row, &[])
                }
            }
            .map_err(failed)?;
        }
        writer.finish().map_err(failed)?.finish()
    }
}

/// What is to keep its share in every set.
struct Strata {
    /// For each row the numbers of its answers.
    traits: Vec<Vec<usize>>,
    problems: usize,
    answers: Answers,
}

/// Where the answers come from.
enum Answers {
    Codes {
        rows: Vec<GoldRow>,
        codebook: Codebook,
    },
    /// Each column with its values and their numbers.
    Columns(Vec<(String, Vec<(String, usize)>)>),
}

impl Strata {
    fn of_codes(
        name: &str,
        bytes: &[u8],
        codebook: &Codebook,
        options: &ReadOptions,
    ) -> Result<Self> {
        let gold = read_gold_from(bytes, name, codebook, options, None)?;
        Ok(Self {
            traits: code_traits(&gold.rows, codebook),
            problems: gold.problems.len(),
            answers: Answers::Codes { rows: gold.rows, codebook: codebook.clone() },
        })
    }

    /// The values of every column that looks like codes: few, short and plain.
    fn of_columns(table: &Rows) -> Self {
        let known = table.roles.known();
        let mut traits = vec![Vec::new(); table.rows.len()];
        let mut columns: Vec<(String, Vec<(String, usize)>)> = Vec::new();
        let mut next = 0;
        for (at, name) in table.columns.iter().enumerate() {
            if known.contains(&at) || name.ends_with("_p") || name.contains("_p__") {
                continue;
            }
            let mut values: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for (row, cells) in table.rows.iter().enumerate() {
                for value in cells.cell(at).split('|').map(str::trim) {
                    values.entry(value).or_default().push(row);
                }
                if values.len() > MOST_VALUES {
                    break;
                }
            }
            let plain = |value: &&str| value.is_empty() || shown(value).starts_with('\'');
            let few = values.len() <= MOST_VALUES.min(1 + table.rows.len() / 2);
            if values.len() < 2 || !few || !values.keys().all(plain) {
                continue;
            }
            let mut named = Vec::new();
            for (value, rows) in values {
                for row in rows {
                    if traits[row].last() != Some(&next) {
                        traits[row].push(next);
                    }
                }
                named.push((value.to_string(), next));
                next += 1;
            }
            let column = if shown(name).starts_with('\'') { name.clone() } else { shown(name) };
            columns.push((column, named));
        }
        Self { traits, problems: 0, answers: Answers::Columns(columns) }
    }

    fn counts(self, sets: &[Option<Split>]) -> Vec<TierCounts> {
        let columns = match self.answers {
            Answers::Columns(columns) => columns,
            Answers::Codes { mut rows, codebook } => {
                rows.iter_mut().zip(sets).for_each(|(row, set)| row.split = *set);
                return count_codes(&rows, &codebook);
            }
        };
        let mut counts: HashMap<usize, SetCounts> = HashMap::new();
        for (traits, set) in self.traits.iter().zip(sets) {
            traits.iter().for_each(|&number| counts.entry(number).or_default().add(*set));
        }
        let label = |(value, number): (String, usize)| {
            let name = if value.is_empty() { "(blank)".into() } else { value };
            (name, counts.get(&number).copied().unwrap_or_default())
        };
        let tier = |(tier, values): (String, Vec<(String, usize)>)| TierCounts {
            tier,
            labels: values.into_iter().map(label).collect(),
            ..TierCounts::default()
        };
        columns.into_iter().map(tier).collect()
    }
}
