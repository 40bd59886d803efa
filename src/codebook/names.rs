//! Which names tiers and labels may bear (DESIGN section 2).

use crate::error::{Error, Result, shown};

const RESERVED_TIERS: [&str; 9] =
    ["id", "text", "split", "group", "status", "reason", "pi", "platform", "created"];
const RESERVED_LABELS: [&str; 3] = ["none", "na", "null"];

/// What is wrong with a tier's name, if anything.
pub(super) fn check_tier_name(name: &str) -> std::result::Result<(), String> {
    check_form(name)?;
    if RESERVED_TIERS.contains(&name) {
        return Err("the name is reserved for a column of its own".into());
    }
    if name.ends_with("_p") {
        return Err("no tier may end in '_p', which marks probabilities".into());
    }
    Ok(())
}

/// What is wrong with a label's name, if anything.
pub(super) fn check_label_name(name: &str) -> std::result::Result<(), String> {
    check_form(name)?;
    if RESERVED_LABELS.contains(&name) {
        return Err("the name is reserved for cells without a label".into());
    }
    Ok(())
}

fn check_form(name: &str) -> std::result::Result<(), String> {
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let sound = name.bytes().next().is_some_and(lower)
        && name.bytes().all(|b| lower(b) || b == b'_')
        && !name.contains("__");
    if sound {
        Ok(())
    } else {
        Err("a name is made of a-z, 0-9 and single '_', and begins with a letter or digit".into())
    }
}

/// Refuses coders whose columns `<tier>__<coder>` could be taken for others.
///
/// # Errors
/// A usage error that names the flag.
pub fn check_coder(coder: &str, flag: &str) -> Result<()> {
    let plain = !coder.is_empty()
        && coder.len() <= 40
        && coder.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    // Gold is the plain columns.
    if !plain
        || coder == "gold"
        || coder.contains("__")
        || coder.ends_with("_p")
        || coder.starts_with('_')
    {
        return Err(Error::usage(format!("{} cannot name a coder", shown(coder))).at(flag).advise(
            format!("use letters, digits, '-' and single '_', not ending in '_p': {flag} confide"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for name in ["a", "0", "a_b", "label_"] {
            assert!(check_tier_name(name).is_ok(), "{name}");
        }
        for name in ["", "A", "_a", "a__b", "a b", "a|b", "é", "id", "text_p"] {
            assert!(check_tier_name(name).is_err(), "{name}");
        }
        assert!(check_label_name("text_p").is_ok());
        assert!(check_label_name("na").is_err());
    }
}
