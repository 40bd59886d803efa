//! What a codebook means, in one fixed spelling, and what changed between two.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Codebook, Gate, Label, Tier, TierKind};

impl Codebook {
    /// The codebook as JSON of one fixed form: everything that it says, wording included, and
    /// nothing of how its file was laid out.
    pub fn normalised(&self) -> String {
        let tiers: Vec<Value> = self.tiers.iter().map(|tier| self.tier_value(tier)).collect();
        json!({
            "format": 1,
            "name": self.name,
            "version": self.version,
            "language": self.language,
            "description": self.description,
            "tiers": tiers,
        })
        .to_string()
    }

    /// SHA-256 of [`Codebook::normalised`], 64 lower-case hexadecimal digits.
    pub fn digest(&self) -> String {
        hex_sha256(self.normalised().as_bytes())
    }

    /// What is different in `other`, one line each; empty if the digests are equal.
    pub fn changes(&self, other: &Codebook) -> Vec<String> {
        let mut changes = Vec::new();
        for (what, old, new) in [
            ("name", &self.name, &other.name),
            ("version", &self.version, &other.version),
            ("language", &self.language, &other.language),
        ] {
            if old != new {
                changes.push(format!("{what}: '{old}' became '{new}'"));
            }
        }
        if self.description != other.description {
            changes.push("the description was reworded".into());
        }
        let old: Vec<&str> = self.tiers.iter().map(|t| t.name.as_str()).collect();
        let new: Vec<&str> = other.tiers.iter().map(|t| t.name.as_str()).collect();
        membership("tier", &old, &new, &mut changes);
        for tier in &self.tiers {
            if let Some(twin) = other.tier_index(&tier.name).map(|i| &other.tiers[i]) {
                self.tier_changes(tier, other, twin, &mut changes);
            }
        }
        changes
    }

    fn tier_changes(&self, old: &Tier, other: &Codebook, new: &Tier, changes: &mut Vec<String>) {
        let name = &old.name;
        if old.kind != new.kind {
            changes.push(format!("tier '{name}': kind became {}", kind(new.kind)));
        }
        if old.question != new.question {
            changes.push(format!("tier '{name}': the question was reworded"));
        }
        if self.gate_value(&old.asked_when) != other.gate_value(&new.asked_when) {
            changes.push(format!("tier '{name}': 'asked_when' changed"));
        }
        let labels = |tier: &'_ Tier| -> Vec<String> {
            tier.labels.iter().map(|label| label.name.clone()).collect()
        };
        let (before, after) = (labels(old), labels(new));
        let before: Vec<&str> = before.iter().map(String::as_str).collect();
        let after: Vec<&str> = after.iter().map(String::as_str).collect();
        membership(&format!("tier '{name}': label"), &before, &after, changes);
        for label in &old.labels {
            let Some(twin) = new.label_index(&label.name).map(|i| &new.labels[i]) else { continue };
            let place = format!("tier '{name}', label '{}'", label.name);
            if self.gate_value(&label.only_when) != other.gate_value(&twin.only_when) {
                changes.push(format!("{place}: 'only_when' changed"));
            }
            if label.group != twin.group {
                changes.push(format!("{place}: the group changed"));
            }
            let wording = |l: &Label| {
                (l.definition.clone(), l.include.clone(), l.exclude.clone(), l.examples.clone())
            };
            if wording(label) != wording(twin) {
                changes.push(format!("{place}: the wording changed"));
            }
        }
    }

    fn tier_value(&self, tier: &Tier) -> Value {
        let labels: Vec<Value> = tier
            .labels
            .iter()
            .map(|label| {
                json!({
                    "name": label.name,
                    "definition": label.definition,
                    "include": label.include,
                    "exclude": label.exclude,
                    "examples": label.examples,
                    "group": label.group,
                    "only_when": self.gate_value(&label.only_when),
                })
            })
            .collect();
        json!({
            "name": tier.name,
            "kind": kind(tier.kind),
            "question": tier.question,
            "asked_when": self.gate_value(&tier.asked_when),
            "labels": labels,
        })
    }

    fn gate_value(&self, gate: &Gate) -> Value {
        let mut conditions = Map::new();
        for condition in &gate.conditions {
            let tier = &self.tiers[condition.tier];
            let names = condition.labels.iter().map(|&l| Value::from(tier.labels[l].name.as_str()));
            conditions.insert(tier.name.clone(), names.collect());
        }
        Value::Object(conditions)
    }
}

/// SHA-256 of some bytes, 64 lower-case hexadecimal digits.
pub fn hex_sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn kind(kind: TierKind) -> &'static str {
    match kind {
        TierKind::Single => "single",
        TierKind::Multi => "multi",
    }
}

fn membership(what: &str, old: &[&str], new: &[&str], changes: &mut Vec<String>) {
    let removed = old.iter().filter(|name| !new.contains(name));
    changes.extend(removed.map(|name| format!("{what} '{name}' was removed")));
    let added = new.iter().filter(|name| !old.contains(name));
    changes.extend(added.map(|name| format!("{what} '{name}' was added")));
    let kept_old = old.iter().filter(|name| new.contains(name));
    if !kept_old.eq(new.iter().filter(|name| old.contains(name))) {
        changes.push(format!("{what}: the order changed"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOK: &str = "format = 1\nname = \"b\"\n[[tier]]\nname = \"a\"\nkind = \"single\"\n\
        [[tier.label]]\nname = \"x\"\n[[tier.label]]\nname = \"y\"\n[[tier]]\nname = \"c\"\n\
        kind = \"multi\"\nasked_when = { a = [\"x\", \"y\"] }\n[[tier.label]]\nname = \"z\"\n";

    fn book(toml: &str) -> Codebook {
        Codebook::parse(toml, "b.toml").unwrap()
    }

    #[test]
    fn layout_does_not_count_and_wording_does() {
        let one = book(BOOK);
        let laid_out = BOOK
            .replace("[\"x\", \"y\"]", "[ 'y',\n 'x' ]")
            .replace(" = ", "  =  ")
            .replace("\"multi\"", "\"multi\" # any");
        assert_eq!(one.digest(), book(&laid_out).digest());
        assert_eq!(one.digest().len(), 64);
        assert!(one.changes(&one).is_empty());
        let reworded = book(&BOOK.replace("name = \"z\"", "name = \"z\"\ndefinition = \"d\""));
        assert_ne!(one.digest(), reworded.digest());
        assert_eq!(one.changes(&reworded), ["tier 'c', label 'z': the wording changed"]);
    }

    #[test]
    fn changes_name_what_differs() {
        let other = book(
            &BOOK
                .replace("name = \"y\"", "name = \"w\"")
                .replace("[\"x\", \"y\"]", "[\"x\"]")
                .replace("kind = \"multi\"", "kind = \"single\""),
        );
        assert_eq!(
            book(BOOK).changes(&other),
            [
                "tier 'a': label 'y' was removed",
                "tier 'a': label 'w' was added",
                "tier 'c': kind became single",
                "tier 'c': 'asked_when' changed",
            ]
        );
    }
}
