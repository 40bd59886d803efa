//! E-mail addresses, links, accounts, IP addresses and long numbers.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use linkify::{LinkFinder, LinkKind};
use regex::Regex;

use super::{Identifier, Span};

/// A pattern of this program; tests compile all of them.
#[expect(clippy::expect_used, reason = "the patterns are constants, which a test compiles")]
pub(super) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a valid pattern")
}

/// Endings of host names that stand in comments without `http` or `www`.
static HOST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:com|org|net|edu|gov|info|io|co|me|tv|gg|ly|app|dev|ai|be|de|uk|fr|it|es|nl|at|ch|eu|us|ca|au|ru|link|page|site|online|xyz|health)(?:/[^\s<>\[\]]*[^\s<>\[\].,;:!?)'\x22])?(?:/|\b)",
    )
});
static HANDLE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"@[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,38}[A-Za-z0-9_])"));
static USER: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)/?\b(?:u|user)/[A-Za-z0-9_-]{3,30}"));
static DOTTED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"));
static VERSION: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\b(?:v|version|build|release|ios|android|firmware)\.?\s?$"));
static COLONS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)(?:[0-9a-f]{1,4}:|::)[0-9a-f:]*[0-9a-f:]"));
static DIGITS: LazyLock<Regex> = LazyLock::new(|| pattern(r"\d{7,}"));
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"\[(?:EMAIL|LINK|PERSON|IP|IBAN|CARD|PHONE|ADDRESS|NUMBER)(?:_[0-9a-f]{8})?\]")
});

/// The places of tokens that an earlier masking left.
pub(super) fn tokens(text: &str) -> Vec<(usize, usize)> {
    TOKEN.find_iter(text).map(|found| (found.start(), found.end())).collect()
}

/// The character before a place.
pub(super) fn before(text: &str, at: usize) -> Option<char> {
    text[..at].chars().next_back()
}

/// The character from a place on.
pub(super) fn after(text: &str, at: usize) -> Option<char> {
    text[at..].chars().next()
}

/// Adds what is found.
pub(super) fn find(text: &str, found: &mut Vec<Span>) {
    let mut add = |identifier, start, end| found.push(Span { identifier, start, end });
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    for link in LinkFinder::new().links(text) {
        let identifier = match link.kind() {
            LinkKind::Email => Identifier::Email,
            _ => Identifier::Link,
        };
        add(identifier, link.start(), link.end());
    }
    for host in HOST.find_iter(text) {
        // What follows an @ is the rest of an address or of an account's name.
        if !before(text, host.start()).is_some_and(|c| c == '@' || c == '.' || is_word(c)) {
            add(Identifier::Link, host.start(), host.end());
        }
    }
    for handle in HANDLE.find_iter(text) {
        let dots = text[..handle.start()].trim_end_matches('.');
        if !before(dots, dots.len()).is_some_and(|c| is_word(c) || c == '@') {
            add(Identifier::Handle, handle.start(), handle.end());
        }
    }
    for user in USER.find_iter(text) {
        if !before(text, user.start()).is_some_and(|c| is_word(c) || matches!(c, '/' | '.' | '-')) {
            add(Identifier::User, user.start(), user.end());
        }
    }
    for dotted in DOTTED.find_iter(text) {
        let rest = &text[dotted.end()..];
        let part_of_more = before(text, dotted.start()) == Some('.')
            || rest.starts_with('.') && rest[1..].starts_with(|c: char| c.is_ascii_digit())
            || VERSION.is_match(&text[..dotted.start()]);
        if dotted.as_str().parse::<Ipv4Addr>().is_ok() && !part_of_more {
            add(Identifier::Ip, dotted.start(), dotted.end());
        }
    }
    for colons in COLONS.find_iter(text) {
        let whole = colons.as_str().trim_end_matches(':');
        let whole = if colons.as_str().ends_with("::") { colons.as_str() } else { whole };
        let is_apart = !before(text, colons.start()).is_some_and(is_word);
        // `::` alone is no address of anybody.
        let has_parts = whole.chars().filter(char::is_ascii_hexdigit).count() > 2;
        if is_apart && has_parts && whole.parse::<Ipv6Addr>().is_ok() {
            add(Identifier::Ip, colons.start(), colons.start() + whole.len());
        }
    }
    for digits in DIGITS.find_iter(text) {
        // Money, or the end of a fraction.
        let is_money = before(text, digits.start()).is_some_and(|c| "$€£¥#.,".contains(c));
        if !is_money && !before(text, digits.start()).is_some_and(is_word) {
            add(Identifier::Number, digits.start(), digits.end());
        }
    }
}
