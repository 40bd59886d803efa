//! The rows that can be drawn, and what is known of them without their texts.

use std::collections::{HashMap, HashSet};

use super::SampleArgs;
use crate::codebook::{CellValue, Codebook, hex_sha256};
use crate::corpus::{TableReader, contents};
use crate::error::{Error, Result, nearest, shown};

/// The rows that can be drawn.
#[derive(Default)]
pub struct Frame {
    /// Their numbers in the corpus, from 1.
    pub rows: Vec<u64>,
    /// The stratum of each.
    pub strata: Vec<u32>,
    /// The names of the strata.
    pub names: Vec<String>,
    /// 1 less the smallest probability among the codes of each.
    pub doubt: Vec<f64>,
    /// Per tier and label, how many of them carry it by the model; none if the corpus is not coded.
    pub carry: Option<Vec<Vec<usize>>>,
    /// SHA-256 of the corpus.
    pub digest: String,
    empty: usize,
    unreadable: usize,
    repeated: usize,
    excluded: usize,
}

impl Frame {
    /// Reads the corpus once.
    ///
    /// # Errors
    /// If it cannot be read, or a column that is asked for is not there.
    pub fn read(args: &SampleArgs, codebook: &Codebook) -> Result<Self> {
        let excluded = excluded(args)?;
        let options = args.input.options();
        let (name, bytes) = contents(&args.corpus)?;
        let digest = hex_sha256(&bytes);
        let mut reader = TableReader::from_bytes(bytes, &name, &options)?;
        let roles = reader.roles(&options)?;
        let columns = reader.columns().to_vec();
        let find = |name: &str| columns.iter().position(|column| column == name);
        let need = |column: &str, flag: &str| {
            find(column).ok_or_else(|| {
                let error = Error::data(format!("there is no column {}", shown(column)))
                    .at(format!("{name}, {flag}"));
                match nearest(column, columns.iter().map(String::as_str)) {
                    Some(near) if shown(near).starts_with('\'') => {
                        error.advise(format!("did you mean '{near}'?"))
                    }
                    _ => error.advise("give a column of the corpus"),
                }
            })
        };
        let by = args.by.as_deref().map(|column| need(column, "--by")).transpose()?;
        if by == Some(roles.text) {
            return Err(Error::usage("the texts of comments are no column to draw by")
                .at("--by")
                .advise("name another column, such as platform"));
        }
        let tiers: Vec<Option<usize>> =
            codebook.tiers.iter().map(|tier| find(&tier.name)).collect();
        let mut sure = Vec::new();
        for tier in &codebook.tiers {
            let column = format!("{}_p", tier.name);
            match args.uncertain {
                Some(_) => sure.push(need(&column, "--uncertain")?),
                None => sure.extend(find(&column)),
            }
        }
        if let Some(tier) = &args.verify {
            need(tier, "--verify")?;
        }
        let status = find("status");
        let mut frame = Self {
            carry: tiers
                .iter()
                .all(Option::is_some)
                .then(|| codebook.tiers.iter().map(|tier| vec![0; tier.labels.len()]).collect()),
            digest,
            ..Self::default()
        };
        let mut strata: HashMap<String, u32> = HashMap::new();
        let mut ids = HashSet::new();
        while let Some(row) = reader.next_row()? {
            if row.defect.is_some() {
                frame.unreadable += 1;
                continue;
            }
            let uncoded =
                status.is_some_and(|column| matches!(row.cell(column), "rejected" | "empty"));
            if uncoded || row.cell(roles.text).trim().is_empty() {
                frame.empty += 1;
                continue;
            }
            let number = row.number.to_string();
            let id = roles.id.map_or(number.as_str(), |column| row.cell(column));
            if excluded.contains(id) {
                frame.excluded += 1;
                continue;
            }
            if !ids.insert(id.to_owned()) {
                frame.repeated += 1;
                continue;
            }
            frame.rows.push(row.number);
            let name = by.map_or("", |column| row.cell(column).trim());
            let next = strata.len() as u32;
            let stratum = *strata.entry(name.to_owned()).or_insert_with(|| {
                frame.names.push(name.to_owned());
                next
            });
            frame.strata.push(stratum);
            let least = sure
                .iter()
                .flat_map(|column| row.cell(*column).split('|'))
                .filter_map(|p| p.trim().parse::<f64>().ok().filter(|p| (0.0..=1.0).contains(p)))
                .reduce(f64::min);
            frame.doubt.push(1.0 - least.unwrap_or(1.0));
            if let Some(carry) = &mut frame.carry {
                for (tier, column) in tiers.iter().enumerate() {
                    let cell = column.map_or("", |column| row.cell(column));
                    if let (CellValue::Labels(labels), _) = codebook.parse_cell(tier, cell) {
                        labels.iter().for_each(|label| carry[tier][label] += 1);
                    }
                }
            }
        }
        Ok(frame)
    }

    /// What has no chance of being drawn, with counts.
    pub fn left_out(&self) -> [(usize, &'static str); 4] {
        [
            (self.unreadable, "rows cannot be read"),
            (self.empty, "rows are without a text or a code"),
            (self.repeated, "rows have the id of an earlier one"),
            (self.excluded, "rows are excluded"),
        ]
    }
}

/// The ids of tables that are left out.
fn excluded(args: &SampleArgs) -> Result<HashSet<String>> {
    let options = args.input.options();
    let mut ids = HashSet::new();
    for path in &args.exclude {
        let mut reader = TableReader::open(path, &options)?;
        let name = options.id.as_deref().unwrap_or("id");
        let column =
            reader.columns().iter().position(|column| column == name).ok_or_else(|| {
                Error::data("a table to exclude has no column with ids")
                    .at(path.display().to_string())
                    .advise("name it: --id COLUMN")
            })?;
        while let Some(row) = reader.next_row()? {
            ids.insert(row.cell(column).to_owned());
        }
    }
    Ok(ids)
}
