//! Masking what tells who a person is: addresses, numbers and names of accounts, and names of a list.
//!
//! What it finds and misses is measured in `LIMITS.md`.
#![doc = include_str!("LIMITS.md")]

mod bank;
mod names;
mod patterns;
mod phone;
mod street;

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Serialize, Serializer};
use sha2::Sha256;

use crate::codebook::{hex, hex_sha256};
use crate::error::Result;
use names::Names;

/// What a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identifier {
    /// An e-mail address.
    Email,
    /// A link, with or without its scheme.
    Link,
    /// An account by `@name`.
    Handle,
    /// An account by `u/name`.
    User,
    /// An IP address, version 4 or 6.
    Ip,
    /// An international bank account number whose checksum is right.
    Iban,
    /// A payment card's number whose checksum is right.
    Card,
    /// A telephone number.
    Phone,
    /// A street address or a postal code.
    Address,
    /// Seven digits or more in a row.
    Number,
    /// A name of the list.
    Name,
}

impl Identifier {
    /// All of them, in the order of precedence where two begin at the same place.
    pub const ALL: [Self; 11] = [
        Self::Email,
        Self::Link,
        Self::Handle,
        Self::User,
        Self::Ip,
        Self::Iban,
        Self::Card,
        Self::Phone,
        Self::Address,
        Self::Number,
        Self::Name,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Link => "link",
            Self::Handle => "handle",
            Self::User => "user",
            Self::Ip => "ip",
            Self::Iban => "iban",
            Self::Card => "card",
            Self::Phone => "phone",
            Self::Address => "address",
            Self::Number => "number",
            Self::Name => "name",
        }
    }

    /// What stands in its place.
    fn token(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::Link => "LINK",
            Self::Handle | Self::User | Self::Name => "PERSON",
            Self::Ip => "IP",
            Self::Iban => "IBAN",
            Self::Card => "CARD",
            Self::Phone => "PHONE",
            Self::Address => "ADDRESS",
            Self::Number => "NUMBER",
        }
    }

    /// Whether it stands for a person, who stays one under a pseudonym.
    fn is_person(self) -> bool {
        matches!(self, Self::Handle | Self::User | Self::Name | Self::Email | Self::Phone)
    }
}

impl Serialize for Identifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A part of a text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// What it is.
    pub identifier: Identifier,
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
}

/// How texts are masked; a copy shares the list of names.
#[derive(Clone)]
pub struct Redaction(Arc<Settings>);

struct Settings {
    names: Names,
    salt: Option<Vec<u8>>,
}

impl Redaction {
    /// Masks the names of this list, one a line, too; with a salt a person is replaced by the same
    /// pseudonym wherever it stands, which without the salt nobody can make or undo by trying names.
    ///
    /// # Errors
    /// A usage error for a list that is too large.
    pub fn new(names: &str, salt: Option<Vec<u8>>) -> Result<Self> {
        Ok(Self(Arc::new(Settings { names: Names::parse(names)?, salt })))
    }

    /// A digest of everything that decides what a text becomes.
    pub fn digest(&self) -> String {
        let salt = self.0.salt.as_deref().map_or_else(String::new, hex_sha256);
        hex_sha256(format!("{} {salt}", self.0.names.digest()).as_bytes())
    }

    /// The parts of a text that tell who a person is, in order and without overlap; of two that
    /// overlap the one that begins first, then the longer, then the first in [`Identifier::ALL`].
    pub fn find(&self, text: &str) -> Vec<Span> {
        let mut found = Vec::new();
        patterns::find(text, &mut found);
        bank::find(text, &mut found);
        phone::find(text, &mut found);
        street::find(text, &mut found);
        self.0.names.find(text, &mut found);
        let tokens = patterns::tokens(text);
        found.retain(|span| {
            !tokens.iter().any(|&(start, end)| span.start < end && start < span.end)
        });
        found.sort_by_key(|span| (span.start, usize::MAX - span.end, span.identifier));
        let mut end = 0;
        found.retain(|span| {
            let is_free = span.start >= end;
            if is_free {
                end = span.end;
            }
            is_free
        });
        found
    }

    /// The text with tokens such as `[EMAIL]` or `[PERSON_1f0c93ab]` in place of these parts.
    fn mask(&self, text: &str, spans: &[Span]) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for span in spans {
            out.push_str(&text[from..span.start]);
            out.push_str(&self.token(span.identifier, &text[span.start..span.end]));
            from = span.end;
        }
        out.push_str(&text[from..]);
        out
    }

    /// The text masked, again and again until nothing is found: what touched an account's name may be
    /// one itself.
    pub fn redact(&self, text: &str) -> String {
        self.redact_found(text, self.find(text))
    }

    /// The same, of which [`Redaction::find`] found these parts.
    pub fn redact_found(&self, text: &str, mut spans: Vec<Span>) -> String {
        let mut text = text.to_owned();
        while !spans.is_empty() {
            text = self.mask(&text, &spans);
            spans = self.find(&text);
        }
        text
    }

    fn token(&self, identifier: Identifier, found: &str) -> String {
        let token = identifier.token();
        let salt = self.0.salt.as_ref().filter(|_| identifier.is_person());
        let Some(salt) = salt else { return format!("[{token}]") };
        let Ok(mut code) = Hmac::<Sha256>::new_from_slice(salt) else {
            return format!("[{token}]");
        };
        code.update(token.as_bytes());
        code.update(normalised(identifier, found).as_bytes());
        format!("[{token}_{}]", &hex(&code.finalize().into_bytes())[..8])
    }
}

/// What a person's name is known by, however it is written: an account's name without its mark,
/// digits without what divides them.
fn normalised(identifier: Identifier, found: &str) -> String {
    match identifier {
        Identifier::Phone => found.chars().filter(char::is_ascii_digit).collect(),
        Identifier::User => found.rsplit('/').next().unwrap_or(found).to_lowercase(),
        Identifier::Handle => found.trim_start_matches('@').to_lowercase(),
        _ => found.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase(),
    }
}

impl PartialEq for Redaction {
    fn eq(&self, other: &Self) -> bool {
        self.digest() == other.digest()
    }
}

impl Eq for Redaction {}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redaction")
    }
}

#[cfg(test)]
mod tests;
