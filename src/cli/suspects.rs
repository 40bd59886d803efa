//! `check --with`: gold codes that a bundle's out-of-fold answers contradict.

use std::path::Path;

use serde_json::{Value, json};

use super::cross_fitting::OUT_OF_FOLD;
use super::table::Table;
use crate::codebook::{Code, Codebook, TierKind};
use crate::corpus::GoldRow;
use crate::error::{Error, Result};
use crate::evaluation::label_errors::suspects;
use crate::evaluation::out_of_fold::asked_by_id;
use crate::training::RunFolder;

/// Codes to look at again.
pub(super) struct Suspects {
    /// Rows of the tables that a fold's model has answered.
    pub known: usize,
    found: Vec<Found>,
}

struct Found {
    file: String,
    row: u64,
    id: String,
    tier: String,
    given: String,
    preferred: String,
    /// What the model gives either.
    shares: (f64, f64),
}

impl Suspects {
    /// Finds them among the rows of these tables by the out-of-fold answers beside the bundle.
    ///
    /// # Errors
    /// If there are none, or none for any of the rows.
    pub fn find<'a>(
        bundle: &Path,
        codebook: &Codebook,
        rows: impl Iterator<Item = (&'a str, &'a GoldRow)>,
    ) -> Result<Self> {
        let file = RunFolder::of(bundle).file(OUT_OF_FOLD);
        let place = file.display().to_string();
        let bytes = std::fs::read(&file).map_err(|_| {
            Error::model("the bundle has no answers to rows that it was not trained on")
                .at(place.clone())
                .advise("train it with --folds 5")
        })?;
        let answers = asked_by_id(codebook, bytes, &place)?;
        let known: Vec<(&str, &GoldRow, &Vec<Vec<f64>>)> =
            rows.filter_map(|(file, row)| Some((file, row, answers.get(&row.id)?))).collect();
        if known.is_empty() {
            return Err(Error::data("none of the rows trained this bundle, by their ids").at(place));
        }
        let gold: Vec<&[Code]> = known.iter().map(|(_, row, _)| row.codes.as_slice()).collect();
        let asked: Vec<&[Vec<f64>]> = known.iter().map(|(.., asked)| asked.as_slice()).collect();
        let found = suspects(codebook, &gold, &asked).into_iter().map(|suspect| {
            let (file, row, _) = known[suspect.row];
            let tier = &codebook.tiers[suspect.tier];
            let label = &tier.labels[suspect.label].name;
            let given = &row.codes[suspect.tier];
            let has = given.labels().is_some_and(|labels| labels.contains(suspect.label));
            let (given, preferred) = match tier.kind {
                TierKind::Single => (codebook.display_cell(suspect.tier, given), label.clone()),
                TierKind::Multi if has => (label.clone(), format!("not {label}")),
                TierKind::Multi => (format!("not {label}"), label.clone()),
            };
            Found {
                file: file.to_owned(),
                row: row.number,
                id: row.id.clone(),
                tier: tier.name.clone(),
                given,
                preferred,
                shares: (suspect.given, suspect.other),
            }
        });
        Ok(Self { known: known.len(), found: found.collect() })
    }

    /// All of them, the most contradicted first.
    pub fn json(&self) -> Value {
        let of = |found: &Found| {
            json!({
                "file": found.file,
                "row": found.row,
                "id": found.id,
                "tier": found.tier,
                "given": found.given,
                "preferred": found.preferred,
                "p_given": found.shares.0,
                "p_preferred": found.shares.1,
            })
        };
        self.found.iter().map(of).collect()
    }

    /// The first of them for people.
    pub fn text(&self, most: usize) -> String {
        let mut out = format!(
            "\nCodes to look at again: {} of {} rows' answers by models that had not seen them\n",
            self.found.len(),
            self.known
        );
        if self.found.is_empty() {
            return out;
        }
        let mut table = Table::new(["file", "row", "tier", "coded", "model", "p coded", "p model"]);
        for found in self.found.iter().take(most) {
            table.row([
                found.file.clone(),
                found.row.to_string(),
                found.tier.clone(),
                found.given.clone(),
                found.preferred.clone(),
                format!("{:.3}", found.shares.0),
                format!("{:.3}", found.shares.1),
            ]);
        }
        out += &table.to_string();
        if self.found.len() > most {
            out += &format!("and {} more; --json lists all\n", self.found.len() - most);
        }
        out
    }
}
