//! A TOML document whose every error names file and line.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, Result, nearest};

/// A file's text with its name, to turn byte positions into lines.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub file: &'a str,
    pub text: &'a str,
}

impl<'a> Source<'a> {
    /// The document's top table.
    pub fn document(self) -> Result<Spanned<DeTable<'a>>> {
        DeTable::parse(self.text).map_err(|error| {
            let message = format!("not valid TOML: {}", error.message());
            match error.span() {
                Some(span) => self.error(&span, message),
                None => Error::usage(message).at(self.file),
            }
            .advise("mend the line; strings stand in quotes, lists in square brackets")
        })
    }

    /// A usage error at `file:line` of the span's beginning.
    pub fn error(self, span: &Range<usize>, message: impl Into<String>) -> Error {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        Error::usage(message).at(format!("{}:{line}", self.file))
    }
}

/// The fields of one table, read by name and type.
pub(super) struct Fields<'s, 'i> {
    pub source: Source<'s>,
    pub table: &'s DeTable<'i>,
    /// Where the table begins.
    pub span: Range<usize>,
    /// What the table describes, for messages: "tier 'attitude'".
    pub what: String,
}

impl<'s, 'i> Fields<'s, 'i> {
    /// Refuses fields that are not among `known`.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let error = self
                    .source
                    .error(&key.span(), format!("{}: unknown field '{name}'", self.what));
                return Err(match nearest(name, known.iter().copied()) {
                    Some(near) => error.advise(format!("did you mean '{near}'?")),
                    None => error.advise(format!("permitted here: {}", known.join(", "))),
                });
            }
        }
        Ok(())
    }

    /// The value of a field, if present.
    pub fn value(&self, name: &str) -> Option<&'s Spanned<DeValue<'i>>> {
        self.table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
    }

    /// A string field; absent is `None`.
    pub fn string(&self, name: &str) -> Result<Option<(String, Range<usize>)>> {
        self.value(name).map(|value| self.as_string(name, value)).transpose()
    }

    /// A string field that must be there and not be blank.
    pub fn required(&self, name: &str) -> Result<(String, Range<usize>)> {
        match self.string(name)? {
            Some((text, span)) if text.trim().is_empty() => {
                Err(self.source.error(&span, format!("{}: '{name}' is blank", self.what)))
            }
            Some(found) => Ok(found),
            None => {
                Err(self.source.error(&self.span, format!("{}: '{name}' is missing", self.what)))
            }
        }
    }

    /// A list of strings; absent is the empty list.
    pub fn strings(&self, name: &str) -> Result<Vec<(String, Range<usize>)>> {
        match self.value(name) {
            Some(value) => self.as_strings(name, value),
            None => Ok(Vec::new()),
        }
    }

    /// A value that must be a list of strings.
    pub fn as_strings(
        &self,
        name: &str,
        value: &Spanned<DeValue<'i>>,
    ) -> Result<Vec<(String, Range<usize>)>> {
        let Some(items) = value.get_ref().as_array() else {
            return Err(self.wrong(name, value, "a list of strings"));
        };
        items.iter().map(|item| self.as_string(name, item)).collect()
    }

    /// A list of tables (`[[...]]`); absent is the empty list.
    pub fn tables(&self, name: &str) -> Result<Vec<(&'s DeTable<'i>, Range<usize>)>> {
        let Some(value) = self.value(name) else { return Ok(Vec::new()) };
        let Some(items) = value.get_ref().as_array() else {
            return Err(self.wrong(name, value, "a list of tables"));
        };
        items
            .iter()
            .map(|item| match item.get_ref().as_table() {
                Some(table) => Ok((table, item.span())),
                None => Err(self.wrong(name, item, "a table")),
            })
            .collect()
    }

    /// An error on a field of the wrong type.
    pub fn wrong(&self, name: &str, value: &Spanned<DeValue<'i>>, expected: &str) -> Error {
        let found = value.get_ref().type_str();
        self.source.error(
            &value.span(),
            format!("{}: '{name}' must hold {expected}, not {found}", self.what),
        )
    }

    fn as_string(
        &self,
        name: &str,
        value: &Spanned<DeValue<'i>>,
    ) -> Result<(String, Range<usize>)> {
        match value.get_ref().as_str() {
            Some(text) => Ok((text.to_string(), value.span())),
            None => Err(self.wrong(name, value, "a string")),
        }
    }
}
