//! What `drift` found, for people.

use super::{DriftArgs, Found, LabelDrift, NO_AGES, Standard};
use crate::cli::table::{Table, figure, percent};
use crate::evaluation::drift::ShareDifference;
use crate::prevalence::{Method, NAIVE_HEADING, Part, Share};

pub fn text(args: &DriftArgs, found: &Found) -> String {
    let mut table = Table::new([
        "tier",
        "label",
        "A",
        "B",
        "B - A, points (95 %)",
        "p (Holm)",
        "p of the margin (Holm)",
        "",
        "naive A (biased)",
        "naive B (biased)",
    ]);
    for label in &found.labels {
        table.row([
            label.tier.clone(),
            label.label.clone(),
            corrected(&label.a),
            corrected(&label.b),
            label.difference.as_ref().map_or_else(String::new, points),
            p(label.p_holm),
            p(label.p_equivalence_holm),
            label.verdict.words().to_owned(),
            percent(label.naive_a),
            percent(label.naive_b),
        ]);
    }
    let margin = match args.margin {
        Some(margin) => format!(
            "stable is what differs by less than {:.1} points: two one-sided tests\n",
            100.0 * margin
        ),
        None => String::new(),
    };
    let mut index = Table::new(["tier", "population stability index of the codes"]);
    for (tier, value) in &found.indices {
        index.row([tier.clone(), value.map_or_else(String::new, |v| format!("{v:.3}"))]);
    }
    let mut corpora = Table::new([
        "corpus",
        "rows",
        "gold rows",
        "for review",
        "words, median",
        "words, mean",
        "words the other lacks",
    ]);
    for (at, (name, seen)) in ["A", "B"].into_iter().zip(&found.seen).enumerate() {
        let gold = match found.gold[at] {
            0 => "none: never validated".to_owned(),
            rows => rows.to_string(),
        };
        corpora.row([
            name.to_owned(),
            seen.rows.to_string(),
            gold,
            percent(seen.review),
            seen.median_words.map_or_else(String::new, |words| words.to_string()),
            seen.mean_words.map_or_else(String::new, |words| format!("{words:.1}")),
            percent(seen.strange_words),
        ]);
    }
    format!("{table}{margin}\n{}{index}\n{corpora}{}\n{NO_AGES}\n", mix(args, found), apart(found))
}

/// A corrected share; what is not corrected stands under "naive" alone.
fn corrected(share: &Share) -> String {
    match share.estimate.method {
        Method::Naive => String::new(),
        _ => percent(share.estimate.estimate),
    }
}

fn points(d: &ShareDifference) -> String {
    format!("{:+.1} ({:+.1} to {:+.1})", 100.0 * d.value, 100.0 * d.lower, 100.0 * d.upper)
}

fn p(p: Option<f64>) -> String {
    p.map_or_else(String::new, |p| format!("{p:.3}"))
}

fn part(part: &Part) -> String {
    let value = format!("{:+.1}", 100.0 * part.value);
    match part.lower.zip(part.upper) {
        Some((lower, upper)) => format!("{value} ({:+.1} to {:+.1})", 100.0 * lower, 100.0 * upper),
        None => value,
    }
}

/// How well a classifier tells the texts apart.
fn apart(found: &Found) -> String {
    let Some(domain) = &found.domain else { return String::new() };
    let own = &domain.classifier;
    let shown = match own.texts == domain.distinct {
        true => format!("all {} and {} distinct texts", own.texts[0], own.texts[1]),
        false => format!(
            "{} and {} of {} and {} distinct texts, drawn at random",
            own.texts[0], own.texts[1], domain.distinct[0], domain.distinct[1]
        ),
    };
    let area = match (own.auc, own.lower, own.upper) {
        (Some(auc), Some(lower), Some(upper)) => {
            format!("AUC {auc:.3} ({lower:.3} to {upper:.3})")
        }
        (Some(auc), _, _) => format!("AUC {auc:.3}"),
        _ => "AUC undefined: too few texts or groups".to_owned(),
    };
    format!(
        "\na classifier of embeddings ({}) tells A from B with {area}; .5 is chance, 1 is always\n\
         ({shown}; cross-validated over {} sets of near-duplicates and groups)\n",
        domain.encoder, own.units
    )
}

/// The split of the differences, and shares with the standard's mix.
fn mix(args: &DriftArgs, found: &Found) -> String {
    let Some((by, shared)) = &found.mix else { return String::new() };
    let mut table = Table::new(["tier", "label", "within shared", "by their mix", ""]);
    for label in &found.labels {
        let Some(split) = &label.groups else { continue };
        table.row([
            label.tier.clone(),
            label.label.clone(),
            part(&split.within),
            part(&split.mix),
            if split.corrected { "" } else { NAIVE_HEADING }.to_owned(),
        ]);
    }
    let standard = match args.standardise_to {
        Some(standard) => standard_table(standard, &found.labels),
        None => String::new(),
    };
    format!(
        "B - A in points by {by}, of which A has {} of its rows in values that B has too, B {}:\n{table}\n{standard}",
        percent(Some(shared[0])),
        percent(Some(shared[1])),
    )
}

fn standard_table(standard: Standard, labels: &[LabelDrift]) -> String {
    let heads = match standard {
        Standard::A => ["tier", "label", "A", "B, mix of A", "B - A, points (95 %)", ""],
        Standard::B => ["tier", "label", "A, mix of B", "B", "B - A, points (95 %)", ""],
    };
    let mut table = Table::new(heads);
    for label in labels {
        let Some(own) = &label.standardised else { continue };
        let naive = |share: &Share| share.estimate.method == Method::Naive;
        table.row([
            label.tier.clone(),
            label.label.clone(),
            ends(&own.a),
            ends(&own.b),
            own.difference.as_ref().map_or_else(String::new, points),
            if naive(&own.a) || naive(&own.b) { NAIVE_HEADING } else { "" }.to_owned(),
        ]);
    }
    format!("with one mix, over what both have:\n{table}\n")
}

/// A share with its interval.
fn ends(share: &Share) -> String {
    let own = &share.estimate;
    match (own.estimate, own.lower, own.upper) {
        (Some(value), Some(lower), Some(upper)) => {
            format!("{:.1} % ({:.1} to {:.1})", 100.0 * value, 100.0 * lower, 100.0 * upper)
        }
        (None, _, _) => figure(None),
        (value, _, _) => percent(value),
    }
}
