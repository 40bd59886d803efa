//! Telephone numbers, told from dates, prices and scores by how they are grouped.

use std::sync::LazyLock;

use regex::Regex;

use super::patterns::{after, before, pattern};
use super::{Identifier, Span};

static GROUPS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?:\+|\b00)?\(?\d{1,5}\)?(?:[ .\-/]{0,2}\(?\d{1,5}\)?){1,6}"));
static DATE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:\d{1,2}[./-]\d{1,2}[./-](?:19|20)?\d{2}|(?:19|20)\d{2}[./-]\d{1,2}[./-]\d{1,2}|(?:19|20)\d{2}\s?[-/]\s?(?:19|20)\d{2})(?:\D|$)",
    )
});
static THOUSANDS: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[1-9]\d{0,2}(?:[ .]\d{3})+$"));
static NORTH_AMERICAN: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\(?[2-9]\d{2}\)?[ .\-]{0,2}\d{3}[ .\-]?\d{4}$"));
static SEVEN: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[2-9]\d{2}[-.]\d{4}$"));

/// Digits of a telephone number (ITU-T E.164: at most 15).
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Adds groups of digits that are dialled.
pub(super) fn find(text: &str, found: &mut Vec<Span>) {
    for candidate in GROUPS.find_iter(text) {
        let start = candidate.start();
        let mut own = candidate.as_str().trim_end_matches([' ', '.', '-', '/', '(']);
        if own.ends_with(')') && !own.contains('(') {
            own = &own[..own.len() - 1];
        }
        let end = start + own.len();
        let is_part =
            |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "_$€£¥#@=".contains(c));
        if !is_part(before(text, start)) && !is_part(after(text, end)) && is_number(own) {
            found.push(Span { identifier: Identifier::Phone, start, end });
        }
    }
}

fn is_number(own: &str) -> bool {
    let digits = own.bytes().filter(u8::is_ascii_digit).count();
    if !DIGITS.contains(&digits) || DATE.is_match(own) || THOUSANDS.is_match(own) {
        return false;
    }
    let international = own.starts_with('+') || own.starts_with("00");
    let national = own.starts_with('0') || own.starts_with("(0");
    let bare = own.bytes().all(|b| b.is_ascii_digit());
    (international && digits >= 8)
        || (national && digits >= 9)
        || NORTH_AMERICAN.is_match(own.strip_prefix("1-").or(own.strip_prefix("1 ")).unwrap_or(own))
        || (!bare && SEVEN.is_match(own))
}
