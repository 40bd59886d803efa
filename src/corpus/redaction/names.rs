//! The names of a list.

use regex::{Regex, RegexBuilder};

use super::patterns::{after, before};
use super::{Identifier, Span};
use crate::codebook::hex_sha256;
use crate::error::{Error, Result};

/// Names that a list has at most.
const MOST: usize = 20_000;

/// Characters of a name at most.
const LONGEST: usize = 100;

/// A list of names, found at the borders of words in any case.
pub(super) struct Names {
    pattern: Option<Regex>,
    digest: String,
}

impl Names {
    /// A name a line, of one word or several; blank lines do not count.
    ///
    /// # Errors
    /// A usage error for too many or too long names.
    pub fn parse(list: &str) -> Result<Self> {
        let mut names: Vec<&str> =
            list.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
        let too_long = names.iter().position(|name| name.chars().count() > LONGEST);
        if names.len() > MOST || too_long.is_some() {
            return Err(Error::usage(format!(
                "a list has at most {MOST} names, of at most {LONGEST} characters"
            ))
            .at("--names"));
        }
        let digest = hex_sha256(names.join("\n").as_bytes());
        // Of names that begin alike the longer is tried first.
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let spaced = |name: &&str| {
            let words: Vec<String> = name.split_whitespace().map(regex::escape).collect();
            words.join(r"\s+")
        };
        let any = names.iter().map(spaced).collect::<Vec<_>>().join("|");
        let pattern = match names.is_empty() {
            true => None,
            false => Some(
                RegexBuilder::new(&any)
                    .case_insensitive(true)
                    .size_limit(512 << 20)
                    .build()
                    .map_err(|_| Error::usage("the list of names is too large").at("--names"))?,
            ),
        };
        Ok(Self { pattern, digest })
    }

    /// A digest of the list.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Adds the places of names.
    pub fn find(&self, text: &str, found: &mut Vec<Span>) {
        let Some(pattern) = &self.pattern else { return };
        let mut from = 0;
        while let Some(name) = pattern.find_at(text, from) {
            let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let is_apart =
                !is_word(before(text, name.start())) && !is_word(after(text, name.end()));
            if is_apart {
                let (start, end) = (name.start(), name.end());
                found.push(Span { identifier: Identifier::Name, start, end });
                from = name.end();
            } else {
                // Another name may begin within.
                from = name.start() + after(text, name.start()).map_or(1, char::len_utf8);
            }
        }
    }
}
