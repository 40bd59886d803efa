//! A codebook as the TOML that a bundle carries.

use toml::{Table, Value};

use super::{Codebook, Gate, Label, Tier, TierKind};

impl Codebook {
    /// The codebook as TOML that parses back to the same codebook; comments and layout of the
    /// lab's own file are left behind.
    pub fn to_toml(&self) -> String {
        let mut root = Table::new();
        root.insert("format".into(), Value::Integer(1));
        for (key, value) in [
            ("name", &self.name),
            ("version", &self.version),
            ("language", &self.language),
            ("description", &self.description),
        ] {
            root.insert(key.into(), Value::String(value.clone()));
        }
        let tiers = self.tiers.iter().map(|tier| Value::Table(self.tier_table(tier))).collect();
        root.insert("tier".into(), Value::Array(tiers));
        root.to_string()
    }

    fn tier_table(&self, tier: &Tier) -> Table {
        let mut table = Table::new();
        let kind = match tier.kind {
            TierKind::Single => "single",
            TierKind::Multi => "multi",
        };
        table.insert("name".into(), Value::String(tier.name.clone()));
        table.insert("kind".into(), Value::String(kind.into()));
        table.insert("question".into(), Value::String(tier.question.clone()));
        self.put_gate(&mut table, "asked_when", &tier.asked_when);
        let labels = tier.labels.iter().map(|l| Value::Table(self.label_table(l))).collect();
        table.insert("label".into(), Value::Array(labels));
        table
    }

    fn label_table(&self, label: &Label) -> Table {
        let mut table = Table::new();
        table.insert("name".into(), Value::String(label.name.clone()));
        table.insert("definition".into(), Value::String(label.definition.clone()));
        for (key, lines) in [
            ("include", &label.include),
            ("exclude", &label.exclude),
            ("examples", &label.examples),
        ] {
            if !lines.is_empty() {
                let lines = lines.iter().map(|l| Value::String(l.clone())).collect();
                table.insert(key.into(), Value::Array(lines));
            }
        }
        if let Some(group) = &label.group {
            table.insert("group".into(), Value::String(group.clone()));
        }
        self.put_gate(&mut table, "only_when", &label.only_when);
        table
    }

    fn put_gate(&self, table: &mut Table, key: &str, gate: &Gate) {
        if gate.conditions.is_empty() {
            return;
        }
        let mut conditions = Table::new();
        for condition in &gate.conditions {
            let tier = &self.tiers[condition.tier];
            let labels = condition.labels.iter();
            let names = labels.map(|&l| Value::String(tier.labels[l].name.clone())).collect();
            conditions.insert(tier.name.clone(), Value::Array(names));
        }
        table.insert(key.into(), Value::Table(conditions));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::{shipped, shipped_names};

    #[test]
    fn shipped_codebooks_survive_the_round_trip() {
        for name in shipped_names() {
            let codebook = Codebook::parse(shipped(name).unwrap(), name).unwrap();
            let again = Codebook::parse(&codebook.to_toml(), name).unwrap();
            assert_eq!(again, codebook);
            assert_eq!(again.digest(), codebook.digest());
        }
    }
}
