//! What a sample of so many rows will show, before it is coded.

use serde_json::{Value, json};

use super::corpus::Frame;
use crate::cli::table::Table;
use crate::codebook::Codebook;
use crate::error::{Error, Result, nearest, shown};
use crate::evaluation::interval::wilson;

const Z: f64 = 1.959_963_984_540_054;
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
        let bounds = wilson(share, n, Z);
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
        let half = 100.0 * Z * 0.5 / (n as f64).sqrt();
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
}

impl Needed {
    pub fn json(&self) -> Value {
        json!({"label": self.label, "margin": self.margin, "share": self.share, "rows": self.rows})
    }

    pub fn sentence(&self) -> String {
        format!(
            "{}: {} rows, drawn simply at random, give a 95 % interval of ± {:.1} points if the share is \
             {:.1} %; with the model's codes beside them it will be narrower",
            self.label,
            self.rows,
            100.0 * self.margin,
            100.0 * self.share
        )
    }
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
    let simple = Z * Z * planned * (1.0 - planned) / (margin * margin);
    let rows = (simple / (1.0 + (simple - 1.0) / all)).ceil() as usize;
    let tier = &codebook.tiers[tier];
    let label = format!("{} = {}", tier.name, tier.labels[place].name);
    Ok(Needed { rows: rows.clamp(1, frame.rows.len()), label, margin, share: planned })
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
