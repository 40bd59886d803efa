//! Codebooks that cannot be used, through the program.

use crate::harness::Folder;

const BOOK: &str = r#"format = 1
name = "small"
[[tier]]
name = "use"
kind = "single"
[[tier.label]]
name = "yes"
[[tier.label]]
name = "no"
[[tier]]
name = "themes"
kind = "multi"
asked_when = { use = ["yes"] }
[[tier.label]]
name = "cost"
[[tier.label]]
name = "fear"
only_when = { use = ["yes"] }
"#;

/// Checks a table with the codebook after one replacement, and returns what was said.
#[track_caller]
fn refused(from: &str, to: &str, says: &[&str]) {
    let folder = Folder::new();
    folder.file("data.csv", "text,use,themes\na,yes,cost\n");
    assert!(BOOK.contains(from), "{from}");
    folder.file("book.toml", BOOK.replacen(from, to, 1));
    folder.run(&["check", "book.toml", "data.csv"]).exits(2).says(says);
    assert_eq!(folder.entries(), ["book.toml", "data.csv"]);
}

#[test]
fn a_sound_codebook_is_accepted_with_any_layout() {
    let folder = Folder::new();
    folder.file("data.csv", "text,use,themes\na,yes,cost\n");
    folder.file("book.toml", format!("\u{feff}{}", BOOK.replace('\n', "\r\n")));
    folder.run(&["check", "book.toml", "data.csv"]).exits(0);
}

#[test]
fn an_unknown_gate_names_the_nearest() {
    refused("{ use = [\"yes\"] }", "{ uses = [\"yes\"] }", &["book.toml:13", "'themes'", "'use'"]);
    refused("only_when = { use", "only_when = { usee", &["book.toml:18", "'fear'", "'use'"]);
    refused("use = [\"yes\"]", "use = [\"yess\"]", &["book.toml:13", "'yess'", "'yes'"]);
}

#[test]
fn a_forward_gate_is_refused() {
    refused(
        "kind = \"single\"",
        "kind = \"single\"\nasked_when = { themes = [\"cost\"] }",
        &["book.toml:6", "'use'", "'themes'", "earlier"],
    );
}

#[test]
fn a_duplicate_label_is_refused() {
    refused("name = \"fear\"", "name = \"cost\"", &["book.toml:17", "'themes'", "'cost'"]);
}

#[test]
fn a_bar_in_a_label_is_refused() {
    refused("name = \"fear\"", "name = \"fear|cost\"", &["book.toml:17", "'fear|cost'"]);
}

#[test]
fn a_syntax_error_names_its_line() {
    refused("kind = \"multi\"", "kind = \"multi", &["book.toml:12", "TOML"]);
}

#[test]
fn a_misspelt_field_names_the_nearest() {
    refused("only_when", "only_if", &["book.toml:18", "'only_if'", "'fear'"]);
    refused("asked_when", "asked_wen", &["book.toml:13", "'asked_when'"]);
}

#[test]
fn a_tier_that_can_be_left_without_an_answer_is_refused() {
    let book = "format = 1\nname = \"b\"\n[[tier]]\nname = \"a\"\nkind = \"single\"\n\
        [[tier.label]]\nname = \"x\"\n[[tier.label]]\nname = \"y\"\n[[tier]]\nname = \"b\"\n\
        kind = \"single\"\n[[tier.label]]\nname = \"z\"\nonly_when = { a = [\"x\"] }\n";
    let folder = Folder::new();
    folder.file("data.csv", "text,a,b\nt,x,z\n");
    folder.file("book.toml", book);
    folder.run(&["check", "book.toml", "data.csv"]).exits(2).says(&["book.toml:10", "a = y"]);
}

#[test]
fn a_name_that_is_neither_file_nor_shipped_is_refused() {
    let folder = Folder::new();
    folder.file("data.csv", "text\na\n");
    folder.run(&["check", "llm-mental-helth", "data.csv"]).exits(2).says(&["llm-mental-health"]);
}
