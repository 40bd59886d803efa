//! What the program is built of: the list of it, and its licences.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("a file")
}

fn list() -> Vec<Value> {
    let list: Value = serde_json::from_str(&read("sbom.cdx.json")).expect("JSON");
    assert_eq!(list["bomFormat"], "CycloneDX");
    assert_eq!(list["metadata"]["component"]["version"], env!("CARGO_PKG_VERSION"));
    list["components"].as_array().expect("components").clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_list_is_that_of_the_lock_file() {
    let lock: toml::Table = read("Cargo.lock").parse().expect("TOML");
    let field = |package: &toml::Value, name: &str| {
        package.get(name).and_then(toml::Value::as_str).unwrap_or_default().to_owned()
    };
    let locked: BTreeMap<(String, String), String> = lock["package"]
        .as_array()
        .expect("packages")
        .iter()
        .filter(|package| field(package, "name") != env!("CARGO_PKG_NAME"))
        .map(|p| ((field(p, "name"), field(p, "version")), field(p, "checksum")))
        .collect();
    let listed: BTreeMap<(String, String), String> = list()
        .iter()
        .map(|c| ((text(&c["name"]), text(&c["version"])), text(&c["hashes"][0]["content"])))
        .collect();
    assert!(locked.len() > 100);
    assert!(locked == listed, "sbom.cdx.json is not that of Cargo.lock: run .ci/sbom");
}

/// Whether one of the permitted licences is enough for an SPDX expression.
fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (outcome, rest) = any_of(&words, allowed);
    assert!(rest.is_empty(), "not understood: {expression}");
    outcome
}

fn any_of<'a>(words: &'a [&'a str], allowed: &dyn Fn(&str) -> bool) -> (bool, &'a [&'a str]) {
    let (mut outcome, mut rest) = all_of(words, allowed);
    while let ["OR", more @ ..] = rest {
        let (own, left) = all_of(more, allowed);
        (outcome, rest) = (outcome | own, left);
    }
    (outcome, rest)
}

fn all_of<'a>(words: &'a [&'a str], allowed: &dyn Fn(&str) -> bool) -> (bool, &'a [&'a str]) {
    let (mut outcome, mut rest) = one(words, allowed);
    while let ["AND", more @ ..] = rest {
        let (own, left) = one(more, allowed);
        (outcome, rest) = (outcome & own, left);
    }
    (outcome, rest)
}

fn one<'a>(words: &'a [&'a str], allowed: &dyn Fn(&str) -> bool) -> (bool, &'a [&'a str]) {
    match words {
        ["(", inner @ ..] => match any_of(inner, allowed) {
            (outcome, [")", rest @ ..]) => (outcome, rest),
            _ => panic!("an open bracket"),
        },
        // An exception to a licence permits more, never less.
        [licence, "WITH", _, rest @ ..] | [licence, rest @ ..] => (allowed(licence), rest),
        [] => panic!("no licence"),
    }
}

#[test]
fn every_licence_is_permitted() {
    let rules: toml::Table = read("deny.toml").parse().expect("TOML");
    let strings = |value: &toml::Value| -> Vec<String> {
        let all = value.as_array().expect("a list").iter();
        all.filter_map(|one| one.as_str().map(str::to_owned)).collect()
    };
    let general = strings(&rules["licenses"]["allow"]);
    let exceptions = rules["licenses"]["exceptions"].as_array().expect("exceptions");
    for component in list() {
        let name = text(&component["name"]);
        let expression = text(&component["licenses"][0]["expression"]);
        let own: Vec<String> = exceptions
            .iter()
            .filter(|exception| exception["crate"].as_str() == Some(&name))
            .flat_map(|exception| strings(&exception["allow"]))
            .collect();
        let allowed = |licence: &str| general.iter().chain(&own).any(|one| one == licence);
        assert!(satisfied(&expression, &allowed), "{name}: {expression}");
    }
    let permitted = |licence: &str| licence == "MIT";
    assert!(satisfied("(GPL-3.0 OR MIT) AND MIT", &permitted));
    assert!(!satisfied("GPL-3.0-only OR (MIT AND GPL-3.0-only)", &permitted));
}
