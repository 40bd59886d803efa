//! What a sample of so many rows will show, before it is coded.

use serde_json::{Value, json};

use super::agreement::Agreement;
use super::corpus::Frame;
use crate::cli::table::Table;
use crate::codebook::Codebook;
use crate::error::{Error, Result, nearest, shown};
use crate::evaluation::interval::wilson;
use crate::evaluation::quantile::NORMAL;
use crate::prevalence::ENOUGH;

/// The precision at which its half-width is told.
const PRECISION: f64 = 0.8;

/// What to expect of one label.
pub struct HalfWidth {
    tier: String,
    label: String,
    /// The model's share of all comments.
    share: f64,
    /// Rows of the sample that will carry it.
    carry: f64,
    of_share: f64,
    of_precision: Option<f64>,
}

/// The half-widths of the 95 % intervals of every label's share and precision; nothing for a corpus
/// that is not coded.
pub fn half_widths(codebook: &Codebook, frame: &Frame, n: usize) -> Vec<HalfWidth> {
    let Some(carry) = &frame.carry else { return Vec::new() };
    let half = |share: f64, n: f64| {
        let bounds = wilson(share, n, NORMAL);
        (bounds.upper - bounds.lower) / 2.0
    };
    let mut all = Vec::new();
    for (tier, counts) in codebook.tiers.iter().zip(carry) {
        for (label, count) in tier.labels.iter().zip(counts) {
            let share = *count as f64 / frame.rows.len() as f64;
            let carry = share * n as f64;
            all.push(HalfWidth {
                tier: tier.name.clone(),
                label: label.name.clone(),
                share,
                carry,
                of_share: half(share, n as f64),
                of_precision: (carry >= 1.0).then(|| half(PRECISION, carry)),
            });
        }
    }
    all
}

/// For a JSON document.
pub fn json(widths: &[HalfWidth]) -> Value {
    let of = |w: &HalfWidth| {
        json!({"tier": w.tier, "label": w.label, "share": w.share, "rows": w.carry,
            "half_width": w.of_share, "precision_half_width": w.of_precision})
    };
    widths.iter().map(of).collect()
}

/// For people.
pub fn text(widths: &[HalfWidth], n: usize, of: usize) -> String {
    let head = format!("{n} of {of} rows are drawn\n");
    if widths.is_empty() {
        let half = 100.0 * NORMAL * 0.5 / (n as f64).sqrt();
        return format!("{head}a share will be known to {half:.1} points or better (95 %)\n");
    }
    let mut table =
        Table::new(["tier", "label", "model's share", "rows to expect", "share ±", "precision ±"]);
    for w in widths {
        table.row([
            w.tier.clone(),
            w.label.clone(),
            format!("{:.1} %", 100.0 * w.share),
            format!("{:.0}", w.carry),
            format!("{:.1}", 100.0 * w.of_share),
            w.of_precision.map_or_else(|| "–".to_owned(), |half| format!("{:.1}", 100.0 * half)),
        ]);
    }
    format!(
        "{head}to expect, in points, half a 95 % interval from these rows alone; of precision if it is {PRECISION}\n{table}"
    )
}

/// How many rows a share needs.
pub struct Needed {
    /// The rows.
    pub rows: usize,
    label: String,
    margin: f64,
    share: f64,
    /// The tier and label.
    pub place: (usize, usize),
    /// The rows of the corpus.
    all: f64,
    /// How far the model agrees with people, if a table tells.
    pub checked: Option<Agreement>,
}

/// What the model's codes save, as far as the checked rows tell.
struct Saving {
    correlation: f64,
    lower: f64,
    /// Rows if the model agrees as it did, and if only as the lower end of its interval says.
    rows: usize,
    safe_rows: usize,
}

impl Needed {
    /// The rows for a correlation of the model's codes with the gold: its square is the part of the
    /// variance that they explain (PPI++ with the best weight; Angelopoulos, Duchi and Zrnic 2023).
    /// Never so few that the gold would hold too few rows with or without the label.
    fn with(&self, correlation: f64) -> usize {
        let rows = rows(self.share, self.margin, self.all, 1.0 - correlation * correlation);
        let least = (ENOUGH / self.share.min(1.0 - self.share)).ceil() as usize;
        rows.max(least).min(self.rows)
    }

    fn saving(&self) -> Option<Saving> {
        let checked = self.checked?;
        let correlation = checked.correlation(self.share)?.max(0.0);
        let lower = checked.lower(correlation);
        let (rows, safe_rows) = (self.with(correlation), self.with(lower));
        Some(Saving { correlation, lower, rows, safe_rows })
    }

    pub fn json(&self) -> Value {
        let with_model = self.saving().map(|saving| {
            json!({"rows": saving.rows, "rows_at_lower": saving.safe_rows,
                "correlation": saving.correlation, "lower": saving.lower,
                "checked": self.checked.map(|checked| checked.rows())})
        });
        json!({"label": self.label, "margin": self.margin, "share": self.share, "rows": self.rows,
            "with_model": with_model})
    }

    pub fn sentence(&self) -> String {
        let alone = format!(
            "{}: {} rows, drawn simply at random, give a 95 % interval of ± {:.1} points if the share is \
             {:.1} %",
            self.label,
            self.rows,
            100.0 * self.margin,
            100.0 * self.share
        );
        let with_model = match (&self.checked, self.saving()) {
            (None, _) => {
                "what the model's codes save is not known: --checked with the table of evaluate \
                 --answers, or with oof.csv of train --folds, tells"
                    .to_owned()
            }
            (Some(checked), None) => format!(
                "what the model's codes save is not known: of {} checked rows fewer than {ENOUGH:.0} \
                 carry the label, or do not",
                checked.rows()
            ),
            (Some(checked), Some(saving)) => format!(
                "with the model's codes, by their agreement in {} checked rows (correlation {:.2}, at \
                 least {:.2}), {} would do, or {} to be safe, if these rows are like the corpus",
                checked.rows(),
                saving.correlation,
                saving.lower,
                saving.rows,
                saving.safe_rows
            ),
        };
        format!("{alone};\n{with_model}")
    }
}

/// Rows for a half-width: normal approximation, with the correction for a finite corpus; `left` is the
/// part of the variance that is left.
fn rows(share: f64, margin: f64, all: f64, left: f64) -> usize {
    let simple = NORMAL * NORMAL * share * (1.0 - share) * left / (margin * margin);
    (simple / (1.0 + (simple - 1.0) / all)).ceil().clamp(1.0, all.max(1.0)) as usize
}

/// How many rows the share of a label needs (normal approximation, with the correction for a finite
/// corpus); shares below 5 % count as 5 %, as what is rare must first be met.
///
/// # Errors
/// If the purpose, label or margin is not one.
pub fn needed(
    what: &str,
    label: &str,
    margin: Option<f64>,
    codebook: &Codebook,
    frame: &Frame,
) -> Result<Needed> {
    if what != "prevalence" {
        return Err(Error::usage(format!("{} is no purpose", shown(what)))
            .at("--for")
            .advise("--for prevalence LABEL --margin 0.03"));
    }
    let margin = margin
        .filter(|margin| *margin > 0.0 && *margin < 0.5)
        .ok_or_else(|| Error::usage("a margin lies between 0 and 0.5").at("--margin"))?;
    let (tier, place) = find(label, codebook)?;
    let all = frame.rows.len() as f64;
    let share = frame.carry.as_ref().map_or(0.5, |carry| carry[tier][place] as f64 / all);
    let planned = share.clamp(0.05, 0.95);
    let own = &codebook.tiers[tier];
    Ok(Needed {
        rows: rows(planned, margin, all, 1.0),
        label: format!("{} = {}", own.name, own.labels[place].name),
        margin,
        share: planned,
        place: (tier, place),
        all,
        checked: None,
    })
}

fn find(label: &str, codebook: &Codebook) -> Result<(usize, usize)> {
    let (tier, name) = match label.split_once('=') {
        Some((tier, name)) => (Some(tier), name),
        None => (None, label),
    };
    let tiers = codebook.tiers.iter().enumerate();
    let mut found = tiers
        .filter(|(_, own)| tier.is_none_or(|tier| own.name == tier))
        .filter_map(|(at, own)| Some((at, own.label_index(name)?)));
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => {
            Err(Error::usage(format!("{} is a label of several tiers", shown(name)))
                .at("--for")
                .advise("name the tier: TIER=LABEL"))
        }
        _ => {
            let labels = codebook.tiers.iter().flat_map(|tier| &tier.labels);
            let near = nearest(name, labels.map(|label| label.name.as_str()));
            let error = Error::usage(format!("{} is no label", shown(label))).at("--for");
            Err(match near {
                Some(near) => error.advise(format!("did you mean '{near}'?")),
                None => error.advise("give a label of the codebook"),
            })
        }
    }
}
