//! Words of a codebook as YAML strings and as Markdown that shows them as they are.

/// Text as a double-quoted YAML scalar, which is a string whatever it looks like: quotes,
/// line ends and all that YAML does not print are escaped
/// (<https://yaml.org/spec/1.2.2/#57-escaped-characters>).
pub fn yaml_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~'
            | '\u{a0}'..='\u{2027}'
            | '\u{202a}'..='\u{fefe}'
            | '\u{ff00}'..='\u{fffd}' => {
                out.push(c);
            }
            '\u{10000}'.. => out.push(c),
            c => out += &format!("\\u{:04x}", u32::from(c)),
        }
    }
    out + "\""
}

/// Text on one line of Markdown, as part of a paragraph or a table cell: nothing in it is markup.
pub fn plain(text: &str) -> String {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        let mut rest = word.chars();
        while let Some(c) = rest.next() {
            match c {
                '&' => out += "&amp;",
                '<' => out += "&lt;",
                '>' => out += "&gt;",
                '\\' | '*' | '_' | '`' | '[' | ']' | '|' | '~' | '#' | '$' => {
                    out.extend(['\\', c]);
                }
                // Without these, addresses would become links, and :names: pictures.
                ':' if rest.as_str().is_empty() => out.push(c),
                ':' | '@' => out.extend(['\\', c]),
                '.' if out.ends_with("www") => out += "\\.",
                c => out.push(c),
            }
        }
    }
    out
}

/// A name in the type of code, where code can hold it.
pub fn code(name: &str) -> String {
    let simple = |c: char| c.is_ascii_alphanumeric() || "-_./+ ".contains(c);
    if !name.is_empty() && name.chars().all(simple) { format!("`{name}`") } else { plain(name) }
}
