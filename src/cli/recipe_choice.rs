//! `train --recipe auto`: which strategy suits the training rows, by cross-validation among them.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use super::cross_fitting::{own_bundle, say, spread};
use super::messages::Messages;
use super::sandbox::Sandbox;
use super::table::Table;
use super::train::{Request, train_bundle};
use super::training_rows::{Rows, tenth, tied};
use crate::codebook::Codebook;
use crate::corpus::{GoldRow, Split, WholeFile, code_traits, stratified_folds};
use crate::encoder::EncoderConfig;
use crate::error::{Error, Result};
use crate::evaluation::selection::{Candidate, Choice, TrialCounts, optimism};
use crate::training::{
    Example, FINALISTS, FIRST_FOLDS, FOLDS, Mode, Recipe, RunFolder, Strategy, Work, affordable,
    least_budget, members, strategies,
};

/// The folder of the trials in a run folder.
const TRIALS: &str = "choice";
/// What was tried and chosen.
const RECORD: &str = "choice.json";

/// The budget where none is given, in seconds.
pub(super) const BUDGET: f64 = 900.0;

/// The seconds of a time such as 90s, 15m or 1h.
pub(super) fn seconds(text: &str) -> std::result::Result<f64, String> {
    let units = [("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let read = units.iter().find_map(|(unit, seconds)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(number * seconds)
    });
    read.filter(|seconds| (1.0..1e7).contains(seconds))
        .ok_or_else(|| "a time has a number and s, m or h: 90s, 15m, 1h".into())
}

/// What of a budget each choice has: the whole training and every fold make one.
pub(super) fn share(budget: f64, folds: Option<usize>) -> f64 {
    budget / (1 + folds.unwrap_or(0)) as f64
}

/// Everything that a chosen recipe follows from, as text.
///
/// # Errors
/// If a recipe cannot be written.
pub(super) fn resolved(budget: f64) -> Result<String> {
    let mut out = format!("budget {budget}\n");
    for strategy in strategies() {
        out += &format!("[{}]\n{}", strategy.name, strategy.recipe.resolved()?);
    }
    Ok(out)
}

/// What training on these rows has to do with.
fn work(config: &EncoderConfig, train: &[Example]) -> Work {
    let words = config.words();
    let matrices = config.tensors().into_iter().filter(|tensor| {
        tensor.shape.len() == 2 && tensor.name != words && !tensor.name.contains("embeddings")
    });
    Work {
        rows: train.len(),
        tokens: train.iter().map(|example| example.text.ids.len()).sum(),
        weights: matrices.map(|tensor| tensor.shape.iter().product::<usize>()).sum(),
    }
}

/// The strategies that a budget pays for.
pub(super) struct Paid {
    budget: f64,
    work: Work,
    strategies: Vec<Strategy>,
}

impl Paid {
    /// Those for a training of this encoder on these rows.
    ///
    /// # Errors
    /// If it pays for none.
    pub fn by(budget: f64, config: &EncoderConfig, train: &[Example]) -> Result<Self> {
        let work = work(config, train);
        let strategies = affordable(work, budget).ok_or_else(|| {
            let (budget, least) = (minutes(budget), minutes(least_budget(work)));
            Error::usage(format!(
                "no recipe can be chosen within {budget}: the cheapest trials take {least}"
            ))
            .at("--budget")
            .advise("allow more (each of --folds has its own choice), or use --recipe frozen")
        })?;
        Ok(Self { budget, work, strategies })
    }
}

/// Tries what is paid for and takes what does best; writes `choice.json`. The training rows alone
/// are looked at. Trials that an earlier, interrupted call finished are kept.
///
/// # Errors
/// If there are fewer groups of rows than folds, or as a training.
pub(super) fn choose(
    request: &Request,
    paid: &Paid,
    run: &RunFolder,
    messages: Messages,
    sandbox: &Sandbox,
    stop: &AtomicBool,
) -> Result<(Choice, Recipe)> {
    let Paid { budget, work, strategies } = paid;
    let trials = Trials { request, fold_of: fold_of(request)?, run, messages, sandbox, stop };
    let names: Vec<&str> = strategies.iter().map(|s| s.name).collect();
    messages.note(&format!("choosing among {} by {FOLDS} folds", names.join(", ")));
    let mut tallies: Vec<Vec<TrialCounts>> = Vec::new();
    for strategy in strategies {
        let folds = if strategy.recipe.mode == Mode::Frozen { FOLDS } else { FIRST_FOLDS };
        tallies.push((0..folds).map(|fold| trials.tally(strategy, fold)).collect::<Result<_>>()?);
    }
    let first: Vec<f64> =
        tallies.iter().map(|own| TrialCounts::sum(own[..FIRST_FOLDS].iter()).score()).collect();
    let finalists = best(&first, FINALISTS);
    for &at in &finalists {
        for fold in tallies[at].len()..FOLDS {
            let tally = trials.tally(&strategies[at], fold)?;
            tallies[at].push(tally);
        }
    }
    let whole: Vec<f64> = tallies.iter().map(|own| TrialCounts::sum(own.iter()).score()).collect();
    let last: Vec<f64> = finalists.iter().map(|&at| whole[at]).collect();
    let chosen = finalists[best(&last, 1)[0]];
    let folds: Vec<Vec<f64>> =
        tallies.iter().map(|own| own.iter().map(TrialCounts::score).collect()).collect();
    let shared: Vec<Vec<f64>> = folds.iter().map(|own| own[..FIRST_FOLDS].to_vec()).collect();
    let candidates =
        strategies.iter().zip(folds).enumerate().map(|(at, (strategy, folds))| Candidate {
            strategy: strategy.name.into(),
            seconds: work.fold().seconds(&strategy.recipe),
            deviation: spread(&folds.iter().copied().map(Some).collect::<Vec<_>>()).1,
            folds,
            score: whole[at],
            finalist: finalists.contains(&at),
        });
    let choice = Choice {
        budget: *budget,
        folds: FOLDS,
        candidates: candidates.collect(),
        chosen: strategies[chosen].name.into(),
        optimism: optimism(&shared, chosen),
    };
    let json = serde_json::to_string_pretty(&choice)
        .map_err(|e| Error::resource(format!("the choice cannot be recorded: {e}")))?;
    run.write(RECORD, format!("{json}\n").as_bytes())?;
    let members = members(*work, *budget, strategies);
    Ok((choice, Recipe { members, ..strategies[chosen].recipe.clone() }))
}

/// The choice for people.
pub(super) fn text(choice: &Choice) -> String {
    format!(
        "Recipes, each on rows that it did not see:\n{}The score of {} is expected to flatter by {:.3}, \
         since it was chosen as the best.\n",
        table(choice),
        choice.chosen,
        choice.optimism
    )
}

/// What was tried, best first.
fn table(choice: &Choice) -> Table {
    let mut table = Table::new([
        "strategy",
        "macro-F1, pipeline, mean of tiers",
        "folds (SD)",
        "reckoned time of a fold",
        "",
    ]);
    let mut order: Vec<&Candidate> = choice.candidates.iter().collect();
    order.sort_by(|a, b| {
        (b.finalist, b.score)
            .partial_cmp(&(a.finalist, a.score))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    for own in order {
        let deviation = own.deviation.map_or_else(|| "undefined".into(), |d| format!("{d:.3}"));
        let remark = match own.strategy == choice.chosen {
            true => "chosen",
            false if own.finalist => "finalist",
            false => "",
        };
        table.row(vec![
            own.strategy.clone(),
            format!("{:.3}", own.score),
            format!("{} ({deviation})", own.folds.len()),
            format!("{:.0} s", own.seconds),
            remark.into(),
        ]);
    }
    table
}

/// Removes what was tried: bundles of parts of the rows, which nobody needs once one is chosen.
pub(super) fn clear(run: &RunFolder) {
    let _ = std::fs::remove_dir_all(run.file(TRIALS));
}

/// A time for people.
fn minutes(seconds: f64) -> String {
    match seconds < 90.0 {
        true => format!("{:.0} s", seconds.ceil()),
        false => format!("{:.1} min", seconds / 60.0),
    }
}

/// The indices of the largest values, the largest first; of equals the earlier.
fn best(scores: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.truncate(count);
    order
}

/// The fold of every training row: groups and near-duplicates together, labels in proportion.
fn fold_of(request: &Request) -> Result<Vec<usize>> {
    let rows = &request.rows.train;
    let (units, traits) = (tied(rows), code_traits(rows, request.codebook));
    let fold_of = stratified_folds(&traits, &units, FOLDS, request.seed)?;
    if (0..FOLDS).any(|fold| !fold_of.contains(&fold)) {
        return Err(too_few(units.len()));
    }
    Ok(fold_of)
}

fn too_few(units: usize) -> Error {
    Error::usage(format!("the training rows form {units} groups, too few for {FOLDS} folds"))
        .at("--recipe auto")
        .advise("name a recipe: full, lora or frozen")
}

/// Trainings on the rows outside a fold.
struct Trials<'a> {
    request: &'a Request<'a>,
    fold_of: Vec<usize>,
    run: &'a RunFolder,
    messages: Messages,
    sandbox: &'a Sandbox,
    stop: &'a AtomicBool,
}

impl Trials<'_> {
    /// How a strategy does on a fold. What a training follows from is in the plan that the caller has
    /// compared, so a trial that was made before is not made again.
    fn tally(&self, strategy: &Strategy, fold: usize) -> Result<TrialCounts> {
        let codebook = self.request.codebook;
        let folder = self.run.file(TRIALS).join(strategy.name);
        let record = folder.join(format!("{}.json", fold + 1));
        if let Some(tally) = read(&record, codebook) {
            return Ok(tally);
        }
        let output = folder.join((fold + 1).to_string());
        if !output.is_dir() {
            self.messages.note(&format!("{}, fold {} of {FOLDS}", strategy.name, fold + 1));
            let own = Request {
                rows: self.rows(fold)?,
                recipe: &strategy.recipe,
                output: &output,
                force: false,
                folds: None,
                budget: None,
                tensorboard: false,
                ..*self.request
            };
            train_bundle(own, self.messages, self.sandbox, self.stop)?;
        }
        let bundle = own_bundle(&output, self.request.base, &strategy.recipe, self.request.device)?;
        let held_out = self.request.rows.train.iter().zip(&self.fold_of);
        let held_out = held_out.filter(|(_, of)| **of == fold).map(|(row, _)| row);
        let (said, _) = say(&bundle, held_out, fold + 1, self.stop)?;
        let tally =
            TrialCounts::of(codebook, said.iter().map(|row| (&row.gold[..], &row.pipeline[..])));
        let json = serde_json::to_string(&tally)
            .map_err(|e| Error::resource(format!("a trial cannot be recorded: {e}")))?;
        WholeFile::write_all_to(&record, json.as_bytes())?;
        drop(bundle);
        // Its tally is all that is asked of it, and an encoder for each trial would fill the disk.
        for folder in [output.clone(), RunFolder::of(&output).path().to_owned()] {
            std::fs::remove_dir_all(&folder).map_err(|e| Error::writing(&folder, &e))?;
        }
        Ok(tally)
    }

    /// The rows outside a fold, a tenth of which validates in place of the rows that are set apart.
    fn rows(&self, fold: usize) -> Result<Rows> {
        let all = self.request.rows.train.iter().zip(&self.fold_of);
        let own: Vec<GoldRow> =
            all.filter(|(_, of)| **of != fold).map(|(row, _)| row.clone()).collect();
        let sets = tenth(&own, self.request.codebook, self.request.seed)?;
        if [Split::Train, Split::Validation].iter().any(|set| !sets.contains(&Some(*set))) {
            return Err(too_few(tied(&own).len()));
        }
        let mut rows = Rows { train: Vec::new(), validation: Vec::new() };
        for (row, set) in own.into_iter().zip(sets) {
            match set {
                Some(Split::Validation) => rows.validation.push(row),
                _ => rows.train.push(row),
            }
        }
        Ok(rows)
    }
}

fn read(record: &PathBuf, codebook: &Codebook) -> Option<TrialCounts> {
    let tally: TrialCounts = serde_json::from_slice(&std::fs::read(record).ok()?).ok()?;
    tally.fits(codebook).then_some(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_come_first_and_equals_in_order() {
        assert_eq!(best(&[0.1, 0.4, 0.4, 0.2], 3), [1, 2, 3]);
        assert_eq!(best(&[0.3], 2), [0]);
    }

    #[test]
    fn times_are_for_people() {
        assert_eq!(minutes(15.0 * 60.0), "15.0 min");
        assert_eq!(minutes(29.2), "30 s");
    }
}
