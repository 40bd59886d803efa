//! What the screen misses and flags.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use confide::corpus::stratified_folds;
use confide::crisis::{Example, Kind, Screen, Verdict};
use confide::encoder::kernels::Level;
use confide::evaluation::interval::clopper_pearson;

use crate::fitted;
use crate::tables::{Rows, Table};

const FOLDS: usize = 5;

/// Seeds by which texts are cut into folds; the first is the one that is told in detail.
const CUTS: [u64; 3] = [11, 22, 33];

/// Shares of texts in danger for which the worth of a flag is told.
const BASE_RATES: [f64; 3] = [0.001, 0.005, 0.01];

/// Every text judged once, by a screen that was fitted without it, threshold included.
pub fn cross_validated(tables: &[Table], calm: &[Table], folds: Option<&Path>) {
    let examples: Vec<&Example> = tables.iter().flat_map(|table| &table.examples).collect();
    let ids: Vec<&String> = tables.iter().flat_map(|table| &table.ids).collect();
    let calm = || calm.iter().flat_map(|table| &table.examples);
    let mut written = "cut,fold,id,flagged\n".to_owned();
    for cut in CUTS {
        let fold_of = cut_into_folds(&examples, cut);
        let mut flagged = vec![false; examples.len()];
        for fold in 0..FOLDS {
            let rest: Vec<&Example> = (0..examples.len())
                .filter(|at| fold_of[*at] != fold)
                .map(|at| examples[at])
                .collect();
            let rest: Vec<&Example> = rest.into_iter().chain(calm()).collect();
            let model = fitted(&rest, Vec::new());
            for at in (0..examples.len()).filter(|at| fold_of[*at] == fold) {
                flagged[at] = model.margin(&examples[at].seen) >= 0.0;
            }
        }
        for at in 0..examples.len() {
            writeln!(written, "{cut},{},{},{}", fold_of[at], ids[at], u8::from(flagged[at]))
                .unwrap();
        }
        let mut start = 0;
        for table in tables {
            let own = &flagged[start..start + table.examples.len()];
            let crises: Vec<bool> = table.examples.iter().map(|example| example.crisis).collect();
            println!("\n{}, {FOLDS} folds, cut {cut}: {}", table.name, summary(&crises, own));
            if cut == CUTS[0] {
                by_kind(&table.kinds, &crises, own);
                worth("by cross-validation on the same texts", &crises, own);
            }
            start += own.len();
        }
    }
    if let Some(path) = folds {
        std::fs::write(path, written).unwrap();
    }
}

fn cut_into_folds(examples: &[&Example], seed: u64) -> Vec<usize> {
    let traits: Vec<Vec<usize>> = examples
        .iter()
        .map(|e| vec![usize::from(e.kind == Kind::Post) * 2 + usize::from(e.crisis)])
        .collect();
    let units: Vec<Vec<usize>> = (0..examples.len()).map(|row| vec![row]).collect();
    stratified_folds(&traits, &units, FOLDS, seed).unwrap()
}

/// The shipped screen on comments of the test and on ordinary texts.
pub fn shipped(test: Option<&Path>, ordinary: &[std::path::PathBuf], stop: &AtomicBool) {
    let screen = Screen::shipped(Level::best()).unwrap();
    let judge = |rows: &Rows| screen.screen(&rows.column("text"), stop).unwrap();
    let is_flagged = |verdict: &Verdict| matches!(verdict, Verdict::Crisis(_));
    let mut recall = None;
    if let Some(path) = test {
        let rows = Rows::read(path);
        let verdicts = judge(&rows);
        let flagged: Vec<bool> = verdicts.iter().map(is_flagged).collect();
        let crises: Vec<bool> =
            rows.column("crisis").iter().map(|cell| *cell == "crisis").collect();
        let kinds: Vec<String> =
            rows.column("kind").iter().map(|kind| (*kind).to_owned()).collect();
        println!("\n{}, shipped screen: {}", rows.name, summary(&crises, &flagged));
        let unseen = verdicts.iter().filter(|v| **v == Verdict::NotScreened).count();
        println!("not screened: {unseen}");
        by_kind(&kinds, &crises, &flagged);
        worth("on the same texts", &crises, &flagged);
        recall = Some(rates(&crises, &flagged).0);
    }
    for path in ordinary {
        let rows = Rows::read(path);
        let verdicts = judge(&rows);
        let per_thousand = |count: usize| 1000.0 * count as f64 / verdicts.len() as f64;
        let flagged = verdicts.iter().filter(|v| is_flagged(v)).count();
        let unseen = verdicts.iter().filter(|v| **v == Verdict::NotScreened).count();
        println!(
            "\n{}: of {} texts {:.0} in 1,000 flagged, {:.0} not screened",
            rows.name,
            verdicts.len(),
            per_thousand(flagged),
            per_thousand(unseen)
        );
        if let Some(recall) = recall {
            let false_rate = flagged as f64 / verdicts.len() as f64;
            println!(
                "worth of a flag, were none of them in danger: {}",
                worths(recall, false_rate)
            );
        }
    }
}

/// Recall and specificity.
fn rates(crises: &[bool], flagged: &[bool]) -> (f64, f64) {
    let share = |wanted: bool| {
        let own = crises.iter().zip(flagged).filter(|(crisis, _)| **crisis == wanted);
        let (all, right) = own.fold((0, 0), |(all, right), (_, flagged)| {
            (all + 1, right + usize::from(*flagged == wanted))
        });
        right as f64 / f64::from(all)
    };
    (share(true), share(false))
}

fn counted(count: usize, of: usize) -> String {
    let bounds = clopper_pearson(count as f64, of as f64);
    format!(
        "{count} of {of} = {:.3} ({:.3} to {:.3})",
        count as f64 / of as f64,
        bounds.lower,
        bounds.upper
    )
}

fn summary(crises: &[bool], flagged: &[bool]) -> String {
    let count = |crisis: bool| crises.iter().filter(|own| **own == crisis).count();
    let both = |crisis: bool, flag: bool| {
        crises.iter().zip(flagged).filter(|(c, f)| **c == crisis && **f == flag).count()
    };
    let review = flagged.iter().filter(|flagged| **flagged).count();
    format!(
        "recall {}; specificity {}; to review {:.3}",
        counted(both(true, true), count(true)),
        counted(both(false, false), count(false)),
        review as f64 / flagged.len() as f64
    )
}

fn by_kind(kinds: &[String], crises: &[bool], flagged: &[bool]) {
    let mut all: BTreeMap<(&str, bool), (usize, usize)> = BTreeMap::new();
    for ((kind, crisis), flag) in kinds.iter().zip(crises).zip(flagged) {
        let own = all.entry((kind, *crisis)).or_default();
        own.0 += usize::from(*flag);
        own.1 += 1;
    }
    println!("\n| kind | in danger | flagged |\n| --- | --- | --- |");
    for ((kind, crisis), (flagged, of)) in all {
        println!("| {kind} | {} | {} |", if crisis { "yes" } else { "no" }, counted(flagged, of));
    }
}

fn worth(what: &str, crises: &[bool], flagged: &[bool]) {
    let (recall, specificity) = rates(crises, flagged);
    println!("worth of a flag {what}: {}", worths(recall, 1.0 - specificity));
}

/// The positive predictive value at each base rate.
fn worths(recall: f64, false_rate: f64) -> String {
    let of = |base: f64| {
        let (true_flags, false_flags) = (base * recall, (1.0 - base) * false_rate);
        format!("{:.1} % at {} %", 100.0 * true_flags / (true_flags + false_flags), 100.0 * base)
    };
    BASE_RATES.map(of).join(", ")
}
