//! From what a model wrote to codes: a bare label, an object by tier, or a line for every tier.

use serde_json::{Map, Value};

use crate::codebook::{CellSlip, CellValue, Codebook, Label, TierKind};
use crate::error::nearest;

/// A part of an answer that is no label of the codebook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// The tier, where the answer names one.
    pub tier: Option<usize>,
    /// What stands there.
    pub value: String,
    /// The label that was probably meant.
    pub nearest: Option<String>,
}

/// What was understood of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// The tiers that are answered.
    pub cells: Vec<(usize, CellValue)>,
    /// What is no label.
    pub unmatched: Vec<Unmatched>,
    /// Whether nothing is taken from it because its end is missing.
    pub cut_off: bool,
}

/// Reads an answer; `tier` is the one that was asked, if only one was. Capitals, quotes, a full stop
/// at the end, and spaces or hyphens for `_` are forgiven, nothing else is guessed. With `cut_off` the
/// model was stopped before it had ended: a whole object counts, and so does a label that could not
/// have gone on to be another.
pub fn read_answer(
    codebook: &Codebook,
    tier: Option<usize>,
    answer: &str,
    cut_off: bool,
) -> Answered {
    let answer = unfenced(answer.trim());
    if answer.starts_with(['{', '[']) {
        match serde_json::from_str::<Value>(answer) {
            Ok(Value::Object(object)) => return of_object(codebook, answer, &object),
            Err(error) if error.is_eof() => {
                return Answered { cut_off: true, ..Answered::default() };
            }
            _ => {}
        }
    }
    let lines = || answer.lines().map(str::trim).filter(|line| !line.is_empty());
    let split = |line: &str| {
        let at = line.find([':', '='])?;
        let value = line[at + 1..].trim().to_owned();
        Some((named(codebook, &line[..at])?, Some(value)))
    };
    let by_line: Vec<(usize, Option<String>)> = lines().filter_map(split).collect();
    if !by_line.is_empty() && by_line.len() == lines().count() {
        let last = by_line.last().and_then(|(tier, value)| Some((*tier, value.as_deref()?)));
        if cut_off && last.is_none_or(|(tier, value)| may_go_on(codebook, tier, value)) {
            return Answered { cut_off, ..Answered::default() };
        }
        return collect(codebook, answer, by_line.into_iter());
    }
    let own = tier.or_else(|| (codebook.tiers.len() == 1).then_some(0));
    let own = own.or_else(|| only_tier_with(codebook, answer));
    if cut_off && own.is_none_or(|tier| may_go_on(codebook, tier, answer)) {
        return Answered { cut_off, ..Answered::default() };
    }
    match own {
        Some(tier) => collect(codebook, answer, [(tier, Some(answer.to_owned()))].into_iter()),
        None => Answered { unmatched: vec![stranger(codebook, answer)], ..Answered::default() },
    }
}

/// The values under the keys that are tiers.
fn of_object(codebook: &Codebook, answer: &str, object: &Map<String, Value>) -> Answered {
    let tiers = object.iter().filter_map(|(key, value)| Some((named(codebook, key)?, value)));
    let mut answered = collect(codebook, answer, tiers.map(|(tier, value)| (tier, cell_of(value))));
    if !answered.cells.is_empty() {
        answered.unmatched.extend(object.keys().filter_map(|key| misspelt(codebook, key)));
    }
    answered
}

/// Whether what a model was writing of a tier when it was stopped may not have been the whole: sets
/// of labels may always go on, a label only if another one begins with it.
fn may_go_on(codebook: &Codebook, tier: usize, value: &str) -> bool {
    let of = &codebook.tiers[tier];
    let label = label_like(codebook, tier, value);
    let longer = |own: &Label| own.name.len() > label.len() && own.name.starts_with(&label);
    of.kind == TierKind::Multi || of.label_index(&label).is_none() || of.labels.iter().any(longer)
}

/// A key that is no tier, but near to one; models add others of their own.
fn misspelt(codebook: &Codebook, key: &str) -> Option<Unmatched> {
    if named(codebook, key).is_some() {
        return None;
    }
    let near = nearest(key, codebook.tiers.iter().map(|tier| tier.name.as_str()))?;
    Some(Unmatched { tier: None, value: key.to_owned(), nearest: Some(near.to_owned()) })
}

/// An answer that names no tier and no label that only one tier has.
fn stranger(codebook: &Codebook, answer: &str) -> Unmatched {
    let labels = codebook.tiers.iter().flat_map(|tier| &tier.labels);
    let near = nearest(&plain(answer), labels.map(|label| label.name.as_str()));
    Unmatched { tier: None, value: answer.to_owned(), nearest: near.map(str::to_owned) }
}

fn collect(
    codebook: &Codebook,
    answer: &str,
    tiers: impl Iterator<Item = (usize, Option<String>)>,
) -> Answered {
    let mut answered = Answered::default();
    for (tier, value) in tiers {
        let Some(value) = value else {
            let value = "a value that is no text".to_owned();
            answered.unmatched.push(Unmatched { tier: Some(tier), value, nearest: None });
            continue;
        };
        let (cell, slips) = codebook.parse_cell(tier, &written(codebook, tier, &value));
        let before = answered.unmatched.len();
        for slip in slips {
            let (value, near) = match slip {
                CellSlip::LabelForm { .. } => continue,
                CellSlip::UnknownLabel { value, nearest } => (value, nearest),
                CellSlip::SeveralLabels | CellSlip::NoneWithLabels => (value.clone(), None),
            };
            answered.unmatched.push(Unmatched { tier: Some(tier), value, nearest: near });
        }
        if answered.unmatched.len() == before {
            answered.cells.push((tier, cell));
        }
    }
    if answered.cells.is_empty() && answered.unmatched.is_empty() {
        answered.unmatched.push(stranger(codebook, answer));
    }
    answered
}

/// What stands between the marks of a fenced block, whose end may be missing, or all of it.
fn unfenced(answer: &str) -> &str {
    let Some(inner) = answer.strip_prefix("```") else { return answer };
    let inner = inner.strip_suffix("```").unwrap_or(inner);
    inner.split_once('\n').map_or(inner, |(_, body)| body).trim()
}

/// A value of an object as the cell of a table; nothing for objects and the like.
fn cell_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        // A label's name may be a number.
        Value::Number(number) => Some(number.to_string()),
        Value::Array(items) if items.is_empty() => Some("none".to_owned()),
        Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            texts.map(|texts| texts.join("|"))
        }
        _ => None,
    }
}

/// Without capitals, quotes and spaces around, and a full stop at the end.
fn plain(text: &str) -> String {
    let quotes = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '*');
    text.trim_matches(quotes).trim_end_matches('.').trim_matches(quotes).to_lowercase()
}

/// A label as the codebook writes it, where only spaces or hyphens stand for `_`.
fn label_like(codebook: &Codebook, tier: usize, text: &str) -> String {
    let text = plain(text);
    let joined = text.replace([' ', '-'], "_");
    match codebook.tiers[tier].label_index(&joined) {
        Some(_) => joined,
        None => text,
    }
}

fn written(codebook: &Codebook, tier: usize, value: &str) -> String {
    if codebook.tiers[tier].kind == TierKind::Single {
        return label_like(codebook, tier, value);
    }
    let inner = plain(value);
    let inner = inner.strip_prefix('[').and_then(|v| v.strip_suffix(']')).unwrap_or(&inner);
    let parts = inner.split(['|', ',', ';', '\n']).map(|part| label_like(codebook, tier, part));
    parts.filter(|part| !part.is_empty()).collect::<Vec<String>>().join("|")
}

fn named(codebook: &Codebook, name: &str) -> Option<usize> {
    codebook.tier_index(&plain(name).replace([' ', '-'], "_"))
}

/// The only tier that has this label.
fn only_tier_with(codebook: &Codebook, answer: &str) -> Option<usize> {
    let has = |tier: &usize| {
        let label = label_like(codebook, *tier, answer);
        codebook.tiers[*tier].label_index(&label).is_some()
    };
    let mut tiers = (0..codebook.tiers.len()).filter(has);
    tiers.next().filter(|_| tiers.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::LabelSet;
    use proptest::prelude::*;

    use crate::properties::repeatable;

    fn book() -> Codebook {
        Codebook::find("llm-mental-health").unwrap()
    }

    fn cells(tier: Option<usize>, answer: &str) -> Vec<(usize, String)> {
        let book = book();
        let found = read_answer(&book, tier, answer, false);
        assert_eq!(found.unmatched, [], "{answer}");
        let cell = |(tier, value): (usize, CellValue)| match value {
            CellValue::Labels(set) => {
                (tier, book.display_cell(tier, &crate::codebook::Code::Coded(set)))
            }
            other => (tier, format!("{other:?}")),
        };
        found.cells.into_iter().map(cell).collect()
    }

    #[test]
    fn a_number_is_the_label_of_that_name_and_no_other() {
        let text = crate::codebook::GATED.replace("\"yes\"", "\"1\"").replace("\"no\"", "\"0\"");
        let book = Codebook::parse(&text, "b.toml").unwrap();
        let found = read_answer(&book, None, "{\"use\": 1}", false);
        assert_eq!(found.cells, [(0, CellValue::Labels(LabelSet::one(0)))]);
        assert_eq!(read_answer(&book, None, "{\"use\": 2}", false).unmatched.len(), 1);
        assert_eq!(read_answer(&book, None, "{\"use\": {\"1\": 2}}", false).unmatched.len(), 1);
    }

    #[test]
    fn labels_are_understood_in_every_form() {
        let use_ = vec![(0, "personal_use".to_owned())];
        for answer in [
            "personal_use",
            " Personal use.\n",
            "\"personal-use\"",
            "experience: personal_use",
            "{\"experience\": \"personal_use\"}",
            "```json\n{\"Experience\":\"personal use\"}\n```",
        ] {
            assert_eq!(cells(None, answer), use_, "{answer}");
        }
        let topics = vec![(2, "anonymity|other".to_owned())];
        for answer in ["anonymity, other", "other|anonymity", "[anonymity, other]"] {
            assert_eq!(cells(Some(2), answer), topics, "{answer}");
        }
        assert_eq!(cells(None, "{\"topics\":[\"anonymity\",\"other\"]}"), topics);
        assert_eq!(cells(None, "{\"topics\":[]}"), [(2, "none".to_owned())]);
        assert_eq!(cells(None, "{\"topics\":null}"), [(2, "Blank".to_owned())]);
        assert_eq!(cells(None, "attitude: mixed\ntopics: none").len(), 2);
    }

    #[test]
    fn nothing_is_guessed() {
        let book = book();
        let found = read_answer(&book, Some(1), "postive", false);
        assert_eq!(found.cells, []);
        assert_eq!(found.unmatched[0].nearest.as_deref(), Some("positive"));
        for answer in
            ["I think it is positive", "{\"mood\":\"positive\"}", "{\"attitude\":3}", "", "{x"]
        {
            let found = read_answer(&book, None, answer, false);
            assert_eq!((found.cells.len(), found.unmatched.len()), (0, 1), "{answer}");
        }
        // One label of two is not half an answer.
        let found = read_answer(&book, Some(2), "anonymity, speed", false);
        assert_eq!((found.cells.len(), found.unmatched.len()), (0, 1));
        let both =
            read_answer(&book, None, "{\"experience\":\"off_topic\",\"attitude\":\"x\"}", false);
        assert_eq!(both.cells, [(0, CellValue::Labels(LabelSet::one(2)))]);
        assert_eq!(both.unmatched[0].tier, Some(1));
        let key = read_answer(
            &book,
            None,
            "{\"experiance\":\"off_topic\",\"attitude\":\"mixed\",\"why\":\"x\"}",
            false,
        );
        assert_eq!((key.cells.len(), key.unmatched.len()), (1, 1));
        assert_eq!(key.unmatched[0].nearest.as_deref(), Some("experience"));
    }

    #[test]
    fn what_was_cut_off_is_no_answer() {
        let book = book();
        let cells = |tier: Option<usize>, answer: &str| {
            let found = read_answer(&book, tier, answer, true);
            assert_eq!(found.unmatched, [], "{answer}");
            assert_eq!(found.cut_off, found.cells.is_empty(), "{answer}");
            found.cells.len()
        };
        // What an object begins with is no object, whatever the model says of its end.
        for answer in
            ["{\"experience\": \"off", "```json\n{\"experience\": \"off_topic\",", "[", "{"]
        {
            let found = read_answer(&book, None, answer, false);
            assert!(
                found.cut_off && found.cells.is_empty() && found.unmatched.is_empty(),
                "{answer}"
            );
        }
        assert_eq!(cells(None, "{\"experience\": \"off_topic\"}"), 1);
        // With as many tokens as the label has, its end is the limit's.
        assert_eq!(cells(Some(0), "off_topic"), 1);
        assert_eq!(cells(Some(0), "off_top"), 0);
        assert_eq!(cells(Some(2), "anonymity"), 0);
        assert_eq!(cells(None, "experience: off_topic\nattitude: mixed"), 2);
        assert_eq!(cells(None, "experience: personal_use\nattitude: mix"), 0);
        let text = crate::codebook::GATED.replace("\"yes\"", "\"no_use\"");
        let prefix = Codebook::parse(&text, "b.toml").unwrap();
        assert!(read_answer(&prefix, Some(0), "no", true).cut_off);
        assert!(!read_answer(&prefix, Some(0), "no_use", true).cut_off);
    }

    proptest! {
        #![proptest_config(repeatable())]

        #[test]
        fn any_answer_is_read_without_panic(answer in "[\\PC\n]{0,60}") {
            for tier in [None, Some(0), Some(2)] {
                let found = read_answer(&book(), tier, &answer, answer.len() % 2 == 0);
                let nothing = found.cells.is_empty() && found.unmatched.is_empty();
                prop_assert!(nothing == found.cut_off);
            }
        }
    }
}
