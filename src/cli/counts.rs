//! Counts of answers by set, for people and as JSON.

use serde_json::{Map, Value, json};

use super::table::Table;
use crate::corpus::{SetCounts, Split, TierCounts};

/// A table of every answer by set; the sets are left out where no row has one.
pub fn counts_table(counts: &[TierCounts]) -> Table {
    let all = || counts.iter().flat_map(answers);
    let sets: Vec<Option<Split>> = Split::ALL
        .into_iter()
        .map(Some)
        .chain([None])
        .filter(|set| all().any(|(_, _, counts)| counts.of(*set) > 0))
        .collect();
    let split = sets.iter().any(Option::is_some);
    let mut header = vec!["tier", "answer"];
    if split {
        header.extend(sets.iter().map(|set| set.map_or("no set", Split::name)));
    }
    header.push("rows");
    let mut table = Table::new(header);
    for tier in counts {
        for (at, (answer, always, counts)) in answers(tier).enumerate() {
            if !always && counts.total() == 0 {
                continue;
            }
            let name = if at == 0 { tier.tier.clone() } else { String::new() };
            let mut row = vec![name, answer.to_string()];
            if split {
                row.extend(sets.iter().map(|set| counts.of(*set).to_string()));
            }
            row.push(counts.total().to_string());
            table.row(row);
        }
    }
    table
}

/// `{tier: {"labels": {label: counts}, "none", "not_asked", "missing"}}`, each count an
/// object of `total`, `train`, `validation`, `test` and `no_set`.
pub fn counts_json(counts: &[TierCounts]) -> Value {
    let tiers = counts.iter().map(|tier| {
        let labels: Map<String, Value> =
            tier.labels.iter().map(|(label, counts)| (label.clone(), set_json(counts))).collect();
        let mut object = Map::new();
        object.insert("labels".into(), Value::Object(labels));
        if let Some(none) = &tier.none {
            object.insert("none".into(), set_json(none));
        }
        object.insert("not_asked".into(), set_json(&tier.not_asked));
        object.insert("missing".into(), set_json(&tier.missing));
        (tier.tier.clone(), Value::Object(object))
    });
    Value::Object(tiers.collect())
}

/// One count by set as JSON.
pub fn set_json(counts: &SetCounts) -> Value {
    json!({
        "total": counts.total(),
        "train": counts.of(Some(Split::Train)),
        "validation": counts.of(Some(Split::Validation)),
        "test": counts.of(Some(Split::Test)),
        "no_set": counts.of(None),
    })
}

/// Every answer with its name, whether it stands in a table even if no row has it, and its
/// counts.
fn answers(tier: &TierCounts) -> impl Iterator<Item = (&str, bool, &SetCounts)> {
    let labels = tier.labels.iter().map(|(label, counts)| (label.as_str(), true, counts));
    labels
        .chain(tier.none.iter().map(|counts| ("none", true, counts)))
        .chain([("(not asked)", false, &tier.not_asked), ("(missing)", false, &tier.missing)])
}
