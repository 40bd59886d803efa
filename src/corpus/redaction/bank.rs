//! Bank accounts and payment cards, whose numbers carry checksums.

use std::sync::LazyLock;

use iban::Iban;
use regex::Regex;

use super::patterns::{before, pattern};
use super::{Identifier, Span};

static IBAN: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\b[a-z]{2}\d{2}(?:[ -]?[a-z0-9]{1,4}){2,8}"));
static CARD: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b\d(?:[ -]?\d){11,18}\b"));

/// Adds numbers whose checksum is right.
pub(super) fn find(text: &str, found: &mut Vec<Span>) {
    for candidate in IBAN.find_iter(text) {
        if let Some(length) = iban_length(candidate.as_str()) {
            let (start, end) = (candidate.start(), candidate.start() + length);
            found.push(Span { identifier: Identifier::Iban, start, end });
        }
    }
    for card in CARD.find_iter(text) {
        let digits: Vec<u8> =
            card.as_str().bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').collect();
        // Cards begin with 2 to 6 (ISO/IEC 7812, annex B).
        let is_card = (2..=6).contains(&digits[0]) && digits.iter().any(|d| *d != digits[0]);
        if is_card && luhn(&digits) && before(text, card.start()) != Some('+') {
            found.push(Span { identifier: Identifier::Card, start: card.start(), end: card.end() });
        }
    }
}

/// The longest beginning that is a bank account's number: words that follow it may look like its end.
fn iban_length(candidate: &str) -> Option<usize> {
    let ends = candidate.char_indices().map(|(at, c)| at + c.len_utf8());
    ends.rev().find(|end| {
        let compact: String =
            candidate[..*end].chars().filter(char::is_ascii_alphanumeric).collect();
        candidate[..*end].ends_with(|c: char| c.is_ascii_alphanumeric())
            && !candidate[*end..].starts_with(|c: char| c.is_ascii_alphanumeric())
            && compact.to_ascii_uppercase().parse::<Iban>().is_ok()
    })
}

/// Whether the check digit is right (ISO/IEC 7812-1, annex B).
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, u32::from(*digit) * (1 + at as u32 % 2)) {
            (1, doubled) if doubled > 9 => doubled - 9,
            (_, value) => value,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standards() {
        // ISO/IEC 7812-1's example, and with its last digit changed.
        let digits = |text: &str| text.bytes().map(|b| b - b'0').collect::<Vec<u8>>();
        assert!(luhn(&digits("79927398713")));
        assert!(!luhn(&digits("79927398710")));
        // The examples of the registry of ISO 13616.
        assert_eq!(iban_length("GB29 NWBK 6016 1331 9268 19 for rent"), Some(27));
        assert_eq!(iban_length("DE89370400440532013000"), Some(22));
        assert_eq!(iban_length("DE89370400440532013001"), None);
    }
}
