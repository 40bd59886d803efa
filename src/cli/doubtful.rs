//! `evaluate`'s tables of what the model should not decide: rows left by the review rule, and
//! conformal sets.

use super::table::{Table, figure, percent};
use crate::decision::FittedOn;
use crate::evaluation::Evaluation;
use crate::evaluation::share::Share;

/// Both tables, each after a blank line; nothing for a bundle that has neither.
pub(super) fn tables(evaluation: &Evaluation) -> String {
    let mut all = String::new();
    let sets = sets(evaluation);
    if !sets.is_empty() {
        all += &format!("\n{sets}{}", claim(evaluation));
    }
    let left = left(evaluation);
    if !left.is_empty() {
        all += &format!("\n{left}");
    }
    all
}

/// How often the sets of each level hold the gold.
fn sets(evaluation: &Evaluation) -> Table {
    let mut table =
        Table::new(["tier", "sets asked", "hold the gold (95 %)", "rows", "mean size (95 %)"]);
    for (name, tier) in evaluation.tiers.iter() {
        for sets in &tier.sets {
            let size = sets.size.interval.map_or_else(String::new, |[lower, upper]| {
                format!("{} ({lower:.2} to {upper:.2})", two_places(sets.size.value))
            });
            table.row([
                name.to_owned(),
                format!("{:.2}", sets.asked),
                interval(&sets.observed),
                sets.observed.n.to_string(),
                size,
            ]);
        }
    }
    table
}

/// What is claimed of the sets.
fn claim(evaluation: &Evaluation) -> String {
    let on = evaluation.tiers.iter().find_map(|(_, tier)| Some(tier.sets.first()?.fitted_on));
    let basis = match on {
        None => return String::new(),
        Some(FittedOn::OutOfFold) => {
            "fitted on out-of-fold answers: 1 - 2 alpha guaranteed, 1 - alpha observed, \
            for models of the folds, in whose place the bundle's stands"
        }
        Some(FittedOn::Validation) => {
            "fitted on the validation rows, on which other choices rest, too: approximate, nothing \
            is guaranteed (train --folds)"
        }
    };
    format!(
        "sets are {basis}\nit holds over all texts like those of the training, not for each label or \
        platform, and for no new platform or month\n"
    )
}

/// What the review rule leaves as ok, and how much of it is wrong.
fn left(evaluation: &Evaluation) -> Table {
    let mut table = Table::new(["left as ok", "rows", "share (95 %)", "asked"]);
    let Some(review) = &evaluation.review else { return table };
    let mut row = |what: String, share: &Share, asked: String| {
        table.row([what, share.n.to_string(), interval(share), asked]);
    };
    row("of all rows".into(), &review.kept, String::new());
    let asked =
        review.risk.map_or_else(String::new, |risk| format!("at most {}", percent(Some(risk))));
    row("a wrong code in any tier".into(), &review.wrong, asked);
    for (name, share) in review.tiers.iter() {
        row(format!("a wrong code in {name}"), share, String::new());
    }
    table
}

/// A share with its interval: the wider of the exact one and that of groups, where there are some.
fn interval(share: &Share) -> String {
    let [low, high] = share.of_groups.unwrap_or([share.lower, share.upper]);
    let (lower, upper) = (share.lower.min(low), share.upper.max(high));
    format!("{} ({lower:.3} to {upper:.3})", figure(share.value))
}

fn two_places(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.2}"))
}
