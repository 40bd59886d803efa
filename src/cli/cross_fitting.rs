//! `train --folds`: one model for each fold of the training rows, trained on the others, and what
//! it says of the rows that it has not seen.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use candle_core::Device;
use serde_json::{Value, json};

use super::messages::Messages;
use super::recipe_choice::share;
use super::sandbox::Sandbox;
use super::table::Table;
use super::train::{MARGINS, RUN_RECORD, Request, train_bundle};
use super::training_rows::{Rows, teaches, tied};
use crate::bundle::{Bundle, CrossValidation, TierFigures};
use crate::codebook::{Code, Codebook};
use crate::corpus::{GoldRow, folds};
use crate::decision::both_views;
use crate::encoder::{ComputeRequest, Precision};
use crate::error::{Error, Result};
use crate::evaluation::out_of_fold::{OutOfFold, to_csv};
use crate::evaluation::{Evaluation, TierEvaluation, evaluate};
use crate::heads::{scale_logits, shift_logits};
use crate::training::{Mode, Recipe, RunFolder, TextLogits};

/// The file of out-of-fold codes in a run folder.
pub(super) const OUT_OF_FOLD: &str = "oof.csv";
/// The file of cross-validated figures.
const FIGURES: &str = "folds.json";

/// Where the model of a fold is, counted from 1.
pub(super) fn fold_bundle(run: &RunFolder, count: usize, fold: usize) -> PathBuf {
    run.file(&format!("folds-{count}")).join(fold.to_string())
}

/// What the folds' models say of all rows.
pub(super) struct Crossed {
    /// Cross-validated figures.
    pub table: Table,
    /// Those that the manifest states.
    pub figures: CrossValidation,
    /// Logits without the folds' margins, divided by their temperatures, `[row][tier][label]`.
    pub logits: TextLogits,
    /// The rows' gold codes.
    pub gold: Vec<Vec<Code>>,
    /// The fold that each row was held out in, from 0.
    pub folds: Vec<usize>,
}

/// Trains the folds' models, writes `oof.csv` and `folds.json`, and returns what they say. A model
/// that an earlier, interrupted call wrote is kept: everything that it follows from is in the plan
/// that the caller has compared.
///
/// # Errors
/// If there are fewer groups of rows than folds, or as a training.
pub(super) fn cross_fit(
    request: &Request,
    count: usize,
    run: &RunFolder,
    messages: Messages,
    sandbox: &Sandbox,
    stop: &AtomicBool,
) -> Result<Crossed> {
    let codebook = request.codebook;
    let rows = &request.rows.train;
    let fold_of = fold_of(rows, count, request.seed)?;
    // A rule for review is that of the whole bundle, whichever models code.
    let recipe = Recipe { review_risk: 0.0, ..request.recipe.clone() };
    let mut held_out: Vec<(OutOfFold, Vec<Vec<f64>>)> = Vec::new();
    for fold in 0..count {
        let output = fold_bundle(run, count, fold + 1);
        if !output.is_dir() {
            messages.note(&format!("fold {} of {count}", fold + 1));
            let others = rows.iter().zip(&fold_of).filter(|(_, of)| **of != fold);
            let own = Request {
                rows: Rows {
                    train: others.map(|(row, _)| row.clone()).collect(),
                    validation: request.rows.validation.clone(),
                },
                recipe: &recipe,
                output: &output,
                force: false,
                folds: None,
                budget: request.budget.map(|budget| share(budget, Some(count))),
                ..*request
            };
            train_bundle(own, messages, sandbox, stop)?;
        }
        let bundle = own_bundle(&output, request.base, request.recipe, request.device)?;
        let own = rows.iter().zip(&fold_of).filter(|(_, of)| **of == fold);
        let (own, mut logits) = say(&bundle, own.map(|(row, _)| row), fold + 1, stop)?;
        if let Some(margins) = margins(&output, codebook)? {
            shift_logits(&mut logits, |tier, label| -margins[tier][label]);
        }
        scale_logits(&mut logits, &bundle.decisions().temperatures());
        held_out.extend(own.into_iter().zip(logits));
    }
    held_out.sort_by_key(|(row, _)| row.row);
    let (held_out, logits): (Vec<OutOfFold>, TextLogits) = held_out.into_iter().unzip();
    run.write(OUT_OF_FOLD, &to_csv(codebook, &held_out)?)?;
    let whole = figures(codebook, held_out.iter());
    let of_folds: Vec<Evaluation> = (1..=count)
        .map(|fold| figures(codebook, held_out.iter().filter(|row| row.fold == fold)))
        .collect();
    let table = Figures { whole: &whole, of_folds: &of_folds };
    run.write(FIGURES, format!("{:#}\n", table.document()).as_bytes())?;
    let table = table.table();
    let figures =
        CrossValidation { folds: count, rows: whole.rows, tiers: TierFigures::of(&whole) };
    let (folds, gold) = held_out.into_iter().map(|row| (row.fold - 1, row.gold)).unzip();
    Ok(Crossed { table, figures, logits, gold, folds })
}

/// A bundle that a part of this training wrote, in f32.
pub(super) fn own_bundle(
    output: &Path,
    base: &str,
    recipe: &Recipe,
    device: &Device,
) -> Result<Bundle> {
    Bundle::load(
        output,
        (recipe.mode == Mode::Lora).then_some(base),
        &ComputeRequest {
            device: device.clone(),
            precision: Some(Precision::F32),
            ..ComputeRequest::default()
        },
    )
}

/// What the training of this bundle added to the logits of every tier's labels, if anything.
fn margins(bundle: &Path, codebook: &Codebook) -> Result<Option<Vec<Vec<f64>>>> {
    let file = RunFolder::of(bundle).file(RUN_RECORD);
    let read = || -> Option<Option<Vec<Vec<f64>>>> {
        let record: Value = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
        serde_json::from_value(record.get(MARGINS)?.clone()).ok()
    };
    let fits = |margins: &Vec<Vec<f64>>| {
        margins.iter().map(Vec::len).eq(codebook.tiers.iter().map(|tier| tier.labels.len()))
    };
    read().filter(|margins| margins.as_ref().is_none_or(fits)).ok_or_else(|| {
        Error::model("the record of a fold's training is missing or damaged")
            .at(file.display().to_string())
            .advise("remove the folder of the folds, and run the same command again")
    })
}

/// The fold of every row: groups and near-duplicates stay together.
fn fold_of(rows: &[GoldRow], count: usize, seed: u64) -> Result<Vec<usize>> {
    let units = tied(rows);
    if units.len() < count {
        return Err(Error::usage(format!(
            "the training rows form {} groups, fewer than {count} folds",
            units.len()
        ))
        .at("--folds")
        .advise("ask for fewer folds"));
    }
    Ok(folds(&units, count, seed))
}

/// What a model says of rows that it has not seen, and its logits; rows without text or code are
/// passed over.
pub(super) fn say<'a>(
    bundle: &Bundle,
    rows: impl Iterator<Item = &'a GoldRow>,
    fold: usize,
    stop: &AtomicBool,
) -> Result<(Vec<OutOfFold>, TextLogits)> {
    let rows: Vec<&GoldRow> = rows.filter(|row| teaches(row)).collect();
    let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
    let logits = bundle.logits(&bundle.read(&texts)?, stop)?;
    let gold: Vec<&[Code]> = rows.iter().map(|row| row.codes.as_slice()).collect();
    let (codebook, decisions) = (bundle.codebook(), bundle.decisions());
    let answers = both_views(codebook, decisions, &logits, &gold);
    let own = rows.iter().zip(answers).zip(&logits).map(|((row, answers), logits)| OutOfFold {
        id: row.id.clone(),
        row: row.number,
        fold,
        gold: row.codes.clone(),
        oracle: answers.oracle,
        pipeline: answers.pipeline.codes,
        marginal: answers.pipeline.marginal,
        asked: decisions.probabilities(codebook, logits),
    });
    Ok((own.collect(), logits))
}

fn figures<'a>(codebook: &Codebook, rows: impl Iterator<Item = &'a OutOfFold>) -> Evaluation {
    let mut codes = [Vec::new(), Vec::new(), Vec::new()];
    for row in rows {
        for (all, own) in codes.iter_mut().zip([&row.gold, &row.oracle, &row.pipeline]) {
            all.push(own.clone());
        }
    }
    let [gold, oracle, pipeline] = &codes;
    evaluate(codebook, gold, oracle, pipeline, None)
}

/// Macro-F1 in a view.
type Figure = fn(&TierEvaluation) -> Option<f64>;

const VIEWS: [(&str, Figure); 2] =
    [("oracle", |tier| tier.oracle.macro_f1), ("pipeline", |tier| tier.pipeline.macro_f1)];

/// Figures over all folds and of each.
struct Figures<'a> {
    whole: &'a Evaluation,
    of_folds: &'a [Evaluation],
}

impl Figures<'_> {
    fn each(&self, tier: &str, figure: Figure) -> Vec<Option<f64>> {
        self.of_folds.iter().map(|fold| figure(fold.tiers.get(tier)?)).collect()
    }

    fn document(&self) -> Value {
        let tiers = self.whole.tiers.iter().map(|(name, tier)| {
            let views = VIEWS.map(|(view, figure)| {
                let each = self.each(name, figure);
                let (mean, deviation) = spread(&each);
                let own = json!({
                    "macro_f1": figure(tier),
                    "mean": mean,
                    "deviation": deviation,
                    "folds": each,
                });
                (view.to_owned(), own)
            });
            let mut own: serde_json::Map<String, Value> = views.into_iter().collect();
            own.insert("n".into(), tier.coded.into());
            (name.to_owned(), Value::Object(own))
        });
        json!({
            "folds": self.of_folds.len(),
            "rows": self.whole.rows,
            "tiers": tiers.collect::<serde_json::Map<_, _>>(),
        })
    }

    fn table(&self) -> Table {
        let mut table = Table::new([
            "tier",
            "rows",
            "oracle macro-F1, all rows",
            "mean of folds (SD)",
            "pipeline macro-F1, all rows",
            "mean of folds (SD)",
        ]);
        let number = |v: Option<f64>| v.map_or_else(|| "undefined".into(), |v| format!("{v:.3}"));
        for (name, tier) in self.whole.tiers.iter() {
            let mut cells = vec![name.to_owned(), tier.coded.to_string()];
            for (_, figure) in VIEWS {
                let (mean, deviation) = spread(&self.each(name, figure));
                cells.push(number(figure(tier)));
                cells.push(format!("{} ({})", number(mean), number(deviation)));
            }
            table.row(cells);
        }
        table
    }
}

/// Mean and standard deviation (n - 1) of the values there are.
pub(super) fn spread(values: &[Option<f64>]) -> (Option<f64>, Option<f64>) {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    let n = known.len() as f64;
    if known.is_empty() {
        return (None, None);
    }
    let mean = known.iter().sum::<f64>() / n;
    let squares: f64 = known.iter().map(|v| (v - mean).powi(2)).sum();
    (Some(mean), (known.len() > 1).then(|| (squares / (n - 1.0)).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_those_of_samples() {
        assert_eq!(spread(&[Some(1.0), None, Some(3.0)]), (Some(2.0), Some(2f64.sqrt())));
        assert_eq!(spread(&[Some(0.5)]), (Some(0.5), None));
        assert_eq!(spread(&[None]), (None, None));
    }
}
