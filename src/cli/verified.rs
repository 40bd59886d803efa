//! Codes that were confirmed with the model's beside them: they give precision, and no share.

use serde_json::json;

use super::messages::Messages;
use super::table::{Table, percent, print, print_json};
use crate::codebook::Codebook;
use crate::corpus::Codings;
use crate::error::Result;
use crate::prevalence::precision;

/// The coder whose columns hold such codes.
pub const VERIFIED: &str = "verified";

/// Prints the precision of every label that was checked.
///
/// # Errors
/// If it cannot be printed.
pub fn tell_precision(
    codebook: &Codebook,
    corpus: &Codings,
    checked: &Codings,
    is_json: bool,
    messages: &Messages,
) -> Result<()> {
    let (labels, unmatched) = precision(codebook, corpus, checked);
    if unmatched > 0 {
        messages.warn(&format!("{unmatched} checked rows are not in the corpus and are left out"));
    }
    messages.warn(
        "whoever saw the model's code tends to agree with it: this is precision only, and no share; for \
         shares have a blind sample coded, of rows not proposed too: confide sample without --verify",
    );
    if is_json {
        return print_json(&json!({
            "codebook": codebook.digest(),
            "precision": labels,
            "unmatched": unmatched,
        }));
    }
    let mut table =
        Table::new(["tier", "label", "proposed", "confirmed", "precision", "95 % interval"]);
    for own in &labels {
        let interval = own.lower.and(own.upper).map_or_else(String::new, |_| {
            format!("{} to {}", percent(own.lower), percent(own.upper))
        });
        table.row([
            own.tier.clone(),
            own.label.clone(),
            own.proposed.to_string(),
            own.confirmed.to_string(),
            percent(own.precision),
            interval,
        ]);
    }
    print(&table.to_string())
}
