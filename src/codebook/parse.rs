//! Reading a codebook, with every rule that makes it usable.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use super::names::{check_label_name, check_tier_name};
use super::source::{Fields, Source};
use super::{Codebook, Condition, Gate, Label, Tier, TierKind};
use crate::error::{Error, Result, nearest};

/// Bytes of a codebook, at most.
const LONGEST: usize = 4 << 20;
/// Tiers of a codebook, at most.
const MOST_TIERS: usize = 64;
/// Labels of a tier, at most.
const MOST_LABELS: usize = 1000;

fn too_many(what: &str, most: usize) -> Error {
    Error::usage(format!("the codebook has more than {most} {what}"))
        .advise("no coder can keep so many apart; divide it")
}

fn too_long(file: &str) -> Error {
    Error::usage("a codebook of more than 4 MB")
        .at(file)
        .advise("no coder can keep so many labels apart; divide it")
}

impl Codebook {
    /// Reads a codebook file.
    ///
    /// # Errors
    /// A usage error (exit 2) that names file, line, tier and label.
    pub fn load(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        let mut bytes = Vec::new();
        let read =
            File::open(path).and_then(|book| book.take(LONGEST as u64 + 1).read_to_end(&mut bytes));
        read.map_err(|error| {
            Error::usage(format!("cannot read the codebook: {}", error.kind()))
                .at(file.clone())
                .advise("check the path, or name a shipped codebook such as llm-mental-health")
        })?;
        if bytes.len() > LONGEST {
            return Err(too_long(&file));
        }
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let line = bytes[..error.valid_up_to()].iter().filter(|&&b| b == b'\n').count() + 1;
            Error::usage("the codebook is not UTF-8")
                .at(format!("{file}:{line}"))
                .advise("save it as UTF-8")
        })?;
        Self::parse(text, &file)
    }

    /// Reads a codebook from TOML; `file_name` stands in the messages.
    ///
    /// # Errors
    /// A usage error (exit 2) that names file, line, tier and label.
    pub fn parse(toml: &str, file_name: &str) -> Result<Self> {
        if toml.len() > LONGEST {
            return Err(too_long(file_name));
        }
        let text = toml.strip_prefix('\u{feff}').unwrap_or(toml);
        let source = Source { file: file_name, text };
        let document = source.document()?;
        let top =
            Fields { source, table: document.get_ref(), span: 0..0, what: "the codebook".into() };
        top.only(&["format", "name", "version", "language", "description", "tier"])?;
        check_format(&top)?;
        let optional = |name: &str| -> Result<String> {
            Ok(top.string(name)?.map(|(text, _)| text).unwrap_or_default())
        };
        let mut book = Codebook {
            name: top.required("name")?.0,
            version: optional("version")?,
            language: optional("language")?,
            description: optional("description")?,
            tiers: Vec::new(),
        };
        let tables = top.tables("tier")?;
        if tables.len() > MOST_TIERS {
            return Err(too_many("tiers", MOST_TIERS).at(file_name));
        }
        if tables.is_empty() {
            return Err(Error::usage("the codebook has no tier")
                .at(file_name)
                .advise("add a [[tier]] with a name, a kind, a question and labels"));
        }
        let names: Vec<Option<&str>> = tables
            .iter()
            .map(|(table, _)| {
                table
                    .iter()
                    .find(|(k, _)| k.get_ref() == "name")
                    .and_then(|(_, v)| v.get_ref().as_str())
            })
            .collect();
        for (table, span) in tables {
            let all = Fields { source, table, span: span.clone(), what: "a tier".into() };
            let tier = parse_tier(&book, all, &names)?;
            book.tiers.push(tier);
            super::answers::require_answer(&book, book.tiers.len() - 1)
                .map_err(|message| source.error(&span, message).advise(
                    "give one label no 'only_when', or close the tier's 'asked_when' for those answers",
                ))?;
        }
        Ok(book)
    }
}

fn check_format(top: &Fields<'_, '_>) -> Result<()> {
    let Some(value) = top.value("format") else {
        return Err(Error::usage("the codebook does not say its format")
            .at(top.source.file)
            .advise("begin the file with: format = 1"));
    };
    match value.get_ref().as_integer() {
        Some(number) if number.as_str() == "1" => Ok(()),
        _ => Err(top
            .source
            .error(&value.span(), "this program reads codebooks of 'format = 1' only")
            .advise(
                "write format = 1, or use the version of Confide that the codebook was made for",
            )),
    }
}

fn parse_tier(book: &Codebook, mut fields: Fields<'_, '_>, names: &[Option<&str>]) -> Result<Tier> {
    let source = fields.source;
    let (name, at) = fields.required("name")?;
    check_tier_name(&name).map_err(|rule| source.error(&at, format!("tier '{name}': {rule}")))?;
    if book.tier_index(&name).is_some() {
        return Err(source
            .error(&at, format!("tier '{name}': an earlier tier has the same name"))
            .advise("rename one of them"));
    }
    fields.what = format!("tier '{name}'");
    fields.only(&["name", "kind", "question", "asked_when", "label"])?;
    let (kind, kind_at) = fields.required("kind")?;
    let kind = match kind.as_str() {
        "single" => TierKind::Single,
        "multi" => TierKind::Multi,
        _ => {
            return Err(source
                .error(&kind_at, format!("tier '{name}': unknown kind '{kind}'"))
                .advise(
                    "write kind = \"single\" (exactly one label) or kind = \"multi\" (any subset)",
                ));
        }
    };
    let question = fields.string("question")?.map(|(text, _)| text).unwrap_or_default();
    let asked_when = parse_gate(book, &fields, "asked_when", names)?;
    let mut tier = Tier { name, kind, question, asked_when, labels: Vec::new() };
    let labels = fields.tables("label")?;
    if labels.len() > MOST_LABELS {
        return Err(
            too_many(&format!("labels in the tier '{}'", tier.name), MOST_LABELS).at(source.file)
        );
    }
    for (table, span) in labels {
        let what = format!("tier '{}', a label", tier.name);
        let label = parse_label(book, &tier, Fields { source, table, span, what }, names)?;
        tier.labels.push(label);
    }
    if tier.labels.is_empty() {
        return Err(source
            .error(&fields.span, format!("tier '{}' has no label", tier.name))
            .advise("add [[tier.label]] entries, each with a name and a definition"));
    }
    Ok(tier)
}

fn parse_label(
    book: &Codebook,
    tier: &Tier,
    mut fields: Fields<'_, '_>,
    names: &[Option<&str>],
) -> Result<Label> {
    let source = fields.source;
    let (name, at) = fields.required("name")?;
    fields.what = format!("tier '{}', label '{name}'", tier.name);
    check_label_name(&name)
        .map_err(|rule| source.error(&at, format!("{}: {rule}", fields.what)))?;
    if tier.label_index(&name).is_some() {
        return Err(source
            .error(&at, format!("{}: the tier has this label already", fields.what))
            .advise("remove or rename one of the two"));
    }
    fields.only(&["name", "definition", "include", "exclude", "examples", "group", "only_when"])?;
    let list = |name: &str| -> Result<Vec<String>> {
        Ok(fields.strings(name)?.into_iter().map(|(text, _)| text).collect())
    };
    Ok(Label {
        definition: fields.string("definition")?.map(|(text, _)| text).unwrap_or_default(),
        include: list("include")?,
        exclude: list("exclude")?,
        examples: list("examples")?,
        group: fields.string("group")?.map(|(text, _)| text),
        only_when: parse_gate(book, &fields, "only_when", names)?,
        name,
    })
}

fn parse_gate(
    book: &Codebook,
    fields: &Fields<'_, '_>,
    field: &str,
    names: &[Option<&str>],
) -> Result<Gate> {
    let Some(value) = fields.value(field) else { return Ok(Gate::default()) };
    let Some(table) = value.get_ref().as_table() else {
        return Err(fields
            .wrong(field, value, "conditions on earlier tiers")
            .advise(format!("write it as {field} = {{ tier = [\"label\"] }}")));
    };
    let mut conditions = Vec::new();
    for (key, labels) in table {
        let tier_name: &str = key.get_ref();
        let tier = gating_tier(book, fields, field, names, tier_name, &key.span())?;
        let listed = fields.as_strings(field, labels)?;
        if listed.is_empty() {
            return Err(fields.source.error(
                &labels.span(),
                format!("{}: '{field}' lists no label of tier '{tier_name}'", fields.what),
            ));
        }
        let mut positions = Vec::new();
        for (label, at) in listed {
            positions.push(gating_label(book, fields, field, tier, &label, &at)?);
        }
        positions.sort_unstable();
        positions.dedup();
        conditions.push(Condition { tier, labels: positions });
    }
    conditions.sort_by_key(|condition| condition.tier);
    Ok(Gate { conditions })
}

fn gating_tier(
    book: &Codebook,
    fields: &Fields<'_, '_>,
    field: &str,
    names: &[Option<&str>],
    name: &str,
    at: &Range<usize>,
) -> Result<usize> {
    if let Some(tier) = book.tier_index(name) {
        return Ok(tier);
    }
    let what = &fields.what;
    let later = names[book.tiers.len()..].contains(&Some(name));
    let message = if later {
        format!("{what}: '{field}' names tier '{name}', which is not asked earlier")
    } else {
        format!("{what}: '{field}' names tier '{name}', which does not exist")
    };
    let near = nearest(name, book.tiers.iter().map(|tier| tier.name.as_str()));
    Err(fields.source.error(at, message).advise(match near {
        Some(near) if !later => format!("did you mean '{near}'?"),
        _ if later => "a gate may name earlier tiers only: change the order or the gate".into(),
        _ => format!("earlier tiers: {}", listing(book.tiers.iter().map(|t| t.name.as_str()))),
    }))
}

fn gating_label(
    book: &Codebook,
    fields: &Fields<'_, '_>,
    field: &str,
    tier: usize,
    label: &str,
    at: &Range<usize>,
) -> Result<usize> {
    let tier = &book.tiers[tier];
    tier.label_index(label).ok_or_else(|| {
        let message = format!(
            "{}: '{field}' names label '{label}', which tier '{}' does not have",
            fields.what, tier.name
        );
        let near = nearest(label, tier.labels.iter().map(|l| l.name.as_str()));
        fields.source.error(at, message).advise(match near {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("its labels: {}", listing(tier.labels.iter().map(|l| l.name.as_str()))),
        })
    })
}

fn listing<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOK: &str = r#"
format = 1
name = "b"
[[tier]]
name = "first"
kind = "single"
[[tier.label]]
name = "yes"
[[tier.label]]
name = "no"
[[tier]]
name = "second"
kind = "multi"
asked_when = { first = ["yes"] }
[[tier.label]]
name = "one"
[[tier.label]]
name = "two"
only_when = { first = ["yes"] }
"#;

    #[test]
    fn sizes_are_bounded() {
        let refusal = |book: &str| {
            let error = Codebook::parse(book, "b.toml").unwrap_err();
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        };
        let label = |name: usize| format!("[[tier.label]]\nname = \"l{name}\"\n");
        let labels = |count: usize| {
            let tier = "format = 1\nname = \"b\"\n[[tier]]\nname = \"t\"\nkind = \"single\"\n";
            tier.to_owned() + &(0..count).map(label).collect::<String>()
        };
        assert!(Codebook::parse(&labels(MOST_LABELS), "b.toml").is_ok());
        assert!(refusal(&labels(MOST_LABELS + 1)).contains("more than 1000 labels"));
        assert!(refusal(&labels(100_000)).contains("more than 1000 labels"));
        assert!(refusal(&labels(200_000)).contains("more than 4 MB"));
        let tier = |n: usize| format!("[[tier]]\nname = \"t{n}\"\nkind = \"single\"\n{}", label(n));
        let tiers = (0..=MOST_TIERS).map(tier).collect::<String>();
        let book = format!("format = 1\nname = \"b\"\n{tiers}");
        assert!(refusal(&book).contains("more than 64 tiers"));
    }

    fn refusal(from: &str, to: &str) -> String {
        assert!(BOOK.contains(from), "{from}");
        let error = Codebook::parse(&BOOK.replacen(from, to, 1), "b.toml").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    }

    #[test]
    fn a_sound_codebook_is_read() {
        let book = Codebook::parse(&format!("\u{feff}{BOOK}"), "b.toml").unwrap();
        assert_eq!(book.tiers.len(), 2);
        assert_eq!(book.tiers[1].kind, TierKind::Multi);
        assert_eq!(book.tiers[1].asked_when.conditions, [Condition { tier: 0, labels: vec![0] }]);
        assert_eq!(book.tiers[1].labels[1].only_when.conditions.len(), 1);
    }

    #[test]
    fn every_rule_names_line_and_place() {
        let cases: [(&str, &str, &[&str]); 14] = [
            (
                "{ first = [\"yes\"] }",
                "{ frist = [\"yes\"] }",
                &["b.toml:14", "'frist'", "'first'"],
            ),
            ("asked_when = { first", "asked_when = { second", &["b.toml:14", "not asked earlier"]),
            ("first = [\"yes\"]", "first = [\"yess\"]", &["b.toml:14", "'yess'", "'yes'"]),
            ("first = [\"yes\"]", "first = []", &["b.toml:14", "lists no label"]),
            ("first = [\"yes\"]", "first = \"yes\"", &["b.toml:14", "list"]),
            ("name = \"no\"", "name = \"yes\"", &["b.toml:10", "'yes'", "'first'"]),
            ("name = \"no\"", "name = \"n|o\"", &["b.toml:10", "'n|o'"]),
            ("name = \"no\"", "name = \"none\"", &["b.toml:10", "'none'", "reserved"]),
            ("name = \"second\"", "name = \"first\"", &["b.toml:12", "same name"]),
            ("name = \"second\"", "name = \"status\"", &["b.toml:12", "reserved"]),
            ("name = \"second\"", "name = \"second_p\"", &["b.toml:12", "_p"]),
            ("format = 1", "format = 2", &["b.toml:2", "format = 1"]),
            ("kind = \"multi\"", "kind = \"many\"", &["b.toml:13", "'many'"]),
            ("kind = \"multi\"", "kidn = \"multi\"", &["b.toml:13", "'kidn'", "'kind'"]),
        ];
        for (from, to, pieces) in cases {
            let message = refusal(from, to);
            for piece in pieces {
                assert!(message.contains(piece), "no {piece} in: {message}");
            }
        }
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        let message = refusal("kind = \"multi\"", "kind = \"multi");
        assert!(message.starts_with("b.toml:13: not valid TOML"), "{message}");
    }

    #[test]
    fn a_tier_left_without_an_answer_is_refused() {
        let toml = BOOK
            .replace("kind = \"multi\"", "kind = \"single\"")
            .replace("name = \"one\"", "name = \"one\"\nonly_when = { first = [\"no\"] }");
        assert!(Codebook::parse(&toml, "b.toml").is_ok());
        let open = toml
            .replace("asked_when = { first = [\"yes\"] }\n", "")
            .replace("only_when = { first = [\"yes\"] }", "only_when = { first = [\"no\"] }");
        let message = Codebook::parse(&open, "b.toml").unwrap_err().to_string();
        assert!(message.contains("'second'") && message.contains("first = yes"), "{message}");
    }
}
