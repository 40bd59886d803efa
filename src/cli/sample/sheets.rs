//! The folder of a sample: what the lab keeps, and what each coder gets.

use std::collections::HashMap;
use std::path::Path;

use serde_json::json;

use super::SampleArgs;
use super::corpus::Frame;
use super::expected::{self, HalfWidth};
use crate::cli::verified::VERIFIED;
use crate::codebook::Codebook;
use crate::corpus::{
    Drawn, Format, Row, TableReader, TableWriter, WholeFile, replace_folder, shuffled,
};
use crate::error::{Error, Result};

/// The coder in whose columns the corpus's own codes stand.
const MODEL: &str = "model";

/// One row of the sample with what the corpus says of it.
struct Chosen {
    id: String,
    text: String,
    pi: f64,
    stratum: String,
    /// The model's codes, tier by tier.
    codes: Vec<String>,
}

/// Writes the folder, whole or not at all.
pub fn write(
    args: &SampleArgs,
    output: &Path,
    codebook: &Codebook,
    frame: &Frame,
    drawn: &[Drawn],
    widths: &[HalfWidth],
    seed: u64,
) -> Result<()> {
    let chosen = chosen(args, codebook, frame, drawn)?;
    let mut name = output.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let folder = output.with_file_name(name);
    let failed = |error: std::io::Error| Error::writing(output, &error);
    let finish = || -> Result<()> {
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let keep = kept(codebook, frame, &chosen);
        let safe = args.spreadsheet.is_safe();
        put(&folder.join("sample.csv"), &keep.0, &keep.1, safe)?;
        for (name, header, rows) in sheets(args, codebook, &chosen, seed) {
            put(&folder.join(name), &header, &rows, safe)?;
        }
        let manual = codebook.manual();
        WholeFile::write_all_to(&folder.join("manual.html"), manual.as_bytes())?;
        let design = design(args, codebook, frame, drawn, widths, seed);
        WholeFile::write_all_to(&folder.join("design.json"), format!("{design:#}\n").as_bytes())?;
        replace_folder(&folder, output)
    };
    let done = finish();
    if done.is_err() {
        // What was begun is of no use to anybody.
        let _ = std::fs::remove_dir_all(&folder);
    }
    done
}

fn put(path: &Path, header: &[String], rows: &[Vec<String>], safe: bool) -> Result<()> {
    let failed = |error: std::io::Error| Error::writing(path, &error);
    let mut bytes = Vec::new();
    let format = Format::Csv { delimiter: b',' };
    // Headings are names of ids, texts and tiers.
    let mut writer = TableWriter::new(&mut bytes, format, header).map_err(failed)?.harmless(safe);
    for cells in rows {
        let row = Row { number: 1, line: 1, cells: cells.clone(), json: None, defect: None };
        writer.write(&row, &[]).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    WholeFile::write_all_to(path, &bytes)
}

/// Reads the corpus again for the rows that were drawn.
fn chosen(
    args: &SampleArgs,
    codebook: &Codebook,
    frame: &Frame,
    drawn: &[Drawn],
) -> Result<Vec<Chosen>> {
    let options = args.input.options();
    let places: HashMap<u64, &Drawn> = drawn.iter().map(|own| (frame.rows[own.row], own)).collect();
    let mut reader = TableReader::open(&args.corpus, &options)?;
    let roles = reader.roles(&options)?;
    let columns: Vec<Option<usize>> = codebook
        .tiers
        .iter()
        .map(|tier| reader.columns().iter().position(|column| *column == tier.name))
        .collect();
    let mut all = Vec::with_capacity(drawn.len());
    while let Some(row) = reader.next_row()? {
        let Some(own) = places.get(&row.number) else { continue };
        let code = |column: &Option<usize>| column.map_or("", |column| row.cell(column)).to_owned();
        all.push(Chosen {
            id: roles.id.map_or_else(|| row.number.to_string(), |id| row.cell(id).to_owned()),
            text: row.cell(roles.text).to_owned(),
            pi: own.pi,
            stratum: frame.names[frame.strata[own.row] as usize].clone(),
            codes: columns.iter().map(code).collect(),
        });
    }
    Ok(all)
}

type Sheet = (String, Vec<String>, Vec<Vec<String>>);

/// What the lab keeps: probabilities and predictions.
fn kept(codebook: &Codebook, frame: &Frame, chosen: &[Chosen]) -> (Vec<String>, Vec<Vec<String>>) {
    let mut header = ["id", "pi", "stratum"].map(str::to_owned).to_vec();
    let coded = frame.carry.is_some();
    if coded {
        header.extend(codebook.tiers.iter().map(|tier| format!("{}__{MODEL}", tier.name)));
    }
    let cells = |own: &Chosen| {
        let mut cells = vec![own.id.clone(), own.pi.to_string(), own.stratum.clone()];
        cells.extend(own.codes.iter().filter(|_| coded).cloned());
        cells
    };
    (header, chosen.iter().map(cells).collect())
}

/// The coders' sheets, each in an order of its own.
fn sheets(args: &SampleArgs, codebook: &Codebook, chosen: &[Chosen], seed: u64) -> Vec<Sheet> {
    let coders: Vec<Option<&str>> = match args.coders.is_empty() {
        true => vec![None],
        false => args.coders.iter().map(|coder| Some(coder.as_str())).collect(),
    };
    let all = shuffled(chosen.len(), seed.wrapping_add(1));
    let shared = args.overlap.unwrap_or(chosen.len()).min(chosen.len());
    let mut sheets = Vec::new();
    for (at, coder) in coders.iter().enumerate() {
        let dealt =
            all[shared..].iter().enumerate().filter(|(place, _)| place % coders.len() == at);
        let own: Vec<usize> =
            all[..shared].iter().copied().chain(dealt.map(|(_, row)| *row)).collect();
        let suffix = coder.map_or_else(String::new, |coder| format!("__{coder}"));
        let mut header = vec!["id".to_owned(), "text".to_owned()];
        let verify = args.verify.as_ref().and_then(|tier| codebook.tier_index(tier));
        match verify {
            Some(tier) => {
                let tier = &codebook.tiers[tier].name;
                // No plain column, which would be read as gold.
                header.extend([format!("{tier}__{MODEL}"), format!("{tier}__{VERIFIED}")]);
            }
            None => {
                header.extend(codebook.tiers.iter().map(|tier| format!("{}{suffix}", tier.name)))
            }
        }
        let blanks = header.len() - 2;
        let order = shuffled(own.len(), seed.wrapping_add(2 + at as u64));
        let rows = order
            .iter()
            .map(|&place| {
                let row = &chosen[own[place]];
                let mut cells = vec![row.id.clone(), row.text.clone()];
                cells.extend(std::iter::repeat_n(String::new(), blanks));
                if let Some(tier) = verify {
                    cells[2].clone_from(&row.codes[tier]);
                }
                cells
            })
            .collect();
        let name = coder.map_or_else(|| "sheet.csv".to_owned(), |c| format!("sheet-{c}.csv"));
        sheets.push((name, header, rows));
    }
    sheets
}

fn design(
    args: &SampleArgs,
    codebook: &Codebook,
    frame: &Frame,
    drawn: &[Drawn],
    widths: &[HalfWidth],
    seed: u64,
) -> serde_json::Value {
    let mut strata = vec![(0usize, 0usize); frame.names.len()];
    frame.strata.iter().for_each(|stratum| strata[*stratum as usize].0 += 1);
    drawn.iter().for_each(|own| strata[frame.strata[own.row] as usize].1 += 1);
    let strata: Vec<serde_json::Value> = frame
        .names
        .iter()
        .zip(strata)
        .map(|(name, (rows, drawn))| json!({"name": name, "rows": rows, "drawn": drawn}))
        .collect();
    let left_out: serde_json::Map<String, serde_json::Value> =
        frame.left_out().into_iter().map(|(count, what)| (what.to_owned(), count.into())).collect();
    json!({
        "design": match (&args.by, args.uncertain) {
            (Some(_), _) => "stratified",
            (None, Some(_)) => "proportional to doubt",
            (None, None) => "simple random",
        },
        "by": args.by,
        "uncertain": args.uncertain,
        "verify": args.verify,
        "blind": args.verify.is_none(),
        "rows": frame.rows.len(),
        "drawn": drawn.len(),
        "strata": strata,
        "left_out": left_out,
        "coders": args.coders,
        "overlap": args.overlap,
        "seed": seed,
        "corpus": frame.digest,
        "codebook": codebook.digest(),
        "version": env!("CARGO_PKG_VERSION"),
        "expected": expected::json(widths),
    })
}
