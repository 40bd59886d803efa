//! Text in LaTeX documents.

use super::sheet::printable;

/// The text with every character that LaTeX reads as a command written as itself.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in printable(text).chars() {
        match character {
            '\\' => out.push_str("\\textbackslash{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '|' => out.push_str("\\textbar{}"),
            '"' => out.push_str("\\textquotedbl{}"),
            '–' => out.push_str("--"),
            '\u{a0}' => out.push('~'),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(character);
            }
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_is_left_a_command() {
        assert_eq!(escaped("a_b & 5 % {x} $y$ #1"), "a\\_b \\& 5 \\% \\{x\\} \\$y\\$ \\#1");
        assert_eq!(
            escaped("\\input{x}^~<>"),
            "\\textbackslash{}input\\{x\\}\\textasciicircum{}\\textasciitilde{}\\textless{}\\textgreater{}"
        );
        assert_eq!(escaped("line\nbreak"), "line break");
    }
}
