//! Street addresses and postal codes, as far as patterns carry.

use std::sync::LazyLock;

use regex::Regex;

use super::patterns::pattern;
use super::{Identifier, Span};

/// English, French and German ways to write a street, British, American and Canadian postal codes,
/// boxes of the post.
static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // 221b Baker Street, Apt 4; 12 old mill road
        r"\b\d{1,5}[A-Za-z]?,?\s+(?:(?:N|S|E|W|North|South|East|West|[A-Z][\w'’-]*|\d{1,3}(?:st|nd|rd|th))\.?\s+){1,4}(?i:street|st|road|rd|avenue|ave|lane|ln|drive|dr|boulevard|blvd|court|ct|place|pl|square|sq|way|terrace|close|crescent|highway|hwy|parkway|pkwy|row|gardens|grove)\b\.?(?:,?\s*(?i:apt|apartment|unit|suite|flat|#)\.?\s*\w{1,5}\b)?",
        r"\b\d{1,5}[a-z]?\s+(?:[a-z]{3,15}\s+){1,2}(?:street|road|avenue|lane|boulevard|blvd|rd|ave)\b",
        r"\b(?i:flat|apt|apartment|unit)\.?\s+\d{1,4}[A-Za-z]?,?\s+\d{1,5}\s+[A-Z][\w'’-]*(?:\s+[A-Z][\w'’-]*){1,3}",
        // Lindenstraße 14a
        r"\b[A-ZÄÖÜ][\wäöüß-]*(?i:straße|strasse|str\.|weg|platz|gasse|allee|ufer|ring|damm)\s+\d{1,4}\s?[a-z]?\b",
        r"\b[A-ZÄÖÜ][\wäöüß-]+(?:er|es)?\s(?:Straße|Strasse|Str\.|Weg|Platz|Gasse|Allee|Ring|Damm)\s+\d{1,4}\s?[a-z]?\b",
        // 12 bis, rue des Lilas
        r"\b\d{1,4}(?:\s?(?:bis|ter))?,?\s+(?i:rue|avenue|boulevard|chemin|impasse|allée|quai|place)\s+(?:(?:de|du|des|la|le|les|d'|l')\s*){0,2}[A-ZÉÈÀ][\w'’é-]*(?:\s+[A-ZÉÈÀ][\w'’é-]*){0,3}",
        // SW1A 1AA; IL 62704; K1A 0B1
        r"\b(?:GIR 0AA|[A-Z]{1,2}\d[A-Z\d]?\s\d[A-Z]{2})\b",
        r"\b(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY])\s+\d{5}(?:-\d{4})?\b",
        r"\b[ABCEGHJ-NPRSTVXY]\d[A-Z]\s\d[A-Z]\d\b",
        r"(?i)\bp\.?\s?o\.?\s+box\s+\d{1,6}\b",
    ]
    .iter()
    .map(|text| pattern(text))
    .collect()
});

/// Words that a number and a road stand around in ordinary sentences.
const ORDINARY: [&str; 25] = [
    "the",
    "this",
    "that",
    "and",
    "down",
    "same",
    "whole",
    "long",
    "different",
    "more",
    "years",
    "year",
    "hours",
    "minutes",
    "miles",
    "days",
    "times",
    "people",
    "from",
    "into",
    "blocks",
    "feet",
    "other",
    "for",
    "off",
];

/// Adds addresses.
pub(super) fn find(text: &str, found: &mut Vec<Span>) {
    for pattern in PATTERNS.iter() {
        for address in pattern.find_iter(text) {
            let mut words = address.as_str().split_whitespace().skip(1);
            if !words.any(|word| ORDINARY.contains(&word)) {
                let (start, end) = (address.start(), address.end());
                found.push(Span { identifier: Identifier::Address, start, end });
            }
        }
    }
}
