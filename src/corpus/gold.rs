//! Tables of codes: every cell coded, not asked or missing, and every problem named.

use std::io::Read;
use std::path::Path;

use serde::Serialize;

use super::coding::Coding;
use super::format::ReadOptions;
use super::problem::{Problem, Severity};
use super::reader::{TableReader, read_failure};
use super::roles::missing;
use crate::codebook::{Code, Codebook, hex_sha256};
use crate::error::{Error, Result};

/// The set that a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Weights are learned on it.
    Train,
    /// Epochs and thresholds are chosen on it.
    Validation,
    /// Figures are reported on it.
    Test,
}

impl Split {
    /// All sets, in the order of their use.
    pub const ALL: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    /// The name that stands in the `split` column.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }
}

/// One coded row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoldRow {
    /// Data row, counted from 1.
    pub number: u64,
    /// Physical line on which it begins.
    pub line: u64,
    /// The id, or the row number where there is no id column.
    pub id: String,
    /// The text.
    pub text: String,
    /// Author or thread.
    pub group: Option<String>,
    /// The set, if the column names one.
    pub split: Option<Split>,
    /// One code per tier, in codebook order.
    pub codes: Vec<Code>,
}

/// A whole table of codes. Rows that cannot be read are not among the rows, but among the
/// problems.
#[derive(Clone, Debug)]
pub struct GoldTable {
    /// The file's name as messages show it.
    pub name: String,
    /// The rows in the order of the file.
    pub rows: Vec<GoldRow>,
    /// The columns in the order of the file.
    pub columns: Vec<String>,
    /// Whether there is a `split` column.
    pub has_split: bool,
    /// Whether there is a `group` column.
    pub has_group: bool,
    /// For each tier, whether its column is there; one may be absent for a coder only.
    pub tiers_present: Vec<bool>,
    /// Everything that is wrong, in the order of the rows.
    pub problems: Vec<Problem>,
    /// SHA-256 of the file's bytes, 64 lower-case hexadecimal digits.
    pub digest: String,
}

impl GoldTable {
    /// The problems that keep the table from training.
    pub fn fatal(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(|problem| problem.code.severity() == Severity::Fatal)
    }
}

/// Reads a table of codes from a file (`-` is standard input).
///
/// With `coder` the codes are those of the columns `<tier>__<coder>`, of which some may be
/// absent; without, every tier must have its column.
///
/// # Errors
/// A data error if the table or a column that it must have is not there; slips in single
/// rows are [`GoldTable::problems`].
pub fn read_gold(
    path: &Path,
    codebook: &Codebook,
    options: &ReadOptions,
    coder: Option<&str>,
) -> Result<GoldTable> {
    if path == Path::new("-") {
        return read_gold_from(std::io::stdin(), "-", codebook, options, coder);
    }
    let file = std::fs::File::open(path).map_err(|error| Error::reading(path, &error))?;
    read_gold_from(file, &path.display().to_string(), codebook, options, coder)
}

/// Reads a table of codes from any source, as [`read_gold`]; the extension of `name` tells
/// the format.
///
/// # Errors
/// As [`read_gold`].
pub fn read_gold_from(
    mut source: impl Read,
    name: &str,
    codebook: &Codebook,
    options: &ReadOptions,
    coder: Option<&str>,
) -> Result<GoldTable> {
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).map_err(|error| read_failure(name, error))?;
    let digest = hex_sha256(&bytes);
    let mut reader = TableReader::from_bytes(bytes, name, options)?;
    let roles = reader.roles(options)?;
    let columns = reader.columns().to_vec();
    let tiers = tier_columns(&columns, codebook, coder).map_err(|error| error.at(name))?;
    let mut coding = Coding::new(codebook, roles, tiers, columns, name);
    let mut rows = Vec::new();
    while let Some(row) = reader.next_row()? {
        rows.extend(coding.row(&row));
    }
    Ok(GoldTable {
        name: name.to_string(),
        rows,
        has_split: coding.roles.split.is_some(),
        has_group: coding.roles.group.is_some(),
        tiers_present: coding.tiers.iter().map(Option::is_some).collect(),
        columns: coding.columns,
        problems: coding.problems,
        digest,
    })
}

/// The coders whose columns `<tier>__<coder>` a table has, in the order of its columns.
pub fn coders(columns: &[String], codebook: &Codebook) -> Vec<String> {
    let mut coders: Vec<String> = Vec::new();
    for column in columns {
        if let Some((tier, coder)) = column.split_once("__")
            && codebook.tier_index(tier).is_some()
            && !coder.is_empty()
            // `classify` writes a coder's probabilities beside the codes.
            && !coder.ends_with("_p")
            && !coder.contains("_p__")
            && !coders.iter().any(|known| known == coder)
        {
            coders.push(coder.to_string());
        }
    }
    coders
}

fn tier_columns(
    columns: &[String],
    codebook: &Codebook,
    coder: Option<&str>,
) -> Result<Vec<Option<usize>>> {
    let name = |tier: &str| match coder {
        Some(coder) => format!("{tier}__{coder}"),
        None => tier.to_string(),
    };
    let find = |column: &str| columns.iter().position(|c| c == column);
    let found: Vec<Option<usize>> =
        codebook.tiers.iter().map(|tier| find(&name(&tier.name))).collect();
    let required = if coder.is_some() && found.iter().any(Option::is_some) {
        None
    } else {
        found.iter().position(Option::is_none)
    };
    let Some(tier) = required else { return Ok(found) };
    let error = missing(columns, &name(&codebook.tiers[tier].name), "");
    let others = coders(columns, codebook);
    if coder.is_none() && !others.is_empty() && found.iter().all(Option::is_none) {
        return Err(error.advise(format!("choose one of the coders: {}", others.join(", "))));
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::LabelSet;

    fn gold(table: &str) -> GoldTable {
        let book = Codebook::find("llm-mental-health").unwrap();
        read_gold_from(table.as_bytes(), "g.csv", &book, &ReadOptions::default(), None).unwrap()
    }

    fn found(table: &GoldTable) -> Vec<(u64, &str, &str)> {
        let place = |p: &Problem| p.column.clone().unwrap_or_default();
        table
            .problems
            .iter()
            .map(|p| (p.row, p.code.name(), Box::leak(place(p).into_boxed_str()) as &str))
            .collect()
    }

    #[test]
    fn missing_and_not_asked_are_told_apart() {
        let table = gold(
            "text,experience,attitude,topics\n\
             a,personal_use,positive,other|anonymity\n\
             b,off_topic,,\n\
             c,personal_use,neutral,NA\n\
             d,personal_use,,\n\
             e,,,\n\
             f,personal_use,positive,none\n\
             g,personal_use,positive,\n\
             h,,positive,other\n",
        );
        let book = Codebook::find("llm-mental-health").unwrap();
        let one = |label| Code::Coded(LabelSet::one(label));
        let (missing, not_asked) = (Code::Missing, Code::NotAsked);
        let topics = |names: &[&str]| {
            let index = |n: &&str| book.tiers[2].label_index(n).unwrap();
            Code::Coded(LabelSet::new(names.iter().map(index).collect()))
        };
        let expected = [
            vec![one(0), one(0), topics(&["anonymity", "other"])],
            vec![one(2), not_asked.clone(), not_asked.clone()],
            vec![one(0), one(3), not_asked],
            vec![one(0), missing.clone(), missing.clone()],
            vec![missing.clone(), missing.clone(), missing.clone()],
            vec![one(0), one(0), topics(&[])],
            vec![one(0), one(0), missing.clone()],
            vec![missing, one(0), topics(&["other"])],
        ];
        for (row, codes) in table.rows.iter().zip(&expected) {
            assert_eq!(&row.codes, codes, "row {}", row.number);
        }
        assert_eq!(found(&table), []);
        assert_eq!(table.rows[1].id, "2");
    }

    #[test]
    fn every_problem_is_named_at_its_place() {
        let table = gold(
            "id,text,experience,attitude,topics,split,created,pi\n\
             1,a,Personal_Use,positive,other ,train,2024-01-01,0.5\n\
             1,b,personal_use|off_topic,,,trian,45292.5,2\n\
             3,,off_topic,positive,,,1714000000,1\n\
             4,d,personal_use,postive,none|other,test,,\n\
             5,e\n\
             6,f\0,,,,,,\n",
        );
        assert_eq!(
            found(&table),
            [
                (1, "label_form", "experience"),
                (1, "label_form", "topics"),
                (2, "duplicate_id", "id"),
                (2, "invalid_split", "split"),
                (2, "serial_date", "created"),
                (2, "invalid_pi", "pi"),
                (2, "several_labels", "experience"),
                (3, "empty_text", "text"),
                (3, "closed_gate", "attitude"),
                (4, "unknown_label", "attitude"),
                (4, "none_with_labels", "topics"),
                (5, "ragged_row", ""),
                (6, "nul_byte", "text"),
            ]
        );
        assert_eq!(table.problems[9].nearest.as_deref(), Some("positive"));
        assert_eq!(table.problems[9].line, 5);
        assert_eq!(table.rows.len(), 4);
        assert_eq!(table.rows[2].codes[1], Code::NotAsked);
        assert_eq!(table.rows[0].codes[0], Code::Coded(LabelSet::one(0)));
        assert_eq!(table.fatal().count(), 5);
    }

    #[test]
    fn labels_obey_their_own_gates() {
        let book = Codebook::find("edos").unwrap();
        let table = "text,sexism,category,vector\na,sexist,threats,slurs_and_insults\n";
        let table = read_gold_from(table.as_bytes(), "g.csv", &book, &ReadOptions::default(), None)
            .unwrap();
        assert_eq!(found(&table), [(1, "not_permitted", "vector")]);
        assert_eq!(table.rows[0].codes[2], Code::Missing);
    }

    #[test]
    fn coders_have_columns_of_their_own() {
        let book = Codebook::find("llm-mental-health").unwrap();
        let text = "text,experience__ana,attitude__ana,experience__ben,experience__ben_p\n\
                    a,personal_use,positive,off_topic,0.9\n";
        let read =
            |coder| read_gold_from(text.as_bytes(), "g.csv", &book, &ReadOptions::default(), coder);
        let message = read(None).unwrap_err().to_string();
        assert!(message.contains("ana, ben") && !message.contains("ben_p,"), "{message}");
        let ana = read(Some("ana")).unwrap();
        assert_eq!(ana.tiers_present, [true, true, false]);
        assert_eq!(ana.rows[0].codes[2], Code::Missing);
        assert_eq!(read(Some("ben")).unwrap().rows[0].codes[1], Code::NotAsked);
        assert_eq!(read(Some("cleo")).unwrap_err().exit_code(), 3);
    }

    #[test]
    fn jsonl_gives_lists() {
        let book = Codebook::find("goemotions").unwrap();
        let text =
            "{\"text\":\"a\",\"emotions\":[\"joy\",\"love\"]}\n{\"text\":\"b\",\"emotions\":[]}\n";
        let table =
            read_gold_from(text.as_bytes(), "g.jsonl", &book, &ReadOptions::default(), None)
                .unwrap();
        assert_eq!(table.rows[0].codes[0].labels().unwrap().len(), 2);
        assert_eq!(table.rows[1].codes[0], Code::Coded(LabelSet::default()));
    }
}
