//! What models say of rows that they were not trained on: one line a row, without its text.

use std::collections::HashMap;

use crate::codebook::{Code, Codebook};
use crate::corpus::{Format, ReadOptions, Row, TableReader, TableWriter};
use crate::error::{Error, Result};

/// One row as the model of the other folds sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct OutOfFold {
    /// The row's id.
    pub id: String,
    /// Its number in the table that trained.
    pub row: u64,
    /// The fold that it was held out in, from 1.
    pub fold: usize,
    /// Its gold codes.
    pub gold: Vec<Code>,
    /// The answers given the gold ones above.
    pub oracle: Vec<Code>,
    /// The answers as the model is used.
    pub pipeline: Vec<Code>,
    /// P(asked ∧ permitted ∧ label), `[tier][label]`.
    pub marginal: Vec<Vec<f64>>,
    /// P(label | asked), `[tier][label]`.
    pub asked: Vec<Vec<f64>>,
}

/// The names of a tier's columns: gold, oracle and pipeline answers; the two kinds of
/// probabilities by label.
struct Names {
    gold: String,
    oracle: String,
    marginal: Vec<String>,
    asked: Vec<String>,
}

impl Names {
    fn of(codebook: &Codebook, tier: usize) -> Self {
        let tier = &codebook.tiers[tier];
        let by_label = |kind: &str| {
            tier.labels.iter().map(|l| format!("{}_{kind}__{}", tier.name, l.name)).collect()
        };
        Self {
            gold: format!("{}__gold", tier.name),
            oracle: format!("{}__oracle", tier.name),
            marginal: by_label("p"),
            asked: by_label("asked_p"),
        }
    }
}

/// `oof.csv`, in the order of the rows: `id`, `row`, `fold`, then per tier `TIER__gold`,
/// `TIER__oracle`, `TIER`, `TIER_p__LABEL` and `TIER_asked_p__LABEL`.
///
/// # Errors
/// If the table cannot be formed.
pub fn to_csv(codebook: &Codebook, rows: &[OutOfFold]) -> Result<Vec<u8>> {
    let mut header: Vec<String> = ["id", "row", "fold"].map(str::to_owned).to_vec();
    for (at, tier) in codebook.tiers.iter().enumerate() {
        let Names { gold, oracle, marginal, asked } = Names::of(codebook, at);
        header.extend([gold, oracle, tier.name.clone()].into_iter().chain(marginal).chain(asked));
    }
    let cells_of = |row: &OutOfFold| {
        let mut cells = vec![row.id.clone(), row.row.to_string(), row.fold.to_string()];
        for tier in 0..codebook.tiers.len() {
            for codes in [&row.gold, &row.oracle, &row.pipeline] {
                cells.push(codebook.display_cell(tier, &codes[tier]));
            }
            let probabilities = row.marginal[tier].iter().chain(&row.asked[tier]);
            cells.extend(probabilities.map(|p| format!("{p:.6}")));
        }
        Row { number: row.row, line: row.row, cells, json: None, defect: None }
    };
    let write = || {
        let mut writer = TableWriter::new(Vec::new(), Format::Csv { delimiter: b',' }, &header)?;
        rows.iter().try_for_each(|row| writer.write(&cells_of(row), &[]))?;
        writer.finish()
    };
    write().map_err(|e| Error::resource(format!("the out-of-fold codes cannot be written: {e}")))
}

/// P(label | asked) of such a table, `[tier][label]`, by the ids of the rows.
///
/// # Errors
/// If it is not such a table of this codebook; `place` names it.
pub fn asked_by_id(
    codebook: &Codebook,
    bytes: Vec<u8>,
    place: &str,
) -> Result<HashMap<String, Vec<Vec<f64>>>> {
    let wrong = |what: String| {
        Error::model(what)
            .at(place)
            .advise("train the bundle again with --folds, or leave it whole")
    };
    let options = ReadOptions { format: Some("csv".into()), ..ReadOptions::default() };
    let mut reader = TableReader::from_bytes(bytes, place, &options)?;
    let header = reader.columns().to_vec();
    let column = |name: &str| {
        let at = header.iter().position(|column| column == name);
        at.ok_or_else(|| wrong(format!("the column '{name}' is missing")))
    };
    let id = column("id")?;
    let columns = (0..codebook.tiers.len())
        .map(|tier| Names::of(codebook, tier).asked.iter().map(|name| column(name)).collect())
        .collect::<Result<Vec<Vec<usize>>>>()?;
    let mut all = HashMap::new();
    while let Some(row) = reader.next_row()? {
        let value = |column: &usize| {
            let p = row.cell(*column).parse::<f64>().ok();
            p.filter(|p| (0.0..=1.0).contains(p))
                .ok_or_else(|| wrong(format!("row {}: not a probability", row.number)))
        };
        let tiers = columns.iter().map(|labels| labels.iter().map(value).collect());
        let tiers = tiers.collect::<Result<Vec<Vec<f64>>>>()?;
        all.insert(row.cell(id).to_owned(), tiers);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::LabelSet;

    fn codebook() -> Codebook {
        let toml = "format = 1\nname = \"b\"\nversion = \"1\"\nlanguage = \"en\"\n\
            description = \"d\"\n[[tier]]\nname = \"use\"\nkind = \"single\"\nquestion = \"q\"\n\
            label = [{ name = \"yes\", definition = \"d\" }, { name = \"no\", definition = \"d\" }]\n";
        Codebook::parse(toml, "b").unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let codebook = codebook();
        let row = OutOfFold {
            id: "a,\"b\"".into(),
            row: 7,
            fold: 2,
            gold: vec![Code::Coded(LabelSet::one(1))],
            oracle: vec![Code::Coded(LabelSet::one(0))],
            pipeline: vec![Code::Coded(LabelSet::one(0))],
            marginal: vec![vec![0.75, 0.25]],
            asked: vec![vec![0.5, 0.5]],
        };
        let bytes = to_csv(&codebook, &[row]).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.ends_with("7,2,no,yes,yes,0.750000,0.250000,0.500000,0.500000\n"), "{text}");
        let read = asked_by_id(&codebook, bytes, "oof.csv").unwrap();
        assert_eq!(read["a,\"b\""], [[0.5, 0.5]]);
        let broken = text.replace("0.500000\n", "x\n");
        assert_eq!(asked_by_id(&codebook, broken.into_bytes(), "o").unwrap_err().exit_code(), 4);
        let other = text.replace("use_asked_p__no", "use_asked_p__maybe");
        assert_eq!(asked_by_id(&codebook, other.into_bytes(), "o").unwrap_err().exit_code(), 4);
    }
}
